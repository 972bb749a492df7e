//! The head of a request, as far as a scripted server needs it.
//!
//! Written apart from the generator's own reading of HTTP, so that a mistake in one is not made twice.

/// The longest head that is read.
pub(super) const MOST_HEAD: usize = 16 * 1024;

/// A request whose head is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    /// The number at the end of its path.
    pub(super) seq: Option<u64>,
    /// Bytes of its body.
    pub(super) body: u64,
    /// Whether the connection ends with the answer.
    pub(super) close: bool,
    /// Whether the answer has no body: a `HEAD` request.
    pub(super) head_only: bool,
}

/// What the beginning of `bytes` is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// Not yet a whole head.
    Incomplete,
    /// A head of so many bytes.
    Complete(usize, Request),
    /// No head that is understood.
    Bad,
}

/// Reads the head at the beginning of `bytes`.
pub(super) fn head(bytes: &[u8]) -> Head {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() > MOST_HEAD {
            Head::Bad
        } else {
            Head::Incomplete
        };
    };
    match std::str::from_utf8(&bytes[..end]).ok().and_then(request) {
        Some(request) => Head::Complete(end + 4, request),
        None => Head::Bad,
    }
}

fn request(head: &str) -> Option<Request> {
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, path, version) = (words.next()?, words.next()?, words.next()?);
    let mut request = Request {
        seq: seq(path),
        body: 0,
        close: match version {
            "HTTP/1.1" => false,
            "HTTP/1.0" => true,
            _ => return None,
        },
        head_only: method == "HEAD",
    };
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            request.body = value.parse().ok()?;
        } else if name.eq_ignore_ascii_case("connection") {
            if value.eq_ignore_ascii_case("close") {
                request.close = true;
            } else if value.eq_ignore_ascii_case("keep-alive") {
                request.close = false;
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            // Where a chunked body ends is not understood here.
            return None;
        }
    }
    Some(request)
}

/// The number that is the last segment of a path, without its query.
fn seq(path: &str) -> Option<u64> {
    let path = path.split('?').next()?;
    path.rsplit('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(text: &str) -> Request {
        match head(text.as_bytes()) {
            Head::Complete(length, request) => {
                assert_eq!(length, text.find("\r\n\r\n").unwrap() + 4);
                request
            }
            other => panic!("{other:?}: {text}"),
        }
    }

    #[test]
    fn what_matters_of_a_request_is_read() {
        let plain = complete("GET /items/17?page=2 HTTP/1.1\r\nHost: here\r\n\r\nGET");
        let expected = Request {
            seq: Some(17),
            body: 0,
            close: false,
            head_only: false,
        };
        assert_eq!(plain, expected);
        let post =
            complete("POST /a/b HTTP/1.1\r\nContent-LENGTH: 12\r\nConnection: Close\r\n\r\n");
        assert_eq!((post.seq, post.body, post.close), (None, 12, true));
        let old = complete("HEAD / HTTP/1.0\r\n\r\n");
        assert!(old.close && old.head_only);
        let kept = complete("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
        assert!(!kept.close);
    }

    #[test]
    fn a_head_is_incomplete_until_its_empty_line() {
        let whole = b"GET /1 HTTP/1.1\r\nhost: here\r\n\r\n";
        for end in 0..whole.len() {
            assert_eq!(head(&whole[..end]), Head::Incomplete);
        }
        assert!(matches!(head(whole), Head::Complete(..)));
    }

    #[test]
    fn what_is_not_understood_is_bad() {
        for text in [
            "\r\n\r\n",
            "GET\r\n\r\n",
            "GET / HTTP/2\r\n\r\n",
            "GET / HTTP/1.1\r\nnonsense\r\n\r\n",
            "GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
        ] {
            assert_eq!(head(text.as_bytes()), Head::Bad, "{text}");
        }
        assert_eq!(head(&[b'a'; MOST_HEAD + 1]), Head::Bad);
    }
}
