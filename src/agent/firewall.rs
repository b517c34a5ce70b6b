//! `nft_set`: the bans that hold, in sets of nftables, each with its end.
//!
//! A task of the agent. It only fills sets that the operator has made; what happens to packets from
//! there is the operator's own rule. A set is filled as a whole in one transaction, so it is right
//! whatever was in it, and never empty in between; nothing is counted up or taken back piece by
//! piece. What is wrong is said once, and tried again every ten seconds.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::blocklist::{self, Barred};
use super::nft::Nft;
use crate::config::NftSets;
use crate::engine::facts::Now;
use crate::kamailio::log;
use crate::node::Node;
use crate::shared::notes::Note;

/// Between two looks whether the bans have changed.
const LOOK: Duration = Duration::from_secs(1);
/// A pause is at least so many times longer than the look and the filling before it.
const IDLE: u32 = 9;
/// Sets are filled at least so often: whoever loads the rules of a firewall anew empties them.
const REFILL: Duration = Duration::from_secs(10);
/// Until the next try, when one has failed.
const RETRY: Duration = Duration::from_secs(10);

/// The sets.
pub struct Firewall {
    node: &'static Node,
    sets: &'static NftSets,
    nft: Nft,
    /// What was last put into the sets, and when.
    filled: Option<(Vec<Barred>, Instant)>,
    /// What was last complained about: nothing is said twice.
    said: Option<String>,
}

impl Firewall {
    /// With these sets.
    pub fn new(node: &'static Node, sets: &'static NftSets) -> Firewall {
        Firewall {
            node,
            sets,
            nft: Nft::new(),
            filled: None,
            said: None,
        }
    }

    /// Keeps the sets filled; runs for ever.
    pub async fn run(mut self) {
        loop {
            let began = Instant::now();
            let pause = match self.look().await {
                Ok(()) => {
                    self.worked();
                    LOOK.max(began.elapsed() * IDLE)
                }
                Err(problem) => {
                    self.failed(problem);
                    RETRY
                }
            };
            sleep(pause).await;
        }
    }

    async fn look(&mut self) -> Result<(), String> {
        let now = self.node.now();
        // Until the fleet's bans are known, what is in the sets stays.
        if self.node.awaits_fleet(now) {
            return Ok(());
        }
        let bans = blocklist::of(self.node, now);
        if self.holds(&bans, now) {
            return Ok(());
        }
        // If this fails, nobody knows what the sets hold.
        let earlier = self.filled.take();
        if earlier.is_none_or(|(_, since)| since.elapsed() >= REFILL) {
            self.nft.verify(self.sets).await?;
        }
        if let Err(problem) = self.nft.fill(self.sets, &bans, now).await {
            // Which set it is about is not in its words.
            self.nft.verify(self.sets).await?;
            return Err(problem);
        }
        self.filled = Some((bans, Instant::now()));
        Ok(())
    }

    /// Whether the sets hold these bans already. Those that have ended are gone by themselves.
    fn holds(&self, bans: &[Barred], now: Now) -> bool {
        let Some((filled, since)) = &self.filled else {
            return false;
        };
        let alive = filled.iter().filter(|ban| ban.value > now.ms());
        since.elapsed() < REFILL && alive.eq(bans)
    }

    fn worked(&mut self) {
        if self.said.take().is_some() {
            self.node.notes.write(Note::NftSet, "");
            let line = format_args!("nft_set: {} takes bans again", self.sets);
            log::at(self.node.log_level, line);
        }
    }

    fn failed(&mut self, problem: String) {
        if self.said.as_ref() != Some(&problem) {
            self.node.notes.write(Note::NftSet, &problem);
            let line = format_args!("nft_set: {} gets no bans: {problem}", self.sets);
            log::error(line);
            self.said = Some(problem);
        }
    }
}
