//! A real HTTP server on the loopback, for feeds: it serves what a test says, and misbehaves as it
//! says. One thread, one connection at a time; it ends with the test.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

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
    scheme: &'static str,
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    script: Arc<Mutex<Box<Script>>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Web {
    /// Starts one on a free port of 127.0.0.1, in the test's own network.
    pub fn start(script: impl FnMut(&Asked) -> Page + Send + 'static) -> Self {
        Self::run(None, script)
    }

    /// One that speaks TLS with a certificate and its key, which are PEM files.
    pub fn secure(certificate: &Path, key: &Path, page: Page) -> Self {
        let certificates = CertificateDer::pem_file_iter(certificate).expect("it can be read");
        let certificates = certificates.map(|one| one.expect("it is a certificate"));
        let key = PrivateKeyDer::from_pem_file(key).expect("it is a key");
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .expect("there are versions")
            .with_no_client_auth()
            .with_single_cert(certificates.collect(), key)
            .expect("they belong together");
        Self::run(Some(Arc::new(tls)), move |_| page.clone())
    }

    fn run(
        tls: Option<Arc<rustls::ServerConfig>>,
        script: impl FnMut(&Asked) -> Page + Send + 'static,
    ) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
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
                        let _gone = serve(stream, tls.as_ref(), &asked, &script, &ends);
                    }
                }
            })
        };
        Self {
            scheme,
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

    /// `http://127.0.0.1:<port><path>`, or https.
    pub fn url(&self, path: &str) -> String {
        format!("{}://127.0.0.1:{}{path}", self.scheme, self.port)
    }

    /// Everything that it was asked.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test panicked in it").clone()
    }
}

/// Answers one question over a plain or an encrypted connection.
fn serve(
    stream: TcpStream,
    tls: Option<&Arc<rustls::ServerConfig>>,
    asked: &Mutex<Vec<Asked>>,
    script: &Mutex<Box<Script>>,
    ends: &AtomicBool,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_millis(20)))?;
    let Some(tls) = tls else {
        return talk(stream, asked, script, ends);
    };
    let connection = rustls::ServerConnection::new(Arc::clone(tls)).expect("TLS can begin");
    let mut stream = rustls::StreamOwned::new(connection, stream);
    talk(&mut stream, asked, script, ends)?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn talk(
    mut stream: impl Read + Write,
    asked: &Mutex<Vec<Asked>>,
    script: &Mutex<Box<Script>>,
    ends: &AtomicBool,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if !more(&mut stream, &mut head, ends)? {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines();
    let path = lines.next().and_then(|first| first.split(' ').nth(1));
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    let question = Asked {
        path: path.unwrap_or_default().to_owned(),
        headers: headers.collect(),
    };
    let page = script.lock().expect("no test panicked in it")(&question);
    asked.lock().expect("no test panicked in it").push(question);
    answer(stream, &page, ends)
}

/// Reads what there is; false when the client has gone, or the test ends.
fn more(stream: &mut impl Read, bytes: &mut Vec<u8>, ends: &AtomicBool) -> std::io::Result<bool> {
    let mut byte = [0];
    while !ends.load(SeqCst) {
        match stream.read(&mut byte) {
            Ok(0) => return Ok(false),
            Ok(_) => {
                bytes.extend(byte);
                return Ok(true);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

fn answer(mut stream: impl Read + Write, page: &Page, ends: &AtomicBool) -> std::io::Result<()> {
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
    stream.flush()?;
    // A server that hangs does so until the client gives up, or the test ends.
    while page.stall.is_some() && more(&mut stream, &mut Vec::new(), ends)? {}
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
