//! tailmark measures how an HTTP service behaves in its tail, and compares services so that the answer holds.
//!
//! Data flows one way: a scenario file becomes a [`scenario::Scenario`], its [`schedule::Schedule`] says when each
//! request is due, the workers of [`load`] send it and absorb each [`exchange::Exchange`] into a [`ledger::Ledger`],
//! and the session makes a [`run_record::RunRecord`] of it, from which [`compare`], [`gate`] and [`report`] work alone.
//!
//! The modules fall into a core, which knows no Tokio, no files, no clock and no terminal, and a rim, which touches
//! the world. `tests/layering.rs` holds this:
//!
//! - Core, each using only what stands before it: [`units`], [`random`], [`placement`], [`validity`], [`document`], [`exchange`],
//!   [`histogram`], [`windows`], [`threshold`] (what must hold), [`scenario`], [`target_spec`], [`schedule`], [`event`],
//!   [`ledger`], [`stats`], [`run_record`], [`judgement`] (whether it held), [`compare`], [`gate`], [`startup`], [`doctor`] (what a machine costs), [`report`],
//!   [`script`], [`verification`] (whether tailmark reports what is true).
//! - Rim, each using the core: [`load`] (the generator), [`data`] (files that people name), [`machine`], [`docker`]
//!   (container engines), [`probe`] (memory and CPU of the target), [`target`], [`stores`] (PostgreSQL and Redis), [`archive`] (the results folder), [`export`] (collectors elsewhere),
//!   [`progress`], [`oracle`] (a server with a script); only [`session`] uses the others, and [`cli`] uses the session.

pub mod archive;
mod child;
pub mod cli;
pub mod compare;
pub mod data;
pub mod docker;
pub mod doctor;
pub mod document;
pub mod event;
pub mod exchange;
pub mod export;
pub mod gate;
pub mod histogram;
pub mod judgement;
pub mod ledger;
pub mod load;
pub mod machine;
pub mod oracle;
pub mod placement;
pub mod probe;
pub mod progress;
pub mod random;
pub mod report;
pub mod revisions;
pub mod run_record;
pub mod scenario;
pub mod schedule;
pub mod script;
pub mod session;
pub mod startup;
pub mod stats;
pub mod stores;
pub mod target;
pub mod target_spec;
#[cfg(test)]
mod test_child;
pub mod threshold;
pub mod units;
pub mod validity;
pub mod verification;
pub mod windows;
