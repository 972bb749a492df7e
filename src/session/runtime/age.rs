//! How old images are, and whether the programs beside them are newer.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::rebuild;
use crate::machine;
use crate::target::ImageHere;
use crate::target_spec::{Image, TargetKind, TargetSpec};

/// Clocks of the file system and of the engine are read at different moments of one build.
const SAME: Duration = Duration::from_secs(1);

/// `svc:1.4 built 3 h ago`; the name alone of an image that does not say.
pub(super) fn described(image: &Image, here: &ImageHere, now: SystemTime) -> String {
    let created = here.created.as_deref().and_then(machine::moment);
    match created {
        Some(created) => format!("{} built {}", image.reference, ago(created, now)),
        None => image.reference.clone(),
    }
}

/// The program that a target runs as a process.
#[derive(Debug)]
pub(super) struct Program {
    /// As the targets file has it.
    shown: String,
    /// Where it is.
    file: PathBuf,
}

impl Program {
    /// That of `target`; none of one that PATH has: an interpreter is not made of the image's sources.
    pub(super) fn of(target: &TargetSpec) -> Option<Self> {
        let TargetKind::Command(command) = &target.kind else {
            return None;
        };
        let shown = command.program();
        shown.contains('/').then(|| Self {
            shown: shown.to_owned(),
            file: target.folder.join(shown),
        })
    }

    /// That it is newer than `image`, in words; none where it is not, or where that cannot be told.
    pub(super) fn outdates(&self, image: &Image, here: &ImageHere) -> Option<String> {
        let written = std::fs::metadata(&self.file).and_then(|file| file.modified());
        let moments = [&here.created, &here.named];
        let moments = moments
            .into_iter()
            .flatten()
            .filter_map(|moment| machine::moment(moment));
        let newer = written.ok()?.duration_since(moments.max()?).ok()?;
        (newer > SAME).then(|| {
            format!(
                "{} is {} newer than the image {}: what runs in the container may be older code; {}, or --runtime process \
                 takes the program",
                self.shown,
                in_words(newer),
                image.reference,
                rebuild(&image.reference)
            )
        })
    }
}

fn ago(then: SystemTime, now: SystemTime) -> String {
    match now.duration_since(then) {
        Ok(age) => format!("{} ago", in_words(age)),
        // By a clock that was set back since.
        Err(_) => "just now".to_owned(),
    }
}

/// `40 s`, `3 min`, `5 h`, `12 days`: one unit is enough to know whether it is of today.
fn in_words(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::target_spec::TargetsFile;

    fn target(text: &str, folder: &Path) -> TargetSpec {
        let text = format!("tailmark: 1\ntargets: {{ svc: {{ image: tailmark/svc, {text} }} }}");
        let file = TargetsFile::parse("targets.yaml", folder, text.as_bytes()).unwrap();
        file.named("svc").unwrap().clone()
    }

    #[test]
    fn an_age_has_one_unit() {
        for (seconds, words) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7_199, "119 min"),
            (7_200, "2 h"),
            (172_799, "47 h"),
            (172_800, "2 days"),
        ] {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
        let now = machine::moment("2026-11-23T09:41:00.5Z").unwrap();
        let image = Image::parse("svc:1.4").unwrap();
        let said = |created: Option<&str>| {
            let here = ImageHere {
                created: created.map(str::to_owned),
                named: None,
            };
            described(&image, &here, now)
        };
        assert_eq!(
            said(Some("2026-11-23T07:41:00.5Z")),
            "svc:1.4 built 2 h ago"
        );
        assert_eq!(said(Some("2026-11-24T00:00:00Z")), "svc:1.4 built just now");
        assert_eq!(said(Some("yesterday")), "svc:1.4");
        assert_eq!(said(None), "svc:1.4");
    }

    #[test]
    fn a_program_that_is_newer_than_its_image_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("svc"), "").unwrap();
        let (now, _) = machine::utc_now();
        let here = |created: &str, named: Option<&str>| ImageHere {
            created: Some(created.to_owned()),
            named: named.map(str::to_owned),
        };
        let image = Image::parse("tailmark/svc").unwrap();
        let old = "2026-01-01T00:00:00Z";
        let of = |command: &str, here: &ImageHere| {
            let target = target(&format!("command: {command}"), folder.path());
            Program::of(&target)?.outdates(&image, here)
        };
        let said = of("./svc", &here(old, None)).unwrap();
        assert!(
            said.starts_with("./svc is ") && said.contains(" newer than the image tailmark/svc: "),
            "{said}"
        );
        assert!(said.contains("; `make images` builds it again, or --runtime process"));
        // A build that found all in its cache has named it just now; the clock of this test has no fractions.
        assert_eq!(of("./svc", &here(old, Some(&now))), None);
        assert_eq!(of("./none", &here(old, None)), None);
        assert_eq!(of("sh", &here(old, None)), None);
        assert_eq!(of("./svc", &ImageHere::default()), None);
    }
}
