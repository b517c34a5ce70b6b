//! What the fleet knows of an address: the keys that the nodes share in Redis.
//!
//! Used by `site`. It reads bans, whitelist entries and cool-downs, of the address itself and of
//! every prefix around it, and writes one thing: an address's own whitelist entry. It never
//! deletes a ban: to a node the entry is stronger, and the ban's history stays. A connection
//! lives for one page, so there is nothing to repair when Redis was away.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ipnet::IpNet;
use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult, Value};
use serde::Deserialize;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::options::Options;

/// How long a freed address stays free, in seconds.
pub const GRANT_SECS: u64 = 3600;
/// A grant younger than this is not repeated, so that a second press of the button costs nothing.
const FRESH: Duration = Duration::from_secs(5 * 60);
/// Pages that may ask Redis at a time; the others wait their turn.
const CONNECTIONS: usize = 16;
/// How long Redis may take to be reached, and for one answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// As much of a value as is looked at, in bytes.
const VALUE_BYTES: usize = 4096;

/// The way to Redis.
pub struct Fleet {
    client: redis::Client,
    config: redis::AsyncConnectionConfig,
    places: Semaphore,
    whitelist_prefix: String,
    ban_prefix: String,
}

/// A connection for one page, with its place among the [`CONNECTIONS`].
pub struct Link<'a> {
    pub redis: MultiplexedConnection,
    _place: SemaphorePermit<'a>,
}

/// What is known of an address.
pub struct Standing {
    pub bans: Vec<Ban>,
    /// The whitelist entry that lasts longest.
    pub free: Option<Free>,
    pub cool_down: Option<CoolDown>,
}

/// A ban of the address or of a prefix around it.
pub struct Ban {
    /// As written in the key.
    pub subject: String,
    pub reason: Option<String>,
    /// Which time it is that this source is banned.
    pub count: Option<u64>,
    /// How long ago it began.
    pub age: Option<Duration>,
    /// `None`: until it is lifted.
    pub left: Option<Duration>,
}

/// A whitelist entry.
pub struct Free {
    pub subject: String,
    /// `None`: until it is removed.
    pub left: Option<Duration>,
}

/// A time in which the address cannot be freed.
pub struct CoolDown {
    pub reason: String,
    pub left: Option<Duration>,
}

/// What a node writes into a ban; of anything else only the existence counts.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Note {
    reason: Option<String>,
    at: Option<f64>,
    count: Option<u64>,
}

/// A key that exists.
struct Hit {
    subject: String,
    value: Vec<u8>,
    left: Option<Duration>,
}

impl Standing {
    /// Whether a grant would change nothing, or would shorten what an operator gave.
    pub fn has_fresh_grant(&self) -> bool {
        let lasting = Duration::from_secs(GRANT_SECS).saturating_sub(FRESH);
        let free = self.free.as_ref();
        free.is_some_and(|free| free.left.is_none_or(|left| left > lasting))
    }
}

impl Fleet {
    /// The fleet of these options; opens no connection yet.
    pub fn new(options: &Options) -> RedisResult<Self> {
        let config = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        Ok(Self {
            client: redis::Client::open(options.redis.clone())?,
            config,
            places: Semaphore::new(CONNECTIONS),
            whitelist_prefix: options.whitelist_prefix.clone(),
            ban_prefix: options.ban_prefix.clone(),
        })
    }

