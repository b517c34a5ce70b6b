//! A small SIP client: requests from any source address, over UDP or TCP, and their answers.
//!
//! Used by tests and by the demo. It sends what it is told, broken or not, and matches answers by
//! Call-ID and CSeq; transactions and retransmission are not its business, since on a loopback
//! nothing gets lost.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::{PATIENCE, SERVER, SERVER6, wait_until};

/// How many requests a burst has on the way at once: less than the server's socket buffer holds.
const WINDOW: usize = 64;

/// A request before it is sent; a header given here replaces the default one.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    uri: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Request {
    pub fn new(method: &str, uri: &str) -> Self {
        Self {
            method: method.to_owned(),
            uri: uri.to_owned(),
            headers: Vec::new(),
            body: String::new(),
        }
    }

    /// A call of a script function on the test server.
    pub fn call(function: &str, arguments: &[&str]) -> Self {
        let request = Self::new("OPTIONS", &format!("sip:{function}@{SERVER}"))
            .header("X-N", &arguments.len().to_string());
        (1..)
            .zip(arguments)
            .fold(request, |request, (index, argument)| {
                request.header(&format!("X-{index}"), argument)
            })
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn body(mut self, kind: &str, body: &str) -> Self {
        self.body = body.to_owned();
        self.header("Content-Type", kind)
    }

    fn has(&self, name: &str) -> bool {
        self.headers
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
    }
}

/// A request or an answer that was received.
#[derive(Clone, Debug)]
pub struct Message {
    text: String,
}

impl Message {
    /// The status code; 0 for a request.
    pub fn code(&self) -> u16 {
        let status = self.text.strip_prefix("SIP/2.0 ");
        let code = status.and_then(|rest| rest.split(' ').next());
        code.and_then(|code| code.parse().ok()).unwrap_or_default()
    }

    /// The reason phrase of an answer.
    pub fn reason(&self) -> &str {
        let line = self.text.lines().next().unwrap_or_default();
        line.splitn(3, ' ').nth(2).unwrap_or_default()
    }

    /// The method of a request.
    pub fn method(&self) -> &str {
        self.text.split(' ').next().unwrap_or_default()
    }

    /// What the script's function returned, on the test server.
    ///
    /// # Panics
    /// When the answer carries no such code.
    pub fn rc(&self) -> i64 {
        let code = self.reason().strip_prefix("rc ");
        code.and_then(|code| code.parse().ok())
            .unwrap_or_else(|| panic!("no return code in {}", self.text))
    }

