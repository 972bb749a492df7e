//! Whose something is: labels by which a later start finds what a killed tailmark has left behind.
//!
//! An owner is a process. Its id alone says little, for the kernel gives ids away again; so with it stand the moment of its
//! start, the boot that this moment counts from, the machine that was booted, the namespace that the id belongs to, and the user.

use std::fs;
use std::io;
use std::sync::OnceLock;

/// The label that says which version of tailmark an owner is: whatever has it is a tailmark's.
pub(crate) const TOOL: &str = "tailmark.version";
const RUN: &str = "tailmark.run";
const UID: &str = "tailmark.owner.uid";
const PID: &str = "tailmark.owner.pid";
const STARTED: &str = "tailmark.owner.started";
const BOOT: &str = "tailmark.owner.boot";
const MACHINE: &str = "tailmark.owner.machine";
const NAMESPACE: &str = "tailmark.owner.pid-namespace";

/// A process that owns something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    /// Drawn once per process.
    pub(crate) run: String,
    uid: u32,
    pid: u32,
    /// Clock ticks after the boot.
    started: u64,
    boot: String,
    /// Empty where the machine has no id: then no two boots of it are known to be the same machine's.
    machine: String,
    namespace: String,
}

/// What has become of an owner, as far as can be seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It lives, or it is not for us to judge: another user's, another machine's, or out of sight.
    Unknown,
    /// It has ended.
    Ended,
    /// It has ended, and this machine was booted since: of its processes none can live.
    Rebooted,
}

impl Owner {
    /// This process.
    pub(crate) fn this() -> io::Result<&'static Owner> {
        static THIS: OnceLock<Owner> = OnceLock::new();
        if let Some(owner) = THIS.get() {
            return Ok(owner);
        }
        let pid = std::process::id();
        let started = started(pid).ok_or_else(|| io::Error::other("/proc has no such process"))?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
        let namespace = fs::read_link("/proc/self/ns/pid")?;
        let owner = Owner {
            run: uuid::Uuid::new_v4().simple().to_string(),
            uid: rustix::process::geteuid().as_raw(),
            pid,
            started,
            boot: boot.trim_end().to_owned(),
            machine: machine.trim_end().to_owned(),
            namespace: namespace.display().to_string(),
        };
        Ok(THIS.get_or_init(|| owner))
    }

    /// What is written onto what it owns.
    pub(crate) fn labels(&self) -> [(&'static str, String); 8] {
        [
            (TOOL, env!("CARGO_PKG_VERSION").to_owned()),
            (RUN, self.run.clone()),
            (UID, self.uid.to_string()),
            (PID, self.pid.to_string()),
            (STARTED, self.started.to_string()),
            (BOOT, self.boot.clone()),
            (MACHINE, self.machine.clone()),
            (NAMESPACE, self.namespace.clone()),
        ]
    }

    /// The run of the owner that `label` tells of, if it does.
    pub(crate) fn run_of<'l>(label: impl Fn(&str) -> Option<&'l str>) -> Option<&'l str> {
        label(RUN).filter(|run| !run.is_empty())
    }

    /// What has become of the owner that `label` tells of; `started` says when a process did.
    pub(crate) fn fate_of<'l>(
        &self,
        label: impl Fn(&str) -> Option<&'l str>,
        started: impl Fn(u32) -> Option<u64>,
    ) -> Fate {
        let known = || {
            let uid = label(UID)?.parse::<u32>().ok()?;
            let pid = label(PID)?.parse::<u32>().ok()?;
            let began = label(STARTED)?.parse::<u64>().ok()?;
            Some((uid, pid, began, label(BOOT)?, label(NAMESPACE)?))
        };
        let Some((uid, pid, began, boot, namespace)) = known() else {
            return Fate::Unknown;
        };
        // Of another user's processes not all may be seen.
        if uid != self.uid {
            return Fate::Unknown;
        }
        if boot != self.boot {
            let here = !self.machine.is_empty() && label(MACHINE) == Some(&self.machine);
            return if here { Fate::Rebooted } else { Fate::Unknown };
        }
        if namespace == self.namespace && started(pid) != Some(began) {
            Fate::Ended
        } else {
            Fate::Unknown
        }
    }
}

/// When process `pid` started, in clock ticks after the boot; none where it has ended.
pub(crate) fn started(pid: u32) -> Option<u64> {
    let process = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?;
    let stat = process.stat().ok()?;
    // One that its parent has not waited for yet does nothing any more.
    (!matches!(stat.state, 'Z' | 'X')).then_some(stat.starttime)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner {
            run: "r".into(),
            uid: 1000,
            pid: 7,
            started: 1_000,
            boot: "b1".into(),
            machine: "m1".into(),
            namespace: "pid:[1]".into(),
        }
    }

    /// What has become of the owner, with one of its labels changed, where process 7 started at `ticks`.
    fn fate(changed: (&str, &str), ticks: Option<u64>) -> Fate {
        let labels = owner().labels();
        let label = |name: &str| {
            if name == changed.0 {
                return (!changed.1.is_empty()).then_some(changed.1);
            }
            let found = labels.iter().find(|(label, _)| *label == name);
            found.map(|(_, value)| value.as_str())
        };
        owner().fate_of(label, |_| ticks)
    }

    #[test]
    fn only_what_is_certainly_gone_has_ended() {
        let same = ("", "");
        for (changed, ticks, expected) in [
            (same, Some(1_000), Fate::Unknown),
            (same, None, Fate::Ended),
            // Its id is another's.
            (same, Some(1_001), Fate::Ended),
            ((NAMESPACE, "pid:[2]"), None, Fate::Unknown),
            ((UID, "1001"), None, Fate::Unknown),
            ((BOOT, "b0"), Some(1_000), Fate::Rebooted),
            ((PID, "x"), None, Fate::Unknown),
            ((STARTED, ""), None, Fate::Unknown),
            ((BOOT, ""), None, Fate::Unknown),
        ] {
            assert_eq!(fate(changed, ticks), expected, "{changed:?} {ticks:?}");
        }
    }

    #[test]
    fn another_boot_of_another_machine_is_not_ours_to_judge() {
        let labels = owner().labels();
        let elsewhere = |machine: &'static str| {
            let label = |name: &str| match name {
                BOOT => Some("b0"),
                MACHINE => Some(machine),
                name => {
                    let found = labels.iter().find(|(label, _)| *label == name);
                    found.map(|(_, value)| value.as_str())
                }
            };
            owner().fate_of(label, |_| None)
        };
        assert_eq!(elsewhere("m1"), Fate::Rebooted);
        assert_eq!(elsewhere("m2"), Fate::Unknown);
        assert_eq!(elsewhere(""), Fate::Unknown);
    }

    #[test]
    fn this_process_lives() {
        let owner = Owner::this().unwrap();
        let labels = owner.labels();
        let label = |name: &str| {
            let found = labels.iter().find(|(label, _)| *label == name);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(owner.fate_of(label, started), Fate::Unknown);
        assert_eq!(owner.fate_of(label, |_| None), Fate::Ended);
        assert_eq!(Owner::run_of(label), Some(owner.run.as_str()));
        assert_eq!(Owner::this().unwrap().run, owner.run);
    }
}
