//! What the bytes of an HTTP/2 connection tell: when each request left and each response was there, what the peer
//! allows, and why the connection ends. All lanes of a connection share one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::task::{Context, Poll, Waker};

use super::frames::{self, Frames, Head, Passed};
use crate::load::http_tap::{Tap, words};
use crate::load::http1::{Bytes, Failure};
use crate::load::stream::tls_failure;

/// What a peer that does not speak HTTP/2 is quoted by, at most.
const MOST_QUOTED_BYTES: usize = 40;

/// What is known of a connection.
#[derive(Debug)]
pub(super) struct Watch(RefCell<Known>);

#[derive(Debug)]
struct Known {
    out: Frames,
    incoming: Frames,
    /// Requests given to the connection. Request k has the stream 2k + 1.
    requests: u32,
    streams: HashMap<u32, Moments>,
    /// A stream whose headers end it and are not complete.
    ending_stream: Option<u32>,
    settings: Option<Settings>,
    /// Its first bytes.
    first: Vec<u8>,
    end: Option<End>,
    last_read: u64,
    bytes: Bytes,
    carried: bool,
    lanes: Lanes,
    waiting: Vec<Waker>,
}

/// What the peer allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    /// Streams at once; none where there is no limit.
    pub(super) most_streams: Option<u32>,
}

/// What is known of one exchange.
#[derive(Debug, Clone, Default)]
pub(super) struct Moments {
    /// Before the first byte of its request was written.
    pub(super) sent: Option<u64>,
    /// After the read that ended its stream.
    pub(super) done: Option<u64>,
    /// The name of the error by which the peer reset it.
    reset: Option<String>,
}

/// Why a connection takes no more requests.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// We want no more of it.
    Ours,
    /// The peer said so, with an error of this name.
    Away(String),
    /// It was closed, or failed.
    Lost(String),
    /// The peer ended TLS with a complaint.
    Tls(String),
    /// What came was not HTTP/2.
    Wrong(String),
}

