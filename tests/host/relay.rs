//! A relay in front of a server: passes bytes on, and can be told to cut the line, to hold everything
//! back, to take its time, to break off in mid-reply, or to go to another server. So a test has one node
//! without a link while others keep theirs.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often a direction looks whether it has to do something else.
const LOOK: Duration = Duration::from_millis(10);

/// What it does with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Passes them on.
    Open,
    /// Passes each piece that the server sends on after so long.
    Slow(Duration),
    /// Keeps the connections, and everything that is sent.
    Held,
    /// Passes so many bytes from the server on each new connection, and closes it.
    Short(usize),
    /// Closes the connections, and new ones at once.
    Cut,
}

/// A relay; it ends with its value.
pub struct Relay {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    accepting: Option<JoinHandle<()>>,
}

struct State {
    /// None at the end.
    line: Option<Line>,
    server: u16,
    connections: u32,
}

impl Relay {
    /// Listens on a port of the loopback address, for a server on another.
    pub fn start(port: u16, server: u16) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let listener = TcpListener::bind(address).expect("the port is free");
        let state = State {
            line: Some(Line::Open),
            server,
            connections: 0,
        };
        let state = Arc::new(Mutex::new(state));
        let told = Arc::clone(&state);
        let accepting = thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Some(line)) = (client, line(&told)) else {
                    return;
                };
                if line != Line::Cut {
                    join(&client, &told);
                }
            }
        });
        Self {
            state,
            address,
            accepting: Some(accepting),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }

    /// From now on.
    pub fn set(&self, line: Line) {
        self.state().line = Some(line);
    }

    /// New connections go to another port.
    pub fn lead_to(&self, server: u16) {
        self.state().server = server;
    }

    /// Connections that were made to a server so far.
    pub fn connections(&self) -> u32 {
        self.state().connections
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state().line = None;
        // Wakes whoever waits for a client.
        let _ = TcpStream::connect(self.address);
        // Then the port is free again.
        let _ = self.accepting.take().map(JoinHandle::join);
    }
}

fn line(state: &Mutex<State>) -> Option<Line> {
    state.lock().expect("nobody panics with it").line
}

/// Both directions of a connection, each in a thread of its own.
fn join(client: &TcpStream, state: &Arc<Mutex<State>>) {
    let port = state.lock().expect("nobody panics with it").server;
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else {
        return;
    };
    state.lock().expect("nobody panics with it").connections += 1;
    for (from, to, answers) in [(client, &server, false), (&server, client, true)] {
        let pair = (from.try_clone(), to.try_clone());
        if let (Ok(from), Ok(to)) = pair {
            let state = Arc::clone(state);
            thread::spawn(move || pass(from, to, answers, &state));
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, answers: bool, state: &Mutex<State>) {
    let _ = from.set_read_timeout(Some(LOOK));
    let (mut bytes, mut passed) = ([0; 65536], 0);
    loop {
        let line = line(state);
        let most = match line {
            None | Some(Line::Cut) => break,
            Some(Line::Held) => {
                thread::sleep(LOOK);
                continue;
            }
            Some(Line::Short(most)) if answers => bytes.len().min(most.saturating_sub(passed)),
            Some(_) => bytes.len(),
        };
        let length = match from.read(&mut bytes[..most]) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                continue;
            }
            Err(_) => break,
        };
        if let Some(Line::Slow(delay)) = line
            && answers
        {
            thread::sleep(delay);
        }
        passed += length;
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
