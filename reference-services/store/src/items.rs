//! Reading items through the cache, and changing them.

use crate::{Error, Store};
use contract::Failure;
use contract::item::{CacheOutcome, IfMatch, Item, ItemId, ItemPage, ItemUpdate, Items};

/// An item, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The item.
    pub item: Item,
    /// Redis, or `PostgreSQL` and why.
    pub cache: CacheOutcome,
}

impl Store {
    /// A page of one category, in ascending id.
    ///
    /// # Errors
    /// What kept `PostgreSQL` from answering.
    pub async fn items(&self, page: &ItemPage) -> Result<Items, Error> {
        let items = async {
            let mut connection = self.pool.connection().await?;
            // One row more than asked for tells whether there is another page.
            let limit = page.limit + 1;
            connection.items(page.category, page.after, limit).await
        };
        let mut items = self.pool.bounded(items).await?;
        let asked = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let more = items.len() > asked;
        items.truncate(asked);
        let next_after = items.last().filter(|_| more).map(|item| item.id);
        Ok(Items { items, next_after })
    }

    /// One item: from Redis, else from `PostgreSQL`, which then fills Redis. When Redis fails or is slow, it is asked
    /// nothing more in this request.
    ///
    /// A reader that found the old state in `PostgreSQL` may fill Redis after a writer emptied it: an item is then
    /// old for at most the time to live.
    ///
    /// # Errors
    /// [`Failure::ItemNotFound`], or what kept `PostgreSQL` from answering. Never Redis.
    pub async fn item(&self, ItemId(id): ItemId) -> Result<Found, Error> {
        let cache = match self.cache.read(id).await {
            Ok(Some(item)) => {
                return Ok(Found {
                    item,
                    cache: CacheOutcome::Hit,
                });
            }
            Ok(None) => CacheOutcome::Miss,
            Err(error) => {
                tracing::debug!(%error, id, "the cache is bypassed");
                CacheOutcome::Bypass
            }
        };
        let item = async {
            let mut connection = self.pool.connection().await?;
            connection.item(id).await
        };
        let item = self.pool.bounded(item).await?;
        let item = item.ok_or(Failure::ItemNotFound)?;
        if cache == CacheOutcome::Miss
            && let Err(error) = self.cache.write(&item).await
        {
            tracing::debug!(%error, id, "the cache was not filled");
        }
        Ok(Found { item, cache })
    }

    /// Changes an item and, after the commit, drops its copy in Redis. A copy that could not be dropped is logged, and
    /// lives for at most its time to live.
    ///
    /// # Errors
    /// [`Failure::ItemNotFound`], [`Failure::VersionMismatch`], or what kept `PostgreSQL` from answering.
    pub async fn update_item(
        &self,
        ItemId(id): ItemId,
        if_match: &IfMatch,
        update: &ItemUpdate,
    ) -> Result<Item, Error> {
        let item = self
            .pool
            .bounded(self.update_row(id, if_match, update))
            .await?;
        if let Err(error) = self.cache.forget(id).await {
            tracing::warn!(%error, id, "a changed item may be read from the cache until it expires");
        }
        Ok(item)
    }

    async fn update_row(
        &self,
        id: i64,
        if_match: &IfMatch,
        update: &ItemUpdate,
    ) -> Result<Item, Error> {
        let mut connection = self.pool.connection().await?;
        let versions = if_match.versions();
        if let Some(item) = connection.update_item(id, versions, update).await? {
            return Ok(item);
        }
        let exists = connection.has_item(id).await?;
        Err(if exists {
            Failure::VersionMismatch
        } else {
            Failure::ItemNotFound
        }
        .into())
    }
}
