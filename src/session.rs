//! From a plan to a record: starts what a measurement needs, measures, and leaves nothing behind.
//!
//! The only module of the rim that uses all the others. [`Stage`] stands for a whole command: the stores, seeded once.
//! [`run::run_once`] measures one target on it; [`rounds::compare`] repeats that for several, [`gate::gate`] until it is decided;
//! [`startup::startup`] launches them without load; [`verify::verify`] measures a target that is known. Before all that,
//! [`runtime::choose`] says whether targets run as processes or in containers, and [`watching`] whose memory and CPU are read.
//! [`doctor::facts`] looks at the machine alone.

pub mod calls;
pub mod debug;
pub mod doctor;
pub mod gate;
pub mod rounds;
pub mod run;
pub mod runtime;
pub mod shutdown;
pub mod startup;
mod together;
pub mod up;
pub mod verify;
pub mod watching;

use std::io;
use std::path::{Path, PathBuf};

use crate::archive::ArchiveError;
pub use crate::child::Scratch;
use crate::child::{self, Swept};
use crate::compare::CompareError;
use crate::event::Event;
pub use crate::load::{LoadError, Pem, Tls, TlsError, TlsOptions};
use crate::machine::{self, Confined};
use crate::placement::{CpuList, Parts, Pin, PinError, Placement};
use crate::probe::ProbeError;
use crate::scenario::{SelectError, Unfilled};
use crate::startup::StartupError;
pub use crate::stores::Durability;
use crate::stores::{Lease, Options, Stores, StoresError};
use crate::target::TargetError;
use crate::target_spec::{CommandLine, ConnectTo, TargetSpec};
use calls::NotAsExpected;

use runtime::RuntimeError;
use shutdown::{Interrupted, Shutdown};
use verify::VerifyError;
use watching::WatchError;

/// Told of what happens.
pub type Watcher<'a> = &'a mut dyn FnMut(Event<'_>);

/// How a stage is set.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Which CPUs everything keeps to; any where nothing is said.
    pub placement: Option<Placement>,
    /// What a private PostgreSQL promises.
    pub durability: Durability,
}

/// What stands for a whole command: stores, seeded once, from which every launch gets its own.
#[derive(Debug, Default)]
pub struct Stage {
    placement: Option<Placement>,
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

/// Where everything runs that is started for `targets`, as `pin` says: to be asked before anything is started.
///
/// # Errors
/// When it names a CPU that is not there.
pub fn place(
    pin: &Pin,
    targets: &[TargetSpec],
    workers: usize,
) -> Result<Option<Placement>, SessionError> {
    let topology = machine::topology().map_err(SessionError::Cpus)?;
    let parts = Parts {
        workers,
        targets: targets.iter().all(TargetSpec::is_started),
        stores: targets
            .iter()
            .any(|target| target.stores.postgres || target.stores.redis),
    };
    Ok(pin.place(&topology, parts)?)
}

/// Runs the build command of `target`, if it has one; what that prints goes to standard error.
///
/// # Errors
/// When it fails.
pub async fn build(target: &TargetSpec) -> Result<(), SessionError> {
    Ok(crate::target::run_build(target).await?)
}

/// Clears away what killed tailmarks of this user have left behind on this machine: processes and temporary folders. (Containers are
/// looked for where containers are used.) What there is to say about it.
pub async fn clear_away() -> Option<String> {
    let swept = tokio::task::spawn_blocking(child::sweep).await;
    match swept.map_err(io::Error::other).flatten() {
        Ok(Swept { folders: 0, .. }) => None,
        Ok(Swept { processes, .. }) => {
            let what = match processes {
                0 => "files".to_owned(),
                1 => "a process and its files".to_owned(),
                several => format!("{several} processes and their files"),
            };
            Some(format!(
                "cleared away {what} that a killed tailmark had left behind"
            ))
        }
        Err(error) => Some(format!(
            "what a killed tailmark has left behind cannot be cleared away: {error}"
        )),
    }
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
    /// How the targets were to run.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// Watching the target.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// Watching what was named.
    #[error(transparent)]
    Watch(Box<WatchError>),
    /// CPUs that are not there.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// CPUs that may not be used.
    #[error("cannot choose CPUs")]
    Cpus(#[source] io::Error),
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
    /// Start-ups cannot be compared.
    #[error(transparent)]
    Startup(#[from] StartupError),
    /// What a scenario was given cannot stand where it should.
    #[error("the scenario cannot be replayed: {0}")]
    Unfilled(#[from] Unfilled),
    /// A call, or the preflight, was not as expected.
    #[error(transparent)]
    NotAsExpected(#[from] NotAsExpected),
    /// The oracle that tailmark is held against.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

impl From<WatchError> for SessionError {
    fn from(error: WatchError) -> Self {
        Self::Watch(Box::new(error))
    }
}

impl Stage {
    /// Starts the stores that `targets` need and seeds them; what the seeding prints goes to `folder`. Everything that is
    /// started on the stage keeps to the CPUs of `terms`, where they say any.
    ///
    /// # Errors
    /// When a store cannot be started or seeded, or at an interrupt; what had been started is stopped.
    pub async fn set(
        targets: &[TargetSpec],
        terms: Terms,
        folder: &Path,
        shutdown: &Shutdown,
        watch: Watcher<'_>,
    ) -> Result<Self, SessionError> {
        let mut stage = Self {
            placement: terms.placement,
            ..Self::default()
        };
        let _confined = stage.confine(|placement| &placement.stores)?;
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
                ..Options::of_this_machine(terms.durability)
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

    /// Keeps to the CPUs that `part` chooses, until what is returned is dropped.
    fn confine(
        &self,
        part: impl Fn(&Placement) -> &CpuList,
    ) -> Result<Option<Confined>, SessionError> {
        let cpus = self.placement.as_ref().map(part);
        let chosen = cpus.filter(|cpus| !cpus.is_empty());
        let confined = chosen.map(machine::confine).transpose();
        confined.map_err(SessionError::Cpus)
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
