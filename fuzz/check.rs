//! What must hold for any bytes at all; shared by the fuzz targets and the test that replays their corpus.

use tailmark::load::http1::response::{Reader, Response};

/// The first byte says whether the request was a HEAD and how the others are cut; these are what a server sends.
///
/// Cut or whole, they must read the same, and nothing may panic.
pub(crate) fn response(data: &[u8]) {
    let Some((&first, bytes)) = data.split_first() else {
        return;
    };
    let head_only = first & 1 == 1;
    let whole = read(head_only, bytes, bytes.len().max(1));
    let cut = read(head_only, bytes, usize::from(first >> 1) + 1);
    assert_eq!(whole, cut, "{}", data.escape_ascii());
}

/// Feeds `bytes` in pieces of `length`, then ends the connection.
///
/// What follows a complete response is left out: it makes a connection useless, which the reader can only know of
/// bytes that came with the response.
fn read(head_only: bool, bytes: &[u8], length: usize) -> Result<Option<u16>, String> {
    let mut reader = Reader::default();
    reader.begin(head_only);
    for piece in bytes.chunks(length) {
        match reader.feed(piece) {
            Ok(None) => {}
            Ok(Some(Response { status, .. })) => return Ok(Some(status)),
            Err(refusal) => return Err(refusal.to_string()),
        }
    }
    Ok(reader.end().ok().map(|response| response.status))
}
