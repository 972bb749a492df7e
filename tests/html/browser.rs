//! A browser for tests: Debian's Chromium, without a window, driven over WebDriver.

use std::future::Future;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use url::{ParseError, Url};

/// What a person is to do where a test finds no browser.
const HINT: &str = "the pages are tried in a browser: run `make setup-tests`, or install Debian's packages chromium and \
                    chromium-driver";

/// One browser at a time: each takes a core.
static ONE: Mutex<()> = Mutex::new(());

/// A page that is open.
pub(crate) struct Browser {
    client: Client,
}

/// The process that drives browsers. Whatever ends a test, it and its browsers end with it.
struct Driver {
    child: Child,
    port: u16,
    /// Where it says what it does: it would end if nobody held the other end.
    _said: Option<BufReader<ChildStdout>>,
}

impl Browser {
    /// Runs `test` with a browser of its own, and ends that whatever comes of it.
    pub(crate) fn run<F: Future<Output = ()>>(test: impl FnOnce(Browser) -> F) {
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let profile = tempfile::tempdir().unwrap();
        let driver = Driver::start(profile.path());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let client = driver.client(profile.path()).await;
            test(Browser {
                client: client.clone(),
            })
            .await;
            client.close().await.unwrap();
        });
    }

    /// Opens a file, and returns how many milliseconds passed until it was loaded.
    pub(crate) async fn open(&self, file: &Path) -> f64 {
        let url = Url::from_file_path(file).unwrap();
        self.client.goto(url.as_str()).await.unwrap();
        let took = "return performance.getEntriesByType('navigation')[0].loadEventEnd";
        self.ask(took).await.as_f64().unwrap()
    }

    /// What a script in the page returns.
    pub(crate) async fn ask(&self, script: &str) -> Value {
        let answer = self.client.execute(script, Vec::new()).await;
        answer.unwrap_or_else(|error| panic!("{error}: {script}"))
    }

    /// What the browser had to complain about since it was last asked.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.command("se/log", &json!({ "type": "browser" })).await;
        let entries = log.as_array().unwrap().iter();
        entries.map(|entry| entry["message"].to_string()).collect()
    }

    /// A command of Chromium's own protocol.
    pub(crate) async fn devtools(&self, name: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": name, "params": parameters });
        self.command("goog/cdp/execute", &body).await
    }

    /// As on a screen of this width, in pixels.
    pub(crate) async fn resize(&self, width: u32) {
        let screen =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", screen)
            .await;
    }

    /// As people have it who like it `light` or `dark`.
    pub(crate) async fn scheme(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools(
            "Emulation.setEmulatedMedia",
            json!({ "media": "", "features": features }),
        )
        .await;
    }

    /// As on paper, whatever scheme is liked on screens.
    pub(crate) async fn paper(&self) {
        let features = json!([{ "name": "prefers-color-scheme", "value": "dark" }]);
        self.devtools(
            "Emulation.setEmulatedMedia",
            json!({ "media": "print", "features": features }),
        )
        .await;
    }

    /// The page as a PDF.
    pub(crate) async fn pdf(&self) -> Vec<u8> {
        let printed = self
            .devtools("Page.printToPDF", json!({ "printBackground": true }))
            .await;
        BASE64.decode(printed["data"].as_str().unwrap()).unwrap()
    }

    /// Moves a pointer to a place of an element: shares of its width and height.
    pub(crate) async fn point(&self, element: &str, [right, down]: [f64; 2]) {
        let place = self
            .ask(&format!(
                "const e = document.querySelector('{element}'); e.scrollIntoView({{ block: 'center', behavior: 'instant' }});
                 const b = e.getBoundingClientRect(); return [b.left + b.width * {right}, b.top + b.height * {down}]"
            ))
            .await;
        let event = json!({ "type": "mouseMoved", "x": place[0], "y": place[1] });
        self.devtools("Input.dispatchMouseEvent", event).await;
    }

    /// Presses a key, by its name.
    pub(crate) async fn press(&self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            let event = json!({ "type": kind, "key": key, "code": key });
            self.devtools("Input.dispatchKeyEvent", event).await;
        }
    }

    /// All of the page as a picture, in the folder that `TAILMARK_SCREENSHOTS` names; without it none is made.
    pub(crate) async fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("TAILMARK_SCREENSHOTS").map(PathBuf::from) else {
            return;
        };
        let size =
            "return [document.documentElement.scrollWidth, document.documentElement.scrollHeight]";
        let size = self.ask(size).await;
        let clip = json!({ "x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1 });
        let shot = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let shot = self.devtools("Page.captureScreenshot", shot).await;
        let bytes = BASE64.decode(shot["data"].as_str().unwrap()).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), bytes).unwrap();
    }

    async fn command(&self, path: &'static str, body: &Value) -> Value {
        let command = OwnCommand {
            path,
            body: body.clone(),
        };
        self.client.issue_cmd(command).await.unwrap()
    }
}

impl Driver {
    fn start(profile: &Path) -> Self {
        let child = Command::new("chromedriver")
            .args(["--port=0", "--log-level=SEVERE"])
            // Whatever is left over when it is killed lies there, and goes with it.
            .env("TMPDIR", profile)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver: {error}; {HINT}"));
        let mut driver = Self {
            child,
            port: 0,
            _said: None,
        };
        let mut said = BufReader::new(driver.child.stdout.take().unwrap());
        let port = said
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, port) = line.split_once("successfully on port ")?;
                port.trim_end_matches('.').parse().ok()
            });
        driver.port = port.expect("chromedriver says where it listens");
        driver._said = Some(said);
        driver
    }

    async fn client(&self, profile: &Path) -> Client {
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--window-size=1280,900".to_owned(),
            // Nothing of the page may need a network, and nothing of the browser shall.
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--no-first-run".to_owned(),
            format!("--user-data-dir={}", profile.join("profile").display()),
        ];
        let wanted = json!({
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(wanted.as_object().unwrap().clone());
        let address = format!("http://127.0.0.1:{}", self.port);
        let connected = builder.connect(&address).await;
        connected.unwrap_or_else(|error| panic!("chromium: {error}; {HINT}"))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let id = Pid::from_child(&self.child);
        // It ends its browsers when it is asked to end.
        let _ = kill_process_group(id, Signal::TERM);
        for _ in 0..100 {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = kill_process_group(id, Signal::KILL);
        let _ = self.child.wait();
    }
}

/// A command that only this browser has.
#[derive(Debug)]
struct OwnCommand {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for OwnCommand {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!(
            "session/{}/{}",
            session.unwrap_or_default(),
            self.path
        ))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}
