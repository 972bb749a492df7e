//! A container of ours, from the moment before it is made until it is gone, whatever becomes of whoever made it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, ContainerInspectResponse};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, KillContainerOptionsBuilder,
    StartContainerOptions,
};

use super::super::TargetError;
use super::failed;
use crate::child::Owner;
use crate::docker::Engine;
use crate::target_spec::Signal;

/// A container that was given up while it was being made may be there a moment later.
const GIVEN_UP_TRIES: u32 = 20;
const GIVEN_UP_PAUSE: Duration = Duration::from_millis(100);

/// A container, by its name. Dropping it removes what is there of it.
#[derive(Debug)]
pub(super) struct Doomed {
    pub(super) engine: Engine,
    /// What it is called.
    pub(super) name: String,
    /// What the engine knows it by.
    pub(super) id: String,
    /// The target that it is of, for messages.
    target: String,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The engine was asked to make it, and has not answered.
    Asked,
    Made,
    Gone,
}

impl Doomed {
    /// Has `engine` make it as `body` says, for `target`.
    pub(super) async fn make(
        engine: &Engine,
        owner: &Owner,
        target: &str,
        body: ContainerCreateBody,
    ) -> Result<Self, TargetError> {
        static MADE: AtomicU64 = AtomicU64::new(1);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let mut doomed = Self {
            engine: engine.clone(),
            name: format!("tailmark-{:.12}-{number}", owner.run),
            id: String::new(),
            target: target.to_owned(),
            state: State::Asked,
        };
        let options = CreateContainerOptionsBuilder::default()
            .name(&doomed.name)
            .build();
        match engine.client().create_container(Some(options), body).await {
            Ok(made) => {
                doomed.state = State::Made;
                doomed.id = made.id;
                Ok(doomed)
            }
            Err(error) => {
                // An engine that says no has made nothing.
                doomed.state = State::Gone;
                Err(failed(target, "make a container", &error))
            }
        }
    }

    pub(super) async fn start(&self) -> Result<(), TargetError> {
        let client = self.engine.client();
        let started = client.start_container(&self.name, None::<StartContainerOptions>);
        let started = started.await;
        started.map_err(|error| failed(&self.target, "start the container", &error))
    }

    pub(super) async fn inspect(&self) -> Result<ContainerInspectResponse, TargetError> {
        let client = self.engine.client();
        let seen = client.inspect_container(&self.name, None::<InspectContainerOptions>);
        let seen = seen.await;
        seen.map_err(|error| failed(&self.target, "look at the container", &error))
    }

    /// Sends its main process a signal, which one that does not run cannot take.
    pub(super) async fn signal(&self, signal: Signal) -> Result<(), TargetError> {
        let options = KillContainerOptionsBuilder::default()
            .signal(&format!("SIG{signal}"))
            .build();
        let client = self.engine.client();
        let signalled = client.kill_container(&self.name, Some(options)).await;
        signalled.map_err(|error| failed(&self.target, "signal the container", &error))
    }

    pub(super) async fn remove(mut self) -> Result<(), TargetError> {
        match self.engine.remove(&self.name).await {
            Ok(())
            | Err(Error::DockerResponseServerError {
                status_code: 404, ..
            }) => {
                self.state = State::Gone;
                Ok(())
            }
            Err(error) => Err(failed(&self.target, "remove the container", &error)),
        }
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        if self.state == State::Gone {
            return;
        }
        for _ in 0..GIVEN_UP_TRIES {
            // One that was made and cannot be removed is left to the next start.
            if self.engine.remove_blocking(&self.name) || self.state == State::Made {
                return;
            }
            std::thread::sleep(GIVEN_UP_PAUSE);
        }
    }
}
