//! Items: a page of them, one of them, a change to one, and the precondition of that change.

use crate::account::positive;
#[cfg(feature = "openapi")]
use crate::openapi::bound;
use crate::{Failure, limit};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// An item: `{"id":7,"name":"Item 7","category":8,"price_minor":1007,"version":1}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Item {
    /// From 1 up.
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::item_id))]
    pub id: i64,
    /// 1 to [`limit::NAME_CHARACTERS`] characters.
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::name))]
    pub name: String,
    /// 1 to [`limit::CATEGORIES`].
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::category))]
    pub category: i32,
    /// The price in hundredths of a euro, from 0 up.
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::price))]
    pub price_minor: i64,
    /// 1 for an item never changed; one more with each change.
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::version))]
    pub version: i64,
}

impl Item {
    /// The entity tag of this version of the item: `"7"`, with the quotes.
    #[must_use]
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.version)
    }
}

/// The number of an item, as a path names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemId(pub i64);

impl FromStr for ItemId {
    type Err = Failure;

    /// # Errors
    /// [`Failure::ItemNotFound`] (404) if `text` is not a whole number from 1 up: no item has such a name.
    fn from_str(text: &str) -> Result<Self, Failure> {
        positive(text).map(Self).ok_or(Failure::ItemNotFound)
    }
}

impl TryFrom<i64> for ItemId {
    type Error = Failure;

    /// # Errors
    /// [`Failure::ItemNotFound`] (404) below 1.
    fn try_from(id: i64) -> Result<Self, Failure> {
        (id > 0).then_some(Self(id)).ok_or(Failure::ItemNotFound)
    }
}

/// Where an answer about an item came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheOutcome {
    /// Redis had it.
    Hit,
    /// Redis did not have it: it came from `PostgreSQL`, and is in Redis now.
    Miss,
    /// Redis did not answer in time: it came from `PostgreSQL`.
    Bypass,
}

impl CacheOutcome {
    /// The value of the header `x-cache`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
        }
    }
}

/// Which page of items is asked for: `?category=3&after=120&limit=20`; `category` is required.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "ItemPageWire")]
pub struct ItemPage {
    /// 1 to [`limit::CATEGORIES`].
    pub category: i32,
    /// Items with a higher number than this one, from 0 up.
    pub after: i64,
    /// At most so many, 1 to [`limit::PAGE_ITEMS`].
    pub limit: i64,
}

#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(crate) struct ItemPageWire {
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::category))]
    category: i32,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::after))]
    after: i64,
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::page_limit))]
    limit: Option<i64>,
}

impl TryFrom<ItemPageWire> for ItemPage {
    type Error = String;

    fn try_from(wire: ItemPageWire) -> Result<Self, String> {
        let limit = wire.limit.unwrap_or(limit::PAGE_ITEMS_DEFAULT);
        if !(1..=limit::CATEGORIES).contains(&wire.category) {
            return Err(format!("category must be 1 to {}", limit::CATEGORIES));
        }
        if wire.after < 0 {
            return Err("after must be 0 or more".to_owned());
        }
        if !(1..=limit::PAGE_ITEMS).contains(&limit) {
            return Err(format!("limit must be 1 to {}", limit::PAGE_ITEMS));
        }
        Ok(Self {
            category: wire.category,
            after: wire.after,
            limit,
        })
    }
}

/// One page of items in ascending number: `{"items":[…],"next_after":140}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Items {
    /// The page.
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::page))]
    pub items: Vec<Item>,
    /// What to send as `after` for the next page; `null` on the last one.
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::next_after, required))]
    pub next_after: Option<i64>,
}

/// The new state of an item: `{"name":"Lamp","category":3,"price_minor":4990}`. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "ItemUpdateWire")]
pub struct ItemUpdate {
    /// 1 to [`limit::NAME_CHARACTERS`] characters, none of them a control character.
    pub name: String,
    /// 1 to [`limit::CATEGORIES`].
    pub category: i32,
    /// From 0 up.
    pub price_minor: i64,
}

#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ItemUpdate))]
#[serde(deny_unknown_fields)]
pub(crate) struct ItemUpdateWire {
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::name))]
    name: String,
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::category))]
    category: i32,
    #[cfg_attr(feature = "openapi", schema(schema_with = bound::price))]
    price_minor: i64,
}

impl TryFrom<ItemUpdateWire> for ItemUpdate {
    type Error = String;

    fn try_from(wire: ItemUpdateWire) -> Result<Self, String> {
        let characters = wire.name.chars().count();
        if !(1..=limit::NAME_CHARACTERS).contains(&characters) {
            return Err(format!(
                "name must have 1 to {} characters",
                limit::NAME_CHARACTERS
            ));
        }
        // PostgreSQL cannot store U+0000, and no other control character belongs into a name either.
        if wire.name.contains(char::is_control) {
            return Err("name must have no control characters".to_owned());
        }
        if !(1..=limit::CATEGORIES).contains(&wire.category) {
            return Err(format!("category must be 1 to {}", limit::CATEGORIES));
        }
        if wire.price_minor < 0 {
            return Err("price_minor must be 0 or more".to_owned());
        }
        Ok(Self {
            name: wire.name,
            category: wire.category,
            price_minor: wire.price_minor,
        })
    }
}

/// The precondition of a change, from `If-Match` (RFC 9110, section 13.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: whatever the version, as long as the item exists.
    Any,
    /// One of these versions. A weak tag, or one that no item of ours ever had, is left out: it can match nothing.
    Versions(Vec<i64>),
}

