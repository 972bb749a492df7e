//! Against real processes.

use std::net::TcpListener;
use std::time::Instant;

use super::*;
use crate::target_spec::{CommandLine, Ready, Signal, Stop, Stores};
use crate::test_child;

/// A launch of the test server, its log in a folder that goes with it.
struct Case {
    spec: TargetSpec,
    folder: tempfile::TempDir,
}

impl Case {
    fn of_command(command: &str) -> Case {
        let folder = tempfile::tempdir().unwrap();
        let spec = TargetSpec {
            name: "svc".to_owned(),
            folder: folder.path().to_owned(),
            kind: TargetKind::Command(CommandLine::parse(command).unwrap()),
            image: None,
            runtime: None,
            ready: Ready {
                path: Some("/readyz".to_owned()),
                within: Duration::from_secs(20),
            },
            stop: Stop {
                signal: Signal::Term,
                within: Duration::from_secs(20),
            },
            stores: Stores::default(),
            build: None,
            seed: None,
            audit: None,
            describe: None,
            env: Vec::new(),
            beside: Vec::new(),
            watch: None,
        };
        Case { spec, folder }
    }

    fn server(env: &[(&str, &str)]) -> Case {
        let (command, role) = test_child::server();
        let mut case = Case::of_command(&command);
        case.spec.env.push(role);
        case.spec.env.extend(pairs(env));
        case
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("svc.log")
    }

    async fn launch(&self, env: &[(&str, &str)]) -> Result<Target, TargetError> {
        Target::launch(
            &self.spec,
            Launch {
                env: pairs(env),
                log: &self.log(),
                connect_to: &[],
                beside: Companions::default(),
                cpus: None,
            },
        )
        .await
    }
}

