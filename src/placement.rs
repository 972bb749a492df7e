//! Which CPUs the generator, the target and the stores run on: a pure function of the machine and of what was asked.
//!
//! A generator that shares its CPUs with what it measures waits for the target, and the target for it. From four cores up
//! they are set apart, the same way for every arm of a comparison.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// From so many cores on, they are set apart without being asked: with fewer, the target would be left with one, and what
/// is measured would be that.
const CORES_TO_DIVIDE: usize = 4;

/// The generator gets one in so many cores at most, and so do the stores: the target is what is measured.
const SHARE: usize = 4;

/// The highest number of a CPU that Linux's sets hold.
const HIGHEST_CPU: usize = 1023;

/// CPUs by their numbers, written as the kernel does: `0-2,5`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuList(BTreeSet<usize>);

/// The CPUs that tailmark may use, those of one core together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    cores: Vec<CpuList>,
}

/// What was asked: `auto`, `none`, or three lists `GENERATOR:TARGET:STORES`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Pin {
    /// Set apart where the machine has the cores for it.
    #[default]
    Auto,
    /// Everything runs everywhere.
    None,
    /// As said.
    Lists(Placement),
}

/// CPUs of each part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Of the generator, and of the probe that reads the target's memory.
    pub generator: CpuList,
    /// Of a target that tailmark starts.
    pub target: CpuList,
    /// Of PostgreSQL and Redis, where tailmark starts them.
    pub stores: CpuList,
}

/// What is to be placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Threads of the generator.
    pub workers: usize,
    /// Whether tailmark starts the targets.
    pub targets: bool,
    /// Whether it starts stores for them.
    pub stores: bool,
}

/// What cannot be done with CPUs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// Not one of the forms.
    #[error("`{0}` is neither auto, none nor three lists of CPUs")]
    Form(String),
    /// Not a list.
    #[error("`{0}` is no list of CPUs")]
    List(String),
    /// A part that would wait for the generator, or it for that part.
    #[error("CPU {cpu} is given to the generator and to the {other}")]
    Shared {
        /// The CPU.
        cpu: usize,
        /// `target` or `stores`.
        other: &'static str,
    },
    /// A CPU that is not there, or that others keep from us.
    #[error("CPU {cpu} is not among those that tailmark may use, {allowed}")]
    Missing {
        /// The CPU.
        cpu: usize,
        /// Those it may use.
        allowed: CpuList,
    },
}

impl PinError {
    /// The next step.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Form(_) | Self::List(_) => {
                "write --pin GENERATOR:TARGET:STORES, such as --pin 0:1-2:3"
            }
            Self::Shared { .. } => {
                "give the generator CPUs of its own; target and stores may share theirs"
            }
            Self::Missing { .. } => "taskset -cp $$ and a container's cpuset say which these are",
        }
    }
}

impl Topology {
    /// A machine of these cores, each with the CPUs that are its threads. Cores without a CPU are left out.
    #[must_use]
    pub fn new(cores: impl IntoIterator<Item = CpuList>) -> Self {
        Self {
            cores: cores.into_iter().filter(|core| !core.is_empty()).collect(),
        }
    }

    /// All CPUs.
    #[must_use]
    pub fn all(&self) -> CpuList {
        CpuList::union(&self.cores)
    }

    /// How many cores it has.
    #[must_use]
    pub fn cores(&self) -> usize {
        self.cores.len()
    }
}

impl Pin {
    /// Where `parts` run on a machine of `topology`; none where nothing is set apart.
    ///
    /// By itself (`auto`) from four cores on, where the target is tailmark's to start: the last cores are the generator's,
    /// as many as it has threads and a quarter at most; the first quarter is the stores', where there are any; what
    /// lies between is the target's. CPU 0 commonly serves the machine's own needs, so the generator keeps away from it.
    ///
    /// # Errors
    /// When a list names a CPU that is not there.
    pub fn place(&self, topology: &Topology, parts: Parts) -> Result<Option<Placement>, PinError> {
        match self {
            Self::None => Ok(None),
            Self::Lists(placement) => placement.check(topology).map(|()| Some(placement.clone())),
            Self::Auto => Ok(auto(topology, parts)),
        }
    }
}

