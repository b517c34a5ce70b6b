//! Name servers in the test's own network: dnsmasq for what a good one says, and a scripted one for
//! everything else.
//!
//! Both listen on [`DNS`] and are stopped with the value that started them.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use hickory_resolver::proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, PTR};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::wait_until;

/// Where the name server of a test is, for the parameter `resolver`.
pub const DNS: &str = "127.0.0.1:5353";

/// A real dnsmasq, which knows what its options say and nothing else.
pub struct Dnsmasq {
    child: Child,
}

impl Dnsmasq {
    /// Starts it with such options as `--host-record=name,address` (which makes the PTR, too) and
    /// `--ptr-record=name,target`.
    pub fn start(records: &[&str]) -> Self {
        let (address, port) = DNS.split_once(':').expect("an address and a port");
        let child = Command::new("dnsmasq")
            .args([
                "--no-daemon",
                "--bind-interfaces",
                "--no-resolv",
                "--no-hosts",
            ])
            .args(["--conf-file=/dev/null", "--pid-file=", "--user=root"])
            .args([
                "--local=/com/",
                "--local=/net/",
                "--local=/arpa/",
                "--local-ttl=60",
            ])
            .args([
                format!("--port={port}"),
                format!("--listen-address={address}"),
            ])
            .args(records)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dnsmasq of the package dnsmasq-base can be run");
        wait_until("dnsmasq to answer", || ask("ready.com.").is_some());
        Self { child }
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// One question by UDP; whatever comes back.
fn ask(name: &str) -> Option<Message> {
    let mut message = Message::query();
    let name = Name::from_ascii(name).expect("a name");
    message.add_query(Query::query(name, RecordType::A));
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let limit = Some(Duration::from_millis(50));
    socket.set_read_timeout(limit).expect("a limit can be set");
    socket.send_to(&message.to_vec().ok()?, DNS).ok()?;
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer).ok()?;
    Message::from_vec(&buffer[..length]).ok()
}

/// What a scripted server does with a question.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Answers with these records: type and value, as `("PTR", "a.example.com.")`.
    Records(Vec<(&'static str, String)>),
    /// An answer with this code and no records.
    Code(ResponseCode),
    /// None.
    Silence,
    /// Bytes that are no message.
    Garbage,
    /// The right answer to another question.
    WrongId(Vec<(&'static str, String)>),
    /// A PTR record of these bytes, whatever they are.
    Raw(Vec<u8>),
    /// By UDP only that there is more; this by TCP.
    Truncated(Vec<(&'static str, String)>),
}

/// One record as an answer.
pub fn record(kind: &'static str, value: &str) -> Reply {
    Reply::Records(vec![(kind, value.to_owned())])
}

/// A name server that does what it is told, right or wrong.
pub struct NameServer {
    asked: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

type Script = Arc<dyn Fn(&str, &str) -> Reply + Send + Sync>;

impl NameServer {
    /// Starts it; `script` is called with the type and the name of a question, in lower case and
    /// without the final dot.
    pub fn start(script: impl Fn(&str, &str) -> Reply + Send + Sync + 'static) -> Self {
        let (asked, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let server = Talk {
            script: Arc::new(script),
            asked: Arc::clone(&asked),
            stop: Arc::clone(&stop),
        };
        let udp = UdpSocket::bind(DNS).expect("the port is free");
        let tcp = TcpListener::bind(DNS).expect("the port is free");
        let limit = Some(Duration::from_millis(20));
        udp.set_read_timeout(limit).expect("a limit can be set");
        tcp.set_nonblocking(true).expect("it need not block");
        let other = server.clone();
        let threads = vec![
            std::thread::spawn(move || server.serve_udp(&udp)),
            std::thread::spawn(move || other.serve_tcp(&tcp)),
        ];
        Self {
            asked,
            stop,
            threads,
        }
    }

    /// The questions so far, as `PTR 9.113.0.203.in-addr.arpa`.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panicked").clone()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ended = thread.join();
        }
    }
}

#[derive(Clone)]
struct Talk {
    script: Script,
    asked: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
}

impl Talk {
    fn serve_udp(&self, socket: &UdpSocket) {
        let mut buffer = [0; 2048];
        while !self.stop.load(Ordering::Relaxed) {
            let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                continue;
            };
            if let Some(answer) = self.answer(&buffer[..length], true) {
                let _sent: Result<usize, _> = socket.send_to(&answer, from as SocketAddr);
            }
        }
    }

    fn serve_tcp(&self, listener: &TcpListener) {
        while !self.stop.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((stream, _)) => self.serve_stream(stream),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    fn serve_stream(&self, mut stream: TcpStream) {
        let limit = Some(Duration::from_millis(20));
        let ready = stream
            .set_nonblocking(false)
            .and(stream.set_read_timeout(limit));
        ready.expect("a limit can be set");
        let mut bytes = Vec::new();
        let mut chunk = [0; 2048];
        while !self.stop.load(Ordering::Relaxed) {
            match stream.read(&mut chunk) {
                Ok(0) => return,
                Ok(length) => bytes.extend(&chunk[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(_) => return,
            }
            let length = bytes
                .first_chunk()
                .map_or(0, |it| usize::from(u16::from_be_bytes(*it)));
            if bytes.len() < 2 + length {
                continue;
            }
            if let Some(answer) = self.answer(&bytes[2..][..length], false) {
                let length = u16::try_from(answer.len()).expect("a short answer");
                let whole = [&length.to_be_bytes()[..], &answer].concat();
                let _sent = stream.write_all(&whole);
            }
            bytes.drain(..2 + length);
        }
    }

    fn answer(&self, question: &[u8], udp: bool) -> Option<Vec<u8>> {
        let question = Message::from_vec(question).ok()?;
        let query = question.queries.first()?.clone();
        let kind = query.query_type().to_string();
        let name = query.name().to_ascii().to_ascii_lowercase();
        let name = name.trim_end_matches('.');
        self.asked
            .lock()
            .expect("nobody panicked")
            .push(format!("{kind} {name}"));
        let mut answer = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
        answer.add_query(query.clone());
        let mut add = |records: Vec<(&str, String)>| {
            for (kind, value) in records {
                answer.add_answer(Record::from_rdata(
                    query.name().clone(),
                    120,
                    data(kind, &value),
                ));
            }
        };
        match (self.script)(&kind, name) {
            Reply::Silence => return None,
            Reply::Garbage => return Some(vec![0xff; 7]),
            Reply::Records(records) => add(records),
            Reply::Raw(bytes) => return Some(with_pointer(&answer, &bytes)),
            Reply::Truncated(_) if udp => answer.metadata.truncation = true,
            Reply::Truncated(records) => add(records),
            Reply::Code(code) => answer.metadata.response_code = code,
            Reply::WrongId(records) => {
                add(records);
                answer.metadata.id = !answer.metadata.id;
            }
        }
        answer.to_vec().ok()
    }
}

/// An answer with one PTR record, which nobody would encode like that.
fn with_pointer(answer: &Message, bytes: &[u8]) -> Vec<u8> {
    let mut message = answer.to_vec().expect("a question can be encoded");
    message[7] = 1; // so many answers
    let length = u16::try_from(bytes.len()).expect("a short record");
    // The question's name, PTR, IN, two minutes.
    message.extend([0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 120]);
    message.extend(length.to_be_bytes());
    message.extend(bytes);
    message
}

fn data(kind: &str, value: &str) -> RData {
    let name = || Name::from_ascii(value).expect("a name");
    match kind {
        "PTR" => RData::PTR(PTR(name())),
        "CNAME" => RData::CNAME(CNAME(name())),
        "AAAA" => RData::AAAA(AAAA(value.parse().expect("an address"))),
        _ => RData::A(A(value.parse().expect("an address"))),
    }
}
