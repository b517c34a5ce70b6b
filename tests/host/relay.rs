//! A relay in front of a server: passes bytes on, and can be told to cut the line, to hold everything
//! back, or to take its time. So a test has one node without a link while others keep theirs.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How often a direction looks whether it has to do something else.
const LOOK: Duration = Duration::from_millis(10);

/// What it does with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Passes them on.
    Open,
    /// Passes each piece on after so long.
    Slow(Duration),
    /// Keeps the connections, and everything that is sent.
    Held,
    /// Closes the connections, and new ones at once.
    Cut,
}

/// A relay; it ends with its value.
pub struct Relay {
    line: Arc<Mutex<Option<Line>>>,
    address: SocketAddr,
}

impl Relay {
    /// Listens on a port of the loopback address, for a server on another.
    pub fn start(port: u16, server: u16) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let server = SocketAddr::from(([127, 0, 0, 1], server));
        let listener = TcpListener::bind(address).expect("the port is free");
        let line = Arc::new(Mutex::new(Some(Line::Open)));
        let told = Arc::clone(&line);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Some(line)) = (client, now(&told)) else {
                    return;
                };
                if line != Line::Cut {
                    join(&client, server, &told);
                }
            }
        });
        Self { line, address }
    }

    /// From now on.
    pub fn set(&self, line: Line) {
        *self.line.lock().expect("nobody panics with it") = Some(line);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        *self.line.lock().expect("nobody panics with it") = None;
        // Wakes whoever waits for a client.
        let _ = TcpStream::connect(self.address);
    }
}

fn now(line: &Mutex<Option<Line>>) -> Option<Line> {
    *line.lock().expect("nobody panics with it")
}

/// Both directions of a connection, each in a thread of its own.
fn join(client: &TcpStream, server: SocketAddr, line: &Arc<Mutex<Option<Line>>>) {
    let Ok(server) = TcpStream::connect(server) else {
        return;
    };
    for (from, to) in [(client, &server), (&server, client)] {
        let pair = (from.try_clone(), to.try_clone());
        if let (Ok(from), Ok(to)) = pair {
            let line = Arc::clone(line);
            thread::spawn(move || pass(from, to, &line));
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, line: &Mutex<Option<Line>>) {
    let _ = from.set_read_timeout(Some(LOOK));
    let mut bytes = [0; 65536];
    while let Some(Line::Open | Line::Slow(_) | Line::Held) = now(line) {
        if now(line) == Some(Line::Held) {
            thread::sleep(LOOK);
            continue;
        }
        let length = match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                continue;
            }
            Err(_) => break,
        };
        if let Some(Line::Slow(delay)) = now(line) {
            thread::sleep(delay);
        }
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