/// The lanes of a connection.
#[derive(Debug, Default)]
struct Lanes {
    open: usize,
    in_use: usize,
    /// Whether another connection is to take the place of this one.
    replace: bool,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self(RefCell::new(Known {
            out: Frames::after_preface(),
            incoming: Frames::default(),
            requests: 0,
            streams: HashMap::new(),
            ending_stream: None,
            settings: None,
            first: Vec::new(),
            end: None,
            last_read: 0,
            bytes: Bytes::default(),
            carried: false,
            lanes: Lanes::default(),
            waiting: Vec::new(),
        }))
    }

    /// The stream of the next request, which must then be given to the connection.
    pub(super) fn begin(&self) -> u32 {
        let known = &mut *self.0.borrow_mut();
        let stream = known.requests * 2 + 1;
        known.requests += 1;
        known.streams.insert(stream, Moments::default());
        stream
    }

    /// When the request of `stream` was sent.
    pub(super) fn sent(&self, stream: u32) -> Option<u64> {
        self.0.borrow().streams.get(&stream)?.sent
    }

    /// Forgets `stream`, and returns what was known of it; where nothing ended it, it ended with the last read.
    pub(super) fn finish(&self, stream: u32) -> (Moments, u64) {
        let known = &mut *self.0.borrow_mut();
        let moments = known.streams.remove(&stream).unwrap_or_default();
        let done = moments.done.unwrap_or(known.last_read);
        (moments, done)
    }

    /// Why there is no response to a request of which `moments` are known and `hyper` says `error`.
    pub(super) fn failure(&self, moments: &Moments, error: &hyper::Error) -> Failure {
        if let Some(name) = &moments.reset {
            return Failure::Reset(format!("the target reset the stream: {name}"));
        }
        match &self.0.borrow().end {
            Some(End::Away(name)) => {
                Failure::Reset(format!("the target gave the connection up: {name}"))
            }
            Some(End::Lost(words)) => Failure::Reset(words.clone()),
            Some(End::Tls(words)) => Failure::Tls(words.clone()),
            Some(End::Ours | End::Wrong(_)) | None => Failure::Protocol(words(error)),
        }
    }

    /// What the peer allows, once it has said so; or why it never will.
    pub(super) fn poll_settings(&self, context: &mut Context<'_>) -> Poll<Result<Settings, End>> {
        let known = &mut *self.0.borrow_mut();
        match (known.settings, &known.end) {
            (_, Some(end)) => Poll::Ready(Err(end.clone())),
            (Some(settings), None) => Poll::Ready(Ok(settings)),
            (None, None) => {
                known.waiting.push(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Ready when the connection takes no more requests. `awaited` says whether the caller, whose task is always the
    /// same, was told to wait before.
    pub(super) fn poll_end(&self, context: &mut Context<'_>, awaited: &mut bool) -> Poll<()> {
        let known = &mut *self.0.borrow_mut();
        if known.end.is_some() {
            return Poll::Ready(());
        }
        if !std::mem::replace(awaited, true) {
            known.waiting.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// Whether the connection takes no more requests.
    pub(super) fn is_over(&self) -> bool {
        self.0.borrow().end.is_some()
    }

    /// Whether anything of a request was ever written.
    pub(super) fn has_carried(&self) -> bool {
        self.0.borrow().carried
    }

    /// The connection is to take no more requests.
    pub(super) fn retire(&self) {
        self.0.borrow_mut().end_by(End::Ours);
    }

    /// `hyper` has done with the connection.
    pub(super) fn dropped(&self, outcome: &hyper::Result<()>) {
        self.0.borrow_mut().end_by(match outcome {
            Ok(()) => End::Lost("the connection ended".to_owned()),
            Err(error) => End::Wrong(words(error)),
        });
    }

    pub(super) fn take_bytes(&self) -> Bytes {
        std::mem::take(&mut self.0.borrow_mut().bytes)
    }

    /// There are so many lanes.
    pub(super) fn set_lanes(&self, lanes: usize) {
        self.0.borrow_mut().lanes.open = lanes;
    }

    /// A lane has an exchange now; whether no other had one.
    pub(super) fn occupy(&self) -> bool {
        let lanes = &mut self.0.borrow_mut().lanes;
        lanes.in_use += 1;
        lanes.in_use == 1
    }

    /// A lane has no exchange any more; whether no other has one.
    pub(super) fn vacate(&self) -> bool {
        let lanes = &mut self.0.borrow_mut().lanes;
        lanes.in_use -= 1;
        lanes.in_use == 0
    }

    /// A lane is gone, and wants the connection replaced or does not: whether it was the last one, and whether the
    /// connection is to be replaced.
    pub(super) fn leave(&self, replace: bool) -> (bool, bool) {
        let known = &mut *self.0.borrow_mut();
        let ours = matches!(known.end, Some(End::Ours));
        known.lanes.open -= 1;
        known.lanes.replace |= replace && !ours;
        (known.lanes.open == 0, known.lanes.replace)
    }
}

impl Known {
    fn end_by(&mut self, end: End) {
        self.end.get_or_insert(end);
        for waker in self.waiting.drain(..) {
            waker.wake();
        }
    }

    fn frame_read(&mut self, head: Head, payload: &[u8], after: u64) {
        match head.kind {
            frames::SETTINGS if !head.is_ack() && self.settings.is_none() => {
                self.settings = Some(Settings {
                    most_streams: frames::most_streams(payload),
                });
                for waker in self.waiting.drain(..) {
                    waker.wake();
                }
            }
            frames::GOAWAY => self.end_by(End::Away(frames::error_name(payload, 4))),
            frames::RST_STREAM => {
                if let Some(moments) = self.streams.get_mut(&head.stream) {
                    // A stream that has ended may be reset, which then says that nobody reads the request's body.
                    if moments.done.is_none() {
                        moments.reset = Some(frames::error_name(payload, 0));
                    }
                    moments.done.get_or_insert(after);
                }
            }
            frames::HEADERS if head.ends_stream() && !head.ends_headers() => {
                self.ending_stream = Some(head.stream);
            }
            frames::CONTINUATION
                if head.ends_headers() && self.ending_stream == Some(head.stream) =>
            {
                self.ending_stream = None;
                self.stream_ended(head.stream, after);
            }
            _ if head.ends_stream() => self.stream_ended(head.stream, after),
            _ => {}
        }
    }

    fn stream_ended(&mut self, stream: u32, after: u64) {
        if let Some(moments) = self.streams.get_mut(&stream) {
            moments.done.get_or_insert(after);
        }
    }

    /// Why the connection ended whose peer closed it, or with which `error` broke.
    fn loss(&self, error: Option<&io::Error>) -> End {
        match error {
            Some(error) => match tls_failure(error) {
                Some(words) => End::Tls(words),
                None => End::Lost(error.to_string()),
            },
            None => End::Lost("the connection was closed".to_owned()),
        }
    }
}

impl Tap for Watch {
    fn wrote(&self, bytes: &[u8], before: u64) {
        let known = &mut *self.0.borrow_mut();
        known.bytes.sent += bytes.len() as u64;
        let (streams, carried) = (&mut known.streams, &mut known.carried);
        known.out.feed(bytes, before, |head, passed| {
            if head.kind == frames::HEADERS && passed == Passed::Head {
                *carried = true;
                if let Some(moments) = streams.get_mut(&head.stream) {
                    moments.sent.get_or_insert(head.begun);
                }
            }
        });
    }

    fn read(&self, bytes: &[u8], after: u64) {
        let known = &mut *self.0.borrow_mut();
        known.bytes.received += bytes.len() as u64;
        known.last_read = after;
        let mut incoming = std::mem::take(&mut known.incoming);
        if known.settings.is_none() {
            let room = MOST_QUOTED_BYTES - known.first.len();
            let quoted = &bytes[..bytes.len().min(room)];
            known.first.extend_from_slice(quoted);
        }
        incoming.feed(bytes, after, |head, passed| match passed {
            // A peer that speaks HTTP/2 begins with its settings (RFC 9113, section 3.4).
            Passed::Head if known.settings.is_none() && head.kind != frames::SETTINGS => {
                let first = known.first.escape_ascii();
                let end = format!("the target does not speak HTTP/2: it began with `{first}`");
                known.end_by(End::Wrong(end));
            }
            Passed::Head => {}
            Passed::Whole(payload) => known.frame_read(head, payload, after),
        });
        known.incoming = incoming;
    }

    fn ended(&self, after: u64, error: Option<&io::Error>) {
        let known = &mut *self.0.borrow_mut();
        known.last_read = after;
        let end = known.loss(error);
        known.end_by(end);
    }
}

#[cfg(test)]
mod tests {
    use super::frames::frame;
    use super::*;

    /// Of a connection whose settings have come, with two requests.
    fn watch() -> Watch {
        let watch = Watch::new();
        watch.read(&frame(frames::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9]), 1);
        assert_eq!((watch.begin(), watch.begin()), (1, 3));
        watch
    }

    #[test]
    fn moments_are_those_of_the_frames() {
        let watch = watch();
        watch.wrote(&[0; 24], 2);
        let requests = [
            frame(frames::HEADERS, 5, 1, b"a"),
            frame(frames::HEADERS, 4, 3, b"b"),
        ];
        watch.wrote(&requests[0], 10);
        assert!(watch.has_carried());
        watch.wrote(&requests[1][..3], 20);
        watch.wrote(&requests[1][3..], 30);
        watch.wrote(&frame(frames::DATA, 1, 3, b"body"), 40);
        assert_eq!((watch.sent(1), watch.sent(3)), (Some(10), Some(20)));
        // Interim, and then one that ends the stream with a continuation.
        watch.read(&frame(frames::HEADERS, 4, 1, b""), 50);
        watch.read(&frame(frames::HEADERS, 1, 1, b""), 60);
        watch.read(&frame(frames::CONTINUATION, 4, 1, b""), 70);
        let data = frame(frames::DATA, 1, 3, b"response");
        watch.read(&data[..12], 80);
        watch.read(&data[12..], 90);
        // That nobody reads what is left of the request's body changes nothing.
        watch.read(&frame(frames::RST_STREAM, 0, 3, &[0; 4]), 100);
        let (moments, done) = watch.finish(1);
        assert_eq!((moments.sent, done), (Some(10), 70));
        let (moments, done) = watch.finish(3);
        assert_eq!((moments.reset, done), (None, 90));
    }

    #[test]
    fn a_stream_that_nothing_ended_ended_with_the_last_read() {
        let watch = watch();
        watch.read(&frame(frames::HEADERS, 4, 1, b""), 50);
        watch.read(&frame(frames::RST_STREAM, 0, 3, &[0, 0, 0, 7]), 60);
        watch.ended(70, None);
        let (moments, done) = watch.finish(1);
        assert_eq!((moments.done, done), (None, 70));
        let (moments, done) = watch.finish(3);
        assert_eq!(
            (moments.reset.as_deref(), done),
            (Some("REFUSED_STREAM"), 60)
        );
        assert!(watch.is_over());
    }

    #[test]
    fn the_last_lane_says_whether_the_connection_is_replaced() {
        let gone = |end: fn(&Watch)| {
            let watch = watch();
            watch.set_lanes(3);
            end(&watch);
            [true, false, false].map(|replace| watch.leave(replace))
        };
        let theirs = gone(|watch| watch.ended(9, None));
        assert_eq!(theirs, [(false, true), (false, true), (true, true)]);
        let ours = gone(Watch::retire);
        assert_eq!(ours, [(false, false), (false, false), (true, false)]);
    }
}
