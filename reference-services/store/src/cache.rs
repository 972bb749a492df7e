//! What Redis holds: a copy of each item for a second or so, and the stream of events.

use crate::error::CacheError;
use crate::redis_access::Redis;
use contract::event::Event;
use contract::item::Item;
use contract::limit;
use redis::streams::StreamMaxlen;
use redis::{Cmd, Pipeline};
use std::fmt;

/// The key of the stream of events.
const EVENTS: &str = "events";

/// Redis, by what is asked of it.
#[derive(Clone)]
pub(crate) struct Cache {
    pub(crate) redis: Redis,
    ttl_seconds: u64,
}

impl Cache {
    pub(crate) fn new(redis: Redis, ttl_seconds: u64) -> Self {
        Self { redis, ttl_seconds }
    }

    pub(crate) async fn ping(&self) -> Result<(), CacheError> {
        self.redis.command(&redis::cmd("PING")).await
    }

    /// The copy of item `id`, if there is one that can be read.
    pub(crate) async fn read(&self, id: i64) -> Result<Option<Item>, CacheError> {
        let copy: Option<Vec<u8>> = self.redis.command(&Cmd::get(key(id))).await?;
        Ok(copy.and_then(|copy| serde_json::from_slice(&copy).ok()))
    }

    /// Keeps a copy of `item` for the time to live.
    pub(crate) async fn write(&self, item: &Item) -> Result<(), CacheError> {
        let copy = serde_json::to_vec(item)?;
        let command = Cmd::set_ex(key(item.id), copy, self.ttl_seconds);
        self.redis.command(&command).await
    }

    /// Drops the copy of item `id`.
    pub(crate) async fn forget(&self, id: i64) -> Result<(), CacheError> {
        self.redis.command(&Cmd::del(key(id))).await
    }

    /// Adds `events` to the stream, in one round trip.
    pub(crate) async fn append(&self, events: &[Event]) -> Result<(), CacheError> {
        let mut pipeline = Pipeline::with_capacity(events.len());
        for event in events {
            let fields = [
                ("device", event.device.clone()),
                ("at", event.at.to_string()),
                ("value", event.value.to_string()),
            ];
            let length = StreamMaxlen::Approx(limit::EVENTS_STREAM);
            pipeline
                .add_command(Cmd::xadd_maxlen(EVENTS, length, "*", &fields))
                .ignore();
        }
        self.redis.pipeline(&pipeline).await
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Cache")
            .field("ttl_seconds", &self.ttl_seconds)
            .finish_non_exhaustive()
    }
}

fn key(id: i64) -> String {
    format!("item:{id}")
}
