//! Which folders of the control group hierarchies are a container's: pure functions of `/proc/PID/cgroup` and
//! `/proc/self/mountinfo` (cgroups(7), proc_pid_mountinfo(5)).

use std::io;
use std::path::{Path, PathBuf};

use procfs::process::{MountInfo, MountInfos};
use procfs::{FromRead as _, ProcessCGroup, ProcessCGroups};

/// Which of the kernel's two interfaces has the files of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// A hierarchy for each controller, or several together.
    V1,
    /// One hierarchy for all.
    V2,
}

/// Where a container's files stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) version: Version,
    pub(super) memory: PathBuf,
    /// Where the hierarchy of `memory` is mounted.
    pub(super) top: PathBuf,
    pub(super) cpu: Option<PathBuf>,
    /// v1 alone.
    pub(super) cpuacct: Option<PathBuf>,
    pub(super) pids: Option<PathBuf>,
}

/// Why a process has no control group to read.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// `/proc` could not be read, or the process is not there.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Not in the form that the kernel writes.
    #[error("cannot understand {path}")]
    Strange {
        /// The file.
        path: String,
        /// What it lacks.
        #[source]
        source: procfs::ProcError,
    },
    /// It is in the root group, with everything else.
    #[error(
        "process {pid} is in no control group of its own, so its memory cannot be told from the machine's; watch the \
         process instead (pid:{pid})"
    )]
    Uncontained {
        /// The process.
        pid: u32,
    },
    /// Its group is not mounted here, or memory is not accounted for.
    #[error(
        "the control group {group} of process {pid} has no files of memory that can be seen from here; if tailmark runs in \
         a container, start that with the host's /sys/fs/cgroup and --cgroupns=host, or watch the process instead (pid:{pid})"
    )]
    Unmounted {
        /// The process.
        pid: u32,
        /// What the kernel calls the group.
        group: String,
    },
}

impl Place {
    /// The place of the container that process `pid` is in. Memory decides: of a machine with both interfaces (hybrid) the one
    /// is taken where its files stand. `is_file` looks whether a file is there.
    pub(super) fn find(
        pid: u32,
        groups: &str,
        mounts: &str,
        is_file: impl Fn(&Path) -> bool,
    ) -> Result<Place, PlaceError> {
        let strange = |path: String| move |source| PlaceError::Strange { path, source };
        let groups = ProcessCGroups::from_read(groups.as_bytes())
            .map_err(strange(format!("/proc/{pid}/cgroup")))?
            .0;
        let mounts = MountInfos::from_read(mounts.as_bytes())
            .map_err(strange("/proc/self/mountinfo".to_owned()))?
            .0;
        let v1 = |controller: &str| {
            let group = groups
                .iter()
                .find(|group| group.controllers.iter().any(|name| name == controller))?;
            let hierarchy = mounts.iter().filter(|mount| {
                mount.fs_type == "cgroup" && mount.super_options.contains_key(controller)
            });
            Some((group, mounted(group, hierarchy)))
        };
        let unified = groups.iter().find(|group| group.controllers.is_empty());
        let v2 = unified.map(|group| {
            let hierarchy = mounts.iter().filter(|mount| mount.fs_type == "cgroup2");
            (group, mounted(group, hierarchy))
        });
        let (version, found) = match v1("memory") {
            Some(found) => (Version::V1, Some(found)),
            None => (Version::V2, v2.clone()),
        };
        let Some((group, found)) = found else {
            return Err(PlaceError::Uncontained { pid });
        };
        if container_part(&group.pathname) == "/" {
            return Err(PlaceError::Uncontained { pid });
        }
        let unmounted = || PlaceError::Unmounted {
            pid,
            group: group.pathname.clone(),
        };
        let (top, folder) = found.ok_or_else(unmounted)?;
        let usage = match version {
            Version::V1 => "memory.usage_in_bytes",
            Version::V2 => "memory.current",
        };
        // A group whose parent does not hand the controller down has no files of its own: it is accounted for above.
        let memory = parents(&folder, &top)
            .find(|folder| is_file(&folder.join(usage)))
            .map(Path::to_owned)
            .ok_or_else(unmounted)?;
        let v2 = v2.and_then(|(_, found)| found).map(|(_, folder)| folder);
        let beside = |controller| match v1(controller) {
            Some((_, found)) => found.map(|(_, folder)| folder),
            None => v2.clone(),
        };
        Ok(Place {
            version,
            cpu: beside("cpu"),
            cpuacct: v1("cpuacct")
                .and_then(|(_, found)| found)
                .map(|(_, folder)| folder),
            pids: beside("pids"),
            memory,
            top,
        })
    }

