//! Everything that can go wrong with Redis, one after the other, again and again, in a fleet of two
//! nodes: one is led to Redis through a relay, the other has a clock that gets set. Customers go on
//! all the time, operators work at both.

use std::thread;
use std::time::{Duration, Instant};

use super::{Extent, Row, Series};
use crate::host::outage::{self, Fault};
use crate::host::{
    Callers, Client, Config, Kamailio, Outage, Request, SERVER, Waits, cools_down, isolate,
    wait_until, wait_until_they_agree,
};

const PORT: u16 = 6390;
const NODE_B: &str = "192.0.2.11";
/// How long a fault lasts at full length, once its customers were served and it was noticed.
const LONGEST: Duration = Duration::from_secs(3);
/// As slow as Redis is in the mildest of these faults that make it slow: who waits for it at every
/// request, or at every tenth, waits so long for half of them, or for a tenth.
const SLOW: Duration = Duration::from_millis(20);
/// As slow as it is in the next: who waits for it at one request in a hundred.
const SLOWER: Duration = Duration::from_millis(100);
/// A share of fewer requests is that of a few which had bad luck.
const ENOUGH: usize = 500;
/// What may become of a wait that is longer than these anyway, because the machine is busy: so many
/// times as long.
const BUSY: u32 = 3;

const FAULTS: [Fault; 17] = [
    outage::NOTHING,
    outage::REFUSED,
    outage::KILLED,
    outage::HUNG,
    outage::SLOW_20,
    outage::SLOW_100,
    outage::SLOW_500,
    outage::FULL,
    outage::READ_ONLY,
    outage::FAILED_OVER,
    outage::PASSWORD,
    outage::KICKED,
    outage::OUTPUT,
    outage::FLUSHED,
    outage::CHANGES_FLUSHED,
    outage::CHANGES_KILLED,
    outage::CLOCK_SET,
];

pub const OUTAGES: Series = Series {
    done: "everything that can go wrong with Redis, one after the other, in a fleet of two nodes",
    run: outages,
};

/// Two nodes, and what they have in common.
struct Fleet {
    outage: Outage,
    a: Kamailio,
    b: Kamailio,
    /// How many faults there were.
    number: u32,
}

impl Fleet {
    fn start() -> Self {
        let outage = Outage::new(PORT);
        let start = |config: Config, port: u16| {
            let url = format!("redis://127.0.0.1:{port}");
            let node = Kamailio::start(config.workers(2).param("redis_url", url.as_str()));
            wait_until("the link to Redis", || node.stat("redis_up") == 1);
            node
        };
        let a = start(Config::new(), PORT);
        let b = start(outage.clock.shown_to(Config::new().at(NODE_B)), 6379);
        Self {
            outage,
            a,
            b,
            number: 0,
        }
    }

    /// One fault, from its beginning to agreement; how long customers waited during it.
    fn suffer(&mut self, fault: &Fault, length: Duration) -> Waits {
        self.number += 1;
        let known = self.address(1);
        // Certainly older than the order to lift it.
        let ban = r#"{"reason":"scanner","at":1}"#;
        let mut set = redis::cmd("SET");
        set.arg(format!("ban:{known}")).arg(ban).arg("EX").arg(600);
        self.outage.redis.ask::<()>(&set);
        self.wait_for(&known, -1);
        let links = self.a.stat("redis_reconnects");
        let callers = Callers::start();
        (fault.begin)(&mut self.outage);
        let begun = Instant::now();
        self.order();
        if fault.cuts {
            let loss = format!("{}: the loss to be noticed", fault.name);
            wait_until(&loss, || {
                self.a.stat("redis_up") == 0 || self.a.stat("redis_reconnects") > links
            });
        }
        // Not mended before: who waits for Redis waits in vain.
        callers.wait_for_answers();
        thread::sleep(length.saturating_sub(begun.elapsed()));
        let waits = callers.stop();
        (fault.mend)(&mut self.outage);
        self.agree(fault, links);
        waits
    }

