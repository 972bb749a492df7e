//! What a tailmark leaves behind that is killed: the next one ends it and removes it, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use procfs::process::{Process, all_processes};
use rustix::process::{Pid, Signal, kill_process};

use support::scripted::{Reply, Scripted};
use support::{Ran, Tool};

/// Longer than anything here takes on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(120);

const SCENARIO: &str = "tailmark: 1
flows: { f: { steps: [ { get: / } ] } }
phases: [ { name: steady, rate: 20/s, for: 10m } ]
";

/// A process, by what nobody else can have.
type Living = (i32, u64);

/// A target with stores and something beside it, and a folder for temporary files.
struct Case {
    tool: Tool,
    temporary: PathBuf,
}

impl Case {
    fn new() -> Self {
        let tool = Tool::new();
        // Stores keep their data in the temporary folder, which their own account has to reach.
        fs::set_permissions(tool.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let temporary = tool.folder.path().join("tmp");
        fs::create_dir(&temporary).unwrap();
        fs::set_permissions(&temporary, fs::Permissions::from_mode(0o1777)).unwrap();
        tool.write("load.yaml", SCENARIO);
        let oracle = format!("{} oracle --port {{port}}", env!("CARGO_BIN_EXE_tailmark"));
        let target = format!("command: {oracle}\n    stores: [postgres, redis]");
        let targets = format!(
            "tailmark: 1\ntargets:\n  svc:\n    {target}\n    beside:\n      UP: {oracle}\n"
        );
        tool.write("targets.yaml", &targets);
        Self { tool, temporary }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.tool.command(words);
        command
            .env("TMPDIR", &self.temporary)
            .env_remove("DATABASE_URL")
            .env_remove("REDIS_URL")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn start(&self, words: &[&str]) -> Child {
        self.command(words).spawn().unwrap()
    }

    /// Any measurement; what it said on standard error.
    fn next(&self) -> String {
        let server = Scripted::start(|_| Reply::Status(200));
        let words = ["run", &server.url(), "--debug"];
        let mut command = self.command(&words);
        let ran = Ran::from(command.stderr(Stdio::piped()).output().unwrap());
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        ran.err
    }

    /// The estates that are there.
    fn estates(&self) -> BTreeSet<PathBuf> {
        let entries = fs::read_dir(&self.temporary).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Processes that have to do with the temporary folder: by where they are, or by their environment.
    fn processes(&self) -> Vec<String> {
        let is_ours = |process: &Process| {
            let here = process
                .cwd()
                .is_ok_and(|at| at.starts_with(&self.temporary));
            let variable = Path::new("TMPDIR").as_os_str();
            let told = process.environ().unwrap_or_default();
            here || told
                .get(variable)
                .is_some_and(|path| *path == *self.temporary)
        };
        let ours = all_processes().unwrap().flatten().filter(is_ours);
        let name = |process: Process| Some(process.stat().ok()?.comm);
        ours.filter_map(name).collect()
    }
}

fn living(pid: i32) -> Option<Living> {
    let stat = Process::new(pid).and_then(|process| process.stat()).ok()?;
    (stat.state != 'Z').then_some((pid, stat.starttime))
}

fn lives(process: &Living) -> bool {
    living(process.0) == Some(*process)
}

/// The children of `parent`, each with its name.
fn children(parent: i32) -> Vec<(Living, String)> {
    let stats = all_processes().unwrap().flatten();
    let stats = stats.filter_map(|process| process.stat().ok());
    let children = stats.filter(|stat| stat.ppid == parent && stat.state != 'Z');
    children
        .map(|stat| ((stat.pid, stat.starttime), stat.comm))
        .collect()
}

/// The children of `parent` as soon as all of `names` are among them.
fn awaited(parent: &mut Child, names: &[&str]) -> Vec<Living> {
    let pid = i32::try_from(parent.id()).unwrap();
    let begun = Instant::now();
    loop {
        let children = children(pid);
        let mut there: Vec<&str> = children.iter().map(|(_, name)| name.as_str()).collect();
        there.sort_unstable();
        if there == names {
            return children.into_iter().map(|(child, _)| child).collect();
        }
        assert!(begun.elapsed() < PATIENCE, "{there:?}");
        assert!(parent.try_wait().unwrap().is_none(), "it has ended");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// All that `roots` have started, and themselves.
fn families(roots: &[Living]) -> Vec<Living> {
    let mut all = roots.to_vec();
    let mut at = 0;
    while at < all.len() {
        all.extend(children(all[at].0).into_iter().map(|(child, _)| child));
        at += 1;
    }
    all
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Ends it as a person does.
fn interrupt(mut child: Child) {
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    child.wait().unwrap();
}

/// What runs once the target does.
const ALL: [&str; 4] = ["postgres", "redis-server", "tailmark", "tailmark"];

#[test]
fn the_next_start_ends_and_removes_what_a_killed_one_left_and_nothing_of_a_living_one() {
    let case = Case::new();
    let words = ["run", "load.yaml", "--target", "svc"];
    let mut living = case.start(&words);
    let others = awaited(&mut living, &ALL);
    let of_others = case.estates();
    assert_eq!(of_others.len(), 1);
    let mut killed = case.start(&words);
    let left = awaited(&mut killed, &ALL);
    let families = families(&left);
    assert!(
        families.len() > left.len(),
        "PostgreSQL has processes of its own"
    );
    kill(killed);
    assert!(left.iter().all(lives), "nothing ends with it");
    assert_eq!(case.estates().len(), 2);

    let said = case.next();
    assert!(
        said.contains(
            "cleared away 4 processes and their files that a killed tailmark had left behind\n"
        ),
        "{said}"
    );
    let rest: Vec<&Living> = families.iter().filter(|process| lives(process)).collect();
    assert!(rest.is_empty(), "{rest:?}");
    assert_eq!(case.estates(), of_others);
    assert!(others.iter().all(lives), "the other one lives");

    // And when nothing is left, nothing is said.
    assert!(!case.next().contains("killed tailmark"));
    interrupt(living);
    assert!(!others.iter().any(lives));
    assert_eq!(case.estates(), BTreeSet::new());
}

#[test]
fn folders_of_what_serves_by_hand_go_too() {
    let case = Case::new();
    let mut killed = case.start(&["services", "up", "--no-build"]);
    let left = awaited(&mut killed, &ALL);
    kill(killed);
    case.next();
    assert!(!left.iter().any(lives));
    assert_eq!(case.estates(), BTreeSet::new());
}

#[test]
fn whenever_it_is_killed_nothing_is_left_after_the_next_start() {
    let case = Case::new();
    for pause in [0, 5, 20, 60, 150, 400, 800, 1_300] {
        let killed = case.start(&["run", "load.yaml", "--target", "svc"]);
        std::thread::sleep(Duration::from_millis(pause));
        kill(killed);
        let said = case.next();
        let rest = case.processes();
        assert!(rest.is_empty(), "after {pause} ms {rest:?}: {said}");
        // One that has no labels yet is anybody's; it goes when it is an hour old.
        let is_labelled = |estate: &PathBuf| {
            let owner = fs::metadata(estate.join("owner"));
            owner.is_ok_and(|owner| owner.len() > 0)
        };
        let labelled = case.estates().into_iter().filter(is_labelled);
        let left: Vec<PathBuf> = labelled.collect();
        assert!(left.is_empty(), "after {pause} ms {left:?}: {said}");
    }
}
