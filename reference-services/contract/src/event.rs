//! Events, as devices send them: a request holds up to [`limit::EVENTS`] of them.

use crate::limit;
#[cfg(feature = "openapi")]
use crate::openapi::bound;
use serde::{Deserialize, Serialize};

/// What a device measured: `{"device":"device-7","at":1767225600000,"value":21.5}`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "EventWire")]
pub struct Event {
    /// 1 to [`limit::DEVICE_CHARACTERS`] characters, none of them a control character.
    pub device: String,
    /// When, in milliseconds since 1970; 0 to [`limit::EVENT_AT`].
    pub at: i64,
    /// What, in the device's own unit; a finite number.
    pub value: f64,
}

#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Event))]
#[serde(deny_unknown_fields)]
pub(crate) struct EventWire {
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::device))]
    device: String,
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::at))]
    at: i64,
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::value))]
    value: f64,
}

impl TryFrom<EventWire> for Event {
    type Error = String;

    fn try_from(wire: EventWire) -> Result<Self, String> {
        if !(1..=limit::DEVICE_CHARACTERS).contains(&wire.device.chars().count()) {
            return Err(format!(
                "device must have 1 to {} characters",
                limit::DEVICE_CHARACTERS
            ));
        }
        if wire.device.contains(char::is_control) {
            return Err("device must have no control characters".to_owned());
        }
        if !(0..=limit::EVENT_AT).contains(&wire.at) {
            return Err(format!("at must be 0 to {}", limit::EVENT_AT));
        }
        Ok(Self {
            device: wire.device,
            at: wire.at,
            value: wire.value,
        })
    }
}

/// The events of one request: `{"events":[…]}`, 1 to [`limit::EVENTS`] of them. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "NewEventsWire")]
pub struct NewEvents(Vec<Event>);

#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = NewEvents))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEventsWire {
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::events))]
    events: Vec<Event>,
}

impl TryFrom<NewEventsWire> for NewEvents {
    type Error = String;

    fn try_from(wire: NewEventsWire) -> Result<Self, String> {
        if !(1..=limit::EVENTS).contains(&wire.events.len()) {
            return Err(format!("events must be 1 to {}", limit::EVENTS));
        }
        Ok(Self(wire.events))
    }
}

impl NewEvents {
    /// The events, in the order in which they were sent.
    #[must_use]
    pub fn as_slice(&self) -> &[Event] {
        &self.0
    }

    /// What the client is told of them.
    #[must_use]
    pub fn accepted(&self) -> Accepted {
        Accepted {
            accepted: self.0.len(),
        }
    }
}

/// The answer to events: `{"accepted":2}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Accepted {
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::accepted))]
    accepted: usize,
}

/// What a batch waits for: `?ack=durable`, the default, or `?ack=queued`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchQuery {
    /// When the client is answered.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::ack))]
    pub ack: Ack,
}

/// When the client of a batch is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ack {
    /// Once all its rows are committed: 201.
    #[default]
    Durable,
    /// Once they are in the queue: 202. They are lost if the process is killed before they are written.
    Queued,
}

impl Ack {
    /// The HTTP status of the answer.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Durable => 201,
            Self::Queued => 202,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: Result<usize, &str>) {
        match (serde_json::from_str::<NewEvents>(json), expected) {
            (Ok(events), Ok(count)) => assert_eq!(events.as_slice().len(), count, "{json}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{json}: {error}"),
            (outcome, expected) => panic!("{json}: {outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn events_are_valid_or_say_what_is_wrong() {
        let event = |device: &str, at: &str, value: &str| {
            format!(r#"{{"device":"{device}","at":{at},"value":{value}}}"#)
        };
        let one = |event: &str| format!(r#"{{"events":[{event}]}}"#);
        let longest = "ä".repeat(limit::DEVICE_CHARACTERS);
        check(&one(&event("d", "0", "1")), Ok(1));
        check(&one(&event(&longest, "253402300799999", "-1.5e3")), Ok(1));
        check(
            &one(&event(&format!("{longest}x"), "0", "1")),
            Err("device must have 1 to 64"),
        );
        check(&one(&event("", "0", "1")), Err("device must have 1 to 64"));
        check(
            &one(&event("a\\u0000", "0", "1")),
            Err("control characters"),
        );
        check(&one(&event("d", "-1", "1")), Err("at must be 0 to"));
        check(
            &one(&event("d", "253402300800000", "1")),
            Err("at must be 0 to"),
        );
        check(&one(&event("d", "1.5", "1")), Err("invalid type"));
        check(&one(&event("d", "0", "null")), Err("invalid type"));
        check(&one(&event("d", "0", "1e999")), Err("out of range"));
        check(
            &one(r#"{"device":"d","at":0,"value":1,"unit":"K"}"#),
            Err("unknown field `unit`"),
        );
        check(
            &format!(r#"{{"events":[{}],"more":1}}"#, event("d", "0", "1")),
            Err("unknown field `more`"),
        );
        let many = |count: usize| {
            let list = vec![event("d", "0", "1"); count].join(",");
            format!(r#"{{"events":[{list}]}}"#)
        };
        check(&many(limit::EVENTS), Ok(limit::EVENTS));
        for wrong in [0, limit::EVENTS + 1] {
            check(&many(wrong), Err("events must be 1 to 1000"));
        }
    }

    #[test]
    fn a_batch_is_durable_unless_it_says_otherwise() {
        let ack = |json: &str| serde_json::from_str::<BatchQuery>(json).map(|query| query.ack);
        assert_eq!(ack("{}").unwrap(), Ack::Durable);
        assert_eq!(ack(r#"{"ack":"durable"}"#).unwrap(), Ack::Durable);
        assert_eq!(ack(r#"{"ack":"queued"}"#).unwrap(), Ack::Queued);
        assert!(ack(r#"{"ack":"never"}"#).is_err());
    }
}
