//! What is seen on a terminal while tailmark measures, in one that tmux emulates; and what goes elsewhere instead. Where tmux
//! is not installed, the tests say that they were skipped.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it cannot go on, and says why it was skipped"
)]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use support::Tool;

/// Longer than anything here takes on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(90);

/// The time between two looks at a screen.
const LOOK: Duration = Duration::from_millis(50);

/// An oracle that serves until it is dropped.
struct Oracle {
    child: Child,
    url: String,
}

impl Oracle {
    fn start(flags: &[&str]) -> Oracle {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tailmark"))
            .args(["oracle", "--quiet", "--for", "300s"])
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut said).unwrap();
        let url = said.trim().strip_prefix("listening on ").unwrap();
        Oracle {
            child,
            url: format!("{url}/"),
        }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A terminal, with a shell that runs one command line; it ends when it is dropped.
struct Terminal {
    tool: Tool,
}

impl Terminal {
    /// A terminal of so many columns and 24 rows, in which `line` runs, `tailmark` being the program under test; none where
    /// there is no tmux.
    fn open(columns: u16, line: &str) -> Option<Terminal> {
        Terminal::in_folder_of(Tool::new(), columns, line)
    }

    fn in_folder_of(tool: Tool, columns: u16, line: &str) -> Option<Terminal> {
        let terminal = Terminal { tool };
        // An interrupt is for the program alone: the shell goes on.
        let program = Path::new(env!("CARGO_BIN_EXE_tailmark"));
        let script = format!(
            "trap : INT\nPATH={}:$PATH\n{line}\necho \"ended $?\"\nexec sleep 600\n",
            program.parent().unwrap().display()
        );
        terminal.tool.write("script", &script);
        let (width, folder) = (columns.to_string(), terminal.tool.folder.path());
        let new = ["new-session", "-d", "-x", &width, "-y", "24", "-c"];
        let opened = terminal
            .tmux()
            .args(["-f", "/dev/null"])
            .args(new)
            .arg(folder)
            .args(["sh", "script"])
            .output();
        match opened {
            Ok(opened) => assert!(opened.status.success(), "{opened:?}"),
            Err(error) => {
                println!("skipped: tmux cannot be run: {error}");
                return None;
            }
        }
        Some(terminal)
    }

    fn tmux(&self) -> Command {
        let mut command = Command::new("tmux");
        command
            .arg("-u")
            .arg("-S")
            .arg(self.tool.folder.path().join("tmux"))
            .env("LC_ALL", "C.UTF-8")
            .env_remove("NO_COLOR")
            .env_remove("TMUX");
        command
    }

    fn ask(&self, words: &[&str]) -> String {
        let said = self.tmux().args(words).output().unwrap();
        assert!(said.status.success(), "{words:?}: {said:?}");
        String::from_utf8(said.stdout).unwrap()
    }

    /// What is on the screen.
    fn screen(&self) -> String {
        self.ask(&["capture-pane", "-p"])
    }

    /// What is on the screen, and what has left it.
    fn all(&self) -> String {
        self.ask(&["capture-pane", "-p", "-S", "-"])
    }

    /// Waits until the screen is as `wanted` says, and returns it.
    fn wait(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                return screen;
            }
            let late = begun.elapsed() > PATIENCE;
            assert!(!late, "not seen: {what}\n{}", self.all());
            std::thread::sleep(LOOK);
        }
    }

    fn wait_for(&self, text: &str) -> String {
        self.wait(text, |screen| screen.contains(text))
    }

    fn resize(&self, columns: u16, rows: u16) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        self.ask(&["resize-window", "-x", &columns, "-y", &rows]);
    }

    fn press(&self, key: &str) {
        self.ask(&["send-keys", key]);
    }

    /// Waits for the end, by `code`; what was printed then. Nothing of a view is left, and the cursor is there to be seen.
    fn end(&self, code: i32) -> String {
        self.wait_for(&format!("ended {code}"));
        let all = self.all();
        for part in [
            "━",
            "─",
            "in flight",
            " left",
            "achieved",
            "letting",
            "lag p99 0.0\n",
        ] {
            assert!(!all.contains(part), "`{part}` is left:\n{all}");
        }
        assert_eq!(self.ask(&["display", "-p", "#{cursor_flag}"]).trim(), "1");
        // The end of one line, and not the middle of another.
        let end = all.lines().find(|line| line.contains("ended "));
        assert_eq!(end, Some(format!("ended {code}").as_str()), "{all}");
        all
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux().arg("kill-server").output();
    }
}

