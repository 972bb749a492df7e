//! Images: what they are, and how they get here.

use bollard::errors::Error;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;

use super::super::TargetError;
use super::failed;
use crate::docker::Engine;
use crate::target_spec::{Image, TargetSpec};

/// What an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImageFacts {
    pub(super) id: String,
    pub(super) digest: Option<String>,
    pub(super) bytes: Option<u64>,
    pub(super) revision: Option<String>,
    pub(super) here: ImageHere,
}

/// When an image on this machine came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageHere {
    /// When it was made, as RFC 3339, where it says so.
    pub created: Option<String>,
    /// When it last got its name on this machine, as RFC 3339: a build that finds every layer in its cache makes no new image,
    /// and says by this that the old one is of the newest sources.
    pub named: Option<String>,
}

/// The image, if `engine` has it.
///
/// # Errors
/// The engine fails.
pub async fn here(
    engine: &Engine,
    spec: &TargetSpec,
    image: &Image,
) -> Result<Option<ImageHere>, TargetError> {
    match facts(engine, spec, image).await {
        Ok(facts) => Ok(Some(facts.here)),
        Err(TargetError::NoImage { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Has `engine` get the image from its registry.
///
/// # Errors
/// The registry has none, or cannot be reached.
pub async fn pull(engine: &Engine, spec: &TargetSpec, image: &Image) -> Result<(), TargetError> {
    let named = image.reference.rsplit('/').next().unwrap_or_default();
    // Without a tag the engine would get every tag that there is.
    let reference = if named.contains([':', '@']) {
        image.reference.clone()
    } else {
        format!("{}:latest", image.reference)
    };
    let options = CreateImageOptionsBuilder::default()
        .from_image(&reference)
        .build();
    let mut steps = engine.client().create_image(Some(options), None, None);
    while let Some(step) = steps.next().await {
        step.map_err(|error| failed(&spec.name, "pull the image", &error))?;
    }
    Ok(())
}

/// What the image is.
pub(super) async fn facts(
    engine: &Engine,
    spec: &TargetSpec,
    image: &Image,
) -> Result<ImageFacts, TargetError> {
    let found = match engine.client().inspect_image(&image.reference).await {
        Ok(found) => found,
        Err(Error::DockerResponseServerError {
            status_code: 404, ..
        }) => {
            return Err(TargetError::NoImage {
                name: spec.name.clone(),
                image: image.reference.clone(),
            });
        }
        Err(error) => return Err(failed(&spec.name, "look for the image", &error)),
    };
    let labels = found.config.and_then(|config| config.labels);
    Ok(ImageFacts {
        id: found.id.unwrap_or_default(),
        digest: found.repo_digests.unwrap_or_default().into_iter().next(),
        bytes: found.size.and_then(|bytes| u64::try_from(bytes).ok()),
        revision: labels.and_then(|mut labels| labels.remove("org.opencontainers.image.revision")),
        here: ImageHere {
            created: found.created.filter(|moment| is_known(moment)),
            named: found
                .metadata
                .and_then(|metadata| metadata.last_tag_time)
                .filter(|moment| is_known(moment)),
        },
    })
}

/// Whether a moment is more than what stands for none: Go's zero, or the epoch of a build that leaves time out.
fn is_known(moment: &str) -> bool {
    moment >= "2000"
}
