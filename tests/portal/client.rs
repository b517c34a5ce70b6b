//! A browser as far as the protocol goes: keeps cookies, sends forms, follows nothing by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use ureq::Agent;
use ureq::http::{HeaderMap, Response};

/// One visitor.
pub struct Client {
    agent: Agent,
    base: String,
    headers: Vec<(String, String)>,
    pub cookies: BTreeMap<String, String>,
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Client {
    pub fn new(base: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(Duration::from_secs(20)));
        Self {
            agent: config.build().into(),
            base: base.into(),
            headers: Vec::new(),
            cookies: BTreeMap::new(),
        }
    }

    /// Adds a header to every request; a second one of the same name is a second line.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// From now on the requests come from elsewhere.
    pub fn moves_to(&mut self, forwarded: &str) {
        self.headers.retain(|(name, _)| name != "X-Forwarded-For");
        self.headers
            .push(("X-Forwarded-For".into(), forwarded.into()));
    }

    pub fn get(&mut self, path: &str) -> Answer {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(cookies) = self.cookie_line() {
            request = request.header("Cookie", cookies);
        }
        let response = request.call().expect("the portal answers");
        self.answer(response)
    }

    pub fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(cookies) = self.cookie_line() {
            request = request.header("Cookie", cookies);
        }
        let response = request
            .send_form(fields.iter().copied())
            .expect("the portal answers");
        self.answer(response)
    }

    /// Opens the first page and sends its form.
    pub fn sign_in(&mut self, user: &str, password: &str) -> Answer {
        let token = self.get("/").field("token");
        let fields = [
            ("token", token.as_str()),
            ("user", user),
            ("password", password),
        ];
        self.post("/sign-in", &fields)
    }

    /// Signs in, which has to work, and looks at the page behind.
    pub fn enter(&mut self, user: &str, password: &str) -> Answer {
        let answer = self.sign_in(user, password);
        assert_eq!(answer.status, 303, "{}", answer.body);
        self.get("/")
    }

    /// Presses the button of `page`.
    pub fn press(&mut self, page: &Answer) -> Answer {
        let (token, address) = (page.field("token"), page.field("address"));
        self.post("/free", &[("token", &token), ("address", &address)])
    }

    fn cookie_line(&self) -> Option<String> {
        let pairs = self.cookies.iter();
        let pairs: Vec<String> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    fn answer(&mut self, mut response: Response<ureq::Body>) -> Answer {
        for cookie in response.headers().get_all("set-cookie") {
            let cookie = cookie.to_str().expect("a cookie is text");
            let pair = cookie.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').expect("a cookie has a value");
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.into(), value.into());
            }
        }
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response
                .body_mut()
                .read_to_string()
                .expect("a page is text"),
        }
    }
}

impl Answer {
    /// The value of a form's hidden field.
    pub fn field(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let value = self
            .body
            .split_once(&start)
            .and_then(|(_, rest)| rest.split_once('"'));
        match value {
            Some((value, _)) => value.into(),
            None => panic!("no field \"{name}\" in {} {}", self.status, self.body),
        }
    }

    /// The address that the page says the visitor comes from.
    pub fn address(&self) -> &str {
        let shown = self.body.split_once("id=\"address\">");
        let shown = shown.and_then(|(_, rest)| rest.split_once('<'));
        shown
            .unwrap_or_else(|| panic!("no address in {}", self.body))
            .0
    }

    pub fn has_button(&self) -> bool {
        self.body.contains("action=\"/free\"")
    }

    /// Asserts the status and that the page says this.
    #[track_caller]
    pub fn expect(&self, status: u16, text: &str) {
        assert!(
            self.status == status && self.body.contains(text),
            "wanted {status} \"{text}\", got {} {}",
            self.status,
            self.body
        );
    }

    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).map(|value| value.to_str());
        value.and_then(Result::ok).unwrap_or_default()
    }

    /// The lines that set cookies.
    pub fn set_cookies(&self) -> Vec<&str> {
        let lines = self.headers.get_all("set-cookie").iter();
        lines.filter_map(|line| line.to_str().ok()).collect()
    }
}