/// How often `text` is in `screen`.
fn count(screen: &str, text: &str) -> usize {
    screen.matches(text).count()
}

/// What a whole view of a run has, once each.
const PARTS: [&str; 10] = [
    "offered",
    "achieved",
    "in flight",
    "waiting",
    "p99.9",
    "lag p99",
    "last 1 s",
    "failed",
    "memory",
    "of one core",
];

fn is_whole(screen: &str) -> bool {
    let has_line = screen.contains('▁') || screen.contains('█');
    PARTS.iter().all(|part| count(screen, part) == 1) && screen.contains('━') && has_line
}

#[test]
fn a_view_follows_the_terminal_as_it_is_resized() {
    let oracle = Oracle::start(&["--constant", "1ms", "--errors", "10%"]);
    // What was printed before stands above, so that the view is at the bottom.
    let line = format!(
        "for k in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do echo earlier $k; done\n\
         tailmark run {} -r 500 -d 300s --no-preflight --no-save",
        oracle.url
    );
    let Some(terminal) = Terminal::open(80, &line) else {
        return;
    };
    let whole = terminal.wait("the whole view", is_whole);
    assert!(whole.contains("× 500"), "{whole}");
    assert!(whole.contains("earlier 20\n"), "{whole}");
    terminal.resize(40, 24);
    let narrow = terminal.wait("the narrow view", |screen| {
        count(screen, "p50") == 1 && count(screen, " of 500/s") == 1 && !screen.contains("waiting")
    });
    assert!(
        narrow.lines().all(|line| line.chars().count() < 40),
        "{narrow}"
    );
    assert!(narrow.contains("earlier 20\n"), "{narrow}");
    terminal.resize(120, 30);
    let wide = terminal.wait("the wide view", |screen| {
        is_whole(screen) && screen.lines().any(|line| line.chars().count() > 100)
    });
    assert!(wide.contains("earlier 20\n"), "{wide}");
    terminal.resize(100, 6);
    terminal.wait("the upper part", |screen| {
        count(screen, "offered") == 1 && count(screen, "p99.9") == 1 && !screen.contains("one core")
    });
    terminal.resize(80, 24);
    terminal.wait("the whole view again", is_whole);
    terminal.press("C-c");
    let all = terminal.end(130);
    assert!(all.contains("INTERRUPTED"), "{all}");
    assert!(
        all.contains("earlier 1\n") && all.contains("earlier 20\n"),
        "{all}"
    );
}

#[test]
fn keys_that_are_pressed_leave_nothing_of_the_view_behind() {
    let oracle = Oracle::start(&["--constant", "1ms", "--errors", "10%"]);
    let line = format!(
        "for k in $(seq 20); do echo earlier $k; done\n\
         tailmark run {} -r 500 -d 300s --no-preflight --no-save",
        oracle.url
    );
    let Some(terminal) = Terminal::open(80, &line) else {
        return;
    };
    // Where all of it is, and the time that is left.
    let left = |screen: &str| {
        let first = screen.lines().find(|line| line.contains(" left"));
        first.map(str::to_owned)
    };
    let mut before = left(&terminal.wait("the whole view", is_whole));
    for keys in [&["Enter"][..], &["x", "Enter", "Enter"], &["Enter", "y"]] {
        keys.iter().for_each(|key| terminal.press(key));
        let mut screen = String::new();
        // The first may have been drawn before the keys came.
        for _ in 0..2 {
            screen = terminal.wait("a whole view of later", |screen| {
                is_whole(screen) && left(screen) != before
            });
            before = left(&screen);
        }
        assert!(screen.contains("earlier 20\n  main"), "{keys:?}: {screen}");
    }
    terminal.press("C-c");
    let all = terminal.end(130);
    assert!(
        (1..=20).all(|k| count(&all, &format!("earlier {k}\n")) == 1),
        "{all}"
    );
}