    /// What operators and attackers do meanwhile.
    fn order(&self) {
        let order = |node: &Kamailio, command: &str, address: &str| {
            node.kamcmd(&[command, address, "600"]).expect("it is done");
        };
        order(&self.a, "sec.ban", &self.address(2));
        order(&self.a, "sec.whitelist_add", &self.address(3));
        order(&self.b, "sec.ban", &self.address(4));
        // It may be gone already, together with the server that had it.
        let lifted = self.a.kamcmd(&["sec.unban", &self.address(1)]);
        assert!(lifted.map_or_else(|fault| fault.code == 404, |_| true));
        let check = Request::call("sec_check", &[]);
        let codes = Client::udp(&self.address(5)).burst(40, &check);
        assert!(codes.contains(&-2), "{codes:?}");
        order(&self.a, "sec.whitelist_add", &self.address(6));
        let mut abuser = Client::udp(&self.address(6));
        wait_until("the entry to be revoked", || {
            abuser.burst(400, &check).contains(&-2)
        });
    }

    fn agree(&self, fault: &Fault, links: i64) {
        wait_until("the link to Redis", || {
            [&self.a, &self.b].map(|node| node.stat("redis_up")) == [1, 1]
        });
        let again = self.a.stat("redis_reconnects") > links;
        assert_eq!(again, fault.cuts, "{}: a new link to Redis", fault.name);
        wait_until_they_agree(&self.outage.redis, &self.a);
        wait_until_they_agree(&self.outage.redis, &self.b);
        for node in [&self.a, &self.b] {
            assert!(cools_down(node, &self.address(6)), "{}", fault.name);
        }
        for (number, expected) in [(1, 1), (2, -1), (3, 2), (4, -1), (5, -1), (6, -1)] {
            self.wait_for(&self.address(number), expected);
        }
    }

    /// Waits until both nodes say so.
    fn wait_for(&self, address: &str, expected: i64) {
        let what = format!("{address} to get {expected} from both");
        wait_until(&what, || {
            [SERVER, NODE_B].iter().all(|node| {
                let check = Request::call("sec_check", &[]);
                Client::udp_to(address, node).ask(&check).rc() == expected
            })
        });
    }

    /// An address with a part in this fault, and in no other of late.
    fn address(&self, part: u32) -> String {
        let [_, _, high, low] = self.number.to_be_bytes();
        format!("10.{part}.{high}.{low}")
    }
}

fn outages(extent: &Extent) -> Vec<Row> {
    isolate();
    let mut fleet = Fleet::start();
    let whole = Duration::from_secs(extent.seconds / 2);
    let length = (whole / FAULTS.len() as u32).min(LONGEST);
    let mut all = FAULTS.map(|fault| (fault, Waits::default()));
    let (start, mut rounds) = (Instant::now(), 0);
    while rounds == 0 || start.elapsed() < whole {
        for (fault, waits) in &mut all {
            waits.add(fleet.suffer(fault, length));
        }
        rounds += 1;
    }
    let calm = all[0].1.clone();
    let rows = all.iter().map(|(fault, waits)| {
        let link = match fault.cuts {
            true => "the link is lost and made again",
            false => "the link holds",
        };
        Row {
            done: format!("Redis: {}", fault.name),
            expected: format!(
                "customers wait no longer than when nothing is wrong; {link}; then both nodes and \
                 Redis agree, and what was ordered meanwhile holds"
            ),
            seen: format!("{rounds} times; {}; so it is", served(fault, waits, &calm)),
        }
    });
    rows.collect()
}

/// What customers noticed of a fault, beside what they notice when there is none.
///
/// # Panics
/// When they waited for Redis.
fn served(fault: &Fault, waits: &Waits, calm: &Waits) -> String {
    let mut limits = vec![(0.5, SLOW)];
    if waits.count().min(calm.count()) >= ENOUGH {
        limits.extend([(0.9, SLOW), (0.99, SLOWER)]);
    }
    for (share, floor) in limits {
        let longer = waits.exceed(calm, share, floor, BUSY);
        assert!(!longer, "{}: {waits}; in calm: {calm}", fault.name);
    }
    let shown = |share| format!("{} ms ({})", waits.shown(share), calm.shown(share));
    format!(
        "{} answered, p50 {}, p99 {}",
        waits.count(),
        shown(0.5),
        shown(0.99)
    )
}
