//! What targets become, with an engine or without: of what is asked here no engine has an image.

use std::path::Path;

use super::*;
use crate::target_spec::TargetsFile;

const TARGETS: &[u8] = b"tailmark: 1
targets:
  both: { command: ./svc, image: no-such-image }
  image: { image: no-such-image }
  command: { command: ./svc }
  limited: { command: ./svc, image: no-such-image, limits: { memory: 32MiB } }
  there: { url: \"http://127.0.0.1:8080\" }
  contained: { url: \"http://127.0.0.1:8081\", watch: { container: web } }
  away: { url: \"https://shop.example.com\" }
";

fn targets(names: &[&str]) -> Vec<TargetSpec> {
    let file = TargetsFile::parse("targets.yaml", Path::new("."), TARGETS).unwrap();
    names
        .iter()
        .map(|name| file.named(name).unwrap().clone())
        .collect()
}

async fn chosen(
    names: &[&str],
    runtime: Runtime,
    limits: Limits,
) -> Result<Vec<TargetSpec>, String> {
    let mut targets = targets(names);
    let wish = Wish {
        runtime,
        limits,
        pull: false,
        alike: true,
    };
    match choose(&mut targets, &wish).await {
        Ok(_) => Ok(targets),
        Err(error) => Err(error.to_string()),
    }
}

/// The words of an error, and its hint, where `names` cannot run.
async fn refused(names: &[&str], runtime: Runtime) -> (String, String) {
    let wish = Wish {
        runtime,
        limits: Limits::default(),
        pull: false,
        alike: true,
    };
    match choose(&mut targets(names), &wish).await {
        Err(SessionError::Runtime(error)) => (error.to_string(), error.hint().to_owned()),
        other => panic!("{names:?}: {other:?}"),
    }
}

#[tokio::test]
async fn what_cannot_run_as_asked_is_refused() {
    let none = Limits::default();
    let memory = Limits {
        memory: "32MiB".parse().ok(),
        ..none
    };
    for (names, runtime, limits, expected) in [
        (
            ["command", "both"],
            Runtime::Container,
            none,
            "command cannot run in a container: it has no `image`",
        ),
        (
            ["both", "image"],
            Runtime::Process,
            none,
            "image cannot run as a process: it has no `command`",
        ),
        (
            ["there", "both"],
            Runtime::Process,
            memory,
            "there cannot be limited to 32 MiB of memory: it runs already",
        ),
        (
            ["both", "there"],
            Runtime::Process,
            memory,
            "both cannot be limited to 32 MiB of memory: it runs as a process: as asked",
        ),
        (
            ["limited", "there"],
            Runtime::Process,
            none,
            "limited cannot be limited to 32 MiB of memory: it runs as a process: as asked",
        ),
        (
            ["command", "there"],
            Runtime::Auto,
            memory,
            "command cannot be limited to 32 MiB of memory: it runs as a process",
        ),
    ] {
        assert_eq!(
            chosen(&names, runtime, limits).await.unwrap_err(),
            expected,
            "{names:?}"
        );
    }
}

#[tokio::test]
async fn without_its_image_a_target_runs_as_a_process() {
    // Whether an engine answers or not.
    let targets = chosen(
        &["both", "there", "command"],
        Runtime::Auto,
        Limits::default(),
    )
    .await
    .unwrap();
    assert!(matches!(targets[0].kind, TargetKind::Command(_)));
    let how = targets[0].runtime.clone().unwrap();
    assert!(how.starts_with("as a process: "), "{how}");
    assert_eq!(targets[1].runtime, None);
    assert_eq!(targets[2].runtime, None);
    let asked = chosen(&["both"], Runtime::Container, Limits::default())
        .await
        .unwrap_err();
    let wanted = [
        "there is no image `no-such-image`",
        "no container engine answers",
    ];
    assert!(
        wanted.iter().any(|wanted| asked.contains(wanted)),
        "{asked}"
    );
}

#[tokio::test]
async fn arms_that_cannot_run_alike_are_refused_both_named() {
    for (names, runtime, begins, hint) in [
        (
            ["command", "image"],
            Runtime::Auto,
            "command would be a process (it has no `image`) and image a container: ",
            "give command an `image`, or image a `command`, in targets.yaml",
        ),
        (
            ["image", "there"],
            Runtime::Auto,
            "there would be a process (it runs already) and image a container: ",
            "give image a `command` in targets.yaml",
        ),
        (
            ["command", "contained"],
            Runtime::Auto,
            "command would be a process (it has no `image`) and contained a container: ",
            "give command an `image`, or contained a `command`, in targets.yaml",
        ),
        (
            ["there", "both"],
            Runtime::Container,
            "there would be a process (it runs already) and both a container: ",
            "--runtime process runs all as processes",
        ),
    ] {
        let (said, hinted) = refused(&names, runtime).await;
        assert!(said.starts_with(begins), "{said}");
        assert!(said.ends_with("cannot be compared"), "{said}");
        assert_eq!(hinted, hint, "{names:?}");
    }
}

#[tokio::test]
async fn auto_takes_one_way_for_all_and_says_why() {
    let how = |target: &TargetSpec| target.runtime.clone();
    for (names, why) in [
        (
            ["both", "command"],
            "as a process: beside command, for it has no `image`",
        ),
        (
            ["there", "both"],
            "as a process: beside there, for it runs already",
        ),
    ] {
        let chosen = chosen(&names, Runtime::Auto, Limits::default()).await;
        let whys: Vec<String> = chosen.unwrap().iter().filter_map(how).collect();
        assert_eq!(whys, [why], "{names:?}");
    }
    // What is elsewhere is not watched at all, so it forces nothing: the engine decides, where one answers.
    let chosen = chosen(&["away", "both"], Runtime::Auto, Limits::default()).await;
    let why = how(&chosen.unwrap()[1]).unwrap();
    assert!(
        why.contains("no image `no-such-image`") || why.contains("no container engine answers"),
        "{why}"
    );
}

#[tokio::test]
async fn targets_that_are_not_compared_may_differ() {
    let mut targets = targets(&["command", "image"]);
    let wish = Wish {
        runtime: Runtime::Auto,
        limits: Limits::default(),
        pull: false,
        alike: false,
    };
    // It is the image's absence that is said, and not that there is a process beside it.
    let error = choose(&mut targets, &wish).await.unwrap_err();
    assert!(matches!(error, SessionError::Target(_)), "{error}");
}
