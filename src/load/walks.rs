//! What walks in progress remember from one step to the next: captured values and cookies. A walk that has nothing to
//! remember takes no room.

use cookie_store::CookieStore;
use url::Url;

use crate::scenario::{Content, Value};

/// A walk that remembers nothing.
const NOBODY: u32 = u32::MAX;

/// The walk that a job belongs to, as far as it remembers anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WalkId(u32);

impl Default for WalkId {
    fn default() -> Self {
        Self(NOBODY)
    }
}

/// The memory of a worker's walks.
#[derive(Debug, Default)]
pub(super) struct Walks {
    walks: Vec<Walk>,
    free: Vec<u32>,
}

#[derive(Debug, Default)]
struct Walk {
    captured: Vec<Option<Value>>,
    cookies: Option<Box<CookieStore>>,
}

impl Walks {
    /// What the walk has captured.
    pub(super) fn captured(&self, id: WalkId) -> &[Option<Value>] {
        match id.0 {
            NOBODY => &[],
            index => &self.walks[index as usize].captured,
        }
    }

    /// Room for what a walk captures, so many values; `id` is set where it had none.
    pub(super) fn room(&mut self, id: &mut WalkId, values: usize) -> &mut [Option<Value>] {
        let captured = &mut self.of(id).captured;
        captured.resize(values, None);
        captured
    }

    /// Keeps the cookies that a response to `url` sets.
    pub(super) fn keep_cookies(&mut self, id: &mut WalkId, content: &Content, url: &Url) {
        let mut set = content.values("set-cookie").peekable();
        if set.peek().is_none() {
            return;
        }
        let cookies = self.of(id).cookies.get_or_insert_default();
        for field in set.filter_map(|field| std::str::from_utf8(field).ok()) {
            // What is no cookie, or not one for this place, is not kept, as in a browser.
            let _ = cookies.parse(field, url);
        }
    }

    /// Puts the value of the `cookie` header of a request to `url` into `out`; nothing where there is none.
    pub(super) fn cookies(&self, id: WalkId, url: &Url, out: &mut Vec<u8>) {
        out.clear();
        let walk = self.walks.get(id.0 as usize);
        let Some(cookies) = walk.and_then(|walk| walk.cookies.as_ref()) else {
            return;
        };
        for (name, value) in cookies.get_request_values(url) {
            if !out.is_empty() {
                out.extend_from_slice(b"; ");
            }
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            out.extend_from_slice(value.as_bytes());
        }
    }

    /// The walk is over.
    pub(super) fn end(&mut self, id: WalkId) {
        if id.0 != NOBODY {
            self.walks[id.0 as usize] = Walk::default();
            self.free.push(id.0);
        }
    }

    /// The walk is over, and its user begins another one, with the same cookies.
    pub(super) fn end_for_user(&mut self, id: WalkId) -> WalkId {
        let Some(walk) = self.walks.get_mut(id.0 as usize) else {
            return id;
        };
        walk.captured.clear();
        if walk.cookies.is_some() {
            return id;
        }
        self.end(id);
        WalkId::default()
    }

    fn of(&mut self, id: &mut WalkId) -> &mut Walk {
        if id.0 == NOBODY {
            id.0 = self.free.pop().unwrap_or_else(|| {
                self.walks.push(Walk::default());
                (self.walks.len() - 1) as u32
            });
        }
        &mut self.walks[id.0 as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(fields: &[(&str, &str)]) -> Content {
        let mut content = Content::default();
        for (name, value) in fields {
            content.add_field(name, value.as_bytes());
        }
        content
    }

    #[test]
    fn walks_take_room_only_for_what_they_remember() {
        let mut walks = Walks::default();
        let (mut one, mut other) = (WalkId::default(), WalkId::default());
        assert!(walks.captured(one).is_empty());
        walks.room(&mut one, 2)[1] = Some(Value::text("a"));
        walks.room(&mut other, 2)[0] = Some(Value::text("b"));
        assert_eq!(walks.captured(one), [None, Some(Value::text("a"))]);
        walks.end(one);
        let mut next = WalkId::default();
        assert_eq!(walks.room(&mut next, 2), [None, None]);
        assert_eq!(next, one, "the room of a walk that is over is used again");
        assert_eq!(walks.end_for_user(other), WalkId::default());
        walks.end(WalkId::default());
    }

    #[test]
    fn cookies_go_where_they_belong() {
        let mut walks = Walks::default();
        let mut id = WalkId::default();
        let url = |path: &str| {
            Url::parse("http://127.0.0.1:8080/")
                .unwrap()
                .join(path)
                .unwrap()
        };
        let set = [
            ("set-cookie", "a=1; Path=/"),
            ("set-cookie", "b=2; Path=/deep"),
            ("set-cookie", "c=3; Domain=example.com"),
        ];
        walks.keep_cookies(&mut id, &content(&set), &url("/x"));
        let sent = |walks: &Walks, id: WalkId, path| {
            let mut out = Vec::new();
            walks.cookies(id, &url(path), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(sent(&walks, id, "/"), "a=1");
        assert_eq!(sent(&walks, id, "/deep/er").split("; ").count(), 2);
        let gone = [("set-cookie", "a=; Path=/; Max-Age=0")];
        walks.keep_cookies(&mut id, &content(&gone), &url("/x"));
        assert_eq!(sent(&walks, id, "/"), "");
        assert_eq!(walks.end_for_user(id), id, "a user keeps its cookies");
    }
}
