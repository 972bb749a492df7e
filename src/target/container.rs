//! A target that is a container of ours, made and ended over the API of the engine.

mod doomed;
mod exec;
pub mod images;
mod made;
mod recipe;
mod sweep;

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use bollard::errors::Error;
use bollard::models::ContainerInspectResponse;

use self::doomed::Doomed;
use self::exec::ExecWatch;
use self::images::ImageFacts;
pub(super) use self::made::Container;
use self::made::{Found, Watched};
pub use self::sweep::sweep;
use super::command::{PORTS_TRIED, free_address, names_a_taken_port};
use super::lookout::Lookout;
use super::{Launch, TargetError};
use crate::child::Owner;
use crate::docker::{self, Address, Engine, Running};
use crate::run_record::ContainerIdentity;
use crate::target_spec::{Image, TargetSpec};

/// What a launch has made.
pub(super) struct Launched {
    pub(super) container: Container,
    pub(super) identity: ContainerIdentity,
    /// What the image says it was built from.
    pub(super) revision: Option<String>,
}

/// Starts a container of `image`, watched closely or not, and waits until it is ready.
pub(super) async fn launch(
    spec: &TargetSpec,
    image: &Image,
    launch: &Launch<'_>,
    closely: bool,
) -> Result<Launched, TargetError> {
    let engine = Engine::find().await;
    let engine = engine.map_err(|source| TargetError::NoEngine {
        name: spec.name.clone(),
        source,
    })?;
    let facts = images::facts(&engine, spec, image).await?;
    let mut tries = 0;
    let container = loop {
        tries += 1;
        match launch_once(spec, image, launch, &engine, closely).await {
            Err(TargetError::EndedEarly { log, .. })
                if tries < PORTS_TRIED && image.port.is_none() && names_a_taken_port(&log) => {}
            outcome => break outcome?,
        }
    };
    let ImageFacts {
        id,
        digest,
        bytes,
        revision,
        here,
    } = facts;
    let identity = ContainerIdentity {
        engine: engine.name().to_owned(),
        image: image.reference.clone(),
        image_id: id,
        image_digest: digest,
        image_bytes: bytes,
        image_created: here.created,
        network: if image.port.is_some() { "own" } else { "host" }.to_owned(),
        limits: image.limits,
    };
    Ok(Launched {
        container,
        identity,
        revision,
    })
}

async fn launch_once(
    spec: &TargetSpec,
    image: &Image,
    launch: &Launch<'_>,
    engine: &Engine,
    closely: bool,
) -> Result<Container, TargetError> {
    let problem = |what: String, error: &io::Error| TargetError::Setup {
        name: spec.name.clone(),
        problem: format!("{what}: {error}"),
    };
    let owner =
        Owner::this().map_err(|error| problem("cannot label a container".into(), &error))?;
    let port = match image.port {
        Some(port) => port,
        None => free_address()
            .map_err(|error| problem("no free port".into(), &error))?
            .port(),
    };
    let log = File::create(launch.log)
        .map_err(|error| problem(format!("cannot write {}", launch.log.display()), &error))?;
    let body = recipe::body(spec, image, launch, owner, port);
    let asked = Instant::now();
    let doomed = Doomed::make(engine, owner, &spec.name, body).await?;
    let cannot_watch = |error: io::Error| problem("cannot watch it start".into(), &error);
    let look = |address| {
        let path = spec.ready.path.as_deref();
        Lookout::at(address, path, Instant::now()).map_err(cannot_watch)
    };
    let exec = closely.then(|| ExecWatch::of(&doomed.id));
    let exec = exec.transpose().map_err(cannot_watch)?;
    let shared = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
    let before = (closely && image.port.is_none()).then(|| look(shared));
    let before = before.transpose()?;
    let find = async |doomed: &Doomed| find(spec, image, doomed, port).await;
    let container = Container::start(spec, doomed, image.limits.memory, log, find).await?;
    let watched = match (exec, before) {
        (None, _) => None,
        (Some(exec), before) => Some(Watched {
            asked,
            exec,
            // An address of its own is known only when it has started.
            lookout: match before {
                Some(lookout) => lookout,
                None => look(container.address())?,
            },
        }),
    };
    container.await_ready(spec, launch.log, watched).await
}

/// What is to be known of a container that was just started.
async fn find(
    spec: &TargetSpec,
    image: &Image,
    doomed: &Doomed,
    port: u16,
) -> Result<Found, TargetError> {
    let seen = doomed.inspect().await?;
    // One that has ended already is found out by waiting for it.
    let running = Running::of(&doomed.engine, &doomed.name, &seen).ok();
    let ip = match running {
        Some(_) => reached_at(&doomed.engine, image, &seen).await,
        None => Ok(Ipv4Addr::LOCALHOST.into()),
    };
    let ip = ip.map_err(|problem| TargetError::Setup {
        name: spec.name.clone(),
        problem,
    })?;
    Ok(Found {
        running,
        address: SocketAddr::new(ip, port),
        command: words(&seen),
    })
}

/// What the engine could not do, and why.
fn failed(name: &str, doing: &'static str, error: &Error) -> TargetError {
    TargetError::Engine {
        name: name.to_owned(),
        doing,
        failure: docker::in_words(error),
    }
}

/// Its entry point and arguments.
fn words(seen: &ContainerInspectResponse) -> Vec<String> {
    let path = seen.path.clone().into_iter();
    path.chain(seen.args.clone().unwrap_or_default()).collect()
}

/// Where a container of `image` is reached: at its own address, or with the network of the machine that it runs on.
async fn reached_at(
    engine: &Engine,
    image: &Image,
    seen: &ContainerInspectResponse,
) -> Result<IpAddr, String> {
    if image.port.is_some() {
        let none = || {
            let name = engine.name();
            format!("{name} gave the container no address of its own")
        };
        return own_address(seen).ok_or_else(none);
    }
    let Address::Tcp { host, port } = engine.address() else {
        return Ok(Ipv4Addr::LOCALHOST.into());
    };
    let found = tokio::net::lookup_host((host.as_str(), *port)).await;
    let mut found = found.map_err(|error| format!("{host}: {error}"))?;
    let first = found.next().ok_or_else(|| format!("{host} has no address"));
    first.map(|address| address.ip())
}

/// Its address in the network that it is in.
fn own_address(seen: &ContainerInspectResponse) -> Option<IpAddr> {
    let networks = seen.network_settings.as_ref()?.networks.as_ref()?;
    let mut addresses = networks.values().filter_map(|network| {
        let address = network.ip_address.as_deref()?;
        address.parse().ok()
    });
    addresses.next()
}
