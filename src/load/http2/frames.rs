//! The frames in the bytes of an HTTP/2 connection (RFC 9113, section 4.1), as far as moments and endings need them.

/// What a client writes before its first frame (RFC 9113, section 3.4).
const PREFACE_BYTES: usize = 24;

const HEAD_BYTES: usize = 9;

/// Bytes of a payload that are kept: more than the settings that exist take, of which each has six.
const MOST_KEPT_BYTES: usize = 256;

/// Kinds of frames.
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const GOAWAY: u8 = 7;
pub(super) const CONTINUATION: u8 = 9;

/// Follows the frames of one direction, whatever the pieces in which they pass.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Bytes that come before the first frame.
    preface: usize,
    head: [u8; HEAD_BYTES],
    /// Of the head, those that have passed.
    have: usize,
    /// Of the payload, those that have not.
    left: usize,
    begun: u64,
    kept: Vec<u8>,
}

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// 0 for what concerns the connection.
    pub(super) stream: u32,
    /// The moment given with its first byte.
    pub(super) begun: u64,
}

/// What has passed of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Passed<'a> {
    /// Its head.
    Head,
    /// All of it, with the payload as far as that was kept: the first 256 bytes of one that is neither data nor headers.
    Whole(&'a [u8]),
}

impl Head {
    /// Nothing follows on the stream.
    pub(super) fn ends_stream(self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & 0x1 != 0
    }

    /// No further part of these headers follows.
    pub(super) fn ends_headers(self) -> bool {
        matches!(self.kind, HEADERS | CONTINUATION) && self.flags & 0x4 != 0
    }

    /// A confirmation of settings, not settings.
    pub(super) fn is_ack(self) -> bool {
        self.flags & 0x1 != 0
    }
}

impl Frames {
    /// Of a client.
    pub(super) fn after_preface() -> Self {
        Self {
            preface: PREFACE_BYTES,
            ..Self::default()
        }
    }

    /// Takes the bytes that passed at `at`, and tells `see` of heads and whole frames.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        at: u64,
        mut see: impl FnMut(Head, Passed<'_>),
    ) {
        bytes = &bytes[self.skip_preface(bytes.len())..];
        while !bytes.is_empty() {
            if self.have < HEAD_BYTES {
                if self.have == 0 {
                    self.begun = at;
                }
                let taken = bytes.len().min(HEAD_BYTES - self.have);
                self.head[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
                self.have += taken;
                bytes = &bytes[taken..];
                if self.have < HEAD_BYTES {
                    return;
                }
                let [a, b, c, ..] = self.head;
                self.left = u32::from_be_bytes([0, a, b, c]) as usize;
                self.kept.clear();
                see(self.read_head(), Passed::Head);
            }
            let taken = bytes.len().min(self.left);
            self.keep(&bytes[..taken]);
            self.left -= taken;
            bytes = &bytes[taken..];
            if self.left == 0 {
                self.have = 0;
                see(self.read_head(), Passed::Whole(&self.kept));
            }
        }
    }

    fn skip_preface(&mut self, length: usize) -> usize {
        let skipped = length.min(self.preface);
        self.preface -= skipped;
        skipped
    }

    fn read_head(&self) -> Head {
        let [_, _, _, kind, flags, stream @ ..] = self.head;
        Head {
            kind,
            flags,
            // The highest bit means nothing.
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
            begun: self.begun,
        }
    }

    fn keep(&mut self, payload: &[u8]) {
        if matches!(self.head[3], DATA | HEADERS | CONTINUATION) {
            return;
        }
        let room = MOST_KEPT_BYTES - self.kept.len();
        self.kept
            .extend_from_slice(&payload[..payload.len().min(room)]);
    }
}

/// The most streams at once that the payload of a SETTINGS frame allows; none where it does not say.
pub(super) fn most_streams(settings: &[u8]) -> Option<u32> {
    const MAX_CONCURRENT_STREAMS: [u8; 2] = [0, 3];
    let mut entries = settings.chunks_exact(6);
    // Settings are taken in their order, so the last one counts.
    entries
        .rfind(|entry| entry[..2] == MAX_CONCURRENT_STREAMS)
        .and_then(|entry| Some(u32::from_be_bytes(entry[2..].try_into().ok()?)))
}

/// The error code at `place` of a payload, by its name (RFC 9113, section 7).
pub(super) fn error_name(payload: &[u8], place: usize) -> String {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    let code = payload
        .get(place..place + 4)
        .and_then(|bytes| bytes.try_into().ok())
        .map(u32::from_be_bytes);
    match code {
        Some(code) => NAMES
            .get(code as usize)
            .map_or_else(|| format!("error {code}"), |name| (*name).to_owned()),
        None => "no error code".to_owned(),
    }
}

/// The bytes of a frame.
#[cfg(test)]
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(frames: &mut Frames, pieces: &[&[u8]]) -> Vec<(u8, u32, Option<Vec<u8>>)> {
        let mut seen = Vec::new();
        for (at, piece) in pieces.iter().enumerate() {
            frames.feed(piece, at as u64, |head, passed| {
                let payload = match passed {
                    Passed::Head => None,
                    Passed::Whole(payload) => Some(payload.to_vec()),
                };
                seen.push((head.kind, head.stream, payload));
            });
        }
        seen
    }

