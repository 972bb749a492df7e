//! Containers that a killed tailmark has left behind.

use std::collections::HashMap;

use bollard::errors::Error;
use bollard::query_parameters::ListContainersOptionsBuilder;

use super::super::TargetError;
use super::failed;
use crate::child::{self, Fate, Owner};
use crate::docker::Engine;

/// Removes the containers of `engine` whose owners are gone; how many there were.
///
/// # Errors
/// The engine fails.
pub async fn sweep(engine: &Engine) -> Result<usize, TargetError> {
    let failed = |error: &Error| failed("containers left behind", "sweep", error);
    let owner = Owner::this().map_err(|error| TargetError::Setup {
        name: "containers left behind".to_owned(),
        problem: error.to_string(),
    })?;
    let filters = HashMap::from([("label", vec![child::TOOL])]);
    let options = ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&filters)
        .build();
    let ours = engine.client().list_containers(Some(options)).await;
    let mut swept = 0;
    for container in ours.map_err(|error| failed(&error))? {
        let labels = container.labels.unwrap_or_default();
        let label = |name: &str| labels.get(name).map(String::as_str);
        let (Fate::Ended | Fate::Rebooted, Some(id)) =
            (owner.fate_of(label, child::started), container.id)
        else {
            continue;
        };
        match engine.remove(&id).await {
            Ok(()) => swept += 1,
            // Somebody else sweeps too.
            Err(Error::DockerResponseServerError {
                status_code: 404 | 409,
                ..
            }) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
    Ok(swept)
}
