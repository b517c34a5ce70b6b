//! Every name that Kamailio sees, on one page: functions of the script, parameters, commands,
//! pseudo-variables, statistics and the life cycle.
//!
//! Read by the border's `entry` when Kamailio loads the module; the functions named here run where
//! their kind runs: see `kamailio/`. Nothing is decided here.

use std::path::Path;
use std::sync::{LazyLock, Mutex};

use crate::config::{self, Config, Value};
use crate::kamailio::process::Setup;
use crate::kamailio::{
    Command, Function, Kind, Module, ParamValue, Rank, Reply, Statistic, Variables, log, process,
    sockets,
};
use crate::node::{Node, node};
use crate::shared::statistics::Count;
use crate::{
    agent, check, commands, content, explain, feeds, files, listings, offences, report, script, top,
};

const TEXT: Kind = Kind::Text;
const NUMBER: Kind = Kind::Number;

/// The module.
pub static SEC: Module = Module {
    name: "sec",
    functions: FUNCTIONS,
    parameters: PARAMETERS,
    set_parameter,
    commands: COMMANDS,
    variables: Variables {
        class: "sec",
        names: check::VARIABLES,
        get: check::variable,
    },
    statistics: STATISTICS,
    count_panic,
    init,
    child_init,
    destroy,
};

crate::export_module!(crate::module::SEC);

const FUNCTIONS: &[Function] = &[
    Function {
        script: &["sec_check"],
        args: 0..=1,
        kemi: &[("check", &[]), ("check_ip", &[TEXT])],
        run: check::sec_check,
    },
    Function {
        script: &["is_whitelisted", "sec_is_whitelisted"],
        args: 0..=1,
        kemi: &[("is_whitelisted", &[]), ("is_whitelisted_ip", &[TEXT])],
        run: check::is_whitelisted,
    },
    Function {
        script: &["sec_is_banned"],
        args: 0..=1,
        kemi: &[("is_banned", &[]), ("is_banned_ip", &[TEXT])],
        run: check::is_banned,
    },
    Function {
        script: &["sec_ban"],
        args: 0..=3,
        kemi: &[("ban", &[TEXT, NUMBER, TEXT])],
        run: script::sec_ban,
    },
    Function {
        script: &["sec_unban"],
        args: 0..=1,
        kemi: &[("unban", &[TEXT])],
        run: script::sec_unban,
    },
    Function {
        script: &["sec_whitelist_add"],
        args: 0..=2,
        kemi: &[("whitelist_add", &[TEXT, NUMBER])],
        run: script::sec_whitelist_add,
    },
    Function {
        script: &["sec_whitelist_remove"],
        args: 0..=1,
        kemi: &[("whitelist_remove", &[TEXT])],
        run: script::sec_whitelist_remove,
    },
    Function {
        script: &["sec_auth_failed"],
        args: 0..=1,
        kemi: &[("auth_failed", &[TEXT])],
        run: offences::auth_failed,
    },
    Function {
        script: &["sec_auth_ok"],
        args: 0..=1,
        kemi: &[("auth_ok", &[TEXT])],
        run: offences::auth_ok,
    },
    Function {
        script: &["sec_strike"],
        args: 1..=2,
        kemi: &[("strike", &[TEXT, NUMBER])],
        run: offences::strike,
    },
    Function {
        script: &["sec_check_extension"],
        args: 0..=2,
        kemi: &[("check_extension", &[TEXT, TEXT])],
        run: content::check_extension,
    },
    Function {
        script: &["sec_check_agent"],
        args: 0..=0,
        kemi: &[("check_agent", &[])],
        run: content::check_agent,
    },
    Function {
        script: &["sec_count"],
        args: 3..=3,
        kemi: &[("count", &[TEXT, NUMBER, NUMBER])],
        run: script::sec_count,
    },
    // Only in the build for the bench.
    #[cfg(feature = "bench")]
    Function {
        script: &["sec_check_anew"],
        args: 0..=0,
        kemi: &[],
        run: check::sec_check_anew,
    },
    // Only in the build that the tests of the guard use.
    #[cfg(feature = "fault-injection")]
    Function {
        script: &["sec_test_panic"],
        args: 0..=1,
        kemi: &[("test_panic", &[])],
        run: crate::faults::function,
    },
];

