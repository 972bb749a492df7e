//! Reading a response of HTTP/1.1 (RFC 9112), whatever the pieces in which it arrives.
//!
//! A [`Reader`] is fed the bytes as they come and says when the response is complete. It keeps none of the body: bytes
//! are counted off where they lie, and only a head, a chunk's line or the trailers that arrived in part are remembered
//! until the rest is there. What it does not understand is refused, never guessed at.

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Status};

/// The largest head, interim heads and trailers included: twice what common servers send at most.
const MOST_HEAD_BYTES: usize = 64 * 1024;

/// The most fields of a head, as hyper and most servers have it.
const MOST_FIELDS: usize = 100;

/// A response being read.
///
/// Ready for the response to one request when made, and for the next after [`Reader::begin`].
#[derive(Debug, Default)]
pub struct Reader {
    state: State,
    /// What arrived of a head, a chunk's line or trailers that are not complete yet.
    carry: Vec<u8>,
    /// Bytes of heads, chunk lines and trailers so far.
    head_bytes: usize,
    /// Whether the request was a HEAD, whose answer has no body whatever its fields say.
    head_only: bool,
    status: u16,
    reusable: bool,
}

/// What the next bytes are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    /// So many bytes of a body of known length.
    Body(u64),
    ChunkLine,
    /// So many bytes of a chunk.
    Chunk(u64),
    /// The line end behind a chunk.
    ChunkEnd,
    Trailers,
    /// A body that lasts as long as the connection.
    UntilClose,
    Complete,
}

/// Told what of a response might be kept, as it is read.
pub trait Sink {
    /// The head of the response, which comes once; not those of interim responses.
    fn head(&mut self, status: u16, fields: &[Header<'_>]);

    /// More of its body, without what frames it.
    fn body(&mut self, bytes: &[u8]);
}

/// Keeps nothing.
impl Sink for () {
    fn head(&mut self, _: u16, _: &[Header<'_>]) {}

    fn body(&mut self, _: &[u8]) {}
}

/// A complete response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Whether the connection may carry another exchange.
    pub reusable: bool,
}

/// Why bytes are no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The head is not HTTP.
    #[error("the head is not HTTP: {0}")]
    Head(httparse::Error),
    /// What frames the body is larger than 64 KiB.
    #[error("the head, or what frames the body, is over 64 KiB")]
    TooLarge,
    /// Content-length is no number, or several.
    #[error("the length of the body is not one number")]
    Length,
    /// Both of the fields that frame a body are there.
    #[error("the body has a content-length and a transfer-encoding")]
    TwoFramings,
    /// HTTP/1.0 knows no transfer-encoding.
    #[error("an HTTP/1.0 response has a transfer-encoding")]
    OldEncoding,
    /// A switch of protocols that nobody asked for.
    #[error("101 to a request that asked for no other protocol")]
    Upgrade,
    /// A chunk does not begin with its length.
    #[error("a chunk's length is not a number")]
    ChunkLength,
    /// No line end follows a chunk.
    #[error("a chunk is longer than its length")]
    ChunkEnd,
    /// The trailers are not HTTP.
    #[error("the trailers are not HTTP: {0}")]
    Trailers(httparse::Error),
}

/// Why a response that was cut off is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CutOff {
    /// Nothing of it had come.
    #[error("the connection was closed before the response began")]
    BeforeResponse,
    /// A part of it had come.
    #[error("the connection was closed within the response")]
    WithinResponse,
}

/// How the body of a response is delimited (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

impl Reader {
    /// Makes ready for the response to another request.
    pub fn begin(&mut self, head_only: bool) {
        self.state = State::Head;
        self.carry.clear();
        self.head_bytes = 0;
        self.head_only = head_only;
    }

    /// Takes the bytes that arrived; the response is returned with the bytes that complete it. Bytes beyond it are
    /// dropped, and the connection is not to be used again.
    ///
    /// # Errors
    /// When the bytes are no response. The connection can then not be used.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<Response>, Refusal> {
        self.feed_into(bytes, &mut ())
    }