fn pairs(env: &[(&str, &str)]) -> Vec<(String, String)> {
    env.iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

async fn get(target: &Target, path: &str) -> Result<String, reqwest::Error> {
    reqwest::get(format!("http://{}{path}", target.address()))
        .await?
        .text()
        .await
}

fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn a_command_is_awaited_described_and_stopped() {
    let case = Case::server(&[
        ("ON_TERM", "exit"),
        ("READY_AFTER", "3"),
        ("COLOUR", "red"),
        ("SIZE", "1"),
    ]);
    let target = case.launch(&[("COLOUR", "blue")]).await.unwrap();
    let port = target.address().port();
    assert_eq!(
        target.url().to_string(),
        format!("http://127.0.0.1:{port}/")
    );
    assert_eq!(get(&target, "/env/PORT").await.unwrap(), port.to_string());
    assert_eq!(
        get(&target, "/env/COLOUR").await.unwrap(),
        "blue",
        "a launch's variable wins"
    );
    assert_eq!(get(&target, "/env/SIZE").await.unwrap(), "1");
    // Three refusals of at least 1, 2 and 4 ms apart.
    assert!(
        target.startup().unwrap() >= Duration::from_millis(7),
        "{:?}",
        target.startup()
    );

    let pid = target.pid().unwrap();
    let identity = target.identity().clone();
    let (_, name) = identity.process.unwrap();
    assert!(
        std::env::current_exe()
            .unwrap()
            .to_str()
            .unwrap()
            .contains(&name),
        "{name}"
    );
    let sum = std::process::Command::new("sha256sum")
        .arg(std::env::current_exe().unwrap())
        .output()
        .unwrap();
    assert!(
        String::from_utf8(sum.stdout)
            .unwrap()
            .starts_with(&identity.executable.unwrap())
    );
    assert_eq!(
        (
            identity.kind.as_str(),
            identity.name.as_str(),
            identity.revision
        ),
        ("command", "svc", None)
    );
    assert_eq!(
        identity.command.unwrap().last().map(String::as_str),
        Some("--test-threads=1")
    );

    let exit = target.stop().await.unwrap().unwrap();
    assert_eq!(
        (exit.cause, exit.status.code()),
        (ExitCause::Stopped, Some(0)),
        "{exit}"
    );
    assert!(!alive(pid));
    let log = std::fs::read_to_string(case.log()).unwrap();
    assert!(
        log.contains(&format!("listening on {port}")) && log.contains("bye"),
        "{log}"
    );
}

#[tokio::test]
async fn the_port_stands_in_the_command() {
    let mut case = Case::of_command("sh -c 'echo port {port} is $PORT; exit 3'");
    case.spec.ready.path = None;
    match case.launch(&[]).await.unwrap_err() {
        TargetError::EndedEarly { status, log, .. } => {
            let words: Vec<&str> = log.lines[0].split(' ').collect();
            assert_eq!((words[1], status.code()), (words[3], Some(3)));
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_target_that_ends_early_is_quoted() {
    let error = Case::server(&[("LISTEN", "panic"), ("RUST_BACKTRACE", "0")])
        .launch(&[])
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "svc ended before it was ready (exit status: 101)"
    );
    assert!(
        error.hint().unwrap().contains("no configuration"),
        "{:?}",
        error.hint()
    );
}

#[tokio::test]
async fn a_target_that_is_late_is_quoted_and_gone() {
    for (env, path, expected) in [
        (("LISTEN", "no"), None, "connection refused"),
        (
            ("LISTEN", "no"),
            Some("/readyz"),
            "GET /readyz → connection refused",
        ),
        (
            ("READY_AFTER", "1000000"),
            Some("/readyz"),
            "GET /readyz → 503",
        ),
    ] {
        let mut case = Case::server(&[env]);
        case.spec.ready = Ready {
            path: path.map(str::to_owned),
            within: Duration::from_millis(1500),
        };
        case.spec.stop.within = Duration::from_millis(10);
        let started = Instant::now();
        let error = case.launch(&[]).await.unwrap_err();
        let message = error.to_string();
        assert!(
            message.starts_with("svc was not ready within 1.5 s: ") && message.ends_with(expected),
            "{message}"
        );
        assert!(
            error.hint().unwrap().contains("running 1 test"),
            "{:?}",
            error.hint()
        );
        assert!(started.elapsed() >= Duration::from_millis(1500));
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let case = Case::of_command("./no-such-service --port {port}");
    let error = case.launch(&[]).await.unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with("svc: cannot start `./no-such-service --port "),
        "{message}"
    );
    assert!(
        message.ends_with(&format!("in {}", case.folder.path().display())),
        "{message}"
    );
}

#[tokio::test]
async fn a_target_that_ignores_its_signal_is_killed() {
    let mut case = Case::server(&[("ON_TERM", "ignore")]);
    case.spec.stop.within = Duration::from_millis(50);
    let target = case.launch(&[]).await.unwrap();
    let pid = target.pid().unwrap();
    let exit = target.stop().await.unwrap().unwrap();
    assert_eq!(exit.cause, ExitCause::Killed);
    assert!(
        exit.after >= Duration::from_millis(50) && !alive(pid),
        "{exit}"
    );
}

#[tokio::test]
async fn a_target_that_ended_by_itself_says_when() {
    let target = Case::server(&[]).launch(&[]).await.unwrap();
    let ready = Instant::now();
    assert!(
        get(&target, "/exit").await.is_err(),
        "it ends without an answer"
    );
    target.ended().await;
    let lived = ready.elapsed();
    let exit = target.stop().await.unwrap().unwrap();
    assert_eq!(
        (exit.cause, exit.status.code()),
        (ExitCause::ByItself, Some(0)),
        "{exit}"
    );
    assert!(exit.after < lived + Duration::from_secs(1), "{exit}");
}

#[tokio::test]
async fn dropping_a_target_ends_its_whole_group() {
    // The shell is the target; the server is its child.
    let (server, role) = test_child::server();
    let mut case = Case::of_command(&shell_words::join(["sh", "-c", &format!("{server}; true")]));
    case.spec.env.push(role);
    case.spec.stop.within = Duration::from_millis(200);
    let target = case.launch(&[]).await.unwrap();
    let address = target.address();
    drop(target);
    assert!(
        std::net::TcpStream::connect(address).is_err(),
        "nobody listens any more"
    );
}

#[tokio::test]
async fn a_url_is_reached_and_not_stopped() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut case = Case::of_command("true");
    case.spec.kind = TargetKind::Url(
        format!("http://localhost:{}/items", address.port())
            .parse()
            .unwrap(),
    );
    let target = case.launch(&[]).await.unwrap();
    assert_eq!(
        (target.address(), target.pid(), target.startup()),
        (address, None, None)
    );
    assert_eq!(
        target.identity().url,
        format!("http://localhost:{}/items", address.port())
    );
    assert_eq!(target.stop().await.unwrap(), None);

    drop(listener);
    let error = case.launch(&[]).await.unwrap_err();
    let expected = format!(
        "cannot reach svc at http://localhost:{}/items: connection refused",
        address.port()
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn audits_hear_the_counts_and_are_held_to_their_word() {
    let mut case = Case::server(&[("ON_TERM", "exit"), ("BALANCE", "7")]);
    let answer = |ok: &str, code: u8| {
        let text = format!(
            r#"printf '{{"ok":{ok},"facts":{{"balance":"%s","heard":' "$BALANCE"; cat; printf '}}}}'; exit {code}"#
        );
        shell_words::join(["sh", "-c", &text])
    };
    let good = Audit {
        ok: true,
        facts: pairs(&[("balance", "7"), ("heard", r#"{"steps":{}}"#)]),
    };
    let cases = [
        (answer("true", 0), Ok(good.clone())),
        (answer("false", 1), Ok(Audit { ok: false, ..good })),
        (
            answer("true", 1),
            Err(r#"failed: it says "ok":true and ends with exit status: 1"#),
        ),
        (
            "sh -c 'echo no database >&2; exit 2'".to_owned(),
            Err("exit status: 2, and its output is not"),
        ),
        (
            shell_words::join(["sh", "-c", "kill -9 $$"]),
            Err("signal: 9"),
        ),
    ];
    for (audit, expected) in cases {
        case.spec.audit = Some(CommandLine::parse(&audit).unwrap());
        let target = case.launch(&[]).await.unwrap();
        match (target.audit(r#"{"steps":{}}"#).await, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, Some(expected)),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, expected) => panic!("{audit}: {found:?}, not {expected:?}"),
        }
    }
    case.spec.audit = None;
    assert_eq!(
        case.launch(&[]).await.unwrap().audit("{}").await.unwrap(),
        None
    );
}

#[tokio::test]
async fn builds_and_seeds_run_in_the_targets_folder() {
    let mut case = Case::of_command("true");
    case.spec.build = Some(CommandLine::parse("sh -c 'echo built > built'").unwrap());
    case.spec.seed =
        Some(CommandLine::parse("sh -c 'cat built; echo $DATABASE_URL; exit ${CODE:-0}'").unwrap());
    run_build(&case.spec).await.unwrap();
    run_seed(
        &case.spec,
        &pairs(&[("DATABASE_URL", "postgres://x")]),
        &case.log(),
    )
    .await
    .unwrap();
    assert_eq!(
        std::fs::read_to_string(case.log()).unwrap(),
        "built\npostgres://x\n"
    );
    let error = run_seed(&case.spec, &pairs(&[("CODE", "4")]), &case.log())
        .await
        .unwrap_err();
    assert!(
        error.to_string().ends_with("failed: exit status: 4"),
        "{error}"
    );
    assert!(
        error.hint().unwrap().contains("built"),
        "{:?}",
        error.hint()
    );
}

#[tokio::test]
async fn a_revision_is_named_and_so_is_what_differs_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    assert_eq!(identity::revision(path).await, None);
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        command
            .args(["-c", "user.name=a", "-c", "user.email=a@example.com", "-C"])
            .arg(path)
            .args(arguments);
        assert!(command.output().unwrap().status.success(), "{arguments:?}");
    };
    git(&["init"]);
    std::fs::write(path.join("file"), "1").unwrap();
    git(&["add", "file"]);
    git(&["commit", "-m", "one"]);
    let clean = identity::revision(path).await.unwrap();
    assert_eq!(clean.len(), 40);
    std::fs::write(path.join("file"), "2").unwrap();
    assert_eq!(
        identity::revision(path).await.unwrap(),
        format!("{clean}-dirty")
    );
}
