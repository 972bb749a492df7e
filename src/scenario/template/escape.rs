//! Where a value stands, and how it is written there so that it cannot be taken for anything else.

use std::borrow::Cow;

/// Where a template's text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scenario) enum Position {
    /// Nowhere that has a grammar: a body of text, a variable.
    Plain,
    /// Into a path or its query: all but unreserved characters (RFC 3986, section 2.3) is percent-encoded.
    Path,
    /// Into the value of a header: what cannot stand there is refused.
    Header,
    /// Into a JSON string.
    JsonText,
    /// In place of a JSON value: a number stays one, text becomes a string.
    JsonValue,
    /// Into a name or a value of `application/x-www-form-urlencoded`.
    Form,
}

impl Position {
    /// What was written in the scenario file. A path stands there encoded, a form does not.
    pub(super) fn written(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Plain | Self::Path | Self::Header => text.into(),
            Self::JsonText | Self::JsonValue => json_characters(text).into(),
            Self::Form => {
                let mut bytes = Vec::new();
                form(text.as_bytes(), &mut bytes);
                String::from_utf8(bytes).unwrap_or_default().into()
            }
        }
    }

    /// Writes `text`, which came from elsewhere; the error completes "this value …".
    pub(in crate::scenario) fn write(
        self,
        text: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        match self {
            Self::Plain => out.extend_from_slice(text),
            Self::Path => percent(text, out),
            Self::Form => form(text, out),
            Self::Header => {
                let fits = |&byte: &u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
                if !text.iter().all(fits) {
                    return Err("holds what cannot stand in a header");
                }
                out.extend_from_slice(text);
            }
            Self::JsonText => json(text, out)?,
            Self::JsonValue => {
                out.push(b'"');
                json(text, out)?;
                out.push(b'"');
            }
        }
        Ok(())
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

fn percent(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte),
            _ => encoded(byte, out),
        }
    }
}

/// As the URL standard serialises forms.
fn form(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => out.push(byte),
            b' ' => out.push(b'+'),
            _ => encoded(byte, out),
        }
    }
}

fn encoded(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[
        b'%',
        HEX[usize::from(byte >> 4)],
        HEX[usize::from(byte & 15)],
    ]);
}

/// The inside of a JSON string; text that needs no escape, nearly all, is copied whole.
fn json(text: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    let plain = |&byte: &u8| byte >= b' ' && byte != b'"' && byte != b'\\' && byte < 0x7f;
    if text.iter().all(plain) {
        out.extend_from_slice(text);
        return Ok(());
    }
    let text = std::str::from_utf8(text).map_err(|_| "is not UTF-8, as JSON is")?;
    out.extend_from_slice(json_characters(text).as_bytes());
    Ok(())
}

/// `text` as the inside of a JSON string (RFC 8259, section 7), which YAML reads between double quotes as well.
pub(in crate::scenario) fn json_characters(text: &str) -> String {
    let mut json = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            // The controls above ASCII may stand in JSON, but not in YAML.
            c if c.is_control() => json.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => json.push(c),
        }
    }
    json
}