/// The names of `config`'s one list.
const PARAMETERS: &[&str] = &{
    let mut names = [""; config::PARAMETERS.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = config::PARAMETERS[index].name;
        index += 1;
    }
    names
};

const COMMANDS: &[Command] = &[
    Command {
        name: "sec.status",
        help: "sec.status: version, mode, tables, agent, and what went wrong",
        reply: Reply::One,
        run: report::status,
    },
    Command {
        name: "sec.ban",
        help: "sec.ban <ip> [seconds] [reason]: bans an address or a network; 0 seconds is ban_time",
        reply: Reply::One,
        run: commands::ban,
    },
    Command {
        name: "sec.unban",
        help: "sec.unban <ip>: lifts a ban and the strikes that led to it",
        reply: Reply::One,
        run: commands::unban,
    },
    Command {
        name: "sec.bans",
        help: "sec.bans [offset] [count]: the bans that hold",
        reply: Reply::List,
        run: listings::bans,
    },
    Command {
        name: "sec.whitelist",
        help: "sec.whitelist [offset] [count]: the entries added at run time",
        reply: Reply::List,
        run: listings::whitelist,
    },
    Command {
        name: "sec.whitelist_add",
        help: "sec.whitelist_add <ip> [seconds]: frees an address or a network; 0 seconds is \
               whitelist_time",
        reply: Reply::One,
        run: commands::whitelist_add,
    },
    Command {
        name: "sec.whitelist_remove",
        help: "sec.whitelist_remove <ip>: removes such an entry",
        reply: Reply::One,
        run: commands::whitelist_remove,
    },
    Command {
        name: "sec.explain",
        help: "sec.explain <ip>: what would happen to a request from there now, and why",
        reply: Reply::One,
        run: explain::explain,
    },
    Command {
        name: "sec.top",
        help: "sec.top [count] [offset]: the sources that were refused most often, the worst first",
        reply: Reply::List,
        run: top::top,
    },
    Command {
        name: "sec.feeds",
        help: "sec.feeds: the feeds, how many entries they have, and what was wrong with them",
        reply: Reply::List,
        run: feeds::feeds,
    },
    Command {
        name: "sec.reload",
        help: "sec.reload [list] [confirm]: reads whitelist_file, extension_file and \
               extension_redis_key anew, and fetches feeds",
        reply: Reply::One,
        run: commands::reload,
    },
    Command {
        name: "sec.mode",
        help: "sec.mode [enforce|shadow]: shows or switches the mode for all processes",
        reply: Reply::One,
        run: commands::mode,
    },
    #[cfg(feature = "fault-injection")]
    Command {
        name: "sec.test_panic",
        help: "sec.test_panic [task]: panics on purpose, there or in a task of the agent",
        reply: Reply::One,
        run: crate::faults::command,
    },
];

