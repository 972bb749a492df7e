//! The pages of `-o report.html` in a real browser: that they say what the records say, and can be read as they are meant to.
//!
//! With `TAILMARK_SCREENSHOTS=DIR` each page is kept there as a picture: light, dark, on a phone, on paper.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it cannot go on, and says what it saw"
)]

#[path = "html/browser.rs"]
mod browser;
#[path = "html/records.rs"]
mod records;
mod support;

use std::fs;
use std::path::PathBuf;

use browser::Browser;
use records::{SHOP, comparison, failing, gate, hour, run, shop, startups};
use serde_json::{Value, json};
use support::Tool;
use support::scripted::{Reply, Scripted};
use tailmark::gate::Repeated;
use tailmark::report::junit::Leniency;
use tailmark::report::side_by_side::{Runs, SavedRun};
use tailmark::report::{Format, Subject};
use tailmark::run_record::RunRecord;
use tailmark::units::Quantile;
use tempfile::TempDir;

/// A page in a folder of its own.
struct Page {
    file: PathBuf,
    text: String,
    _folder: TempDir,
}

impl Page {
    fn of(subject: Subject<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = subject.file(Format::Html).unwrap();
        let file = folder.path().join("report.html");
        fs::write(&file, &text).unwrap();
        Self {
            file,
            text,
            _folder: folder,
        }
    }
}

fn shop_run() -> RunRecord {
    run("shop", SHOP, shop)
}

/// Every plot's name, and what is wrong with it: an outline without an extent, or no line of more than one point.
const PLOTS: &str = "
    return [...document.querySelectorAll('.plot')].map((plot) => {
        const box = plot.querySelector('.drawing').getBoundingClientRect();
        const lines = [...plot.querySelectorAll('.lines path')];
        const drawn = lines.filter((line) => /[HVL]/.test(line.getAttribute('d')) && line.getTotalLength() > 0);
        const texts = [...plot.querySelectorAll('text')].filter((text) => text.textContent.trim() && text.getBBox().width > 0);
        return [plot.id, box.width > 200 && box.height > 80 && drawn.length > 0 && texts.length > 4, plot.querySelectorAll('.hits rect').length];
    })";

async fn plots(browser: &Browser) -> Vec<String> {
    let plots = browser.ask(PLOTS).await;
    let plots = plots.as_array().unwrap().iter();
    plots
        .map(|plot| {
            assert_eq!(plot[1], true, "{plot}");
            assert!(plot[2].as_u64() >= Some(3), "{plot}");
            plot[0].as_str().unwrap().to_owned()
        })
        .collect()
}

/// How many elements a page has, by which it takes long to open or does not.
const ELEMENTS: &str = "return document.querySelectorAll('*').length";

/// How much wider than the window the page is, with what sticks out.
const OVERFLOW: &str = "
    const width = document.documentElement.clientWidth;
    const out = [...document.querySelectorAll('body *')].filter((e) => {
        if (e.closest('.scroll, pre, svg')) return false;
        return e.getBoundingClientRect().right > width + 1;
    });
    return [document.documentElement.scrollWidth, out.map((e) => e.outerHTML.slice(0, 120))]";

