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
        // One row more than asked for tells whether there is another page.
        let query = sqlx::query_as!(
            Item,
            "SELECT id, name, category, price_minor, version FROM items \
             WHERE category = $1 AND id > $2 ORDER BY id LIMIT $3",
            page.category,
            page.after,
            page.limit + 1,
        );
        let items = async {
            let mut connection = self.pool.connection().await?;
            Ok(query.fetch_all(&mut *connection).await?)
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
        let query = sqlx::query_as!(
            Item,
            "SELECT id, name, category, price_minor, version FROM items WHERE id = $1",
            id
        );
        let item = async {
            let mut connection = self.pool.connection().await?;
            Ok(query.fetch_optional(&mut *connection).await?)
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
        let changed = sqlx::query_as!(
            Item,
            "UPDATE items SET name = $2, category = $3, price_minor = $4, version = version + 1 \
             WHERE id = $1 AND ($5::bigint[] IS NULL OR version = ANY ($5)) \
             RETURNING id, name, category, price_minor, version",
            id,
            update.name,
            update.category,
            update.price_minor,
            if_match.versions() as Option<&[i64]>,
        )
        .fetch_optional(&mut *connection)
        .await?;
        if let Some(item) = changed {
            return Ok(item);
        }
        let exists = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM items WHERE id = $1) AS "exists!""#,
            id
        )
        .fetch_one(&mut *connection)
        .await?;
        Err(if exists {
            Failure::VersionMismatch
        } else {
            Failure::ItemNotFound
        }
        .into())
    }
}
