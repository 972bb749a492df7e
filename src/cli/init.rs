//! `tailmark init`: files to begin with, each with comments that say what to change.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::Outcome;
use super::args::InitArgs;
use super::failure::Failure;
use crate::scenario::Scenario;
use crate::target_spec::TargetUrl;

const SCENARIO: &str = include_str!("init/scenario.yaml");
const TARGETS: &str = include_str!("init/targets.yaml");
const GITHUB: &str = include_str!("init/github.yml");
const GITLAB: &str = include_str!("init/gitlab.yml");

const TARGETS_FILE: &str = "targets.yaml";
const GITHUB_FILE: &str = ".github/workflows/latency.yml";
const GITLAB_FILE: &str = ".gitlab-ci.yml";
/// Where a job for GitLab stands that is not to disturb those that are there.
const GITLAB_FILE_APART: &str = "tailmark.gitlab-ci.yml";

/// Where the service of targets.yaml that runs already is, where no URL says so.
const USUAL_URL: &str = "http://127.0.0.1:8080";

/// A file to write.
struct NewFile {
    path: PathBuf,
    text: String,
    /// What to do with it: a command, or a sentence.
    next: String,
}

pub(super) fn init(args: &InitArgs) -> Result<Outcome, Failure> {
    let files = files(args)?;
    // All or none.
    if let Some(there) = files.iter().find(|file| file.path.exists()) {
        return Err(exists(&there.path));
    }
    for file in &files {
        write(file)?;
    }
    if !args.common.quiet {
        args.common.print(&summary(&files, args))?;
    }
    Ok(Outcome::Done)
}

/// What was asked for, in the order in which it is used.
fn files(args: &InitArgs) -> Result<Vec<NewFile>, Failure> {
    let mut files = Vec::new();
    let url: Option<TargetUrl> = match args.url.as_deref().map(str::parse) {
        Some(Ok(url)) => Some(url),
        Some(Err(error)) => return Err(bad_url(&error)),
        None => None,
    };
    if let Some(url) = &url {
        files.push(scenario(&args.file, url)?);
    }
    if args.targets {
        files.push(targets(url.as_ref()));
    }
    let next = format!("tailmark check {} {TARGETS_FILE}", word(&args.file));
    if args.github {
        files.push(NewFile {
            path: GITHUB_FILE.into(),
            text: for_file(GITHUB, &args.file),
            next: next.clone(),
        });
    }
    if args.gitlab {
        let apart = Path::new(GITLAB_FILE).exists();
        files.push(NewFile {
            path: if apart {
                GITLAB_FILE_APART
            } else {
                GITLAB_FILE
            }
            .into(),
            text: for_file(GITLAB, &args.file),
            next: match apart {
                true => format!("add to {GITLAB_FILE}: include: {GITLAB_FILE_APART}"),
                false => next,
            },
        });
    }
    if files.is_empty() {
        let hint = format!("tailmark init {USUAL_URL}/items/1, or --targets, --github, --gitlab");
        let message = "neither a URL to make a scenario of, nor another file to write";
        return Err(Failure::said(message, Some(hint)));
    }
    Ok(files)
}

fn bad_url(error: &crate::target_spec::UrlError) -> Failure {
    let usual = || format!("write it as {USUAL_URL}/items/1");
    Failure::said(&error.to_string(), Some(error.hint().unwrap_or_else(usual)))
}

fn scenario(path: &Path, url: &TargetUrl) -> Result<NewFile, Failure> {
    let asked = url.path_and_query();
    let asked = asked.replace('\\', "\\\\").replace('"', "\\\"");
    let text = SCENARIO.replace("@PATH@", &asked);
    // A path that a URL may have, and a scenario may not.
    Scenario::parse("the URL", text.as_bytes())
        .map_err(|problems| Failure::from(problems.without_places()))?;
    let next = format!("tailmark run {} --target {}", word(path), root(url));
    Ok(NewFile {
        path: path.to_owned(),
        text,
        next,
    })
}

fn targets(url: Option<&TargetUrl>) -> NewFile {
    let url = url.map_or(USUAL_URL.to_owned(), root);
    NewFile {
        path: TARGETS_FILE.into(),
        text: TARGETS.replace("@URL@", &url),
        next: format!("tailmark check {TARGETS_FILE}"),
    }
}

/// The URL without path, as people write it.
fn root(url: &TargetUrl) -> String {
    url.root().to_string().trim_end_matches('/').to_owned()
}

fn for_file(template: &str, scenario: &Path) -> String {
    template.replace("@FILE@", &word(scenario))
}

/// A path as a word of a command line.
fn word(path: &Path) -> String {
    shell_words::quote(&path.display().to_string()).into_owned()
}

fn exists(path: &Path) -> Failure {
    let message = format!("{} is there already", path.display());
    let hint = match path.to_str() {
        Some(TARGETS_FILE | GITHUB_FILE | GITLAB_FILE_APART) => "move it away first",
        _ => "move it away first, or name another by --file",
    };
    Failure::said(&message, Some(hint.to_owned()))
}