    /// `folder` and those above it, but for where the hierarchy is mounted: what is limited there is limited below.
    pub(super) fn with_parents<'a>(&'a self, folder: &'a Path) -> impl Iterator<Item = &'a Path> {
        parents(folder, &self.top)
    }
}

/// `folder` and those above it, without `top` unless that is `folder` itself: only this group is mounted then.
fn parents<'a>(folder: &'a Path, top: &'a Path) -> impl Iterator<Item = &'a Path> {
    let above = folder.ancestors().skip(1);
    let above = above.take_while(move |folder| *folder != top && folder.starts_with(top));
    std::iter::once(folder).chain(above)
}

/// Where a hierarchy is mounted, and the folder of the container's group in it.
fn mounted<'a>(
    group: &ProcessCGroup,
    hierarchy: impl Iterator<Item = &'a MountInfo>,
) -> Option<(PathBuf, PathBuf)> {
    let path = Path::new(container_part(&group.pathname));
    // A group outside this process's namespace has a path that begins with `/..`.
    if path.components().any(|part| part.as_os_str() == "..") {
        return None;
    }
    // Of several mounts of a hierarchy, the one that shows the most of the path.
    hierarchy
        .filter_map(|mount| Some((path.strip_prefix(&mount.root).ok()?, &mount.mount_point)))
        .min_by_key(|(below, _)| below.components().count())
        .map(|(below, top)| (top.clone(), top.join(below)))
}

/// The part of a group's path that is the container's: up to the last name that has a container's id of 64 digits, such as
/// `docker/ID`, `docker-ID.scope` or `libpod-ID.scope`. What follows are groups that podman (`container`) or a systemd inside
/// made, and the container is all of them. A group without such a name is taken as it is.
fn container_part(path: &str) -> &str {
    let mut end = path.len();
    let mut at = 0;
    for name in path.split_inclusive('/') {
        at += name.len();
        if has_id(name) {
            end = at;
        }
    }
    let part = &path[..end];
    if part.len() > 1 {
        part.trim_end_matches('/')
    } else {
        part
    }
}