impl IfMatch {
    /// Reads the values of all `If-Match` headers of a request, in order.
    ///
    /// # Errors
    /// [`Failure::PreconditionRequired`] (428) if there is none; [`Failure::InvalidPrecondition`] (400) if one is
    /// neither `*` alone nor a list of at most [`limit::IF_MATCH_TAGS`] quoted tags.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, Failure> {
        let mut versions = Vec::new();
        let mut tags = 0;
        let mut any = false;
        for value in values {
            let text = std::str::from_utf8(value).map_err(|_| Failure::InvalidPrecondition)?;
            for tag in members(text) {
                tags += 1;
                if tag == "*" {
                    any = true;
                } else {
                    versions.extend(strong_version(tag)?);
                }
            }
        }
        match (tags, any) {
            (0, _) => Err(Failure::PreconditionRequired),
            (1, true) => Ok(Self::Any),
            (1..=limit::IF_MATCH_TAGS, false) => Ok(Self::Versions(versions)),
            _ => Err(Failure::InvalidPrecondition),
        }
    }

    /// The versions that match, or `None` if all do.
    #[must_use]
    pub fn versions(&self) -> Option<&[i64]> {
        match self {
            Self::Any => None,
            Self::Versions(versions) => Some(versions),
        }
    }
}

/// The members of a list: what stands between commas, but for those within quotes, which a tag may hold.
fn members(list: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let members = list.split(move |character| {
        quoted ^= character == '"';
        character == ',' && !quoted
    });
    members.map(str::trim)
}

/// The version that an entity tag names, if it is a strong tag of ours.
fn strong_version(tag: &str) -> Result<Option<i64>, Failure> {
    let (weak, quoted) = match tag.strip_prefix("W/") {
        Some(rest) => (true, rest),
        None => (false, tag),
    };
    let inner = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .filter(|inner| !inner.contains('"'))
        .ok_or(Failure::InvalidPrecondition)?;
    Ok(positive(inner).filter(|_| !weak))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_if_match(headers: &[&str], expected: &Result<IfMatch, Failure>) {
        let parsed = IfMatch::parse(headers.iter().map(|value| value.as_bytes()));
        assert_eq!(&parsed, expected, "{headers:?}");
    }

    #[test]
    fn if_match_is_a_star_or_a_list_of_quoted_tags() {
        let versions = |list: &[i64]| Ok(IfMatch::Versions(list.to_vec()));
        check_if_match(&["*"], &Ok(IfMatch::Any));
        check_if_match(&["\"3\""], &versions(&[3]));
        check_if_match(&["\"3\", \"4\""], &versions(&[3, 4]));
        check_if_match(&["\"3\"", "\"4\""], &versions(&[3, 4]));
        check_if_match(&["W/\"3\", \"abc\", \"\""], &versions(&[]));
        check_if_match(&["\"3,4\", \",\",\"5\""], &versions(&[5]));
        check_if_match(&[], &Err(Failure::PreconditionRequired));
        for bad in [
            "",
            "3",
            "\"3",
            "\"3, \"4\"",
            "\"3\" \"4\"",
            "*, \"3\"",
            "*, *",
            "w/\"3\"",
        ] {
            check_if_match(&[bad], &Err(Failure::InvalidPrecondition));
        }
        let most = vec!["\"1\""; limit::IF_MATCH_TAGS].join(",");
        check_if_match(&[&most], &versions(&[1; limit::IF_MATCH_TAGS]));
        check_if_match(
            &[&format!("{most},\"1\"")],
            &Err(Failure::InvalidPrecondition),
        );
    }

    fn check_update(json: &str, expected: Result<(), &str>) {
        match (serde_json::from_str::<ItemUpdate>(json), expected) {
            (Ok(_), Ok(())) => {}
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{json}: {error}"),
            (outcome, expected) => panic!("{json}: {outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn an_update_is_valid_or_says_what_is_wrong() {
        let long = "ä".repeat(limit::NAME_CHARACTERS);
        check_update(r#"{"name":"Lamp","category":1,"price_minor":0}"#, Ok(()));
        check_update(
            &format!(r#"{{"name":"{long}","category":20,"price_minor":1}}"#),
            Ok(()),
        );
        check_update(
            &format!(r#"{{"name":"{long}x","category":20,"price_minor":1}}"#),
            Err("1 to 200 characters"),
        );
        check_update(
            r#"{"name":"","category":1,"price_minor":0}"#,
            Err("1 to 200 characters"),
        );
        check_update(
            r#"{"name":"a\u0000","category":1,"price_minor":0}"#,
            Err("control characters"),
        );
        check_update(
            r#"{"name":"a","category":0,"price_minor":0}"#,
            Err("category must be 1 to 20"),
        );
        check_update(
            r#"{"name":"a","category":21,"price_minor":0}"#,
            Err("category must be 1 to 20"),
        );
        check_update(
            r#"{"name":"a","category":1,"price_minor":-1}"#,
            Err("price_minor must be 0 or more"),
        );
        check_update(
            r#"{"name":"a","category":1,"price_minor":1.5}"#,
            Err("invalid type"),
        );
        check_update(
            r#"{"name":"a","category":1}"#,
            Err("missing field `price_minor`"),
        );
        check_update(
            r#"{"name":"a","category":1,"price_minor":1,"id":2}"#,
            Err("unknown field `id`"),
        );
    }

    #[test]
    fn an_item_is_named_by_a_whole_number_and_tagged_by_its_version() {
        assert_eq!("12".parse(), Ok(ItemId(12)));
        assert_eq!("x".parse::<ItemId>(), Err(Failure::ItemNotFound));
        let item = Item {
            id: 12,
            name: "Lamp".to_owned(),
            category: 3,
            price_minor: 4_990,
            version: 7,
        };
        assert_eq!(item.etag(), "\"7\"");
    }
}
