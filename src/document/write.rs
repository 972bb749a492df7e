//! A tree as YAML text.

use super::tree::resolve;
use super::{Kind, Node};

/// The longest key that stands before its colon on a line: YAML allows 1,024 characters (1.2.2, section 7.4.2).
const MOST_KEY: usize = 1_000;

/// Beside letters and digits, what may stand in a scalar without quotes wherever it stands, and is easily read so.
const PLAIN: &str = "_-./$ ,;()<>=+*%&?{}";

impl Node {
    /// The tree as YAML that reads back as the same values, a line for each; numbers stay as they were written.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut out = String::new();
        self.write(0, &mut out);
        out
    }

    /// Writes the node from where `out` ends, which is column `indent`, to the end of a line.
    fn write(&self, indent: usize, out: &mut String) {
        let begin = |k: usize, out: &mut String| {
            if k > 0 {
                *out += &" ".repeat(indent);
            }
        };
        match &self.kind {
            Kind::Map(entries) if !entries.is_empty() => {
                for (k, (key, value)) in entries.iter().enumerate() {
                    begin(k, out);
                    let key = text(&key.text);
                    if key.len() > MOST_KEY {
                        *out += &format!("? {key}\n{}", " ".repeat(indent));
                    } else {
                        *out += &key;
                    }
                    out.push(':');
                    if value.is_block() {
                        *out += &format!("\n{}", " ".repeat(indent + 2));
                    } else {
                        out.push(' ');
                    }
                    value.write(indent + 2, out);
                }
            }
            Kind::Seq(items) if !items.is_empty() => {
                for (k, item) in items.iter().enumerate() {
                    begin(k, out);
                    *out += "- ";
                    item.write(indent + 2, out);
                }
            }
            _ => *out += &format!("{}\n", self.inline()),
        }
    }

    /// Whether it has lines of its own.
    fn is_block(&self) -> bool {
        match &self.kind {
            Kind::Map(entries) => !entries.is_empty(),
            Kind::Seq(items) => !items.is_empty(),
            _ => false,
        }
    }

    /// What stands on one line.
    fn inline(&self) -> String {
        match &self.kind {
            Kind::Null => "null".to_owned(),
            Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) => self.text.clone(),
            Kind::Str => text(&self.text),
            Kind::Seq(_) => "[]".to_owned(),
            Kind::Map(_) => "{}".to_owned(),
        }
    }
}

/// Text, in quotes where it would be read as something else without them.
fn text(text: &str) -> String {
    let may_begin = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '$' | '_');
    let is_plain = text.starts_with(may_begin)
        && !text.ends_with(' ')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || PLAIN.contains(c))
        && matches!(resolve(text), Kind::Str);
    if is_plain {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted += "\\n",
            '\r' => quoted += "\\r",
            '\t' => quoted += "\\t",
            // What YAML does not print, or takes for the end of a line or the beginning of a file.
            c if c.is_control()
                || matches!(
                    c,
                    '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
                ) =>
            {
                quoted += &format!("\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tree::parse;
    use super::*;

    fn node(kind: Kind, text: &str) -> Node {
        Node {
            kind,
            text: text.to_owned(),
            ..Node::nothing()
        }
    }

    /// The same values in the same order; places aside.
    fn alike(a: &Node, b: &Node) -> bool {
        match (&a.kind, &b.kind) {
            (Kind::Map(a), Kind::Map(b)) => {
                let same = |((a, x), (b, y)): (&(Node, Node), &(Node, Node))| {
                    a.text == b.text && alike(x, y)
                };
                a.len() == b.len() && a.iter().zip(b).all(same)
            }
            (Kind::Seq(a), Kind::Seq(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
            }
            (Kind::Null, Kind::Null) => true,
            (Kind::Str, Kind::Str) => a.text == b.text,
            (Kind::Bool(x), Kind::Bool(y)) => x == y,
            (Kind::Int(x), Kind::Int(y)) => x == y && a.text == b.text,
            (Kind::Float(_), Kind::Float(_)) => a.text == b.text,
            _ => false,
        }
    }

    fn trees() -> impl Strategy<Value = Node> {
        let words = prop_oneof![
            any::<String>(),
            "[-a-z0-9:#{}$., &*!?|>'\"%@`\\[\\]=~<\n\t]{0,12}",
            Just("true".to_owned()),
            Just("---".to_owned()),
            Just("a".repeat(1_200)),
        ];
        let leaf = prop_oneof![
            words.clone().prop_map(|text| node(Kind::Str, &text)),
            Just(node(Kind::Null, "~")),
            any::<bool>().prop_map(|flag| node(Kind::Bool(flag), &flag.to_string())),
            any::<i64>().prop_map(|number| node(Kind::Int(number.into()), &number.to_string())),
            Just(node(Kind::Float(1.1), "1.10")),
        ];
        leaf.prop_recursive(4, 32, 4, move |inner| {
            let key = words.clone().prop_filter("merge keys", |key| key != "<<");
            let map = prop::collection::btree_map(key, inner.clone(), 0..4);
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(|items| node(Kind::Seq(items), "")),
                map.prop_map(|map| {
                    let entries = map.into_iter();
                    let entries = entries.map(|(key, value)| (node(Kind::Str, &key), value));
                    node(Kind::Map(entries.collect()), "")
                }),
            ]
        })
    }

    #[test]
    fn what_is_plainly_text_has_no_quotes() {
        let flow = "{a: ['/v1/items?n=${seq}&k=1', 200..399, '7', 'x: y', {}, ~], b c: {d: 1.10}}";
        let root = parse(flow).unwrap();
        assert_eq!(
            root.to_yaml(),
            "a:\n  - /v1/items?n=${seq}&k=1\n  - 200..399\n  - \"7\"\n  - \"x: y\"\n  - {}\n  - null\nb c:\n  d: 1.10\n"
        );
    }

    #[test]
    fn a_tree_as_deep_as_any_can_be_written() {
        let deep = format!("{}1{}", "[{a: ".repeat(32), "}]".repeat(32));
        let tree = parse(&deep).unwrap();
        assert!(alike(&parse(&tree.to_yaml()).unwrap(), &tree));
    }

    proptest! {
        #[test]
        fn a_tree_reads_back_as_it_was(tree in trees()) {
            let yaml = tree.to_yaml();
            let read = parse(&yaml).map_err(|_| TestCaseError::fail(yaml.clone()))?;
            prop_assert!(alike(&read, &tree), "{yaml}");
        }
    }
}