fn write(file: &NewFile) -> Result<(), Failure> {
    let failed = |error: &std::io::Error| {
        let doing = format!("writing {}", file.path.display());
        Failure::new(&doing, error)
    };
    if let Some(folder) = file.path.parent() {
        fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    }
    // Another may have made it in the meantime: it is never overwritten.
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&file.path);
    match created.and_then(|mut created| created.write_all(file.text.as_bytes())) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(exists(&file.path)),
        Err(error) => Err(failed(&error)),
        Ok(()) => Ok(()),
    }
}

/// What was written, and what to do now.
fn summary(files: &[NewFile], args: &InitArgs) -> String {
    let mut text = String::new();
    for file in files {
        text += &format!("wrote {}\n", file.path.display());
    }
    let mut nexts: Vec<&str> = Vec::new();
    for file in files {
        if !nexts.contains(&file.next.as_str()) {
            nexts.push(&file.next);
        }
    }
    for next in nexts {
        text += &format!("next: {next}\n");
    }
    if (args.github || args.gitlab)
        && let Some(missing) = missing(&args.file)
    {
        text += &format!("next: {missing}, which the job needs\n");
    }
    text
}

/// What makes the files that a job reads and that are not there.
fn missing(scenario: &Path) -> Option<String> {
    let (no_scenario, no_targets) = (!scenario.exists(), !Path::new(TARGETS_FILE).exists());
    let url = format!("{USUAL_URL}/items/1");
    let words = match (no_scenario, no_targets) {
        (true, true) => format!(" {url} --targets"),
        (true, false) => format!(" {url}"),
        (false, true) => " --targets".to_owned(),
        (false, false) => return None,
    };
    Some(format!("tailmark init{words}"))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::args::{Command, parse};
    use super::*;
    use crate::document::{Document, Kind, Node};
    use crate::target_spec::TargetsFile;

    fn made(path: &str) -> NewFile {
        let url = format!("http://127.0.0.1:8080{path}").parse().unwrap();
        scenario(Path::new("scenario.yaml"), &url)
            .map_err(|_| "refused")
            .unwrap()
    }

    #[test]
    fn a_scenario_asks_for_the_path_of_the_url() {
        for path in [
            "/",
            "/items/1?a=b&c=d",
            "/a%20b",
            "/items/${random.int(1, 9)}",
        ] {
            let file = made(path);
            let scenario = Scenario::parse("scenario.yaml", file.text.as_bytes()).unwrap();
            let step = &scenario.flows()[0].steps[0];
            assert_eq!(step.request.path.to_string(), path);
            assert_eq!(scenario.phases().len(), 2);
            assert!(scenario.warnings().is_none());
        }
    }

    #[test]
    fn what_is_commented_out_is_valid() {
        let text = made("/").text;
        let with = text.replace("      # - think", "      - think");
        let with = with.replace("      # - name: item", "      - name: item");
        let with = with.replace("      #   get", "        get");
        assert_ne!(text, with);
        let scenario = Scenario::parse("scenario.yaml", with.as_bytes()).unwrap();
        assert_eq!(scenario.flows()[0].steps.len(), 2);
    }

    #[test]
    fn targets_are_targets() {
        let url = "https://example.com/items".parse().ok();
        for (url, expected) in [(None, USUAL_URL), (url, "https://example.com")] {
            let file = targets(url.as_ref());
            assert!(file.text.contains(expected));
            let with_stores = file
                .text
                .replace("# stores", "stores")
                .replace("# seed", "seed");
            for text in [file.text, with_stores] {
                let targets = TargetsFile::parse("targets.yaml", Path::new("."), text.as_bytes());
                let targets = targets.map_err(|problems| problems.to_string()).unwrap();
                assert!(targets.named("service").is_some());
            }
        }
    }

    /// All texts of a file, at any depth.
    fn texts<'n>(node: &'n Node, found: &mut Vec<&'n str>) {
        match &node.kind {
            Kind::Map(entries) => entries.iter().for_each(|(_, value)| texts(value, found)),
            Kind::Seq(items) => items.iter().for_each(|item| texts(item, found)),
            _ => found.push(&node.text),
        }
    }

    #[test]
    fn the_commands_of_jobs_can_be_typed() {
        for template in [GITHUB, GITLAB] {
            let text = for_file(template, Path::new("load/my shop.yaml"));
            let document = Document::parse("job.yml", text.as_bytes());
            let document = document.map_err(|problems| problems.to_string()).unwrap();
            let mut found = Vec::new();
            texts(document.root(), &mut found);
            let lines: Vec<&str> = found.into_iter().flat_map(str::lines).collect();
            // No registry has it, and the repository has other programs too.
            let install = "cargo install --locked --git https://example.com/tailmark tailmark";
            assert!(lines.contains(&install), "{lines:?}");
            let commands: Vec<Command> = lines
                .into_iter()
                .filter(|line| line.starts_with("tailmark "))
                .map(|line| {
                    let words = shell_words::split(line).unwrap();
                    parse(words.into_iter().map(OsString::from))
                        .unwrap()
                        .command
                })
                .collect();
            let [Command::Check(checked), Command::Run(run)] = &commands[..] else {
                panic!("{commands:?}");
            };
            assert_eq!(checked.files[0], Path::new("load/my shop.yaml"));
            assert_eq!(run.what, "load/my shop.yaml");
            assert_eq!(run.target.as_deref(), Some("service"));
        }
    }
}
