//! A real HTTP server on the loopback, for feeds: it serves what a test says, and misbehaves as it
//! says. One thread, one connection at a time; it ends with the test.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A question: its path, and its headers with names in lower case.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub headers: HashMap<String, String>,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// An answer, byte by byte: a server may say anything.
#[derive(Clone, Debug)]
pub struct Page {
    pub status: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// What it says that its length is; `None` ends the body with the connection.
    pub length: Option<usize>,
    /// It says nothing more after so many bytes of the body, until the test ends.
    pub stall: Option<usize>,
}

impl Page {
    /// `200 OK` with this body.
    pub fn new(body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self {
            status: "200 OK",
            headers: Vec::new(),
            length: Some(body.len()),
            body,
            stall: None,
        }
    }

    /// What gzip(1) makes of a body, and the header that says so.
    pub fn compressed(body: &[u8]) -> Self {
        let mut child = Command::new("gzip")
            .arg("-c")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("gzip can be run");
        let mut input = child.stdin.take().expect("it is piped");
        let body = body.to_vec();
        let writer = std::thread::spawn(move || input.write_all(&body));
        let done = child.wait_with_output().expect("it ends");
        writer.join().expect("it is written").expect("it is read");
        Self::new(done.stdout).header("Content-Encoding", "gzip")
    }

    /// Another status.
    pub fn status(mut self, status: &'static str) -> Self {
        self.status = status;
        self
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

type Script = dyn FnMut(&Asked) -> Page + Send;

/// The server.
pub struct Web {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    script: Arc<Mutex<Box<Script>>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Web {
    /// Starts one on a free port of 127.0.0.1, in the test's own network.
    pub fn start(script: impl FnMut(&Asked) -> Page + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Mutex<Box<Script>>> = Arc::new(Mutex::new(Box::new(script)));
        let ends = Arc::new(AtomicBool::new(false));
        let thread = {
            let (asked, script, ends) = (asked.clone(), script.clone(), ends.clone());
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    if ends.load(SeqCst) {
                        return;
                    }
                    if let Ok(stream) = stream {
                        // A client that goes away in the middle is its own affair.
                        let _gone = serve(stream, &asked, &script, &ends);
                    }
                }
            })
        };
        Self {
            port,
            asked,
            script,
            ends,
            thread: Some(thread),
        }
    }

    /// One that always says the same.
    pub fn with(page: Page) -> Self {
        Self::start(move |_| page.clone())
    }

    /// From now on it says this.
    pub fn say(&self, page: Page) {
        *self.script.lock().expect("no test panicked in it") = Box::new(move |_| page.clone());
    }

    /// `http://127.0.0.1:<port><path>`.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Everything that it was asked.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test panicked in it").clone()
    }
}

fn serve(
    stream: TcpStream,
    asked: &Mutex<Vec<Asked>>,
    script: &Mutex<Box<Script>>,
    ends: &AtomicBool,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let mut headers = HashMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let Some(path) = first.split(' ').nth(1) else {
        return Ok(());
    };
    let question = Asked {
        path: path.to_owned(),
        headers,
    };
    let page = script.lock().expect("no test panicked in it")(&question);
    asked.lock().expect("no test panicked in it").push(question);
    answer(stream, &page, ends)
}

fn answer(mut stream: TcpStream, page: &Page, ends: &AtomicBool) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {}\r\nConnection: close\r\n", page.status);
    for (name, value) in &page.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if let Some(length) = page.length {
        head += &format!("Content-Length: {length}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    let whole = page.stall.unwrap_or(page.body.len());
    stream.write_all(&page.body[..whole])?;
    if page.stall.is_some() {
        stream.set_read_timeout(Some(Duration::from_millis(20)))?;
        let mut byte = [0];
        // Until the client gives up, or the test ends.
        while !ends.load(SeqCst) && !matches!(stream.read(&mut byte), Ok(0)) {}
    }
    Ok(())
}

impl Drop for Web {
    fn drop(&mut self) {
        self.ends.store(true, SeqCst);
        // The thread looks again when somebody calls.
        let _call = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}