/// Texts whose contrast with what lies behind them is below 4.5, by their selector.
const CONTRAST: &str = r"
    const number = (color) => {
        const canvas = document.createElement('canvas').getContext('2d');
        canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const light = (rgb) => {
        const [r, g, b] = rgb.map((v) => { const s = v / 255; return s <= 0.03928 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4; });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (e) => {
        for (; e; e = e.parentElement) {
            const color = getComputedStyle(e).backgroundColor;
            if (color !== 'rgba(0, 0, 0, 0)' && color !== 'transparent') return color;
        }
        return 'white';
    };
    const found = [];
    for (const e of document.querySelectorAll('h1, h2, h3, p, td, th, dt, dd, a, b, code, pre, summary, li, text')) {
        if (!e.textContent.trim() || e.getBoundingClientRect().width === 0) continue;
        const style = getComputedStyle(e);
        const color = e.namespaceURI.endsWith('svg') ? style.fill : style.color;
        const [a, b] = [light(number(color)), light(number(behind(e)))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        // Of a large figure or a label of a line less will do.
        const least = e.namespaceURI.endsWith('svg') ? 3 : 4.5;
        if (ratio < least) found.push([e.tagName, e.getAttribute('class'), e.textContent.slice(0, 30), ratio.toFixed(2)]);
    }
    return found";

const BACKGROUND: &str = "return getComputedStyle(document.body).backgroundColor";

#[test]
fn every_plot_of_a_run_is_drawn_and_nothing_is_complained_about() {
    let record = shop_run();
    let page = Page::of(Subject::Run(&record));
    Browser::run(async |browser| {
        browser.resize(1_280).await;
        browser.open(&page.file).await;
        assert_eq!(plots(&browser).await, ["spectrum", "over-time"]);
        // Response times, rate, memory and CPU on one axis.
        let panels = browser
            .ask("return document.querySelectorAll('#over-time .lines').length")
            .await;
        assert_eq!(panels, 4);
        browser.picture("run-light").await;
        assert_eq!(browser.complaints().await, Vec::<String>::new());
    });
}

#[test]
fn rounds_of_comparisons_and_gates_are_drawn() {
    let (rounds, failed) = (comparison(12), gate(3.0));
    assert!(
        failed.confirmation.is_some(),
        "a rise this large fails, and is confirmed"
    );
    let pages = [
        ("compare", Page::of(Subject::Comparison(&rounds)), 1),
        (
            "gate",
            Page::of(Subject::Gate(&failed, Leniency::default())),
            2,
        ),
    ];
    Browser::run(async |browser| {
        for (name, page, attempts) in &pages {
            browser.resize(1_280).await;
            browser.open(&page.file).await;
            assert_eq!(plots(&browser).await.len(), attempts * 2, "{name}");
            let forests = browser
                .ask(
                    "return [...document.querySelectorAll('.forest')].map((forest) =>
                        [...forest.querySelectorAll('.forest-line .mark')].filter((mark) => mark.getBoundingClientRect().width > 4).length)",
                )
                .await;
            let forests = forests.as_array().unwrap();
            assert_eq!(forests.len(), *attempts, "{name}");
            assert!(
                forests.iter().all(|marks| marks.as_u64() > Some(5)),
                "{name}: {forests:?}"
            );
            browser.picture(&format!("{name}-light")).await;
            browser.scheme("dark").await;
            browser.picture(&format!("{name}-dark")).await;
            browser.scheme("light").await;
            browser.resize(400).await;
            let overflow = browser.ask(OVERFLOW).await;
            assert_eq!(overflow, json!([400, []]), "{name}");
            browser.picture(&format!("{name}-narrow")).await;
            assert_eq!(browser.complaints().await, Vec::<String>::new(), "{name}");
        }
    });
}

/// What a plot says of the place that is pointed at.
async fn read(browser: &Browser, plot: &str) -> String {
    let text = browser
        .ask(&format!(
            "return document.querySelector('#{plot} .readout').textContent"
        ))
        .await;
    text.as_str().unwrap().to_owned()
}

#[test]
fn a_pointer_and_the_keys_read_exact_values() {
    let record = shop_run();
    let page = Page::of(Subject::Run(&record));
    let total = record.total();
    let p99 = total.response().quantile(Quantile::P99).unwrap().value;
    let steady = &record.phases[2];
    let window = &steady.windows[15];
    let due = window.response().unwrap();
    Browser::run(async |browser| {
        browser.resize(1_280).await;
        browser.open(&page.file).await;
        // The place of the p99 is that of 1 ÷ (1 − 0.99) on an axis of factors.
        let place = 100f64.ln() / (total.response().count() as f64).ln();
        browser.point("#spectrum .drawing", [place, 0.5]).await;
        let said = read(&browser, "spectrum").await;
        let value = said
            .strip_prefix("p99: response ")
            .unwrap_or_else(|| panic!("{said}"));
        let value: f64 = value.split_once(' ').unwrap().0.parse().unwrap();
        assert!(
            (value * 1e6 / p99 as f64 - 1.0).abs() < 0.006,
            "{said} for {p99} ns"
        );

        // 45.5 s of 90 s: the window from 45 to 46 s, which is the fifteenth of the steady phase.
        browser
            .point("#over-time .drawing", [45.5 / 90.0, 0.3])
            .await;
        let said = read(&browser, "over-time").await;
        assert!(said.starts_with("0:45–0:46 steady"), "{said}");
        assert!(
            said.contains(&format!(" {} requests/s due, ", due.count())),
            "{said} for {}",
            due.count()
        );
        let dots = browser
            .ask("return document.querySelectorAll('#over-time .dot-here').length")
            .await;
        assert!(dots.as_u64() > Some(3), "{dots}");
        browser.picture("run-pointed").await;

        // By keys: from the last place to the one before it, and away.
        browser
            .ask("document.querySelector('#over-time .drawing').focus(); return 0")
            .await;
        browser.press("End").await;
        assert!(read(&browser, "over-time").await.starts_with("1:29–1:30"));
        browser.press("ArrowLeft").await;
        assert!(read(&browser, "over-time").await.starts_with("1:28–1:29"));
        browser.press("Escape").await;
        assert!(
            read(&browser, "over-time")
                .await
                .starts_with("Point at the plot")
        );
    });
}

/// The cells of a column of a table, and what the column's head says of its order.
const COLUMN: &str = "
    const table = document.querySelector(TABLE);
    const head = [...table.tHead.querySelectorAll('th')].find((th) => th.textContent === NAME);
    if (PRESS) head.querySelector('button').click();
    return [[...table.tBodies[0].rows].map((row) => row.cells[head.cellIndex].textContent), head.getAttribute('aria-sort')]";

const STEPS: &str = "#steps table";
const OUTCOMES: &str = "#outcomes table";

async fn column(browser: &Browser, table: &str, name: &str, press: bool) -> (Vec<String>, Value) {
    let script = COLUMN
        .replace("TABLE", &format!("'{table}'"))
        .replace("NAME", &format!("'{name}'"))
        .replace("PRESS", &press.to_string());
    let answer = browser.ask(&script).await;
    let cells = answer[0].as_array().unwrap().iter();
    (
        cells
            .map(|cell| cell.as_str().unwrap().to_owned())
            .collect(),
        answer[1].clone(),
    )
}

#[test]
fn tables_sort_both_ways_and_keep_what_says_nothing_last() {
    let record = shop_run();
    let page = Page::of(Subject::Run(&record));
    Browser::run(async |browser| {
        browser.open(&page.file).await;
        let (before, order) = column(&browser, STEPS, "p99", false).await;
        assert_eq!(order, Value::Null);
        let number = |text: &String| {
            text.trim_start_matches("≥ ")
                .replace(',', "")
                .parse::<f64>()
                .unwrap()
        };
        let mut sorted: Vec<f64> = before.iter().map(number).collect();
        sorted.sort_by(f64::total_cmp);
        let (rising, falling) = (sorted.clone(), sorted.into_iter().rev().collect::<Vec<_>>());
        assert_ne!(
            before.iter().map(number).collect::<Vec<_>>(),
            falling,
            "nothing to sort"
        );
        for (order, wanted) in [("descending", &falling), ("ascending", &rising)] {
            let (cells, said) = column(&browser, STEPS, "p99", true).await;
            assert_eq!(&cells.iter().map(number).collect::<Vec<_>>(), wanted);
            assert_eq!(said, order);
        }
        let (names, said) = column(&browser, STEPS, "flow/step", true).await;
        assert!(names.is_sorted(), "{names:?}");
        assert_eq!(said, "ascending");
        let (_, other) = column(&browser, STEPS, "p99", false).await;
        assert_eq!(other, Value::Null, "one column is sorted by");
        // A head is reached and pressed by the keyboard alone.
        browser
            .ask("document.querySelector('#steps thead button').focus(); return 0")
            .await;
        let focused = browser
            .ask("return document.activeElement.closest('th').textContent")
            .await;
        assert_eq!(focused, "flow/step");
    });
}

#[test]
fn a_number_behind_a_word_is_sorted_as_one() {
    let record = failing();
    let page = Page::of(Subject::Run(&record));
    Browser::run(async |browser| {
        browser.open(&page.file).await;
        let shares = ["99 %", "0.50 %", "0.13 %", "under 0.01 %"];
        let (before, _) = column(&browser, OUTCOMES, "share", false).await;
        assert_eq!(before, shares);
        for order in ["descending", "ascending"] {
            let (cells, said) = column(&browser, OUTCOMES, "share", true).await;
            let mut wanted = shares.to_vec();
            if order == "ascending" {
                wanted.reverse();
            }
            assert_eq!(cells, wanted);
            assert_eq!(said, order);
        }

        let rising = [
            "−6.8 % [−9.1, −4.4]",
            "0 %",
            "under 0.01 %",
            "0.01 %",
            "+6.1 %",
            "[71.0–∞]",
            "≥ 740",
            "~99,999",
            "100,000",
            "more than 100,000",
        ];
        let found = keys(&browser, &rising).await;
        let numbers: Option<Vec<f64>> = found.iter().map(Value::as_f64).collect();
        let is_rising = numbers.is_some_and(|numbers| numbers.is_sorted_by(|a, b| a < b));
        assert!(is_rising, "{found:?}");
        let nothing = keys(&browser, &["", "–", "n/a", "n/a [−100, +∞]"]).await;
        assert!(nothing.iter().all(Value::is_null), "{nothing:?}");
    });
}

/// What cells with these texts are sorted by.
async fn keys(browser: &Browser, texts: &[&str]) -> Vec<Value> {
    let script = format!(
        "return {}.map((text) => key({{ textContent: text }}))",
        json!(texts)
    );
    let keys = browser.ask(&script).await;
    keys.as_array().unwrap().clone()
}

#[test]
fn light_and_dark_are_told_apart_and_read() {
    let record = shop_run();
    let page = Page::of(Subject::Run(&record));
    Browser::run(async |browser| {
        browser.resize(1_280).await;
        browser.open(&page.file).await;
        let mut backgrounds = Vec::new();
        for scheme in ["light", "dark"] {
            browser.scheme(scheme).await;
            backgrounds.push(browser.ask(BACKGROUND).await);
            let faint = browser.ask(CONTRAST).await;
            assert_eq!(faint, json!([]), "{scheme}");
            browser.picture(&format!("run-{scheme}")).await;
        }
        assert_ne!(backgrounds[0], backgrounds[1]);
    });
}

#[test]
fn a_phone_and_paper_have_room_for_it() {
    let record = shop_run();
    let page = Page::of(Subject::Run(&record));
    Browser::run(async |browser| {
        browser.resize(400).await;
        browser.open(&page.file).await;
        assert_eq!(browser.ask(OVERFLOW).await, json!([400, []]));
        assert_eq!(plots(&browser).await.len(), 2);
        browser.picture("run-narrow").await;
        browser.resize(1_000).await;
        browser.paper().await;
        let background = browser.ask(BACKGROUND).await;
        assert_eq!(
            background, "rgb(255, 255, 255)",
            "paper is white, whatever screens are"
        );
        let ink = browser
            .ask("return getComputedStyle(document.body).color")
            .await;
        assert_eq!(ink, "rgb(27, 31, 36)");
        browser.picture("run-paper").await;
        let pdf = browser.pdf().await;
        assert!(
            pdf.starts_with(b"%PDF") && pdf.len() > 20_000,
            "{} bytes",
            pdf.len()
        );
        if let Some(folder) = std::env::var_os("TAILMARK_SCREENSHOTS") {
            fs::write(PathBuf::from(folder).join("run.pdf"), pdf).unwrap();
        }
    });
}

#[test]
fn names_from_the_world_stay_text() {
    const HOSTILE: &str = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1>\"'";
    let mut record = shop_run();
    record.flows[0].name = HOSTILE.into();
    record.flows[0].steps[0] = HOSTILE.into();
    record.phases[1].name = HOSTILE.into();
    record.target.name = HOSTILE.into();
    record.scenario.text += &format!("headers: {{ x-own: {HOSTILE} }}");
    for failure in &mut record.failures {
        failure.step = HOSTILE.into();
        failure.what = HOSTILE.into();
        failure.response = Some(HOSTILE.into());
    }
    let mut rounds = comparison(6);
    rounds.plan.arms[1] = HOSTILE.into();
    let pages = [
        Page::of(Subject::Run(&record)),
        Page::of(Subject::Comparison(&rounds)),
    ];
    Browser::run(async |browser| {
        for page in &pages {
            browser.resize(400).await;
            browser.open(&page.file).await;
            let found = "return [typeof window.hacked, document.querySelectorAll('script').length,
                document.querySelectorAll('img, iframe, object').length, document.body.textContent.includes('<script>window.hacked=1</script>')]";
            assert_eq!(browser.ask(found).await, json!(["undefined", 1, 0, true]));
            browser.picture("hostile-narrow").await;
            assert_eq!(
                browser.ask(OVERFLOW).await,
                json!([400, []]),
                "a long name breaks"
            );
            assert_eq!(browser.complaints().await, Vec::<String>::new());
        }
    });
}

#[test]
fn every_other_result_has_a_page_too() {
    let repeated = Repeated::of(&[gate(1.0), gate(1.0)]);
    let launches = startups();
    let saved = |source: &str| SavedRun {
        source: source.into(),
        record: shop_run(),
    };
    let runs = Runs::new(vec![saved("monday"), saved("tuesday")]).unwrap();
    let pages = [
        ("aa", Page::of(Subject::Repeated(&repeated))),
        ("startup", Page::of(Subject::Startups(&launches))),
        ("runs", Page::of(Subject::Runs(&runs))),
    ];
    Browser::run(async |browser| {
        for (name, page) in &pages {
            browser.resize(1_280).await;
            browser.open(&page.file).await;
            let rows = browser
                .ask("return document.querySelectorAll('tbody tr').length")
                .await;
            assert!(rows.as_u64() >= Some(2), "{name}: {rows}");
            browser.picture(&format!("{name}-light")).await;
            browser.resize(400).await;
            assert_eq!(browser.ask(OVERFLOW).await, json!([400, []]), "{name}");
            assert_eq!(browser.complaints().await, Vec::<String>::new(), "{name}");
        }
    });
}

/// Of a page that opens in less than two seconds: about twice as many as that of the hour has.
const MOST_ELEMENTS: u64 = 6_000;

#[test]
fn an_hour_of_forty_steps_is_small_and_opens() {
    let record = hour();
    let page = Page::of(Subject::Run(&record));
    let size = page.text.len();
    assert!(size < 1_000_000, "{size} bytes");
    Browser::run(async |browser| {
        browser.resize(1_280).await;
        let took = browser.open(&page.file).await;
        let elements = browser.ask(ELEMENTS).await.as_u64().unwrap();
        println!(
            "an hour of forty steps: {} kB, {elements} elements, opened in {took:.0} ms",
            size / 1_000
        );
        // Two seconds are promised. How fast this machine is now is no matter of correctness, but what there is to lay out is.
        assert!(elements < MOST_ELEMENTS, "{elements} elements");
        assert!(took < 20_000.0, "{took} ms");
        assert_eq!(plots(&browser).await.len(), 2);
        browser.picture("hour-light").await;
        assert_eq!(browser.complaints().await, Vec::<String>::new());
    });
}

#[test]
fn what_is_measured_becomes_a_page_in_two_commands() {
    let tool = Tool::new();
    let server = Scripted::start(|number| match number % 50 {
        7 => Reply::Status(503),
        _ => Reply::Status(200),
    });
    let measured = tool.run(&[
        "run",
        &server.url(),
        "-r",
        "200",
        "-d",
        "3s",
        "-o",
        "measured.html",
    ]);
    assert_eq!(measured.code, Some(0), "{}\n{}", measured.out, measured.err);
    let latest = tool.latest();
    let again = tool.run(&["report", latest.to_str().unwrap(), "-o", "report.html"]);
    assert_eq!(again.code, Some(0), "{}", again.err);
    let [first, second] =
        ["measured.html", "report.html"].map(|name| tool.folder.path().join(name));
    assert_eq!(
        fs::read_to_string(&first).unwrap(),
        fs::read_to_string(&second).unwrap()
    );
    Browser::run(async |browser| {
        browser.resize(1_280).await;
        browser.open(&second).await;
        assert_eq!(plots(&browser).await, ["spectrum", "over-time"]);
        let text = browser.ask("return document.body.textContent").await;
        assert!(text.as_str().unwrap().contains("12 × 503"), "{text}");
        browser.picture("url-light").await;
        assert_eq!(browser.complaints().await, Vec::<String>::new());
    });
}