    /// Connects for one page.
    pub async fn link(&self) -> RedisResult<Link<'_>> {
        let place = self.places.acquire().await.map_err(|closed| {
            RedisError::from((redis::ErrorKind::Client, "closed", closed.to_string()))
        })?;
        let redis = self
            .client
            .get_multiplexed_async_connection_with_config(&self.config)
            .await?;
        Ok(Link {
            redis,
            _place: place,
        })
    }

    /// What is known of `address`.
    pub async fn standing(&self, link: &mut Link<'_>, address: IpAddr) -> RedisResult<Standing> {
        // The shortest prefixes that nodes accept, unless they are configured to accept others.
        let (to_ban, to_free, to_revoke) = match address {
            IpAddr::V4(_) => (16..=32, 8..=32, 32..=32),
            IpAddr::V6(_) => (32..=128, 19..=128, 48..=128),
        };
        let bans = hits(link, &self.ban_prefix, address, to_ban).await?;
        let entries = hits(link, &self.whitelist_prefix, address, to_free).await?;
        let revoked = hits(link, "sec:revoked:", address, to_revoke).await?;
        Ok(Standing {
            bans: bans.into_iter().map(Ban::from).collect(),
            free: entries
                .into_iter()
                .max_by_key(|hit| hit.left.unwrap_or(Duration::MAX))
                .map(|hit| Free {
                    subject: hit.subject,
                    left: hit.left,
                }),
            cool_down: revoked
                .into_iter()
                .max_by_key(|hit| hit.left.unwrap_or(Duration::MAX))
                .map(|hit| CoolDown {
                    reason: printable(&String::from_utf8_lossy(&hit.value)),
                    left: hit.left,
                }),
        })
    }

    /// Frees `address` for [`GRANT_SECS`], in one step: there is no moment in which the entry
    /// exists without an end.
    pub async fn free(&self, link: &mut Link<'_>, address: IpAddr) -> RedisResult<()> {
        redis::cmd("SET")
            .arg(format!("{}{}", self.whitelist_prefix, address))
            .arg(1)
            .arg("EX")
            .arg(GRANT_SECS)
            .exec_async(&mut link.redis)
            .await
    }
}

impl From<Hit> for Ban {
    fn from(hit: Hit) -> Self {
        let note: Note = serde_json::from_slice(&hit.value).unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let age = now.ok().zip(note.at).and_then(|(now, at)| {
            let age = now.as_secs_f64() - at;
            Duration::try_from_secs_f64(age).ok()
        });
        let reason = note.reason.map(|reason| printable(&reason));
        Self {
            subject: hit.subject,
            reason: reason.filter(|reason| !reason.is_empty()),
            count: note.count,
            age,
            left: hit.left,
        }
    }
}

/// The keys under `prefix` that exist and concern `address`: its own, and those of the prefixes
/// around it with these lengths.
async fn hits(
    link: &mut Link<'_>,
    prefix: &str,
    address: IpAddr,
    lengths: RangeInclusive<u8>,
) -> RedisResult<Vec<Hit>> {
    let around = lengths.filter_map(|length| IpNet::new(address, length).ok());
    let mut subjects = vec![address.to_string()];
    subjects.extend(around.map(|network| network.trunc().to_string()));

    let mut lives = redis::pipe();
    for subject in &subjects {
        lives.cmd("PTTL").arg(format!("{prefix}{subject}"));
    }
    let lives: Vec<i64> = lives.query_async(&mut link.redis).await?;
    let found = subjects.into_iter().zip(lives);
    // -2 says that there is no such key, -1 that it has no end.
    let found: Vec<(String, i64)> = found.filter(|(_, life)| *life != -2).collect();
    if found.is_empty() {
        return Ok(Vec::new());
    }

    let mut values = redis::pipe();
    values.ignore_errors();
    for (subject, _) in &found {
        let key = format!("{prefix}{subject}");
        values.cmd("GETRANGE").arg(key).arg(0).arg(VALUE_BYTES - 1);
    }
    let values: Vec<RedisResult<Value>> = values.query_async(&mut link.redis).await?;
    let mut hits = Vec::new();
    for ((subject, life), value) in found.into_iter().zip(values) {
        // Nodes skip a key that holds no string, so it bans and frees nobody.
        let value = match value {
            Ok(Value::BulkString(value)) => value,
            Ok(_) => continue,
            Err(error) if error.code() == Some("WRONGTYPE") => continue,
            Err(error) => return Err(error),
        };
        let left = u64::try_from(life).ok().map(Duration::from_millis);
        hits.push(Hit {
            subject,
            value,
            left,
        });
    }
    Ok(hits)
}

/// A text of unknown origin, cut to a line that can be shown.
fn printable(text: &str) -> String {
    let letters = text.chars().filter(|letter| !letter.is_control());
    letters.take(200).collect::<String>().trim().to_string()
}