    #[test]
    fn a_frame_begins_with_the_piece_that_holds_its_first_byte() {
        let bytes = frame(HEADERS, 0x5, 7, b"hpack");
        let mut frames = Frames::after_preface();
        let mut begun = Vec::new();
        let whole = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &bytes].concat();
        for (at, piece) in [&whole[..20], &whole[20..26], &whole[26..]]
            .into_iter()
            .enumerate()
        {
            frames.feed(piece, at as u64, |head, passed| {
                assert!(head.ends_stream() && head.ends_headers());
                begun.push((head.begun, passed == Passed::Head));
            });
        }
        assert_eq!(begun, [(1, true), (1, false)]);
    }

    #[test]
    fn what_is_kept_of_a_payload_is_bounded() {
        let bytes = frame(GOAWAY, 0, 0, &[1; 5_000]);
        let seen = seen(&mut Frames::default(), &[&bytes]);
        assert_eq!(seen[1], (GOAWAY, 0, Some(vec![1; MOST_KEPT_BYTES])));
    }

    #[test]
    fn settings_and_errors_are_read() {
        let settings = [0, 4, 0, 0, 255, 255, 0, 3, 0, 0, 0, 9, 0, 3, 0, 0, 0, 2];
        assert_eq!(most_streams(&settings), Some(2));
        assert_eq!(most_streams(&settings[..6]), None);
        assert_eq!(error_name(&[0, 0, 0, 7], 0), "REFUSED_STREAM");
        assert_eq!(error_name(&[0, 0, 0, 0, 0, 0, 1, 0], 4), "error 256");
        assert_eq!(error_name(&[0, 0], 0), "no error code");
    }

    fn any_frame() -> impl Strategy<Value = Vec<u8>> {
        let payload = prop::collection::vec(any::<u8>(), 0..40);
        (0u8..10, any::<u8>(), 0u32..99, payload)
            .prop_map(|(kind, flags, stream, payload)| frame(kind, flags, stream, &payload))
    }

    proptest! {
        #[test]
        fn the_pieces_do_not_matter(
            frames in prop::collection::vec(any_frame(), 0..8),
            cuts in prop::collection::vec(0usize..400, 0..12),
        ) {
            let bytes = frames.concat();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            let whole = seen(&mut Frames::default(), &[&bytes]);
            prop_assert_eq!(whole, seen(&mut Frames::default(), &pieces));
        }

        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            seen(&mut Frames::default(), &[&bytes]);
        }
    }
}