    /// The same, telling `sink` what comes.
    ///
    /// # Errors
    /// As [`Reader::feed`].
    pub fn feed_into(
        &mut self,
        bytes: &[u8],
        sink: &mut impl Sink,
    ) -> Result<Option<Response>, Refusal> {
        if self.carry.is_empty() {
            let used = self.advance(bytes, sink)?;
            return self.settle(&bytes[used..]);
        }
        self.carry.extend_from_slice(bytes);
        let carry = std::mem::take(&mut self.carry);
        let used = self.advance(&carry, sink)?;
        self.settle(&carry[used..])
    }

    /// Takes note that the connection was closed by its peer.
    ///
    /// # Errors
    /// When the response was not complete.
    pub fn end(&mut self) -> Result<Response, CutOff> {
        match self.state {
            State::UntilClose => {
                self.state = State::Complete;
                Ok(self.response(false))
            }
            State::Head if self.carry.is_empty() && self.head_bytes == 0 => {
                Err(CutOff::BeforeResponse)
            }
            _ => Err(CutOff::WithinResponse),
        }
    }

    /// Keeps what could not be read yet, or says that the response is complete.
    fn settle(&mut self, rest: &[u8]) -> Result<Option<Response>, Refusal> {
        if self.state == State::Complete {
            return Ok(Some(self.response(rest.is_empty())));
        }
        if self.head_bytes + rest.len() > MOST_HEAD_BYTES {
            return Err(Refusal::TooLarge);
        }
        self.carry.extend_from_slice(rest);
        Ok(None)
    }

    fn response(&self, nothing_beyond: bool) -> Response {
        Response {
            status: self.status,
            reusable: self.reusable && nothing_beyond,
        }
    }

    /// Reads as far as the response and `bytes` go, and returns how many bytes that was.
    fn advance(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<usize, Refusal> {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            if rest.is_empty() {
                return Ok(at);
            }
            let read = match self.state {
                State::Head => self.head(rest, sink)?,
                State::ChunkLine => self.chunk_line(rest)?,
                State::ChunkEnd => self.chunk_end(rest)?,
                State::Trailers => self.trailers(rest)?,
                State::Body(left) => {
                    let taken = left.min(rest.len() as u64);
                    sink.body(&rest[..taken as usize]);
                    self.state = if taken == left {
                        State::Complete
                    } else {
                        State::Body(left - taken)
                    };
                    Some(taken as usize)
                }
                State::Chunk(left) => {
                    let taken = left.min(rest.len() as u64);
                    sink.body(&rest[..taken as usize]);
                    self.state = if taken == left {
                        State::ChunkEnd
                    } else {
                        State::Chunk(left - taken)
                    };
                    Some(taken as usize)
                }
                State::UntilClose => {
                    sink.body(rest);
                    Some(rest.len())
                }
                State::Complete => None,
            };
            let Some(read) = read else { return Ok(at) };
            at += read;
        }
    }

    /// Reads a head, if all of it is there.
    fn head(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<Option<usize>, Refusal> {
        let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; MOST_FIELDS];
        let mut head = httparse::Response::new(&mut []);
        let parsed = ParserConfig::default()
            .parse_response_with_uninit_headers(&mut head, bytes, &mut fields)
            .map_err(Refusal::Head)?;
        let Status::Complete(length) = parsed else {
            return Ok(None);
        };
        self.count(length)?;
        // A parsed head has both.
        let (status, minor) = (head.code.unwrap_or(0), head.version.unwrap_or(0));
        match status {
            101 => return Err(Refusal::Upgrade),
            // An interim response: the real one follows.
            100..200 => return Ok(Some(length)),
            _ => {}
        }
        let framing = Fields::read(head.headers)?;
        self.status = status;
        self.reusable = if minor == 0 {
            framing.keep_alive && !framing.close
        } else {
            !framing.close
        };
        self.state = match framing.of_body(self.head_only || matches!(status, 204 | 304), minor)? {
            Framing::None | Framing::Length(0) => State::Complete,
            Framing::Length(length) => State::Body(length),
            Framing::Chunked => State::ChunkLine,
            Framing::UntilClose => State::UntilClose,
        };
        sink.head(status, head.headers);
        Ok(Some(length))
    }

