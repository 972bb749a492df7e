//! Whose a container is: labels by which a later start finds what a killed one has left behind.
//!
//! An owner is a process. Its id alone says little, for the kernel gives ids away again; so with it stand the moment of its
//! start, the boot that this moment counts from, and the namespace that the id belongs to.

use std::collections::HashMap;
use std::io;
use std::sync::OnceLock;

/// The label that every container of ours has: the version of tailmark that made it.
pub(super) const TOOL: &str = "tailmark.version";
const RUN: &str = "tailmark.run";
const PID: &str = "tailmark.owner.pid";
const STARTED: &str = "tailmark.owner.started";
const BOOT: &str = "tailmark.owner.boot";
const NAMESPACE: &str = "tailmark.owner.pid-namespace";

/// A process that owns containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    /// Drawn once per process: part of its containers' names.
    pub(super) run: String,
    pid: u32,
    /// Clock ticks after the boot.
    started: u64,
    boot: String,
    namespace: String,
}

impl Owner {
    /// This process.
    pub(super) fn this() -> io::Result<&'static Owner> {
        static THIS: OnceLock<Owner> = OnceLock::new();
        if let Some(owner) = THIS.get() {
            return Ok(owner);
        }
        let pid = std::process::id();
        let started = started(pid).ok_or_else(|| io::Error::other("/proc has no such process"))?;
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let namespace = std::fs::read_link("/proc/self/ns/pid")?;
        let owner = Owner {
            run: uuid::Uuid::new_v4().simple().to_string(),
            pid,
            started,
            boot: boot.trim_end().to_owned(),
            namespace: namespace.display().to_string(),
        };
        Ok(THIS.get_or_init(|| owner))
    }

    /// What its containers are labelled with.
    pub(super) fn labels(&self) -> HashMap<String, String> {
        [
            (TOOL, env!("CARGO_PKG_VERSION").to_owned()),
            (RUN, self.run.clone()),
            (PID, self.pid.to_string()),
            (STARTED, self.started.to_string()),
            (BOOT, self.boot.clone()),
            (NAMESPACE, self.namespace.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Whether the owner that `labels` name is gone for certain, as far as this process can see; `started` says when a
    /// process did. One of another namespace cannot be seen from here, so its containers are not ours to judge.
    pub(super) fn outlives(
        &self,
        labels: &HashMap<String, String>,
        started: impl Fn(u32) -> Option<u64>,
    ) -> bool {
        let label = |name: &str| labels.get(name);
        let number = |name: &str| label(name).and_then(|text| text.parse::<u64>().ok());
        let (Some(boot), Some(namespace)) = (label(BOOT), label(NAMESPACE)) else {
            return false;
        };
        let (Some(pid), Some(began)) = (number(PID), number(STARTED)) else {
            return false;
        };
        let Ok(pid) = u32::try_from(pid) else {
            return false;
        };
        *boot != self.boot || (*namespace == self.namespace && started(pid) != Some(began))
    }
}

/// When process `pid` started, in clock ticks after the boot; none where it has ended.
pub(super) fn started(pid: u32) -> Option<u64> {
    let process = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?;
    let stat = process.stat().ok()?;
    // One that its parent has not waited for yet does nothing any more.
    (!matches!(stat.state, 'Z' | 'X')).then_some(stat.starttime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_certainly_gone_is_outlived() {
        let owner = Owner {
            run: "r".into(),
            pid: 7,
            started: 1_000,
            boot: "b1".into(),
            namespace: "pid:[1]".into(),
        };
        let labels = owner.labels();
        let with = |name: &str, value: &str| {
            let mut labels = owner.labels();
            labels.insert(name.into(), value.into());
            labels
        };
        let at = |ticks| move |_: u32| ticks;
        assert!(!owner.outlives(&labels, at(Some(1_000))), "it lives");
        assert!(owner.outlives(&labels, at(None)), "it has ended");
        assert!(
            owner.outlives(&labels, at(Some(1_001))),
            "its id is another's"
        );
        let elsewhere = with(NAMESPACE, "pid:[2]");
        assert!(!owner.outlives(&elsewhere, at(None)), "it cannot be seen");
        assert!(
            owner.outlives(&with(BOOT, "b0"), at(Some(1_000))),
            "the machine was booted since"
        );
        assert!(!owner.outlives(&with(PID, "x"), at(None)), "not ours");
        assert!(!owner.outlives(&HashMap::new(), at(None)), "not ours");
    }

    #[test]
    fn this_process_lives() {
        let owner = Owner::this().unwrap();
        assert!(!owner.outlives(&owner.labels(), started));
        assert_eq!(Owner::this().unwrap().run, owner.run);
    }
}
