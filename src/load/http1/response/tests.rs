use proptest::prelude::*;

use super::*;

/// What became of a response: its status and whether the connection may be used again; `None` where it was cut off
/// by the end of the connection, or the words of the refusal.
type Read = Result<Option<(u16, bool)>, String>;

/// Feeds `bytes` cut at `cuts`, then ends the connection.
fn read(head_only: bool, bytes: &[u8], cuts: &[usize]) -> Read {
    let mut reader = Reader::default();
    reader.begin(head_only);
    let mut ends: Vec<usize> = cuts.iter().map(|&cut| cut % (bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let mut from = 0;
    let mut complete: Option<(u16, bool)> = None;
    for end in ends {
        let piece = &bytes[from..end];
        from = end;
        match complete {
            // What comes after a complete response makes its connection useless.
            Some((status, _)) if !piece.is_empty() => complete = Some((status, false)),
            Some(_) => {}
            None => {
                let fed = reader.feed(piece).map_err(|refusal| refusal.to_string())?;
                complete = fed.map(|response| (response.status, response.reusable));
            }
        }
    }
    if complete.is_none() {
        let ended = reader.end().ok();
        complete = ended.map(|response| (response.status, response.reusable));
    }
    Ok(complete)
}

#[track_caller]
fn check(bytes: &[u8], expected: &Read) {
    assert_eq!(
        &read(false, bytes, &[]),
        expected,
        "{}",
        bytes.escape_ascii()
    );
    // One byte at a time.
    let every: Vec<usize> = (0..bytes.len()).collect();
    assert_eq!(
        &read(false, bytes, &every),
        expected,
        "byte by byte: {}",
        bytes.escape_ascii()
    );
}

fn ok(rest: &[u8]) -> Vec<u8> {
    [b"HTTP/1.1 200 OK\r\n", rest].concat()
}

#[test]
fn every_framing_of_a_body_is_understood() {
    let usable = |status, bytes: &[u8]| check(bytes, &Ok(Some((status, true))));
    let last = |status, bytes: &[u8]| check(bytes, &Ok(Some((status, false))));
    usable(200, &ok(b"content-length: 5\r\n\r\nhello"));
    usable(200, &ok(b"Content-Length: 0\r\n\r\n"));
    usable(
        200,
        &ok(b"content-length: 2, 2\r\ncontent-length: 2\r\n\r\nab"),
    );
    last(
        200,
        &ok(b"content-length: 2\r\nConnection: foo, Close\r\n\r\nab"),
    );
    usable(
        200,
        &ok(b"transfer-encoding: chunked\r\n\r\n5;ext=\"1\"\r\nhello\r\n0\r\n\r\n"),
    );
    usable(
        200,
        &ok(b"transfer-encoding: gzip, chunked\r\n\r\n1\r\nx\r\nA\r\n0123456789\r\n0\r\nx: y\r\nz: w\r\n\r\n"),
    );
    // Until the connection is closed.
    last(200, &ok(b"\r\nall of this"));
    last(200, &ok(b"transfer-encoding: gzip\r\n\r\nall"));
    // Without a body, whatever the fields say.
    usable(204, b"HTTP/1.1 204 No Content\r\n\r\n");
    usable(
        304,
        b"HTTP/1.1 304 Not Modified\r\ncontent-length: 99\r\n\r\n",
    );
    // Interim responses come before the real one.
    usable(
        201,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n\
          HTTP/1.1 201 Created\r\ncontent-length: 1\r\n\r\nx",
    );
    // HTTP/1.0 keeps a connection only if it says so.
    last(200, b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx");
    usable(
        200,
        b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\nconnection: keep-alive\r\n\r\nx",
    );
    // A reason may be missing, and lines may end in a lone line feed.
    usable(200, b"HTTP/1.1 200\r\ncontent-length: 1\r\n\r\nx");
    usable(200, b"HTTP/1.1 200 OK\ncontent-length: 1\n\nx");
    // More than the response.
    last(200, &ok(b"content-length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n"));
}

#[test]
fn the_answer_to_a_head_request_has_no_body() {
    let answer = ok(b"content-length: 5\r\n\r\n");
    assert_eq!(read(true, &answer, &[]), Ok(Some((200, true))));
    assert_eq!(read(false, &answer, &[]), Ok(None));
    let chunked = ok(b"transfer-encoding: chunked\r\n\r\n");
    assert_eq!(read(true, &chunked, &[]), Ok(Some((200, true))));
}

#[test]
fn a_response_that_is_cut_off_is_none() {
    for bytes in [
        &b""[..],
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: y\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        check(bytes, &Ok(None));
    }
    let mut reader = Reader::default();
    reader.begin(false);
    assert_eq!(reader.end(), Err(CutOff::BeforeResponse));
    assert_eq!(reader.feed(b"HTTP"), Ok(None));
    assert_eq!(reader.end(), Err(CutOff::WithinResponse));
}

#[test]
fn what_is_not_understood_is_refused() {
    let refused = |bytes: &[u8], reason: &str| check(bytes, &Err(reason.to_owned()));
    refused(
        b"SMTP 220 what?\r\n\r\n",
        "the head is not HTTP: invalid HTTP version",
    );
    refused(
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        "the head is not HTTP: invalid response status",
    );
    refused(
        &ok(b"bad name: x\r\n\r\n"),
        "the head is not HTTP: invalid header name",
    );
    let length = "the length of the body is not one number";
    refused(
        &ok(b"content-length: 5\r\ncontent-length: 6\r\n\r\n"),
        length,
    );
    refused(&ok(b"content-length: 5, 6\r\n\r\n"), length);
    refused(&ok(b"content-length: +5\r\n\r\n"), length);
    refused(&ok(b"content-length: 0x5\r\n\r\n"), length);
    refused(&ok(b"content-length:\r\n\r\n"), length);
    refused(&ok(b"content-length: 18446744073709551616\r\n\r\n"), length);
    refused(
        &ok(b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n"),
        "the body has a content-length and a transfer-encoding",
    );
    refused(
        b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "an HTTP/1.0 response has a transfer-encoding",
    );
    refused(
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "101 to a request that asked for no other protocol",
    );
    let chunked = |rest: &[u8]| ok(&[b"transfer-encoding: chunked\r\n\r\n", rest].concat());
    refused(&chunked(b"five\r\n"), "a chunk's length is not a number");
    refused(
        &chunked(b"fffffffffffffffff\r\n"),
        "a chunk's length is not a number",
    );
    refused(
        &chunked(b"1\r\nxx\r\n"),
        "a chunk is longer than its length",
    );
}

#[test]
fn what_frames_a_body_is_bounded() {
    let too_large = Err("the head, or what frames the body, is over 64 KiB".to_owned());
    let mut endless = ok(b"x: ");
    endless.resize(2 * MOST_HEAD_BYTES, b'y');
    assert_eq!(read(false, &endless, &[]), too_large);
    assert_eq!(read(false, &endless, &[5, 40_000, 65_000]), too_large);
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(MOST_HEAD_BYTES / 20);
    assert_eq!(read(false, &interim, &[]), too_large);
    let mut trailers = ok(b"transfer-encoding: chunked\r\n\r\n0\r\nx: ");
    trailers.resize(2 * MOST_HEAD_BYTES, b'y');
    assert_eq!(read(false, &trailers, &[60]), too_large);
    let many = ok(&b"x: y\r\n".repeat(MOST_FIELDS + 1));
    assert_eq!(
        read(false, &many, &[]),
        Err("the head is not HTTP: too many headers".to_owned())
    );
    // A long body is no long head, however many its chunks.
    let chunks = [
        &ok(b"transfer-encoding: chunked\r\n\r\n")[..],
        &b"1\r\nx\r\n".repeat(MOST_HEAD_BYTES),
        b"0\r\n\r\n",
    ]
    .concat();
    assert_eq!(read(false, &chunks, &[]), Ok(Some((200, true))));
}

#[test]
fn a_reader_is_as_new_for_every_response() {
    let mut reader = Reader::default();
    for _ in 0..3 {
        reader.begin(false);
        assert_eq!(reader.feed(b"HTTP/1.1 200 OK\r\ncontent-le"), Ok(None));
        let response = reader.feed(b"ngth: 1\r\n\r\nx").unwrap().unwrap();
        assert_eq!((response.status, response.reusable), (200, true));
    }
}

/// A response as some server might send it, nearly always a good one.
fn response() -> impl Strategy<Value = Vec<u8>> {
    let head = prop_oneof![
        Just("HTTP/1.1 200 OK\r\n"),
        Just("HTTP/1.0 200 OK\r\n"),
        Just("HTTP/1.1 404 Not Found\r\n"),
        Just("HTTP/1.1 204 No Content\r\n"),
        Just("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"),
        Just("HTTP/1.1 20 OK\r\n"),
    ];
    let fields = prop::collection::vec(
        prop_oneof![
            Just("server: x\r\n"),
            Just("connection: close\r\n"),
            Just("connection: keep-alive\r\n"),
            Just("set-cookie: a=b; path=/\r\n"),
        ],
        0..4,
    );
    let chunk = prop::collection::vec(any::<u8>(), 1..60);
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200).prop_map(|body| {
            let head = format!("content-length: {}\r\n\r\n", body.len());
            [head.as_bytes(), &body].concat()
        }),
        prop::collection::vec(chunk, 0..5).prop_map(|chunks| {
            let mut bytes = b"transfer-encoding: chunked\r\n\r\n".to_vec();
            for chunk in chunks {
                bytes.extend(format!("{:x};e\r\n", chunk.len()).as_bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            [&bytes[..], b"0\r\nt: r\r\n\r\n"].concat()
        }),
        prop::collection::vec(any::<u8>(), 0..100).prop_map(|body| [b"\r\n", &body[..]].concat()),
    ];
    (head, fields, body).prop_map(|(head, fields, body)| {
        [head.as_bytes(), fields.concat().as_bytes(), &body].concat()
    })
}

proptest! {
    #[test]
    fn a_response_cut_at_any_points_reads_the_same(
        bytes in response(), cuts in prop::collection::vec(any::<usize>(), 0..12), head_only: bool,
    ) {
        prop_assert_eq!(read(head_only, &bytes, &cuts), read(head_only, &bytes, &[]));
    }

    #[test]
    fn any_bytes_cut_at_any_points_read_the_same(
        bytes in prop::collection::vec(any::<u8>(), 0..300), cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        prop_assert_eq!(read(false, &bytes, &cuts), read(false, &bytes, &[]));
    }
}