const STATISTICS: &[Statistic] = &[
    statistic("checks", "Requests decided.", || of_node(Node::checks)),
    statistic("allowed", "Requests let through.", || {
        counted(Count::Allowed)
    }),
    statistic("denied", "Requests refused.", || counted(Count::Denied)),
    statistic("bans", "Bans made.", || counted(Count::Bans)),
    statistic("unbans", "Bans lifted before their end.", || {
        counted(Count::Unbans)
    }),
    statistic("revocations", "Whitelist entries revoked.", || {
        counted(Count::Revocations)
    }),
    statistic("strikes", "Weight of the offences reported.", || {
        counted(Count::Strikes)
    }),
    statistic(
        "whitelist_hits",
        "Requests let through by a whitelist.",
        || counted(Count::WhitelistHits),
    ),
    statistic(
        "feed_hits",
        "Requests from addresses that a feed lists.",
        || counted(Count::FeedHits),
    ),
    statistic("active_bans", "Bans that hold.", || {
        of_node(Node::active_bans)
    }),
    statistic("active_whitelist", "Whitelist entries that hold.", || {
        of_node(Node::active_whitelist)
    }),
    statistic("sources", "Sources with a rate.", || {
        of_node(|node| node.status.sources())
    }),
    statistic(
        "evictions",
        "Live entries that gave way: a table is too small.",
        || of_node(Node::evictions),
    ),
    statistic(
        "events_dropped",
        "Events that the agent or the event routes never saw.",
        || counted(Count::EventsDropped),
    ),
    statistic(
        "rdns_lookups",
        "Addresses whose names were asked for.",
        || counted(Count::RdnsLookups),
    ),
    statistic("rdns_spared", "Offenders spared for their names.", || {
        counted(Count::RdnsSpared)
    }),
    statistic("redis_up", "1 while the link to Redis is up.", || {
        of_node(|node| u64::from(node.status.link_up()))
    }),
    statistic(
        "redis_reconnects",
        "Times that the link came up again.",
        || of_node(|node| node.status.reconnects()),
    ),
    statistic(
        "replica_age_ms",
        "Milliseconds since Redis last answered.",
        || of_node(|node| node.status.replica_age_ms(node.now()).unwrap_or(0)),
    ),
    statistic("errors", "Calls that could not be carried out.", || {
        counted(Count::Errors)
    }),
    statistic("panics", "Panics that were caught.", || {
        counted(Count::Panics)
    }),
    statistic(
        "shadow_denied",
        "Requests that only shadow mode let through.",
        || counted(Count::ShadowDenied),
    ),
];

const fn statistic(name: &'static str, help: &'static str, read: fn() -> i64) -> Statistic {
    Statistic { name, help, read }
}

fn counted(count: Count) -> i64 {
    of_node(|node| node.counted(count))
}

fn of_node(read: impl Fn(&Node) -> u64) -> i64 {
    node().map_or(0, |node| read(node).cast_signed())
}

fn count_panic() {
    if let Some(node) = node() {
        node.count(Count::Panics, 1);
    }
}

/// What the `modparam` lines have said so far; read when they are all known.
static CONFIG: LazyLock<Mutex<Config>> = LazyLock::new(|| {
    Mutex::new(Config::with_files(|path, most| {
        files::read(Path::new(path), most)
    }))
});

fn set_parameter(name: &str, value: ParamValue<'_>) -> Result<Option<String>, String> {
    let value = match value {
        ParamValue::Int(number) => Value::Number(number),
        ParamValue::Text(text) => Value::Text(text),
    };
    CONFIG
        .lock()
        .map_err(|_| "an earlier parameter failed")?
        .set(name, value)
}

/// `mod_init`: the tables are made, and our processes are announced.
fn init() -> Result<(), String> {
    let config = CONFIG.lock().map_err(|_| "a parameter failed")?;
    for warning in config.warnings() {
        log::warn(warning);
    }
    let node = Node::start(&config)?;
    let processes = 1 + u16::from(node.event_routes.is_some());
    process::announce(processes)?;
    let megabytes = node.region_bytes().div_ceil(1 << 20);
    log::info(format_args!(
        "{megabytes} MB of shared memory for the tables"
    ));
    Ok(())
}

/// `child_init`: the sockets are known before the first fork, and the main process starts the
/// agent's supervisor and, if the script has routes for events, the process that runs them.
fn child_init(rank: Rank) -> Result<(), String> {
    let Some(node) = node() else {
        return Err("mod_init did not run".into());
    };
    match rank {
        Rank::Init => node.set_own_addresses(sockets::own_addresses()),
        Rank::Main => {
            process::start(c"sec supervisor", Setup::Bare, || {
                agent::supervisor::run(node)
            })?;
            if let Some(routes) = &node.event_routes {
                process::start(c"sec events", Setup::Script, || routes.serve())?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn destroy() {
    log::debug("gone");
}
