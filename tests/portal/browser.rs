//! A headless Chromium, driven through WebDriver.
//!
//! It gets a folder of its own, speaks to nobody but the page, and nothing of it is left when it
//! goes out of scope.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;

use crate::host::{PATIENCE, process, wait_for};

/// The name under which WebDriver hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window.
pub struct Browser {
    driver: Child,
    mark: String,
    agent: Agent,
    /// The driver's URL, with the session once there is one.
    base: String,
    profile: TempDir,
    /// Kept open: the driver may still have something to say.
    _output: BufReader<ChildStdout>,
}

impl Browser {
    /// Starts the driver and the browser.
    pub fn start() -> Self {
        let mark = process::new_mark();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env(process::MARK, &mark)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver of the package chromium-driver can be run");
        let output = driver.stdout.take().expect("its output is a pipe");
        let mut output = BufReader::new(output);
        let port = (&mut output)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                Some(
                    line.split_once("successfully on port ")?
                        .1
                        .trim_end_matches('.')
                        .to_string(),
                )
            })
            .expect("chromedriver says where it listens");
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(3 * PATIENCE));
        let mut browser = Self {
            driver,
            mark,
            agent: config.build().into(),
            base: format!("http://127.0.0.1:{port}"),
            profile: tempfile::tempdir().expect("a temporary directory can be made"),
            _output: output,
        };
        browser.begin();
        browser
    }

    fn begin(&mut self) {
        let profile = format!("--user-data-dir={}", self.profile.path().display());
        // Nothing that would reach for the network, and no sandbox, which root may not have.
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &profile,
        ];
        let options = json!({ "binary": "/usr/bin/chromium", "args": arguments });
        let wanted = json!({ "browserName": "chrome", "goog:chromeOptions": options });
        let session = self.post(
            "/session",
            &json!({ "capabilities": { "alwaysMatch": wanted } }),
        );
        let session = session.unwrap_or_else(|error| panic!("no browser: {error}"));
        let name = session["sessionId"].as_str().expect("a session has a name");
        self.base = format!("{}/session/{name}", self.base);
    }

    /// Opens a page.
    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }))
            .expect("the page opens");
    }

    /// The text of the first element that matches, if there is one.
    pub fn text(&self, selector: &str) -> Option<String> {
        let element = self.element(selector)?;
        let text = self.get(&format!("/element/{element}/text")).ok()?;
        text.as_str().map(str::to_string)
    }

    /// The computed value of a style property.
    pub fn style(&self, selector: &str, property: &str) -> String {
        let element = self.existing(selector);
        let value = self.get(&format!("/element/{element}/css/{property}"));
        value
            .expect("it has a style")
            .as_str()
            .unwrap_or_default()
            .into()
    }

    /// Types into an empty field.
    pub fn write(&self, selector: &str, text: &str) {
        let element = self.existing(selector);
        self.post(
            &format!("/element/{element}/value"),
            &json!({ "text": text }),
        )
        .expect("it can be written into");
    }

    /// Clicks.
    pub fn click(&self, selector: &str) {
        let element = self.existing(selector);
        self.post(&format!("/element/{element}/click"), &json!({}))
            .expect("it can be clicked");
    }

    /// The cookies of this page.
    pub fn cookies(&self) -> Vec<Value> {
        let cookies = self.get("/cookie").expect("cookies can be read");
        cookies.as_array().cloned().unwrap_or_default()
    }

    fn existing(&self, selector: &str) -> String {
        wait_for(selector, || self.element(selector))
    }

    fn element(&self, selector: &str) -> Option<String> {
        let query = json!({ "using": "css selector", "value": selector });
        let found = self.post("/element", &query).ok()?;
        found[ELEMENT].as_str().map(str::to_string)
    }

    fn get(&self, path: &str) -> Result<Value, String> {
        let answer = self.agent.get(format!("{}{path}", self.base)).call();
        Self::value(answer)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let request = self.agent.post(format!("{}{path}", self.base));
        let request = request.header("Content-Type", "application/json");
        Self::value(request.send(body.to_string()))
    }

    fn value(
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, String> {
        let mut answer = answer.map_err(|error| error.to_string())?;
        let text = answer.body_mut().read_to_string();
        let text = text.map_err(|error| error.to_string())?;
        let value: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if answer.status().is_success() {
            return Ok(value["value"].clone());
        }
        Err(value["value"]["message"].as_str().unwrap_or(&text).into())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser; when that fails, what is left is killed below.
        let _ended = self.agent.delete(&self.base).call();
        let _gone = self.driver.kill();
        let _gone = self.driver.wait();
        let start = Instant::now();
        loop {
            let mut left = process::marked(&self.mark);
            left.retain(|pid| process::alive(*pid));
            if left.is_empty() {
                return;
            }
            if start.elapsed() > PATIENCE / 4 {
                for pid in left {
                    process::signal(pid, Signal::SIGKILL);
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
