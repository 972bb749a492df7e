//! What an engine is asked to make.

use bollard::models::{ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig};

use super::super::Launch;
use crate::child::Owner;
use crate::target_spec::{Image, TargetSpec};

/// How much of its output an engine keeps: what it writes there is also copied to the log as it comes.
const MOST_LOG: &str = "64m";

/// A container of `image` for a launch of `spec`, which listens on `port`.
pub(super) fn body(
    spec: &TargetSpec,
    image: &Image,
    launch: &Launch<'_>,
    owner: &Owner,
    port: u16,
) -> ContainerCreateBody {
    // A process takes the first of equal names, so of these the last is kept alone.
    let mut env: Vec<(&str, String)> = Vec::new();
    let told = [("PORT".to_owned(), port.to_string())];
    for (name, value) in spec.env.iter().chain(&launch.env).chain(&told) {
        env.retain(|(other, _)| other != name);
        env.push((name, format!("{name}={value}")));
    }
    let args = image.args.as_ref().map(|args| args.with_port(port));
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let memory = image.limits.memory.map(|memory| signed(memory.bytes()));
    ContainerCreateBody {
        image: Some(image.reference.clone()),
        cmd: args.map(|args| args.words().to_vec()),
        env: Some(env.into_iter().map(|(_, line)| line).collect()),
        labels: Some(
            owner
                .labels()
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
        ),
        // The image's own check would start a process in it again and again, and that would be measured with the service.
        healthcheck: Some(HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..HealthConfig::default()
        }),
        host_config: Some(HostConfig {
            network_mode: image.port.is_none().then(|| "host".to_owned()),
            memory,
            // As much with swap as without: none.
            memory_swap: memory,
            nano_cpus: image.limits.cpus.map(|cpus| signed(cpus.nano())),
            cpuset_cpus: launch.cpus.clone(),
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some([("max-size".to_owned(), MOST_LOG.to_owned())].into()),
            }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}
