//! Every name that Kamailio sees, on one page: functions of the script, parameters, commands,
//! pseudo-variables, statistics and the life cycle.
//!
//! Read by the border's `entry` when Kamailio loads the module; the functions named here run where
//! their kind runs: see `kamailio/`. Nothing is decided here.

use std::ffi::c_int;

use crate::kamailio::{
    Arg, Command, Function, Kind, Message, Module, ParamValue, PvValue, Rank, Reply, Rpc,
    Statistic, Variables, log,
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
        names: VARIABLES,
        get: variable,
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
        run: allow,
    },
    Function {
        script: &["is_whitelisted", "sec_is_whitelisted"],
        args: 0..=1,
        kemi: &[("is_whitelisted", &[]), ("is_whitelisted_ip", &[TEXT])],
        run: allow,
    },
    Function {
        script: &["sec_is_banned"],
        args: 0..=1,
        kemi: &[("is_banned", &[]), ("is_banned_ip", &[TEXT])],
        run: allow,
    },
    Function {
        script: &["sec_ban"],
        args: 0..=3,
        kemi: &[("ban", &[TEXT, NUMBER, TEXT])],
        run: allow,
    },
    Function {
        script: &["sec_unban"],
        args: 0..=1,
        kemi: &[("unban", &[TEXT])],
        run: allow,
    },
    Function {
        script: &["sec_whitelist_add"],
        args: 0..=2,
        kemi: &[("whitelist_add", &[TEXT, NUMBER])],
        run: allow,
    },
    Function {
        script: &["sec_whitelist_remove"],
        args: 0..=1,
        kemi: &[("whitelist_remove", &[TEXT])],
        run: allow,
    },
    Function {
        script: &["sec_auth_failed"],
        args: 0..=1,
        kemi: &[("auth_failed", &[TEXT])],
        run: allow,
    },
    Function {
        script: &["sec_auth_ok"],
        args: 0..=1,
        kemi: &[("auth_ok", &[TEXT])],
        run: allow,
    },
    Function {
        script: &["sec_strike"],
        args: 1..=2,
        kemi: &[("strike", &[TEXT, NUMBER])],
        run: allow,
    },
    Function {
        script: &["sec_count"],
        args: 3..=3,
        kemi: &[("count", &[TEXT, NUMBER, NUMBER])],
        run: allow,
    },
    // Only in the build that the tests of the guard use.
    #[cfg(feature = "fault-injection")]
    Function {
        script: &["sec_test_panic"],
        args: 0..=1,
        kemi: &[("test_panic", &[])],
        run: fail,
    },
];

const PARAMETERS: &[&str] = &["ban_time"];

const COMMANDS: &[Command] = &[
    Command {
        name: "sec.status",
        help: "sec.status: what the module is and how it is doing",
        reply: Reply::One,
        run: status,
    },
    #[cfg(feature = "fault-injection")]
    Command {
        name: "sec.test_panic",
        help: "sec.test_panic: panics on purpose",
        reply: Reply::One,
        run: |_| panic!("on purpose, in a command"),
    },
];

const VARIABLES: &[&str] = &["verdict", "reason", "ban_ttl", "strikes", "rdns"];

const STATISTICS: &[Statistic] = &[Statistic {
    name: "panics",
    help: "Panics that were caught.",
    read: || PANICS.get(),
}];

/// Until the counters in shared memory are wired up: this process's own.
struct Panics(std::sync::atomic::AtomicI64);

impl Panics {
    fn get(&self) -> i64 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

static PANICS: Panics = Panics(std::sync::atomic::AtomicI64::new(0));

fn allow(_message: &Message<'_>, _args: &[Arg<'_>]) -> c_int {
    1
}

#[cfg(feature = "fault-injection")]
fn fail(_message: &Message<'_>, _args: &[Arg<'_>]) -> c_int {
    panic!("on purpose, in a script function")
}

fn set_parameter(_name: &str, _value: ParamValue<'_>) -> Result<Option<String>, String> {
    Ok(None)
}

fn variable(_message: &Message<'_>, _index: usize) -> PvValue {
    PvValue::Null
}

fn status(rpc: &mut Rpc<'_>) {
    rpc.structure()
        .text(c"version", env!("CARGO_PKG_VERSION"))
        .int(c"panics", PANICS.get());
}

fn count_panic() {
    PANICS.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
}

fn init() -> Result<(), String> {
    Ok(())
}

fn child_init(_rank: Rank) -> Result<(), String> {
    Ok(())
}

fn destroy() {
    log::debug("gone");
}
