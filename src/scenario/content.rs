//! What of a response is kept for checks and captures, which nothing else needs.

/// What of a response must be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keep {
    /// The fields of its head.
    pub fields: bool,
    /// Its body.
    pub body: bool,
}

/// The largest body that is looked into: beyond the answers of an API, and little enough for many connections.
pub const MOST_BODY_BYTES: usize = 4 << 20;

/// How much of a body is shown.
pub const SHOWN_BYTES: usize = 2 << 10;

/// Whether the values of a header are nobody's to read but the target's.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let secret = [
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
    ];
    secret.iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// A response as far as it was kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// Names in lower case, and values.
    pub fields: Vec<(String, Vec<u8>)>,
    /// At most [`MOST_BODY_BYTES`].
    pub body: Vec<u8>,
    /// Whether the body was longer than what was kept of it.
    pub is_cut: bool,
}

impl Keep {
    /// Whether anything must be kept.
    #[must_use]
    pub fn anything(self) -> bool {
        self.fields || self.body
    }

    /// What both need.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            fields: self.fields || other.fields,
            body: self.body || other.body,
        }
    }
}

impl Content {
    /// Forgets everything; room for a usual response stays.
    pub fn clear(&mut self) {
        self.fields.clear();
        self.body.clear();
        self.body.shrink_to(64 << 10);
        self.is_cut = false;
    }

    /// Keeps a field of the head.
    pub fn add_field(&mut self, name: &str, value: &[u8]) {
        self.fields
            .push((name.to_ascii_lowercase(), value.to_vec()));
    }

    /// Keeps more of the body, up to `most` bytes of all of it.
    pub fn add_body(&mut self, bytes: &[u8], most: usize) {
        let room = most.saturating_sub(self.body.len()).min(bytes.len());
        self.body.extend_from_slice(&bytes[..room]);
        self.is_cut |= room < bytes.len();
    }

    /// The response for people: its status, its fields without those that are secret, and the beginning of its body.
    #[must_use]
    pub fn show(&self, status: u16) -> String {
        let mut text = format!("{status}\n");
        for (name, value) in &self.fields {
            let value = match is_secret(name) {
                true => "***".into(),
                false => String::from_utf8_lossy(value),
            };
            text += &format!("{name}: {value}\n");
        }
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(SHOWN_BYTES)]);
        text + "\n" + &body
    }

    /// The values of the field `name`, in lower case.
    pub fn values<'c>(&'c self, name: &'c str) -> impl Iterator<Item = &'c [u8]> {
        let fields = self.fields.iter();
        fields
            .filter(move |(own, _)| own == name)
            .map(|(_, value)| value.as_slice())
    }
}
