//! The memory of a node without Redis: bans and whitelist entries, also those of networks, cool-downs,
//! repeat offenders and trust, in a file that survives a restart.
//!
//! Called by the agent: read once after the start, written when something changed and at the end.
//! The file is replaced as a whole and readable by its owner alone. One that cannot be read or
//! understood, or that a newer version wrote, is set aside and reported; it never stops the server.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio::sync::oneshot::{Receiver, channel, error::TryRecvError};
use tokio::task::spawn_blocking;

use super::networks::Networks;
use super::remembered::{parse, restore, wall_ms, write};
use crate::files;
use crate::node::Node;

/// Longest file that is read: 16 million addresses.
const BYTES_MAX: usize = 1 << 30;

/// The file.
pub struct StateFile {
    path: PathBuf,
    /// What was last written.
    written: String,
    /// What becomes of the text that a thread is writing: a disk may be slow, or hang.
    writing: Option<Receiver<Outcome>>,
    /// What was last complained about.
    said: Option<String>,
}

/// A text, and whether it is in the file now.
type Outcome = (String, io::Result<()>);

impl StateFile {
    pub fn new(path: &str) -> StateFile {
        StateFile {
            path: path.into(),
            written: String::new(),
            writing: None,
            said: None,
        }
    }

    /// Reads the file into the ledger and the books of networks. A sentence for the log; `Err` if it is a complaint.
    pub fn load(&self, node: &Node, networks: &Networks) -> Result<String, String> {
        let shown = self.path.display();
        let lines = match files::read(&self.path, BYTES_MAX) {
            // A byte that is no text cannot be in a line of ours: the parser says which line it is.
            Ok(bytes) => parse(&String::from_utf8_lossy(&bytes))
                .map_err(|problem| format!("is not used: {problem}")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(format!("{shown} is not there yet: nothing is remembered"));
            }
            Err(error) => Err(format!("cannot be read: {error}")),
        };
        let lines = lines.map_err(|problem| {
            let where_to = set_aside(&self.path).unwrap_or_else(|error| {
                node.status.spare_state_file();
                format!("it cannot be set aside ({error}), so this server remembers nothing")
            });
            format!("{shown} {problem}; {where_to}")
        })?;
        let (now, wall) = (node.now(), wall_ms());
        let known = lines
            .iter()
            .filter(|line| restore(node, networks, line, now, wall))
            .count();
        Ok(format!("{known} entries were remembered from {shown}"))
    }

    /// Has the file written if anything changed since the last time. A complaint about that last
    /// time, once.
    pub fn save(&mut self, node: &Node, networks: &Networks) -> Option<String> {
        if node.status.state_file_spared() {
            return None;
        }
        let complaint = self.look();
        if self.writing.is_none() {
            self.begin(write(node, networks, node.now(), wall_ms()));
        }
        complaint
    }

    /// Writes what there is to write before this returns, after what is being written. A complaint,
    /// once.
    pub async fn save_last(&mut self, node: &Node, networks: &Networks) -> Option<String> {
        if node.status.state_file_spared() {
            return None;
        }
        let before = self.wait().await;
        self.begin(write(node, networks, node.now(), wall_ms()));
        self.wait().await.or(before)
    }

    /// Begins to write a text, unless it is in the file.
    fn begin(&mut self, text: String) {
        if text == self.written {
            return;
        }
        let (sender, receiver) = channel();
        let path = self.path.clone();
        spawn_blocking(move || {
            let outcome = files::replace(&path, text.as_bytes(), 0o600);
            // An agent that ends does not wait for it.
            let _ = sender.send((text, outcome));
        });
        self.writing = Some(receiver);
    }

    /// Looks whether the text is written.
    fn look(&mut self) -> Option<String> {
        match self.writing.as_mut()?.try_recv() {
            Err(TryRecvError::Empty) => None,
            outcome => self.ended(outcome.ok()),
        }
    }

    /// Waits until the text is written.
    async fn wait(&mut self) -> Option<String> {
        let outcome = self.writing.as_mut()?.await;
        self.ended(outcome.ok())
    }

    fn ended(&mut self, outcome: Option<Outcome>) -> Option<String> {
        self.writing = None;
        let (text, outcome) = outcome?;
        match outcome {
            Ok(()) => {
                self.written = text;
                self.said = None;
                None
            }
            Err(error) => {
                let text = format!("{} cannot be written: {error}", self.path.display());
                let new = self.said.as_ref() != Some(&text);
                self.said = Some(text.clone());
                new.then_some(text)
            }
        }
    }
}

/// Moves what is there out of the way of the next file. Where it is now.
fn set_aside(path: &Path) -> io::Result<String> {
    let aside = path.with_extension("rejected");
    fs::rename(path, &aside)?;
    Ok(format!("it was set aside as {}", aside.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use tokio::task::yield_now;

    #[test]
    fn a_disk_that_hangs_is_waited_for_by_one_thread_and_by_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut file = StateFile::new(path.to_str().unwrap());
            // The disk that hangs: the only thread is busy.
            let (release, held) = mpsc::channel::<()>();
            spawn_blocking(move || held.recv());
            file.begin("first".into());
            for _ in 0..100 {
                assert_eq!(file.look(), None);
                assert!(file.writing.is_some() && !path.exists());
                yield_now().await;
            }
            drop(release);
            assert_eq!(file.wait().await, None);
            assert_eq!(fs::read(&path).unwrap(), b"first");
            file.begin("first".into());
            assert!(file.writing.is_none(), "there is nothing to write");
            file.begin("last".into());
            assert_eq!(file.wait().await, None);
            assert_eq!(fs::read(&path).unwrap(), b"last");
        });
    }
}