    /// A pseudo-variable of the answer, `<null>` when it has no value.
    pub fn variable(&self, name: &str) -> &str {
        let line = self.header("X-Sec").unwrap_or_default();
        line.split(';')
            .filter_map(|part| part.split_once('='))
            .find(|(key, _)| *key == name)
            .map_or("", |(_, value)| value)
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    /// Every header of that name, in order.
    pub fn headers<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        head.lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .filter(move |(known, _)| known.trim().eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    pub fn text(&self) -> &str {
        &self.text
    }
}

enum Transport {
    Udp(UdpSocket),
    Tcp {
        stream: TcpStream,
        received: Vec<u8>,
    },
}

/// What `sec_check` answers to a request from this address.
pub fn verdict(source: &str) -> i64 {
    let check = Request::call("sec_check", &[]);
    Client::udp(source).ask(&check).rc()
}

/// Asks from this address until the verdict is as expected.
pub fn wait_for_verdict(source: &str, expected: i64) {
    wait_until(&format!("{source} to get {expected}"), || {
        verdict(source) == expected
    });
}

/// One source address that talks to the server.
pub struct Client {
    transport: Transport,
    local: SocketAddr,
    sequence: u32,
}

impl Client {
    /// A UDP client at `source`, any address whatever.
    pub fn udp(source: &str) -> Self {
        let six = source.contains(':');
        Self::udp_to(source, if six { SERVER6 } else { SERVER })
    }

    /// A UDP client at `source` that talks to another server than the first.
    pub fn udp_to(source: &str, server: &str) -> Self {
        let socket = bound(source, Type::DGRAM, Protocol::UDP);
        let socket = UdpSocket::from(socket);
        let local = socket.local_addr().expect("a bound socket has an address");
        socket
            .connect((server, 5060))
            .expect("UDP needs no partner");
        socket
            .set_read_timeout(Some(PATIENCE))
            .expect("a time limit can be set");
        Self {
            transport: Transport::Udp(socket),
            local,
            sequence: 0,
        }
    }

    /// A TCP client at `source`, connected.
    pub fn tcp(source: &str) -> Self {
        let socket = bound(source, Type::STREAM, Protocol::TCP);
        let local = socket.local_addr().ok().and_then(|local| local.as_socket());
        let local = local.expect("a bound socket has an address");
        let server = SocketAddr::new(server(local).parse().expect("an address"), 5060);
        socket
            .connect(&server.into())
            .expect("Kamailio takes TCP connections");
        let stream = TcpStream::from(socket);
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a time limit can be set");
        Self {
            transport: Transport::Tcp {
                stream,
                received: Vec::new(),
            },
            local,
            sequence: 0,
        }
    }

    /// The address and port that the server sees.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Sends a request, completed with what it lacks; its Call-ID.
    pub fn send(&mut self, request: &Request) -> String {
        self.sequence += 1;
        let transport = match self.transport {
            Transport::Udp(_) => "UDP",
            Transport::Tcp { .. } => "TCP",
        };
        let Self {
            local, sequence, ..
        } = *self;
        let call_id = format!("{sequence}-{local}");
        let mut text = format!("{} {} SIP/2.0\r\n", request.method, request.uri);
        let defaults = [
            (
                "Via",
                format!(
                    "SIP/2.0/{transport} {local};branch=z9hG4bK-{sequence}-{}",
                    local.port()
                ),
            ),
            ("From", format!("<sip:tester@{SERVER}>;tag={sequence}")),
            ("To", format!("<{}>", request.uri)),
            ("Call-ID", call_id.clone()),
            ("CSeq", format!("{sequence} {}", request.method)),
            ("Max-Forwards", "70".to_owned()),
            ("Content-Length", request.body.len().to_string()),
        ];
        for (name, value) in &defaults {
            if !request.has(name) {
                text += &format!("{name}: {value}\r\n");
            }
        }
        for (name, value) in &request.headers {
            text += &format!("{name}: {value}\r\n");
        }
        self.send_bytes(format!("{text}\r\n{}", request.body).as_bytes());
        let own = request.headers.iter().find(|(name, _)| name == "Call-ID");
        own.map_or(call_id, |(_, value)| value.clone())
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        match &mut self.transport {
            Transport::Udp(socket) => {
                socket.send(bytes).expect("a datagram can be sent");
            }
            Transport::Tcp { stream, .. } => stream.write_all(bytes).expect("the connection holds"),
        }
    }

    /// Sends bytes over TCP, whether or not the server takes all of them, ends the stream, and waits
    /// until the server has closed the connection.
    ///
    /// # Panics
    /// When it keeps it open.
    pub fn end_with(self, bytes: &[u8]) {
        let Transport::Tcp { mut stream, .. } = self.transport else {
            panic!("a datagram has no end");
        };
        // What is refused in the middle is what the server did not want to read.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut chunk = [0; 65536];
        loop {
            match stream.read(&mut chunk) {
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    panic!("the server keeps a connection that has ended");
                }
                Ok(0) | Err(_) => return,
            }
        }
    }

    /// The next message; `None` when none came in time or the connection was closed.
    pub fn receive(&mut self) -> Option<Message> {
        match &mut self.transport {
            Transport::Udp(socket) => {
                let mut buffer = [0; 65536];
                let count = received(|| socket.recv(&mut buffer))?;
                Some(Message {
                    text: String::from_utf8_lossy(&buffer[..count]).into_owned(),
                })
            }
            Transport::Tcp { stream, received } => receive_stream(stream, received),
        }
    }

    /// A message that has already come, without waiting.
    pub fn receive_now(&mut self) -> Option<Message> {
        let shortest = Duration::from_millis(1);
        self.set_patience(shortest);
        let message = self.receive();
        self.set_patience(PATIENCE);
        message
    }

    /// All that has come and was not read yet, without waiting.
    pub fn arrived(&mut self) -> Vec<Message> {
        let waits = |client: &Self, waits: bool| match &client.transport {
            Transport::Udp(socket) => socket.set_nonblocking(!waits),
            Transport::Tcp { stream, .. } => stream.set_nonblocking(!waits),
        };
        waits(self, false).expect("it need not block");
        let messages = std::iter::from_fn(|| self.receive()).collect();
        waits(self, true).expect("it can block");
        messages
    }

    fn set_patience(&self, patience: Duration) {
        match &self.transport {
            Transport::Udp(socket) => socket.set_read_timeout(Some(patience)),
            Transport::Tcp { stream, .. } => stream.set_read_timeout(Some(patience)),
        }
        .expect("a time limit can be set");
    }

    /// Sends a request and waits for its final answer.
    ///
    /// # Panics
    /// When none comes.
    pub fn ask(&mut self, request: &Request) -> Message {
        let call_id = self.send(request);
        loop {
            let message = self
                .receive()
                .unwrap_or_else(|| panic!("no answer to {request:?} from {}", self.local));
            if message.header("Call-ID") == Some(&call_id) && message.code() >= 200 {
                return message;
            }
        }
    }

    /// Calls a script function on the test server; its return code.
    pub fn call(&mut self, function: &str, arguments: &[&str]) -> i64 {
        self.ask(&Request::call(function, arguments)).rc()
    }

    /// Sends `count` equal requests at once; their return codes in the order of sending.
    ///
    /// # Panics
    /// When one of them gets no answer.
    pub fn burst(&mut self, count: usize, request: &Request) -> Vec<i64> {
        let answers = self.burst_answers(count, request);
        answers.iter().map(Message::rc).collect()
    }

    /// The same with the whole answers.
    pub fn burst_answers(&mut self, count: usize, request: &Request) -> Vec<Message> {
        let mut waiting = Vec::with_capacity(count);
        let mut answers = vec![None; count];
        let mut answered = 0;
        while answered < count {
            if waiting.len() < count && waiting.len() - answered < WINDOW {
                waiting.push(self.send(request));
                continue;
            }
            let message = self
                .receive()
                .unwrap_or_else(|| panic!("{answered} of {count} answers came"));
            let place = waiting
                .iter()
                .position(|call_id| message.header("Call-ID") == Some(call_id));
            if let Some(place) = place.filter(|place| answers[*place].is_none()) {
                answers[place] = Some(message);
                answered += 1;
            }
        }
        answers.into_iter().flatten().collect()
    }
}

fn receive_stream(stream: &mut TcpStream, buffered: &mut Vec<u8>) -> Option<Message> {
    loop {
        let text = String::from_utf8_lossy(buffered).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let message = Message {
                text: format!("{head}\r\n\r\n"),
            };
            let body = message
                .header("Content-Length")
                .and_then(|length| length.parse().ok());
            let length = head.len() + 4 + body.unwrap_or(0);
            if buffered.len() >= length {
                buffered.drain(..length);
                return Some(message);
            }
        }
        let mut chunk = [0; 65536];
        match received(|| stream.read(&mut chunk))? {
            0 => return None,
            count => buffered.extend_from_slice(&chunk[..count]),
        }
    }
}

/// How much was read; `None` when nothing came in time.
///
/// # Panics
/// When the network itself failed, which no test provokes.
fn received(mut read: impl FnMut() -> std::io::Result<usize>) -> Option<usize> {
    loop {
        match read() {
            Ok(count) => return Some(count),
            // A process that is stopped and continued, as in a container, is interrupted.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return None;
            }
            Err(error) => panic!("cannot receive: {error}"),
        }
    }
}

/// The server's address of the same family.
fn server(local: SocketAddr) -> &'static str {
    if local.is_ipv4() { SERVER } else { SERVER6 }
}

/// A socket bound to `source`, which no interface has to carry.
fn bound(source: &str, kind: Type, protocol: Protocol) -> Socket {
    let address: IpAddr = source
        .parse()
        .unwrap_or_else(|_| panic!("`{source}` is no address"));
    let address = SocketAddr::new(address, 0);
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))
        .expect("a socket can be made");
    if address.is_ipv6() {
        socket.set_freebind_v6(true)
    } else {
        socket.set_freebind_v4(true)
    }
    .expect("foreign addresses can be bound");
    socket
        .bind(&address.into())
        .unwrap_or_else(|error| panic!("cannot send from {source}: {error}"));
    socket
}
