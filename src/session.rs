//! From a plan to a record: starts what a measurement needs, measures, and leaves nothing behind.
//!
//! The only module of the rim that uses all the others. [`Stage`] stands for a whole command: the stores, seeded once.
//! [`run::run_once`] measures one target on it; [`rounds::compare`] repeats that for several; [`verify::verify`]
//! measures a target that is known.

pub mod rounds;
pub mod run;
pub mod shutdown;
pub mod verify;

use std::path::{Path, PathBuf};

use crate::archive::ArchiveError;
use crate::compare::CompareError;
use crate::event::Event;
pub use crate::load::{LoadError, Pem, Tls, TlsError, TlsOptions};
use crate::probe::ProbeError;
use crate::scenario::SelectError;
use crate::stores::{Durability, Lease, Options, Stores, StoresError};
use crate::target::TargetError;
use crate::target_spec::{CommandLine, ConnectTo, TargetSpec};

use shutdown::{Interrupted, Shutdown};
use verify::VerifyError;

/// Told of what happens.
pub type Watcher<'a> = &'a mut dyn FnMut(Event<'_>);

/// What stands for a whole command: stores, seeded once, from which every launch gets its own.
#[derive(Debug, Default)]
pub struct Stage {
    stores: Vec<(Seeding, Stores)>,
}

/// How targets are reached, beside what their URLs say.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// How TLS is spoken; with the machine's own trust where nothing is said.
    pub tls: Option<Tls>,
    /// Other places to connect to.
    pub connect_to: Vec<ConnectTo>,
}

/// What decides whether two targets can have their databases from one template.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seeding {
    postgres: bool,
    redis: bool,
    seed: Option<(PathBuf, CommandLine)>,
}

/// Why a measurement could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Given up on request.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// PostgreSQL or Redis.
    #[error(transparent)]
    Stores(#[from] StoresError),
    /// The target.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Watching the target.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The generator.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// TLS with the target.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The results folder.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The scenario does not say what to measure.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// Two arms cannot be compared.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// The oracle that tailmark is held against.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

impl Stage {
    /// Starts the stores that `targets` need and seeds them; what the seeding prints goes to `folder`.
    ///
    /// # Errors
    /// When a store cannot be started or seeded, or at an interrupt; what had been started is stopped.
    pub async fn set(
        targets: &[TargetSpec],
        folder: &Path,
        shutdown: &Shutdown,
        watch: Watcher<'_>,
    ) -> Result<Self, SessionError> {
        let mut stage = Self::default();
        for target in targets {
            let seeding = Seeding::of(target);
            let stands = stage.stores.iter().any(|(other, _)| *other == seeding);
            if stands || !(seeding.postgres || seeding.redis) {
                continue;
            }
            watch(Event::Step("starting the stores"));
            let options = Options {
                postgres: seeding.postgres,
                redis: seeding.redis,
                ..Options::of_this_machine(Durability::default())
            };
            let stores = shutdown.unless_requested(Stores::start(options)).await??;
            if seeding.seed.is_some() {
                watch(Event::Step("seeding"));
                let lease = stores.empty().await?;
                let log = folder.join("seed.log");
                let env = lease.env();
                let seeded = crate::target::run_seed(target, &env, &log);
                shutdown.unless_requested(seeded).await??;
                stores.keep_as_template(lease).await?;
            }
            stage.stores.push((seeding, stores));
        }
        Ok(stage)
    }

    /// Stops the stores.
    ///
    /// # Errors
    /// When one of them did not stop.
    pub async fn strike(self) -> Result<(), SessionError> {
        for (_, stores) in self.stores {
            stores.stop().await?;
        }
        Ok(())
    }

    /// The stores that `target` uses; none where it needs none.
    fn stores_for(&self, target: &TargetSpec) -> Option<&Stores> {
        let seeding = Seeding::of(target);
        self.stores
            .iter()
            .find(|(other, _)| *other == seeding)
            .map(|(_, stores)| stores)
    }

    async fn lease(&self, target: &TargetSpec) -> Result<Option<Lease>, StoresError> {
        match self.stores_for(target) {
            Some(stores) => stores.lease().await.map(Some),
            None => Ok(None),
        }
    }

    async fn release(&self, target: &TargetSpec, lease: Option<Lease>) -> Result<(), StoresError> {
        match self.stores_for(target).zip(lease) {
            Some((stores, lease)) => stores.release(lease).await,
            None => Ok(()),
        }
    }
}

impl Seeding {
    fn of(target: &TargetSpec) -> Self {
        Self {
            postgres: target.stores.postgres,
            redis: target.stores.redis,
            seed: target
                .seed
                .as_ref()
                .map(|command| (target.folder.clone(), command.clone())),
        }
    }
}
