//! A step's request as the bytes that go out: laid out once, its slots filled for every exchange.

use http::Method;
use http::header::{HOST, HeaderValue};

use crate::scenario::{Draw, RequestTemplate, Template, Unfilled};

/// The bytes of one step's requests.
#[derive(Debug)]
pub struct Layout {
    /// All of the request where its body is always the same, else up to the number in its content-length.
    head: Template,
    /// A body of which the length is known only when it is rendered.
    body: Option<Template>,
    /// Whether the answer has no body, whatever its head says.
    pub(in crate::load) head_only: bool,
}

/// Room in which requests are rendered.
#[derive(Debug, Default)]
pub struct Room {
    message: Vec<u8>,
    body: Vec<u8>,
}

impl Layout {
    /// Lays out `request`; `host` is what its header says unless the request says otherwise. `last` says that the
    /// connection carries nothing after it, so that the server closes it (RFC 9112, section 9.6).
    #[must_use]
    pub fn new(request: &RequestTemplate, host: &HeaderValue, last: bool) -> Self {
        let mut head = Template::literal(format!("{} ", request.method).as_bytes());
        head.append(&request.path);
        head.append_literal(b" HTTP/1.1\r\n");
        if !request.headers.iter().any(|(name, _)| *name == HOST) {
            head.append_literal(&[b"host: ", host.as_bytes(), b"\r\n"].concat());
        }
        for (name, value) in &request.headers {
            head.append_literal(format!("{name}: ").as_bytes());
            head.append(value);
            head.append_literal(b"\r\n");
        }
        if request.cookies {
            head.append(&Template::cookie_line());
        }
        if last {
            head.append_literal(b"connection: close\r\n");
        }
        let mut rendered = None;
        match &request.body {
            Some(body) => {
                head.append_literal(b"content-length: ");
                if let Some(body) = body.constant() {
                    head.append_literal(format!("{}\r\n\r\n", body.len()).as_bytes());
                    head.append_literal(body);
                } else {
                    rendered = Some(body.clone());
                }
            }
            // A method that usually brings a body says that there is none (RFC 9110, section 8.6).
            None if [Method::POST, Method::PUT, Method::PATCH].contains(&request.method) => {
                head.append_literal(b"content-length: 0\r\n\r\n");
            }
            None => head.append_literal(b"\r\n"),
        }
        Self {
            head,
            body: rendered,
            head_only: request.method == Method::HEAD,
        }
    }

    /// The bytes of the request that `draw` names.
    ///
    /// # Errors
    /// When a slot has no value.
    pub fn render<'a>(&'a self, draw: &Draw<'_>, room: &'a mut Room) -> Result<&'a [u8], Unfilled> {
        if let (Some(whole), None) = (self.head.constant(), &self.body) {
            return Ok(whole);
        }
        room.message.clear();
        self.head.render(draw, &mut room.message)?;
        if let Some(body) = &self.body {
            room.body.clear();
            body.render(draw, &mut room.body)?;
            let mut digits = itoa::Buffer::new();
            let length = digits.format(room.body.len());
            room.message.extend_from_slice(length.as_bytes());
            room.message.extend_from_slice(b"\r\n\r\n");
            room.message.extend_from_slice(&room.body);
        }
        Ok(&room.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    fn rendered(step: &str) -> String {
        let text = format!(
            "tailmark: 1\nflows: {{ f: {{ steps: [{step}] }} }}\nphases: [{{ name: p, rate: 1/s, for: 1s }}]\n"
        );
        let scenario = Scenario::parse("s.yaml", text.as_bytes()).unwrap();
        let request = &scenario.flows()[0].steps[0].request;
        let layout = Layout::new(request, &HeaderValue::from_static("h:1"), false);
        let draw = Draw::new(1, 41, 0);
        let mut room = Room::default();
        // Twice, since the room is used again.
        layout.render(&draw, &mut room).unwrap();
        String::from_utf8(layout.render(&draw, &mut room).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn requests_are_laid_out_whole() {
        for (step, bytes) in [
            ("get: /", "GET / HTTP/1.1\r\nhost: h:1\r\n\r\n"),
            (
                "{ get: '/${seq}', headers: { X-A: 'v${seq}', host: other } }",
                "GET /42 HTTP/1.1\r\nx-a: v42\r\nhost: other\r\n\r\n",
            ),
            (
                "post: /p",
                "POST /p HTTP/1.1\r\nhost: h:1\r\ncontent-length: 0\r\n\r\n",
            ),
            (
                "{ put: /p, body: hello }",
                "PUT /p HTTP/1.1\r\nhost: h:1\r\ncontent-length: 5\r\n\r\nhello",
            ),
            (
                "{ post: '/${seq}', json: { n: '${seq}' } }",
                "POST /42 HTTP/1.1\r\nhost: h:1\r\ncontent-type: application/json\r\ncontent-length: 8\r\n\r\n{\"n\":42}",
            ),
            (
                "{ delete: /d, body: 'x${seq}' }",
                "DELETE /d HTTP/1.1\r\nhost: h:1\r\ncontent-length: 3\r\n\r\nx42",
            ),
        ] {
            assert_eq!(rendered(step), bytes, "{step}");
        }
    }
}