fn auto(topology: &Topology, parts: Parts) -> Option<Placement> {
    let cores = &topology.cores;
    if cores.len() < CORES_TO_DIVIDE || !parts.targets {
        return None;
    }
    let quarter = cores.len() / SHARE;
    let stores = if parts.stores { quarter } else { 0 };
    let generator = cores.len() - parts.workers.clamp(1, quarter);
    Some(Placement {
        stores: CpuList::union(&cores[..stores]),
        target: CpuList::union(&cores[stores..generator]),
        generator: CpuList::union(&cores[generator..]),
    })
}

impl Placement {
    fn parts(&self) -> [(&'static str, &CpuList); 3] {
        [
            ("generator", &self.generator),
            ("target", &self.target),
            ("stores", &self.stores),
        ]
    }

    fn check(&self, topology: &Topology) -> Result<(), PinError> {
        let allowed = topology.all();
        let mut asked = self.parts().into_iter().flat_map(|(_, list)| list.cpus());
        match asked.find(|&cpu| !allowed.holds(cpu)) {
            Some(cpu) => Err(PinError::Missing { cpu, allowed }),
            None => Ok(()),
        }
    }
}

impl CpuList {
    /// Its CPUs, in order.
    pub fn cpus(&self) -> impl Iterator<Item = usize> {
        self.0.iter().copied()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `cpu` is one of them.
    #[must_use]
    pub fn holds(&self, cpu: usize) -> bool {
        self.0.contains(&cpu)
    }

    fn union(lists: &[Self]) -> Self {
        lists.iter().flat_map(Self::cpus).collect()
    }
}

impl FromIterator<usize> for CpuList {
    fn from_iter<T: IntoIterator<Item = usize>>(cpus: T) -> Self {
        Self(cpus.into_iter().collect())
    }
}

impl FromStr for CpuList {
    type Err = PinError;

    /// At least one CPU: `3`, `0-2` or `0-2,5`.
    fn from_str(text: &str) -> Result<Self, PinError> {
        let refused = || PinError::List(text.to_owned());
        let number = |text: &str| {
            let cpu: usize = text.trim().parse().ok()?;
            (cpu <= HIGHEST_CPU).then_some(cpu)
        };
        let mut cpus = BTreeSet::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = number(first).zip(number(last)).ok_or_else(refused)?;
            if last < first {
                return Err(refused());
            }
            cpus.extend(first..=last);
        }
        Ok(Self(cpus))
    }
}

impl fmt::Display for CpuList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for cpu in self.cpus() {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == cpu => *last = cpu,
                _ => runs.push((cpu, cpu)),
            }
        }
        for (index, (first, last)) in runs.into_iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let lists: Vec<&str> = match text {
            "auto" => return Ok(Self::Auto),
            "none" => return Ok(Self::None),
            lists => lists.split(':').collect(),
        };
        let [generator, target, stores] = lists[..] else {
            return Err(PinError::Form(text.to_owned()));
        };
        let placement = Placement {
            generator: generator.parse()?,
            target: target.parse()?,
            stores: stores.parse()?,
        };
        for (other, list) in &placement.parts()[1..] {
            if let Some(cpu) = list.cpus().find(|&cpu| placement.generator.holds(cpu)) {
                return Err(PinError::Shared { cpu, other });
            }
        }
        Ok(Self::Lists(placement))
    }
}

impl fmt::Display for Placement {
    /// As records keep it: `generator 7, target 2-6, stores 0-1`; a part without CPUs is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts();
        let named = parts.iter().filter(|(_, list)| !list.is_empty());
        for (index, (name, list)) in named.enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{name} {list}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> CpuList {
        text.parse().unwrap()
    }

