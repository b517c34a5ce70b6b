//! How often somebody may do something: counters in Redis that end by themselves, so that neither
//! a restart nor a second portal makes them forget.
//!
//! Used by `site` for grants and sign-ins. A use is counted before it happens, so that many at
//! once get no more than one after the other. Each counter is made together with its end: a
//! program that dies between two steps leaves nothing that lasts for ever.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use redis::RedisResult;
use redis::aio::MultiplexedConnection;

/// A number of uses within a time that starts with the first.
pub struct Allowance {
    key: String,
    most: u32,
    seconds: u64,
}

/// What came of asking for one more use.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    Granted,
    /// None left until this much time has passed.
    Spent(Duration),
}

impl Allowance {
    /// Addresses that one account may free within a day.
    pub fn grants(account: &str, most: u32) -> Self {
        Self::new(format!("portal:grants:{account}"), most, 24 * 60 * 60)
    }

    /// Sign-ins from one address, or one IPv6 network, that may fail within a quarter of an hour.
    pub fn sign_ins_from(address: IpAddr) -> Self {
        let length = if address.is_ipv4() { 32 } else { 64 };
        let network = IpNet::new(address, length).map_or_else(
            |_| address.to_string(),
            |network| network.trunc().to_string(),
        );
        Self::new(format!("portal:sign-ins:from:{network}"), 10, 15 * 60)
    }

    /// Sign-ins to one account, from anywhere, that may fail within a quarter of an hour. More
    /// than from one address, so that nobody locks a customer out from his own desk alone.
    pub fn sign_ins_to(name: &str) -> Self {
        let name = name.split('@').next().unwrap_or_default();
        Self::new(format!("portal:sign-ins:to:{name}"), 30, 15 * 60)
    }

    fn new(key: String, most: u32, seconds: u64) -> Self {
        Self { key, most, seconds }
    }

    /// Counts one use, if there is one left.
    pub async fn take(&self, redis: &mut MultiplexedConnection) -> RedisResult<Taken> {
        let (uses, left): (u64, i64) = self
            .starting_at(0)
            .cmd("INCR")
            .arg(&self.key)
            .cmd("PTTL")
            .arg(&self.key)
            .query_async(redis)
            .await?;
        if uses <= u64::from(self.most) {
            return Ok(Taken::Granted);
        }
        let left = u64::try_from(left).unwrap_or(self.seconds * 1000);
        Ok(Taken::Spent(Duration::from_millis(left)))
    }

    /// Takes back one use that was counted.
    pub async fn give_back(&self, redis: &mut MultiplexedConnection) -> RedisResult<()> {
        // The counter may have ended meanwhile; what is then made here ends as well.
        self.starting_at(1)
            .cmd("DECR")
            .arg(&self.key)
            .exec_async(redis)
            .await
    }

    /// How many uses are left; counts nothing.
    pub async fn left(&self, redis: &mut MultiplexedConnection) -> RedisResult<u32> {
        let uses: Option<u32> = redis::cmd("GET").arg(&self.key).query_async(redis).await?;
        Ok(self.most.saturating_sub(uses.unwrap_or(0)))
    }

    /// A transaction that begins by making sure of a counter that ends.
    fn starting_at(&self, uses: u32) -> redis::Pipeline {
        let mut transaction = redis::pipe();
        transaction.atomic();
        transaction.cmd("SET").arg(&self.key).arg(uses);
        transaction.arg("EX").arg(self.seconds).arg("NX").ignore();
        transaction
    }
}
