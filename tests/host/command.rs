//! The operator's commands: `kamcmd` over the control socket and JSON-RPC over HTTP.
//!
//! Called by tests and by the demo on a running server; runs `kamcmd` as an operator would and
//! speaks plain HTTP to the same address as SIP.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;

use serde_json::{Value, json};

use super::{Kamailio, PATIENCE, SERVER, wait_for};

/// A refused command: the code and the sentence that the operator reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub code: i64,
    pub message: String,
}

/// What a command printed, or why it was refused.
pub type Output = Result<String, Fault>;

impl Kamailio {
    /// Runs `kamcmd` with these words.
    pub fn kamcmd(&self, words: &[&str]) -> Output {
        let socket = format!("unix:{}", self.control_socket().display());
        let done = Command::new("kamcmd")
            .args(["-s", &socket, "--"])
            .args(words)
            .output()
            .expect("kamcmd can be run");
        let text = String::from_utf8_lossy(&done.stdout).into_owned()
            + &String::from_utf8_lossy(&done.stderr);
        // kamcmd ends with success even when the server refused, and says `error: 400 - sentence`.
        match text.strip_prefix("error: ") {
            None if done.status.success() => Ok(text),
            refusal => {
                let refusal = refusal.unwrap_or(&text).trim();
                let (code, message) = refusal.split_once(" - ").unwrap_or(("0", refusal));
                Err(Fault {
                    code: code.parse().unwrap_or_default(),
                    message: message.to_owned(),
                })
            }
        }
    }

    /// Runs a command by JSON-RPC; the `result` of the answer, or its `error`.
    pub fn jsonrpc(&self, method: &str, params: Value) -> Result<Value, Fault> {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let body = http_post(&call.to_string());
        let answer: Value = serde_json::from_str(&body)
            .unwrap_or_else(|error| panic!("{method} answered no JSON ({error}): {body}"));
        match answer.get("error") {
            None => Ok(answer["result"].clone()),
            Some(error) => Err(Fault {
                code: error["code"].as_i64().unwrap_or_default(),
                message: error["message"].as_str().unwrap_or_default().to_owned(),
            }),
        }
    }

    /// The statistic `sec:<name>` over all processes.
    ///
    /// # Panics
    /// When there is none of that name.
    pub fn stat(&self, name: &str) -> i64 {
        let wanted = format!("sec:{name}");
        let listed = self
            .kamcmd(&["stats.get_statistics", "sec:"])
            .unwrap_or_else(|fault| panic!("statistic {wanted}: {fault:?}"));
        let value = listed
            .lines()
            .filter_map(|line| line.split_once('='))
            .find(|(name, _)| name.trim() == wanted)
            .map(|(_, value)| value.trim())
            .unwrap_or_else(|| panic!("there is no statistic {wanted}: {listed}"));
        value.parse().expect("a statistic is a number")
    }

    /// A field of `sec.status`; empty where it has no value.
    ///
    /// # Panics
    /// When there is none of that name.
    pub fn status(&self, name: &str) -> String {
        let status = self.kamcmd(&["sec.status"]).expect("sec.status answers");
        let value = status.lines().find_map(|line| {
            let (key, value) = line.trim().split_once(':')?;
            (key == name).then(|| value.trim().to_owned())
        });
        value.unwrap_or_else(|| panic!("no {name} in {status}"))
    }

    /// The process of the agent; waits for one that lives.
    pub fn agent(&self) -> i32 {
        wait_for("the agent", || {
            let pid = self.status("agent_pid").parse().ok();
            pid.filter(|pid| *pid > 0)
        })
    }

    /// Kamailio's processes: number and description.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let listed = self.kamcmd(&["core.psx"]).expect("core.psx answers");
        let after = |key: &str| {
            listed
                .lines()
                .filter_map(|line| line.trim().strip_prefix(key))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        after("PID: ")
            .iter()
            .map(|pid| pid.parse().expect("a process number"))
            .zip(after("DSC: "))
            .collect()
    }
}

/// One HTTP request from the machine itself; the body of the answer.
fn http_post(body: &str) -> String {
    let mut stream = TcpStream::connect((SERVER, 5060)).expect("Kamailio takes HTTP over TCP");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a time limit can be set");
    write!(
        stream,
        "POST /RPC HTTP/1.1\r\nHost: {SERVER}\r\nVia: SIP/2.0/TCP {SERVER}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("the HTTP request can be sent");
    let mut answer = Vec::new();
    let mut chunk = [0; 65536];
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .and_then(|(_, value)| value.trim().parse::<usize>().ok())
                .expect("the answer has a length");
            if rest.len() >= length {
                return rest[..length].to_owned();
            }
        }
        let count = match stream.read(&mut chunk) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other.expect("the HTTP answer comes"),
        };
        assert!(count > 0, "the connection ended in the answer: {text}");
        answer.extend_from_slice(&chunk[..count]);
    }
}