    fn machine(cores: &[&str]) -> Topology {
        Topology::new(cores.iter().map(|core| list(core)))
    }

    /// `placed` in words, empty where nothing is set apart.
    fn check(pin: &str, topology: &Topology, parts: Parts, placed: &str) {
        let placement = pin.parse::<Pin>().unwrap().place(topology, parts).unwrap();
        let words = placement.map_or(String::new(), |placement| placement.to_string());
        assert_eq!(words, placed, "{pin} {parts:?} {topology:?}");
    }

    const OURS: Parts = Parts {
        workers: 1,
        targets: true,
        stores: true,
    };

    #[test]
    fn cores_are_set_apart_from_four_up() {
        let two = machine(&["0", "1"]);
        let three = machine(&["0", "1", "2"]);
        let four = machine(&["0", "1", "2", "3"]);
        let four_of_eight_threads = machine(&["0,4", "1,5", "2,6", "3,7"]);
        let eight = machine(&["0", "1", "2", "3", "4", "5", "6", "7"]);
        let part_of_a_machine = machine(&["8", "10", "12", "14"]);
        check("auto", &two, OURS, "");
        check("auto", &three, OURS, "");
        check("auto", &four, OURS, "generator 3, target 1-2, stores 0");
        check(
            "auto",
            &four_of_eight_threads,
            OURS,
            "generator 3,7, target 1-2,5-6, stores 0,4",
        );
        check("auto", &eight, OURS, "generator 7, target 2-6, stores 0-1");
        check(
            "auto",
            &part_of_a_machine,
            OURS,
            "generator 14, target 10,12, stores 8",
        );
    }

    #[test]
    fn the_generator_has_a_core_for_each_worker_and_a_quarter_at_most() {
        let eight = machine(&["0", "1", "2", "3", "4", "5", "6", "7"]);
        let with = |workers| Parts { workers, ..OURS };
        let two = "generator 6-7, target 2-5, stores 0-1";
        check("auto", &eight, with(2), two);
        check("auto", &eight, with(5), two);
        let alone = Parts {
            stores: false,
            ..OURS
        };
        check("auto", &eight, alone, "generator 7, target 0-6");
    }

    #[test]
    fn a_target_that_runs_already_runs_where_it_does() {
        let four = machine(&["0", "1", "2", "3"]);
        let theirs = Parts {
            targets: false,
            ..OURS
        };
        check("auto", &four, theirs, "");
        check("0:1:1", &four, theirs, "generator 0, target 1, stores 1");
    }

    #[test]
    fn what_is_asked_is_done_whatever_the_machine() {
        let two = machine(&["0", "1"]);
        check("none", &machine(&["0", "1", "2", "3"]), OURS, "");
        check("0:1:1", &two, OURS, "generator 0, target 1, stores 1");
        let asked: Pin = "0:1-4:1".parse().unwrap();
        let refused = asked.place(&two, OURS).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "CPU 2 is not among those that tailmark may use, 0-1"
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, words) in [
            ("all", "`all` is neither auto, none nor three lists of CPUs"),
            ("0:1", "`0:1` is neither auto, none nor three lists of CPUs"),
            ("0:x:1", "`x` is no list of CPUs"),
            ("0::1", "`` is no list of CPUs"),
            ("0:3-1:1", "`3-1` is no list of CPUs"),
            ("0:1:5000", "`5000` is no list of CPUs"),
            (
                "0-1:1:2",
                "CPU 1 is given to the generator and to the target",
            ),
            (
                "0:1:0-3",
                "CPU 0 is given to the generator and to the stores",
            ),
        ] {
            assert_eq!(text.parse::<Pin>().unwrap_err().to_string(), words);
        }
    }

    #[test]
    fn lists_are_written_as_the_kernel_does() {
        for (text, written) in [("5", "5"), ("2,0-1", "0-2"), ("0,2,3,7-8", "0,2-3,7-8")] {
            assert_eq!(list(text).to_string(), written);
        }
    }
}