#[test]
fn results_begin_where_the_view_was() {
    let oracle = Oracle::start(&[]);
    let line = format!("tailmark run {} -r 200 -d 1s --no-preflight", oracle.url);
    let Some(terminal) = Terminal::open(80, &line) else {
        return;
    };
    let all = terminal.end(0);
    let first = all.lines().next().unwrap();
    assert!(first.starts_with("GET http://127.0.0.1:"), "{all}");
    assert!(all.contains("\nsaved results/local/"), "{all}");
}

#[test]
fn the_second_interrupt_stops_at_once_and_leaves_the_terminal_clean() {
    let oracle = Oracle::start(&["--constant", "100s"]);
    let line = format!(
        "tailmark run {} -r 20 -d 300s --timeout 200s --no-preflight --no-save",
        oracle.url
    );
    let Some(terminal) = Terminal::open(80, &line) else {
        return;
    };
    terminal.wait("a load", |screen| {
        screen.contains("in flight") && !screen.contains("    0 in flight")
    });
    terminal.press("C-c");
    let draining = terminal.wait_for("interrupted: letting what is in flight end");
    assert!(
        draining.contains("Ctrl-C again stops at once"),
        "{draining}"
    );
    terminal.press("C-c");
    // Nothing was answered, and that it was interrupted has the last word.
    let all = terminal.end(130);
    assert!(
        all.contains("INTERRUPTED") && all.contains("unfinished"),
        "{all}"
    );
}

#[test]
fn colours_are_there_unless_they_are_not_wanted() {
    let oracle = Oracle::start(&[]);
    let run = format!("run {} -r 500 -d 300s --no-preflight --no-save", oracle.url);
    for (line, colored) in [
        (format!("tailmark {run}"), true),
        (format!("NO_COLOR=1 tailmark {run}"), false),
        (format!("tailmark {run} --color never"), false),
        (format!("NO_COLOR=1 tailmark {run} --color always"), true),
    ] {
        let Some(terminal) = Terminal::open(80, &line) else {
            return;
        };
        terminal.wait("the whole view", is_whole);
        let styled = terminal.ask(&["capture-pane", "-p", "-e"]);
        assert_eq!(styled.contains('\u{1b}'), colored, "{line}\n{styled}");
        terminal.press("C-c");
        terminal.end(130);
    }
}

#[test]
fn a_terminal_that_knows_letters_alone_gets_no_view() {
    let oracle = Oracle::start(&[]);
    let run = format!("run {} -r 100 -d 2s --no-preflight --no-save", oracle.url);
    for line in [
        format!("TERM=dumb tailmark {run}"),
        format!("tailmark {run} -q"),
    ] {
        let Some(terminal) = Terminal::open(80, &line) else {
            return;
        };
        let begun = Instant::now();
        let is_over = |screen: &str| {
            assert!(!screen.contains("offered"), "{screen}");
            screen.contains("ended 0")
        };
        terminal.wait("the end", is_over);
        assert!(begun.elapsed() > Duration::from_secs(2));
        let all = terminal.end(0);
        assert!(all.starts_with("GET "), "{all}");
    }
}