    fn chunk_line(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        match httparse::parse_chunk_size(bytes).map_err(|_| Refusal::ChunkLength)? {
            Status::Complete((length, size)) => {
                // Lines of chunks come without end where the body does; only what waits for its end is bounded.
                self.state = if size == 0 {
                    State::Trailers
                } else {
                    State::Chunk(size)
                };
                Ok(Some(length))
            }
            Status::Partial => Ok(None),
        }
    }

    fn chunk_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        match bytes {
            [b'\r', b'\n', ..] => {
                self.state = State::ChunkLine;
                Ok(Some(2))
            }
            [b'\r'] => Ok(None),
            _ => Err(Refusal::ChunkEnd),
        }
    }

    fn trailers(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        match httparse::parse_headers(bytes, &mut fields).map_err(Refusal::Trailers)? {
            Status::Complete((length, _)) => {
                self.count(length)?;
                self.state = State::Complete;
                Ok(Some(length))
            }
            Status::Partial => Ok(None),
        }
    }

    fn count(&mut self, length: usize) -> Result<(), Refusal> {
        self.head_bytes += length;
        if self.head_bytes > MOST_HEAD_BYTES {
            return Err(Refusal::TooLarge);
        }
        Ok(())
    }
}

/// What a head's fields say of its body and its connection.
#[derive(Debug, Default)]
struct Fields {
    length: Option<u64>,
    /// Whether there is a transfer-encoding, and if so, whether the body is chunked last.
    encoding: Option<bool>,
    close: bool,
    keep_alive: bool,
}

impl Fields {
    fn read(fields: &[Header<'_>]) -> Result<Self, Refusal> {
        let mut read = Self::default();
        for field in fields {
            // By length first: most fields are none of these.
            match field.name.len() {
                10 if field.name.eq_ignore_ascii_case("connection") => {
                    for option in list(field.value) {
                        read.close |= option.eq_ignore_ascii_case(b"close");
                        read.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                14 if field.name.eq_ignore_ascii_case("content-length") => {
                    // The same length several times, in one field or in many, is one length (RFC 9110, section 8.6).
                    for value in list(field.value) {
                        let length = decimal(value).ok_or(Refusal::Length)?;
                        if read.length.is_some_and(|before| before != length) {
                            return Err(Refusal::Length);
                        }
                        read.length = Some(length);
                    }
                    if read.length.is_none() {
                        return Err(Refusal::Length);
                    }
                }
                17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                    let last = list(field.value).last();
                    read.encoding =
                        Some(last.is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked")));
                }
                _ => {}
            }
        }
        Ok(read)
    }

    fn of_body(&self, bodiless: bool, minor: u8) -> Result<Framing, Refusal> {
        match (self.encoding, self.length) {
            _ if bodiless => Ok(Framing::None),
            (Some(_), _) if minor == 0 => Err(Refusal::OldEncoding),
            (Some(_), Some(_)) => Err(Refusal::TwoFramings),
            (Some(true), None) => Ok(Framing::Chunked),
            (Some(false), None) | (None, None) => Ok(Framing::UntilClose),
            (None, Some(length)) => Ok(Framing::Length(length)),
        }
    }
}

/// The elements of a comma-separated list, empty ones left out.
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

/// A number in digits alone: no sign, no space.
fn decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |number, &digit| {
        let value = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(value)
    })
}

#[cfg(test)]
mod tests;
