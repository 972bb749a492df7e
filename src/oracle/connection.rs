//! One connection: what has been read of a request, and what has been written of an answer.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::answers::{Answer, Answers, Which};
use super::request::{Head, Request, head};

/// In how many pieces a slow body is written: enough that a client has to read again and again.
const PIECES: u64 = 10;

/// A client's connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    /// Its number in the log.
    pub(super) number: u32,
    /// Read and not yet taken.
    input: Vec<u8>,
    /// A request whose body is not yet read to its end.
    begun: Option<Request>,
    /// Bytes of that body to come.
    body_left: u64,
    /// Whether the socket may have something to read.
    readable: bool,
    /// Whether the client will send no more.
    ended: bool,
    /// The request that is being served.
    pub(super) busy: Option<Busy>,
}

/// An answer that is being held back or written.
#[derive(Debug)]
pub(super) struct Busy {
    /// Its place in the log.
    pub(super) entry: Option<usize>,
    /// What is answered; none: the connection is closed instead.
    pub(super) which: Option<Which>,
    /// Whether the connection is closed afterwards.
    pub(super) close: bool,
    /// Whether only the head of the answer is sent.
    pub(super) head_only: bool,
    written: usize,
    /// How much may be written by now.
    released: usize,
    /// When the head was released, and how many pieces of the body were since.
    began: u64,
    pieces: u64,
}

/// What reading came to.
#[derive(Debug)]
pub(super) enum Read {
    /// A whole request, with its body.
    Request(Request),
    /// Nothing yet.
    Nothing,
    /// The client has closed the connection.
    Closed,
    /// What came is no request.
    Bad,
}

/// What writing came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// The whole answer.
    All,
    /// Not all of it yet.
    Part,
    /// The client has closed the connection.
    Closed,
}

impl Busy {
    pub(super) fn new(entry: Option<usize>, which: Option<Which>, request: &Request) -> Self {
        Self {
            entry,
            which,
            close: request.close,
            head_only: request.head_only,
            written: 0,
            released: 0,
            began: 0,
            pieces: 0,
        }
    }

    /// The answer to what is no request.
    pub(super) fn refusal() -> Self {
        Self {
            entry: None,
            which: Some(Which::REFUSAL),
            close: true,
            head_only: false,
            written: 0,
            released: 0,
            began: 0,
            pieces: 0,
        }
    }

    /// Lets the next part of `answer` be written at `now`; returns when the part after it may be, if there is one.
    pub(super) fn release(
        &mut self,
        answer: &Answer,
        now: u64,
        slow: Option<Duration>,
    ) -> Option<u64> {
        let end = self.end(answer);
        let body = (end - answer.head) as u64;
        let slow = slow.filter(|_| body > 0).map(|slow| slow.as_nanos());
        let Some(slow) = slow else {
            self.released = end;
            return None;
        };
        if self.released == 0 {
            self.began = now;
            self.released = answer.head;
        } else {
            self.pieces += 1;
            // At most the body's length.
            self.released = answer.head + (body * self.pieces / PIECES) as usize;
        }
        let next = self.pieces + 1;
        let after = slow * u128::from(next) / u128::from(PIECES);
        (next <= PIECES).then(|| self.began + u64::try_from(after).unwrap_or(u64::MAX / 2))
    }

    fn end(&self, answer: &Answer) -> usize {
        if self.head_only {
            answer.head
        } else {
            answer.bytes.len()
        }
    }
}

impl Connection {
    pub(super) fn new(stream: TcpStream, number: u32) -> Self {
        Self {
            stream,
            number,
            input: Vec::new(),
            begun: None,
            body_left: 0,
            readable: false,
            ended: false,
            busy: None,
        }
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// To be told when the socket has become readable, or writable.
    pub(super) fn woken(&mut self, ended: bool) {
        self.readable = true;
        self.ended |= ended;
    }

    /// Reads until a request is complete or nothing is left; `buffer` is anybody's.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Read {
        loop {
            match self.take() {
                Ok(Some(request)) => return Read::Request(request),
                Ok(None) if !self.readable => return Read::Nothing,
                Ok(None) => {}
                Err(()) => return Read::Bad,
            }
            match self.stream.read(buffer) {
                Ok(0) => return Read::Closed,
                Ok(count) => {
                    self.input.extend_from_slice(&buffer[..count]);
                    // A short read has emptied the socket (epoll(7)), and what comes later is told of again. The
                    // end of the stream is told of only once, and may have been with these bytes.
                    self.readable = count == buffer.len() || self.ended;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Read::Closed,
            }
        }
    }

    /// Writes what has been released of the answer.
    pub(super) fn write(&mut self, answers: &Answers) -> Written {
        let Some((busy, which)) = self.busy.as_mut().and_then(|busy| {
            let which = busy.which?;
            Some((busy, which))
        }) else {
            return Written::Part;
        };
        let answer = answers.of(which);
        while busy.written < busy.released {
            match self
                .stream
                .write(&answer.bytes[busy.written..busy.released])
            {
                Ok(0) => return Written::Closed,
                Ok(count) => busy.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Written::Part,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Written::Closed,
            }
        }
        if busy.written == busy.end(answer) {
            Written::All
        } else {
            Written::Part
        }
    }

    /// Takes a whole request from what has been read.
    fn take(&mut self) -> Result<Option<Request>, ()> {
        if self.begun.is_none() {
            match head(&self.input) {
                Head::Incomplete => return Ok(None),
                Head::Bad => return Err(()),
                Head::Complete(length, request) => {
                    self.input.drain(..length);
                    self.body_left = request.body;
                    self.begun = Some(request);
                }
            }
        }
        // At most the length of the input.
        let skipped = self.body_left.min(self.input.len() as u64);
        self.input.drain(..skipped as usize);
        self.body_left -= skipped;
        Ok(if self.body_left == 0 {
            self.begun.take()
        } else {
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: Request = Request {
        seq: None,
        body: 0,
        close: false,
        head_only: false,
    };

    #[test]
    fn a_slow_body_is_released_piece_by_piece() {
        let answers = Answers::new(1_000);
        let answer = answers.of(Which::new(false, false));
        let slow = Some(Duration::from_millis(20));
        let mut busy = Busy::new(None, Some(Which::new(false, false)), &REQUEST);
        let mut now = 5_000;
        let mut released = Vec::new();
        while let Some(next) = busy.release(answer, now, slow) {
            assert_eq!(next - now, 2_000_000);
            released.push(busy.released - answer.head);
            now = next;
        }
        released.push(busy.released - answer.head);
        let expected: Vec<usize> = (0..=10).map(|piece| piece * 100).collect();
        assert_eq!(released, expected);
    }

    #[test]
    fn any_other_answer_is_released_at_once() {
        let answers = Answers::new(1_000);
        let answer = answers.of(Which::new(false, false));
        let slow = Some(Duration::from_millis(20));
        let mut whole = Busy::new(None, Some(Which::new(false, false)), &REQUEST);
        assert_eq!(whole.release(answer, 0, None), None);
        assert_eq!(whole.released, answer.bytes.len());
        let head_only = Request {
            head_only: true,
            ..REQUEST
        };
        let mut head = Busy::new(None, Some(Which::new(false, false)), &head_only);
        assert_eq!(head.release(answer, 0, slow), None);
        assert_eq!(head.released, answer.head);
    }
}