#[test]
fn results_and_bodies_in_files_keep_the_view_on_the_terminal() {
    let oracle = Oracle::start(&[]);
    let line = format!(
        "echo body | tailmark run {} -b @- -r 500 -d 300s --no-preflight --json > out.json",
        oracle.url
    );
    let Some(terminal) = Terminal::open(80, &line) else {
        return;
    };
    terminal.wait("the whole view", is_whole);
    terminal.press("C-c");
    let all = terminal.end(130);
    assert!(all.starts_with("ended"), "{all}");
    let read = |file: &Path| -> Value { serde_json::from_slice(&fs::read(file).unwrap()).unwrap() };
    let printed = read(&terminal.tool.folder.path().join("out.json"));
    assert_eq!(printed["interrupted"], true);
    // What was shown of the target second by second is in the record.
    let saved = read(&terminal.tool.latest().join("run.json"));
    let moments = saved["timeline"].as_array().unwrap();
    let seconds = moments
        .iter()
        .map(|moment| moment["at_ns"].as_u64().unwrap() / 1_000_000_000);
    let seconds: Vec<u64> = seconds.collect();
    assert!(seconds.len() > 1 && seconds.is_sorted(), "{seconds:?}");
    let grown = |name: &str| {
        moments
            .iter()
            .map(|moment| moment[name].as_u64().unwrap())
            .is_sorted()
    };
    assert!(grown("at_ns") && grown("cpu_ns"), "{moments:?}");
}

#[test]
fn rounds_stay_above_the_view() {
    let tool = Tool::new();
    let program = env!("CARGO_BIN_EXE_tailmark");
    let target = |name: &str, constant: &str| {
        format!(
            "  {name}: {{ command: '{program} oracle --quiet --for 300s --port {{port}} --constant {constant}' }}\n"
        )
    };
    let targets = target("slow", "3ms") + &target("fast", "1ms");
    tool.write("targets.yaml", &format!("tailmark: 1\ntargets:\n{targets}"));
    let scenario = "tailmark: 1\nflows: { f: { steps: [ { name: a, get: /1 } ] } }\nphases: [ { name: main, rate: 500/s, for: 1s } ]\n";
    tool.write("s.yaml", scenario);
    let line = "tailmark compare s.yaml slow fast --rounds 40 --warmup 500ms --measure 1500ms --no-preflight";
    let Some(terminal) = Terminal::in_folder_of(tool, 80, line) else {
        return;
    };
    let begun = terminal.wait("rounds before the first", |screen| {
        screen.contains(" 0 of 40 ")
            && screen.contains("slow n/a · fast n/a")
            && screen.contains(" of 500/s")
    });
    assert_eq!(count(&begun, "rounds "), 1, "{begun}");
    let lines = [
        "round 1/40  slow  p50",
        "round 1/40  fast  p50",
        "round 2/40  slow  p50",
        "round 2/40  fast  p50",
    ];
    let later = terminal.wait("two rounds", |screen| {
        lines.iter().all(|line| count(screen, line) == 1) && screen.contains(" of 500/s")
    });
    for part in ["  rounds  ", "  p99 ms  ", "  change  ", " of 40 "] {
        assert_eq!(count(&later, part), 1, "{later}");
    }
    terminal.press("C-c");
    let all = terminal.end(130);
    assert!(lines.iter().all(|line| count(&all, line) == 1), "{all}");
    assert!(all.contains("\ns, phase main, 500/s per arm"), "{all}");
}

#[test]
fn elsewhere_there_is_a_plain_line_every_ten_seconds() {
    let oracle = Oracle::start(&[]);
    let words = ["run", &oracle.url, "-r", "100", "-d", "12s", "--no-save"];
    let ran = Tool::new().run(&words);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let lines: Vec<&str> = ran.err.lines().collect();
    assert_eq!(lines.len(), 1, "{}", ran.err);
    assert!(
        lines[0].contains(" 0:10 of 0:12 · 100/s offered, "),
        "{}",
        ran.err
    );
    assert!(
        lines[0].contains(" · 0 of ") && lines[0].contains("p99 "),
        "{}",
        ran.err
    );
    assert!(
        !ran.err.contains('\u{1b}') && !ran.err.contains('\r'),
        "{:?}",
        ran.err
    );
}
