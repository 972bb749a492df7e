//! The answers, rendered once.

/// An answer: a head and a body.
#[derive(Debug)]
pub(super) struct Answer {
    /// Head and body.
    pub(super) bytes: Vec<u8>,
    /// How many of them are the head.
    pub(super) head: usize,
    /// Its status.
    pub(super) status: u16,
}

/// Every answer that there is.
#[derive(Debug)]
pub(super) struct Answers([Answer; 5]);

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Which(usize);

impl Answers {
    /// Answers with a body of `body` bytes.
    pub(super) fn new(body: usize) -> Self {
        let answer = |status, words, connection, body| {
            let head = format!(
                "HTTP/1.1 {status} {words}\r\ncontent-type: text/plain\r\ncontent-length: {body}\r\n{connection}\r\n"
            );
            // A body that says `ok` where it has room for it.
            let text = b"ok".iter().chain(std::iter::repeat(&b'.'));
            Answer {
                head: head.len(),
                bytes: head.bytes().chain(text.take(body).copied()).collect(),
                status,
            }
        };
        let close = "connection: close\r\n";
        Self([
            answer(200, "OK", "", body),
            answer(200, "OK", close, body),
            answer(500, "Internal Server Error", "", body),
            answer(500, "Internal Server Error", close, body),
            answer(400, "Bad Request", close, 0),
        ])
    }

    pub(super) fn of(&self, which: Which) -> &Answer {
        &self.0[which.0]
    }
}

impl Which {
    /// To a request that is not understood.
    pub(super) const REFUSAL: Self = Self(4);

    /// To a request that is.
    pub(super) fn new(error: bool, close: bool) -> Self {
        Self(2 * usize::from(error) + usize::from(close))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_says_what_it_is() {
        let answers = Answers::new(5);
        let text = |which| {
            let answer: &Answer = answers.of(which);
            let (head, body) = answer.bytes.split_at(answer.head);
            assert!(head.ends_with(b"\r\n\r\n"));
            (answer.status, String::from_utf8(head.into()).unwrap(), body)
        };
        let (status, head, body) = text(Which::new(false, false));
        assert_eq!((status, body), (200, &b"ok..."[..]));
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("length: 5\r\n"));
        assert!(!head.contains("connection"));
        let (status, head, _) = text(Which::new(true, true));
        assert!(status == 500 && head.contains("connection: close\r\n"));
        let (status, head, body) = text(Which::REFUSAL);
        assert!(status == 400 && head.contains("connection: close\r\n") && body.is_empty());
    }
}
