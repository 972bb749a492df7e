//! A scenario's text without what nobody may read in a record: credentials that were written into it.

use super::content::is_secret;
use super::template::without_slots;
use crate::document::{Document, Kind, Node};

/// The text of `document`, the values of secret headers as `***`; what is only named there (`${env.TOKEN}`) stays.
///
/// A value that does not stand in the file as it is, such as one of several lines, takes the whole text with it.
pub(super) fn without_secrets(document: &Document) -> String {
    let mut secrets = Vec::new();
    collect(document.root(), &mut secrets);
    let text = document.text();
    let mut ranges = Vec::new();
    for node in secrets {
        let start = document.offset(node.place);
        let quote = text[start..].starts_with(['"', '\'']);
        let start = start + usize::from(quote);
        if !text[start..].starts_with(&node.text) {
            // An alias, where what it stands for is concealed in its own place.
            let concealed = |range: &std::ops::Range<usize>| text[range.clone()] == node.text;
            if text[start..].starts_with('*') && ranges.iter().any(concealed) {
                continue;
            }
            return "# The text is not kept: it holds a secret that cannot be told apart from the rest.\n".to_owned();
        }
        ranges.push(start..start + node.text.len());
    }
    ranges.sort_by_key(|range| range.start);
    ranges.dedup();
    let (mut kept, mut done) = (String::with_capacity(text.len()), 0);
    for range in ranges {
        kept += &text[done..range.start];
        kept += "***";
        done = range.end;
    }
    kept + &text[done..]
}

/// The credentials that are written out in `document`: the words of secret headers, without the names of schemes.
pub(super) fn credentials(document: &Document) -> Vec<String> {
    let mut secrets = Vec::new();
    collect(document.root(), &mut secrets);
    let mut words: Vec<String> = secrets
        .iter()
        .flat_map(|node| {
            let literal = without_slots(&node.text);
            let words = literal.split([' ', ';', '=']).map(str::to_owned);
            let all: Vec<String> = words.filter(|word| !word.is_empty()).collect();
            let scheme = usize::from(all.len() > 1);
            all.into_iter().skip(scheme)
        })
        .collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words
}

fn collect<'d>(node: &'d Node, secrets: &mut Vec<&'d Node>) {
    match &node.kind {
        Kind::Map(entries) => {
            for (key, value) in entries {
                if is_secret(&key.text) && holds_secret(&value.text) {
                    secrets.push(value);
                }
                collect(value, secrets);
            }
        }
        Kind::Seq(items) => items.iter().for_each(|item| collect(item, secrets)),
        _ => {}
    }
}

/// Whether more than the name of a scheme or of a cookie is written out.
fn holds_secret(value: &str) -> bool {
    let literal = without_slots(value);
    let name = literal.trim_end().trim_end_matches('=');
    !name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        || (!name.is_empty() && literal == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_concealed_and_names_of_them_kept() {
        for (line, kept) in [
            ("authorization: Bearer abc.def", "authorization: ***"),
            ("Authorization: 'Basic eHk='", "Authorization: '***'"),
            ("cookie: \"a=b; c=d\"", "cookie: \"***\""),
            ("authorization: abc", "authorization: ***"),
            (
                "authorization: \"Bearer ${token}\"",
                "authorization: \"Bearer ${token}\"",
            ),
            ("cookie: \"sid=${sid}\"", "cookie: \"sid=${sid}\""),
            (
                "authorization: \"Basic abc${token}\"",
                "authorization: \"***\"",
            ),
            ("accept: text/html", "accept: text/html"),
            ("x: 1 # authorization: no", "x: 1 # authorization: no"),
        ] {
            let file = |line: &str| format!("a: é\nheaders:\n  {line}\n  z: 1\n");
            let document = Document::parse("f.yaml", file(line).as_bytes()).unwrap();
            assert_eq!(without_secrets(&document), file(kept));
        }
    }

    #[test]
    fn credentials_are_the_words_that_are_not_named() {
        let text =
            "a: { authorization: Bearer abc.def, cookie: \"s=${x}; long=value\", accept: no }\n";
        let document = Document::parse("f.yaml", text.as_bytes()).unwrap();
        assert_eq!(credentials(&document), ["abc.def", "value", "long"]);
    }

    #[test]
    fn what_cannot_be_cut_out_takes_all_with_it() {
        let text = "headers:\n  authorization: >-\n    Bearer\n    abc.def\n";
        let document = Document::parse("f.yaml", text.as_bytes()).unwrap();
        assert!(!without_secrets(&document).contains("abc"));
        let alias = "x-h: &h { authorization: Bearer abc }\nheaders: *h\n";
        let document = Document::parse("f.yaml", alias.as_bytes()).unwrap();
        assert_eq!(
            without_secrets(&document),
            "x-h: &h { authorization: *** }\nheaders: *h\n"
        );
        // What a merge brings and a key of the map's own replaces is in the file all the same.
        let replaced =
            "x-h: &h { authorization: Bearer abc }\nheaders: { <<: *h, authorization: \"${t}\" }\n";
        let document = Document::parse("f.yaml", replaced.as_bytes()).unwrap();
        assert!(!without_secrets(&document).contains("abc"));
        let elsewhere = "x-a: &a Bearer abc.def\nheaders: { authorization: *a }\n";
        let document = Document::parse("f.yaml", elsewhere.as_bytes()).unwrap();
        assert!(!without_secrets(&document).contains("abc"));
    }
}
