//! The sets of extensions in Redis, as they were last read.
//!
//! Used by the agent's task for extensions, on the link's connection. It reads in pages, so that the
//! link goes on meanwhile. What is no name is counted and skipped. When there is too much, nothing
//! of it counts: half a list would make guessers of customers.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisError};

use crate::config::{EXTENSIONS_MAX, ExtensionKey, insert_extension};
use crate::extension::NamesBuilder;

/// Keys or members asked for in one step of a scan.
const PAGE: usize = 1000;
/// Most sets.
const SETS_MAX: usize = 1 << 16;
/// Longest piece of a member that is shown, in bytes.
const SHOWN_MAX: usize = 40;

/// The sets, by key.
#[derive(Default)]
pub struct Sets {
    sets: BTreeMap<Vec<u8>, Set>,
    /// What there is too much of.
    excess: Option<String>,
}

#[derive(Clone, Default)]
struct Set {
    names: Arc<NamesBuilder>,
    members: usize,
    /// Members that are no names.
    skipped: usize,
    /// What is wrong with the first of them, or with the key.
    problem: Option<String>,
}

impl Sets {
    /// Reads all sets.
    ///
    /// # Errors
    /// What is wrong with Redis; what was known stays.
    pub async fn load(
        connection: &mut MultiplexedConnection,
        key: &ExtensionKey,
    ) -> Result<Sets, RedisError> {
        let mut sets = Sets::default();
        let names = keys(connection, key).await?;
        if names.len() > SETS_MAX {
            sets.excess = Some(format!("there are more than {SETS_MAX} sets"));
            return Ok(sets);
        }
        for name in names {
            sets.read(connection, key, name).await?;
        }
        Ok(sets)
    }

    /// Reads these sets anew.
    ///
    /// # Errors
    /// What is wrong with Redis; some of them may have been read.
    pub async fn update(
        &mut self,
        connection: &mut MultiplexedConnection,
        key: &ExtensionKey,
        changed: &HashSet<Vec<u8>>,
    ) -> Result<(), RedisError> {
        if self.excess.is_some() {
            *self = Sets::load(connection, key).await?;
            return Ok(());
        }
        for name in changed {
            self.read(connection, key, name.clone()).await?;
        }
        Ok(())
    }

    /// The names of each set.
    pub fn names(&self) -> Vec<Arc<NamesBuilder>> {
        let sets = self.sets.values();
        sets.map(|set| Arc::clone(&set.names)).collect()
    }

    /// Whether there is more than can be taken.
    pub fn overflows(&self) -> bool {
        self.excess.is_some()
    }

    /// What there is, for operators.
    pub fn describe(&self) -> String {
        if let Some(excess) = &self.excess {
            return excess.clone();
        }
        let sum = |count: fn(&Set) -> usize| self.sets.values().map(count).sum::<usize>();
        let (members, skipped) = (sum(|set| set.members), sum(|set| set.skipped));
        let sets = self.sets.values().filter(|set| set.members > 0).count();
        let mut text = match sets {
            1 => format!("{} names in 1 set", members - skipped),
            _ => format!("{} names in {sets} sets", members - skipped),
        };
        if skipped > 0 {
            text += &format!("; skipped {skipped} of {members} members");
        }
        let problem = self.sets.values().find_map(|set| set.problem.as_ref());
        if let Some(problem) = problem {
            text += &format!("; {problem}");
        }
        text
    }

    /// Reads one set; what is empty is none.
    async fn read(
        &mut self,
        connection: &mut MultiplexedConnection,
        key: &ExtensionKey,
        name: Vec<u8>,
    ) -> Result<(), RedisError> {
        let Some(domain) = key.domain(&name).filter(|_| self.excess.is_none()) else {
            return Ok(());
        };
        let others = self.sets.iter().filter(|(other, _)| **other != name);
        let others: usize = others.map(|(_, set)| set.members).sum();
        let room = EXTENSIONS_MAX.saturating_sub(others);
        let set = read_set(connection, &name, &domain, room).await?;
        if set.members > room {
            self.excess = Some(format!("there are more than {EXTENSIONS_MAX} names"));
        } else if set.members == 0 && set.problem.is_none() {
            self.sets.remove(&name);
        } else {
            self.sets.insert(name, set);
        }
        if self.sets.len() > SETS_MAX {
            self.excess = Some(format!("there are more than {SETS_MAX} sets"));
        }
        Ok(())
    }
}

/// The keys that are sets of extensions by their names; a few too many if there are too many.
async fn keys(
    connection: &mut MultiplexedConnection,
    key: &ExtensionKey,
) -> Result<HashSet<Vec<u8>>, RedisError> {
    let Some(pattern) = key.pattern() else {
        return Ok(HashSet::from([key.prefix().into()]));
    };
    let mut found = HashSet::new();
    let mut cursor = 0;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(&pattern);
        let page = page(connection, &mut scan);
        let (next, names) = page.await?;
        found.extend(names.into_iter().filter(|name| key.domain(name).is_some()));
        cursor = next;
        if cursor == 0 || found.len() > SETS_MAX {
            return Ok(found);
        }
    }
}

/// The members of a set; of more than there is room for, not all.
async fn read_set(
    connection: &mut MultiplexedConnection,
    name: &[u8],
    domain: &[u8],
    room: usize,
) -> Result<Set, RedisError> {
    let mut names = NamesBuilder::new();
    let mut set = Set::default();
    let mut cursor = 0;
    loop {
        let mut scan = redis::cmd("SSCAN");
        scan.arg(name).arg(cursor);
        let (next, members) = match page(connection, &mut scan).await {
            Err(error) if error.code() == Some("WRONGTYPE") => {
                let problem = format!("\"{}\" is not a set", shown(name));
                set.problem = Some(problem);
                return Ok(set);
            }
            page => page?,
        };
        set.members += members.len();
        for member in members {
            if let Err(problem) = insert_extension(&mut names, &member, domain) {
                set.skipped += 1;
                let place = || format!("\"{}\" in \"{}\"", shown(&member), shown(name));
                set.problem
                    .get_or_insert_with(|| format!("{} {problem}", place()));
            }
        }
        cursor = next;
        if cursor == 0 || set.members > room {
            set.names = Arc::new(names);
            return Ok(set);
        }
    }
}

/// One step of a scan.
async fn page(
    connection: &mut MultiplexedConnection,
    scan: &mut Cmd,
) -> Result<(u64, Vec<Vec<u8>>), RedisError> {
    scan.arg("COUNT").arg(PAGE).query_async(connection).await
}

fn shown(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(SHOWN_MAX)];
    start.escape_ascii().to_string()
}
