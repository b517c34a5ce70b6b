//! What the answers and the messages of Redis say: the keys that changed, the value of one, and an error
//! as an operator understands it.
//!
//! Used by the agent's tasks that talk to Redis. It talks to nobody itself.

use std::collections::HashSet;

use redis::{PushInfo, PushKind, RedisError, RedisResult, Value};

use super::replica::Entry;

/// Takes the keys out of a push. False if everything may have changed.
///
/// # Errors
/// The connection was closed.
pub fn collect(push: Option<PushInfo>, changed: &mut HashSet<Vec<u8>>) -> RedisResult<bool> {
    let lost = || RedisError::from((redis::ErrorKind::Io, "the connection was closed"));
    let push = push.ok_or_else(lost)?;
    match push.kind {
        PushKind::Disconnection => Err(lost()),
        PushKind::Invalidate => match push.data.into_iter().next() {
            Some(Value::Array(keys)) => {
                changed.extend(keys.into_iter().filter_map(|key| match key {
                    Value::BulkString(key) => Some(key),
                    _ => None,
                }));
                Ok(true)
            }
            _ => Ok(false),
        },
        _ => Ok(true),
    }
}

/// What `GETRANGE` and `PTTL` say of a key.
///
/// # Errors
/// What the server says instead; `WRONGTYPE` of a key that is no string.
pub fn entry(answers: &[RedisResult<Value>; 2]) -> RedisResult<Option<Entry>> {
    let (value, ttl) = match answers {
        [Ok(Value::BulkString(value)), Ok(Value::Int(ttl))] => (value, *ttl),
        [Err(error), _] | [_, Err(error)] => return Err(error.clone()),
        _ => {
            let kind = redis::ErrorKind::UnexpectedReturnType;
            return Err((kind, "not what was asked for").into());
        }
    };
    let is_there = ttl >= -1;
    Ok(is_there.then(|| Entry {
        value: value.clone(),
        ttl_ms: u64::try_from(ttl).ok(),
    }))
}

/// An error as an operator understands it.
pub fn describe(error: &RedisError) -> String {
    let text = error.to_string();
    if text.contains("unknown command") && text.contains("HELLO") || text.contains("NOPROTO") {
        return "the server does not speak RESP3; Redis 6 or later, or Valkey, is needed".into();
    }
    match error.code() {
        Some("NOAUTH") => "it wants a password: redis_url=redis://:password@host".into(),
        Some("WRONGPASS") => "it does not accept the user or the password of redis_url".into(),
        Some("NOPERM") => format!(
            "the user of redis_url may not do what is needed ({text}); needed are hello, client, \
             time, scan, sscan, getrange, pttl, set, del, watch, unwatch, multi, exec, xadd"
        ),
        _ if error.is_timeout() => "it does not answer".into(),
        // As the server itself says it.
        Some(code) => format!("{code} {}", error.detail().unwrap_or_default()),
        None => text,
    }
}
