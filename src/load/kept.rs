//! What a connection keeps of a response while it reads it: what checks and captures need, and the beginning of one that
//! nobody expected.

use std::rc::Rc;

use httparse::Header;

use super::http1::response::Sink;
use crate::scenario::{
    Content, Inspection, Keep, MOST_BODY_BYTES, RequestTemplate, SHOWN_BYTES, StatusSet,
};

/// What is to be kept of the responses to one step.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    keep: Keep,
    expected: StatusSet,
}

impl Wanted {
    /// Of the responses to `request`, which are inspected so.
    pub(super) fn new(request: &RequestTemplate, inspection: &Inspection) -> Self {
        let cookies = Keep {
            fields: request.cookies,
            body: false,
        };
        Self {
            keep: inspection.keep().and(cookies),
            expected: inspection.status.clone(),
        }
    }

    /// Everything.
    pub(super) fn all() -> Rc<Self> {
        let keep = Keep {
            fields: true,
            body: true,
        };
        Rc::new(Self {
            keep,
            ..Self::default()
        })
    }

    /// What of a response with this status, and how much of its body.
    fn of(&self, status: u16) -> (bool, usize) {
        let unexpected = !self.expected.contains(status);
        let body = match (self.keep.body, unexpected) {
            (true, _) => MOST_BODY_BYTES,
            (false, true) => SHOWN_BYTES,
            (false, false) => 0,
        };
        (self.keep.fields || unexpected, body)
    }
}

/// Keeps what is wanted of one response after the other.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    wanted: Rc<Wanted>,
    /// Of the body of the current response.
    most: usize,
    content: Content,
    is_clear: bool,
}

impl Keeper {
    /// Makes ready for the response to another request.
    pub(super) fn begin(&mut self, wanted: &Rc<Wanted>) {
        if !Rc::ptr_eq(&self.wanted, wanted) {
            self.wanted = Rc::clone(wanted);
        }
        self.most = 0;
        if !self.is_clear {
            self.content.clear();
            self.is_clear = true;
        }
    }

    /// What was kept of the last response.
    pub(super) fn content(&self) -> &Content {
        &self.content
    }

    /// Takes the status and the fields, by name and value.
    pub(super) fn take_head<'f>(
        &mut self,
        status: u16,
        fields: impl Iterator<Item = (&'f str, &'f [u8])>,
    ) {
        let (keep_fields, most) = self.wanted.of(status);
        self.most = most;
        if keep_fields {
            self.is_clear = false;
            fields.for_each(|(name, value)| self.content.add_field(name, value));
        }
    }
}

impl Sink for Keeper {
    fn head(&mut self, status: u16, fields: &[Header<'_>]) {
        self.take_head(status, fields.iter().map(|field| (field.name, field.value)));
    }

    fn body(&mut self, bytes: &[u8]) {
        if self.most > 0 {
            self.is_clear = false;
            self.content.add_body(bytes, self.most);
        }
    }
}
