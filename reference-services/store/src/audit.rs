//! The audit: whether the data agree with what clients were told over a whole launch.
//!
//! tailmark counts answers and knows no table; this module knows the tables and sees no answer. A step counts as a
//! transfer when its own name contains `transfer` in any case: `buy/transfer`, `main/POST-v1-transfers`; and as a batch
//! of events when it contains `batch`. A scenario whose transfers or batches hide under another name fails its audit,
//! for then more was written than was answered.

use crate::Error;
use crate::settings::{connect_options, required};
use serde::{Deserialize, Serialize};
use sqlx::{Connection, PgConnection};
use std::collections::BTreeMap;

/// What was counted at the clients: `{"steps":{"buy/transfer":{"statuses":{"201":98},"unknown":2}}}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    steps: BTreeMap<String, StepCounts>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepCounts {
    statuses: BTreeMap<u16, u64>,
    /// Exchanges whose effect the client cannot know: time-outs, resets, protocol errors, unfinished ones, 5xx.
    unknown: u64,
}

/// What the names of steps contain that order transfers.
const TRANSFER: &str = "transfer";

/// What the names of steps contain that send batches of events.
const BATCH: &str = "batch";

impl Counts {
    /// Exchanges of the steps named `kind` that were answered with `status`.
    fn answered(&self, kind: &str, status: u16) -> u64 {
        self.steps(kind)
            .filter_map(|step| step.statuses.get(&status))
            .sum()
    }

    /// Exchanges of the steps named `kind` that may or may not have had their effect.
    fn unknown(&self, kind: &str) -> u64 {
        self.steps(kind).map(|step| step.unknown).sum()
    }

    fn steps(&self, kind: &str) -> impl Iterator<Item = &StepCounts> {
        let is_kind = move |name: &str| {
            let step = name.rsplit('/').next().unwrap_or(name);
            step.to_ascii_lowercase().contains(kind)
        };
        self.steps
            .iter()
            .filter(move |(name, _)| is_kind(name))
            .map(|(_, counts)| counts)
    }
}

/// What the audit prints: `{"ok":true,"facts":{…,"problems":[]}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// No problem was found.
    pub ok: bool,
    facts: Facts,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Facts {
    #[serde(flatten)]
    data: Data,
    answered_201: u64,
    unknown: u64,
    batches_201: u64,
    batches_202: u64,
    batches_unknown: u64,
    problems: Vec<String>,
}

/// What the database says. Sums are of minor units, as decimal text: they may be larger than a JSON number can hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Data {
    accounts: i64,
    /// Sum of what accounts hold now.
    balance_minor: String,
    /// Sum of what accounts held when they were opened.
    opening_minor: String,
    /// Accounts that do not hold what they held first plus their ledger entries.
    accounts_off_ledger: i64,
    transfers: i64,
    /// Transfers without exactly two ledger entries that add up to zero and match the transfer.
    transfers_off_ledger: i64,
    /// Keys with an answer.
    keys: i64,
    /// Different keys among the transfers.
    distinct_keys: i64,
    /// Answers that were given again.
    replays: i64,
    events: i64,
    /// Requests that the events came from.
    batches: i64,
    /// Requests of whose events some are missing.
    batches_torn: i64,
}

impl Audit {
    /// Asks the database of `DATABASE_URL`, in one snapshot.
    ///
    /// # Errors
    /// [`Error::Settings`] without a usable `DATABASE_URL`; else what `PostgreSQL` says.
    pub async fn from_env(counts: &Counts) -> Result<Self, Error> {
        let mut connection =
            PgConnection::connect_with(&connect_options(&required("DATABASE_URL")?)?).await?;
        let data = read(&mut connection).await?;
        connection.close().await?;
        Ok(Self::judge(data, counts))
    }

    fn judge(data: Data, counts: &Counts) -> Self {
        let (answered, unknown) = (counts.answered(TRANSFER, 201), counts.unknown(TRANSFER));
        let (durable, queued) = (counts.answered(BATCH, 201), counts.answered(BATCH, 202));
        let batches_unknown = counts.unknown(BATCH);
        let batches = data.batches.unsigned_abs();
        let given = (data.transfers + data.replays).unsigned_abs();
        let rules = [
            (
                data.balance_minor != data.opening_minor,
                "the sum of all balances changed".to_owned(),
            ),
            (
                data.accounts_off_ledger > 0,
                format!(
                    "{} accounts disagree with the ledger",
                    data.accounts_off_ledger
                ),
            ),
            (
                data.transfers_off_ledger > 0,
                format!(
                    "{} transfers disagree with the ledger",
                    data.transfers_off_ledger
                ),
            ),
            (
                data.transfers != data.distinct_keys,
                format!(
                    "{} transfers were booked under {} keys",
                    data.transfers, data.distinct_keys
                ),
            ),
            (
                data.transfers != data.keys,
                format!(
                    "{} transfers, but {} keys with an answer",
                    data.transfers, data.keys
                ),
            ),
            (
                given < answered,
                format!(
                    "{answered} transfers were answered with 201, but only {given} were booked or replayed"
                ),
            ),
            (
                given > answered + unknown,
                format!(
                    "{given} transfers were booked or replayed, but only {answered} were answered with 201 and {unknown} are unknown"
                ),
            ),
            (
                batches < durable,
                format!("{durable} batches were answered with 201, but only {batches} are there"),
            ),
            (
                batches > durable + queued + batches_unknown,
                format!(
                    "{batches} batches are there, but only {durable} were answered with 201, {queued} with 202, and {batches_unknown} are unknown"
                ),
            ),
            (
                data.batches_torn > 0,
                format!("{} batches are there in part", data.batches_torn),
            ),
        ];
        let problems: Vec<String> = rules
            .into_iter()
            .filter_map(|(broken, problem)| broken.then_some(problem))
            .collect();
        Self {
            ok: problems.is_empty(),
            facts: Facts {
                data,
                answered_201: answered,
                unknown,
                batches_201: durable,
                batches_202: queued,
                batches_unknown,
                problems,
            },
        }
    }
}

