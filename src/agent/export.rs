//! `feed_export`: the bans that hold, as a list file for firewalls, other servers and other nodes.
//!
//! A task of the agent. The file is replaced as a whole, and only when it would change. A place that
//! cannot be written to is said once and tried again; nothing else waits for it.

use std::path::PathBuf;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::blocklist;
use crate::files;
use crate::kamailio::log;
use crate::node::Node;
use crate::shared::notes::Note;

/// Between two looks whether the file has to be written.
const LOOK: Duration = Duration::from_secs(5);
/// Everybody may read it: what reads it is another program.
const MODE: u32 = 0o644;

/// The file.
pub struct Export {
    node: &'static Node,
    path: PathBuf,
    /// What was last written.
    written: Option<String>,
    /// What was last complained about: nothing is said twice.
    said: Option<String>,
}

impl Export {
    /// To `path`.
    pub fn new(node: &'static Node, path: &str) -> Export {
        Export {
            node,
            path: path.into(),
            written: None,
            said: None,
        }
    }

    /// Keeps the file up to date; runs for ever.
    pub async fn run(mut self) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let now = self.node.now();
            // Until the fleet's bans are known, the file of before is the better one.
            if self.node.awaits_fleet(now) {
                continue;
            }
            let text = text(&blocklist::of(self.node, now));
            if self.written.as_ref() != Some(&text) {
                self.write(text).await;
            }
        }
    }

    async fn write(&mut self, text: String) {
        let path = self.path.clone();
        let write = move || {
            let outcome = files::replace(&path, text.as_bytes(), MODE);
            (text, outcome.map_err(|error| error.to_string()))
        };
        // A disk may be slow; the agent has more to do than to wait for it.
        let Ok((text, outcome)) = spawn_blocking(write).await else {
            return;
        };
        match outcome {
            Ok(()) => self.wrote(text),
            Err(problem) => self.failed(problem),
        }
    }

    fn wrote(&mut self, text: String) {
        self.written = Some(text);
        if self.said.take().is_some() {
            self.node.notes.write(Note::Export, "");
            let line = format_args!("feed_export: {} is written again", self.path.display());
            log::at(self.node.log_level, line);
        }
    }

    fn failed(&mut self, problem: String) {
        if self.said.as_ref() != Some(&problem) {
            self.node.notes.write(Note::Export, &problem);
            let path = self.path.display();
            log::error(format_args!(
                "feed_export: {path} cannot be written: {problem}"
            ));
            self.said = Some(problem);
        }
    }
}

fn text(bans: &[blocklist::Barred]) -> String {
    let mut text = String::from(
        "# The addresses and networks that sec bans now, one a line.\n\
         # It is written anew when they change.\n",
    );
    for ban in bans {
        text.push_str(&ban.prefix.to_string());
        text.push('\n');
    }
    text
}