fn has_id(name: &str) -> bool {
    name.split(|c: char| !c.is_ascii_hexdigit())
        .any(|digits| digits.len() == 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "f0c5f1f5d3a14a0fb1c6b8c6b7c2a5d1e9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4";

    /// The place of a process by the data of `machine`, with `{id}` in them replaced; and by the files that are there.
    fn find(machine: &str, files: &[&str]) -> Result<Place, PlaceError> {
        let (groups, mounts) = machine.split_once("---\n").unwrap();
        let with_id = |text: &str| text.replace("{id}", ID);
        let files: Vec<PathBuf> = files.iter().map(|file| with_id(file).into()).collect();
        Place::find(42, &with_id(groups), &with_id(mounts), |file| {
            files.iter().any(|there| there == file)
        })
    }

    fn path(text: &str) -> PathBuf {
        text.replace("{id}", ID).into()
    }

    #[test]
    fn docker_with_v1_has_a_folder_for_each_controller() {
        let place = find(
            include_str!("testdata/v1-docker.place"),
            &["/sys/fs/cgroup/memory/docker/{id}/memory.usage_in_bytes"],
        );
        let expected = Place {
            version: Version::V1,
            memory: path("/sys/fs/cgroup/memory/docker/{id}"),
            top: path("/sys/fs/cgroup/memory"),
            cpu: Some(path("/sys/fs/cgroup/cpu/docker/{id}")),
            cpuacct: Some(path("/sys/fs/cgroup/cpuacct/docker/{id}")),
            pids: Some(path("/sys/fs/cgroup/pids/docker/{id}")),
        };
        assert_eq!(place.unwrap(), expected);
    }

    /// v2, and what podman adds to it: one folder, the container's and not that of the groups inside.
    fn check_v2(machine: &str, folder: &str) {
        let file = format!("{folder}/memory.current");
        // The groups inside have files too, and are less than the container.
        let inside = format!("{folder}/container/memory.current");
        let place = find(machine, &[&file, &inside]);
        let expected = Place {
            version: Version::V2,
            memory: path(folder),
            top: path("/sys/fs/cgroup"),
            cpu: Some(path(folder)),
            cpuacct: None,
            pids: Some(path(folder)),
        };
        assert_eq!(place.unwrap(), expected);
    }

    #[test]
    fn docker_and_podman_with_v2_have_one_folder() {
        check_v2(
            include_str!("testdata/v2-docker.place"),
            "/sys/fs/cgroup/system.slice/docker-{id}.scope",
        );
        check_v2(
            include_str!("testdata/v2-podman.place"),
            "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{id}.scope",
        );
    }

    #[test]
    fn a_hybrid_machine_is_read_where_the_files_of_memory_stand() {
        let machine = include_str!("testdata/hybrid.place");
        let folder = path("/sys/fs/cgroup/unified/machine.slice/libpod-{id}.scope");
        let place = find(
            machine,
            &["/sys/fs/cgroup/unified/machine.slice/libpod-{id}.scope/memory.current"],
        )
        .unwrap();
        assert_eq!(
            (place.version, &place.memory, &place.pids),
            (Version::V2, &folder, &Some(folder.clone()))
        );
        // CPU is v1's there.
        let cpu = path("/sys/fs/cgroup/cpu,cpuacct/machine.slice/libpod-{id}.scope");
        assert_eq!((place.cpu, place.cpuacct), (Some(cpu.clone()), Some(cpu)));
    }

    #[test]
    fn a_group_without_files_of_its_own_is_accounted_for_above() {
        let machine = include_str!("testdata/v2-docker.place");
        let place = find(machine, &["/sys/fs/cgroup/system.slice/memory.current"]).unwrap();
        assert_eq!(place.memory, path("/sys/fs/cgroup/system.slice"));
        // The root has none, whatever stands there.
        let error = find(machine, &["/sys/fs/cgroup/memory.current"]).unwrap_err();
        assert!(matches!(error, PlaceError::Unmounted { .. }), "{error}");
    }

    #[test]
    fn a_mount_of_the_container_alone_is_its_folder() {
        let machine = "4:memory:/docker/{id}\n---\n\
             35 31 0:32 /docker/{id} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let file = "/sys/fs/cgroup/memory/memory.usage_in_bytes";
        let place = find(machine, &[file]).unwrap();
        assert_eq!(place.memory, path("/sys/fs/cgroup/memory"));
        let elsewhere = machine.replacen("/docker/{id}", "/docker/other", 1);
        assert!(find(&elsewhere, &[file]).is_err());
    }

    #[test]
    fn what_has_no_group_of_its_own_is_told() {
        let mounts = "---\n41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        for (groups, expected) in [
            ("0::/\n", "process 42 is in no control group of its own"),
            ("", "process 42 is in no control group of its own"),
            ("0::/../{id}\n", "/.. has no files"),
            ("zero::/\n", "cannot understand /proc/42/cgroup"),
        ] {
            let error = find(
                &format!("{groups}{mounts}"),
                &["/sys/fs/cgroup/memory.current"],
            );
            let told = error.unwrap_err().to_string();
            let expected = expected.replace("/.. has", &format!("/../{ID} of process 42 has"));
            assert!(told.contains(&expected), "{told}");
        }
    }

    #[test]
    fn the_container_is_all_groups_from_its_id_downwards() {
        for (group, part) in [
            ("/", "/"),
            ("/system.slice/nginx.service", "/system.slice/nginx.service"),
            ("/docker/{id}", "/docker/{id}"),
            ("/docker/{id}/init.scope", "/docker/{id}"),
            ("/docker/{id}/docker/{id}/x", "/docker/{id}/docker/{id}"),
            (
                "/machine.slice/libpod-{id}.scope/container",
                "/machine.slice/libpod-{id}.scope",
            ),
            ("/user.slice/abc.scope", "/user.slice/abc.scope"),
        ] {
            let [group, part] = [group, part].map(|text| text.replace("{id}", ID));
            assert_eq!(container_part(&group), part);
        }
    }
}