async fn read(connection: &mut PgConnection) -> Result<Data, Error> {
    let data = sqlx::query_as!(
        Data,
        r#"SELECT
               (SELECT count(*) FROM accounts) AS "accounts!",
               (SELECT coalesce(sum(balance_minor), 0)::text FROM accounts) AS "balance_minor!",
               (SELECT coalesce(sum(opening_minor), 0)::text FROM accounts) AS "opening_minor!",
               (SELECT count(*) FROM accounts LEFT JOIN
                       (SELECT account_id, sum(amount_minor) AS moved FROM ledger_entries GROUP BY account_id) ledger
                       ON account_id = id
                   WHERE balance_minor <> opening_minor + coalesce(moved, 0)) AS "accounts_off_ledger!",
               (SELECT count(*) FROM transfers) AS "transfers!",
               (SELECT count(*) FROM transfers WHERE NOT EXISTS
                   (SELECT FROM ledger_entries WHERE transfer_id = id
                    HAVING count(*) = 2
                       AND sum(ledger_entries.amount_minor) FILTER (WHERE account_id = from_account) = -transfers.amount_minor
                       AND sum(ledger_entries.amount_minor) FILTER (WHERE account_id = to_account) = transfers.amount_minor)
               ) AS "transfers_off_ledger!",
               (SELECT count(response) FROM idempotency_keys) AS "keys!",
               (SELECT count(DISTINCT idempotency_key) FROM transfers) AS "distinct_keys!",
               (SELECT coalesce(sum(replays), 0)::bigint FROM idempotency_keys) AS "replays!",
               (SELECT count(*) FROM events) AS "events!",
               (SELECT count(*) FROM (SELECT DISTINCT writer, batch FROM events) AS requests) AS "batches!",
               (SELECT count(*) FROM
                   (SELECT FROM events GROUP BY writer, batch HAVING count(*) <> max(size)) AS torn) AS "batches_torn!""#
    )
    .fetch_one(connection)
    .await?;
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: &str = r#"{"steps":{
        "buy/transfer":{"statuses":{"201":98,"409":1},"unknown":2},
        "main/POST-v1-transfers":{"statuses":{"201":2},"unknown":0},
        "durable/batch":{"statuses":{"201":5,"429":3},"unknown":1},
        "main/POST-v1-events-batch":{"statuses":{"202":7},"unknown":0},
        "stream/events":{"statuses":{"202":9},"unknown":9},
        "transfer/login":{"statuses":{"201":50},"unknown":7}}}"#;

    /// 100 answers with 201 and 2 unknown: 99 transfers and 1 replay fit. And 5 durable batches, 7 queued and 1 unknown.
    fn sound() -> Data {
        Data {
            accounts: 2,
            balance_minor: "20".to_owned(),
            opening_minor: "20".to_owned(),
            accounts_off_ledger: 0,
            transfers: 99,
            transfers_off_ledger: 0,
            keys: 99,
            distinct_keys: 99,
            replays: 1,
            events: 30,
            batches: 9,
            batches_torn: 0,
        }
    }

    fn check(change: impl FnOnce(&mut Data), expected: &[&str]) {
        let counts = serde_json::from_str(COUNTS).unwrap();
        let mut data = sound();
        change(&mut data);
        let audit = Audit::judge(data, &counts);
        let problems = &audit.facts.problems;
        assert_eq!(audit.ok, expected.is_empty(), "{problems:?}");
        assert_eq!(problems.len(), expected.len(), "{problems:?}");
        assert!(
            problems
                .iter()
                .zip(expected)
                .all(|(problem, part)| problem.contains(part)),
            "{problems:?}"
        );
    }

    #[test]
    fn sound_data_pass_and_each_fault_is_named() {
        check(|_| {}, &[]);
        check(|data| data.replays = 3, &[]);
        check(|data| data.replays = 4, &["only 100 were answered"]);
        check(
            |data| data.replays = 0,
            &["only 99 were booked or replayed"],
        );
        check(
            |data| data.balance_minor = "21".to_owned(),
            &["sum of all balances"],
        );
        check(
            |data| data.accounts_off_ledger = 1,
            &["1 accounts disagree"],
        );
        check(
            |data| data.transfers_off_ledger = 2,
            &["2 transfers disagree"],
        );
        check(
            |data| data.distinct_keys = 98,
            &["99 transfers were booked under 98 keys"],
        );
        check(|data| data.keys = 98, &["98 keys with an answer"]);
        for fitting in [5, 12, 13] {
            check(|data| data.batches = fitting, &[]);
        }
        check(|data| data.batches = 4, &["only 4 are there"]);
        check(|data| data.batches = 14, &["14 batches are there"]);
        check(
            |data| data.batches_torn = 1,
            &["1 batches are there in part"],
        );
    }

    #[test]
    fn counts_that_are_not_understood_are_refused() {
        for bad in [
            "",
            "{}",
            r#"{"steps":{"a/b":{"statuses":{},"unknown":-1}}}"#,
            r#"{"steps":{},"more":1}"#,
        ] {
            assert!(serde_json::from_str::<Counts>(bad).is_err(), "{bad}");
        }
    }
}
