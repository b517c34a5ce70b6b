//! More of the README's troubleshooting: each trouble is made, and what the README says of it is
//! what is seen.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use super::troubleshooting::{advises, follow};
use super::{Client, Config, Kamailio, Redis, Request, THIRTY, flood, observer, start};
use crate::host::{SERVER, isolate, module_file, wait_for_verdict, wait_until};

const CUSTOMER: &str = "203.0.113.99";
const ANSWER: &str = "    sl_send_reply(\"200\", \"rc 1\");\n";

/// A server with the limit of most tests and a route of its own.
fn routed(body: &str) -> Kamailio {
    start(Config::new().param("rate", THIRTY).route(body))
}

#[test]
fn what_goes_on_after_an_unban_is_banned_again() {
    let heading = "It is banned again right after an unban";
    let server = start(Config::new().param("rate", THIRTY).param("unban_grace", 1));
    let mut phone = Client::udp(CUSTOMER);
    let failed = Request::call("sec_auth_failed", &[])
        .header("From", &format!("<sip:ben@{SERVER}>;tag=1"))
        .header("User-Agent", "old phone");
    assert_eq!(phone.burst(10, &failed).last(), Some(&-2));
    assert_eq!(flood(CUSTOMER, 1), [-1]);
    server.kamcmd(&["sec.unban", CUSTOMER]).expect("it lifts");
    assert_eq!(flood(CUSTOMER, 1), [1]);
    advises(heading, "After `unban_grace` it counts again.");
    wait_until("the next ban", || phone.ask(&failed).rc() == -2);

    advises(heading, "look at `user=` in the log line of the ban");
    let line = format!("ban {CUSTOMER} reason=auth");
    let whose = "by=strike user=\"ben\" agent=\"old phone\"";
    wait_until("a line for each ban", || {
        let log = server.log();
        let bans = log.lines().filter(|text| text.contains(&line));
        bans.filter(|text| text.contains(whose)).count() == 2
    });
    advises(
        heading,
        "Use `sec.whitelist_add`, which frees it for a longer time",
    );
    server
        .kamcmd(&["sec.whitelist_add", CUSTOMER])
        .expect("it adds");
    assert_eq!(phone.burst(30, &failed), [1; 30]);
    assert_eq!(flood(CUSTOMER, 1), [2]);
}

const NOBODY: &str = "Nobody is ever banned";

#[test]
fn nobody_is_banned_in_shadow_mode() {
    advises(NOBODY, "`kamcmd sec.mode`: is it `shadow`?");
    let server = start(Config::new().param("rate", THIRTY).param("mode", "shadow"));
    assert_eq!(flood(CUSTOMER, 40), [1; 40]);
    let mode = server.kamcmd(&["sec.mode"]).expect("it answers");
    assert!(mode.contains("mode: shadow"), "{mode}");
}

#[test]
fn nobody_is_banned_whose_requests_the_script_never_asks_about() {
    advises(
        NOBODY,
        "does `checks` grow? If not, the script never gets to `sec_check()`",
    );
    let server = routed(ANSWER);
    assert_eq!(flood(CUSTOMER, 40), [1; 40]);
    assert_eq!(server.stat("checks"), 0);
}

#[test]
fn nobody_is_stopped_if_the_script_ignores_the_answer() {
    advises(
        NOBODY,
        "`if (sec_check() < 0)` is never true in Kamailio's language",
    );
    let refuse = "{\n        sl_send_reply(\"403\", \"rc -1\");\n        exit;\n    }\n";
    let server = routed(&format!("    if (sec_check() < 0) {refuse}{ANSWER}"));
    assert_eq!(flood(CUSTOMER, 40), [1; 40]);
    advises(NOBODY, "Does `denied` grow while the traffic goes on?");
    assert_eq!((server.stat("checks"), server.stat("denied")), (40, 10));
    server.stop();

    let right = "if (!sec_check())";
    advises(NOBODY, &format!("write `{right}`"));
    let _server = routed(&format!("    {right} {refuse}{ANSWER}"));
    assert_eq!(
        flood(CUSTOMER, 40)[29..],
        [1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1]
    );
}

#[test]
fn nobody_is_stopped_if_lua_takes_a_refusal_for_true() {
    advises(NOBODY, "In Lua and Python: compare with `< 0`.");
    isolate();
    for (condition, last) in [("not KSR.sec.check()", 1), ("KSR.sec.check() < 0", -1)] {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let script = directory.path().join("script.lua");
        let text = format!(
            "function ksr_request_route()\n  local code = 1\n  if {condition} then code = -1 end\n  \
             KSR.sl.sl_send_reply(200, \"rc \" .. code)\nend\n"
        );
        fs::write(&script, text).expect("it can be written");
        let file = directory.path().join("kamailio.cfg");
        let text = format!(
            "#!KAMAILIO\nlog_stderror=yes\nchildren=1\nloadmodule \"kex.so\"\nloadmodule \"pv.so\"\n\
             loadmodule \"sl.so\"\nloadmodule \"ctl.so\"\nloadmodule \"app_lua.so\"\n\
             loadmodule \"sec.so\"\nmodparam(\"ctl\", \"binrpc\", CTL)\n\
             modparam(\"sec\", \"rate\", \"{THIRTY}\")\n\
             modparam(\"app_lua\", \"load\", \"{}\")\ncfgengine \"lua\"\n",
            script.display()
        );
        fs::write(&file, text).expect("it can be written");
        let server = Kamailio::start(Config::of_file(&file, &[]));
        assert_eq!(flood(CUSTOMER, 40).last(), Some(&last), "{condition}");
        assert_eq!(server.stat("denied"), 10);
        server.stop();
    }
}

#[test]
fn the_server_itself_is_never_banned() {
    advises(
        NOBODY,
        "`kamcmd sec.explain <ip>` says `reason: own address`",
    );
    let server = start(Config::new().param("rate", THIRTY));
    assert_eq!(flood(SERVER, 40), [2; 40]);
    let known = server
        .kamcmd(&["sec.explain", SERVER])
        .expect("it explains");
    assert!(known.contains("reason: own address"), "{known}");
}

#[test]
fn a_key_in_redis_without_effect_is_explained() {
    let heading = "A key in Redis has no effect";
    let config = Config::new()
        .param("rate", THIRTY)
        .param("whitelist_rate", "limit=40;window=1h")
        .param("redis_url", "redis://127.0.0.1:6379");
    isolate();
    let mut redis = Redis::start();
    let server = Kamailio::start(config);
    wait_until("the link", || server.status("redis") == "up");
    assert_eq!(follow(&server, heading), 1);

    advises(
        heading,
        "`redis_garbage_keys` names keys that are no addresses, no strings, or networks that are too large",
    );
    redis.run::<()>("SET white_list:nonsense 1");
    redis.run::<()>("HSET white_list:198.51.100.7 a b");
    redis.run::<()>("SET ban:10.0.0.0/9 1");
    wait_until("all of them", || server.status("redis_garbage") == "3");
    let status = server.kamcmd(&["sec.status"]).expect("it answers");
    for key in [
        "white_list:nonsense",
        "white_list:198.51.100.7",
        "ban:10.0.0.0/9",
    ] {
        assert!(status.contains(key), "{key}: {status}");
    }

    advises(
        heading,
        "`sec.explain` shows a `cooldown` if the entry was revoked a moment ago",
    );
    let add = format!("SET white_list:{CUSTOMER} 1 EX 600");
    redis.run::<()>(&add);
    wait_for_verdict(CUSTOMER, 2);
    assert_eq!(flood(CUSTOMER, 41).last(), Some(&-1), "it lost its entry");
    wait_until("the key to go", || {
        redis.get(&format!("white_list:{CUSTOMER}")).is_none()
    });
    redis.run::<()>(&add);
    wait_until("the key to go", || {
        redis.get(&format!("white_list:{CUSTOMER}")).is_none()
    });
    assert_eq!(flood(CUSTOMER, 1), [-1]);
    let known = server
        .kamcmd(&["sec.explain", CUSTOMER])
        .expect("it explains");
    let cooldown = known
        .lines()
        .find_map(|line| line.trim().strip_prefix("cooldown: "));
    assert!(cooldown.is_some_and(|left| left != "0"), "{known}");

    advises(
        heading,
        "`redis: down`: `redis_problem` says why; `not configured`: there is no `redis_url`",
    );
    redis.kill();
    wait_until("the link to be down", || server.status("redis") == "down");
    wait_until("the reason", || !server.status("redis_problem").is_empty());
    server.stop();
    let alone = Kamailio::start(Config::new());
    assert_eq!(alone.status("redis"), "not configured");
}

#[test]
fn a_log_without_lines_has_one_of_three_causes() {
    let heading = "Nothing in the log";
    let ban = "sec: ban 203.0.113.1 reason=manual";
    // What comes after the ban through the same pipe, and is a warning.
    let shown = |config: Config| {
        let server = start(config);
        let mut script = observer();
        assert_eq!(script.call("sec_ban", &["203.0.113.1", "600"]), 1);
        assert_eq!(script.call("sec_check", &["nonsense"]), 1);
        wait_until("a warning", || server.log().contains("the script gave"));
        server.stop().contains(ban)
    };
    advises(
        heading,
        "The lines have level 1 (notice). The core's `debug` must be 1 or higher",
    );
    assert!(!shown(Config::new().extra("debug=0")));
    assert!(shown(Config::new().extra("debug=1")));
    advises(heading, "or set `log_level` to -1");
    assert!(shown(Config::new().extra("debug=0").param("log_level", -1)));

    advises(heading, "with `agent: down` nobody writes them");
    let server = start(Config::new());
    let agent = server.agent();
    server.signal(agent, Signal::SIGSTOP);
    wait_until("the agent to be away", || server.status("agent") == "down");
    assert_eq!(observer().call("sec_ban", &["203.0.113.1", "600"]), 1);
    assert!(!server.log().contains(ban));
    server.signal(agent, Signal::SIGCONT);
    wait_until("the line", || server.log().contains(ban));
}

#[test]
fn without_an_agent_requests_are_decided_and_the_next_one_takes_over() {
    let heading = "`agent: down`";
    let server = start(Config::new().param("rate", THIRTY));
    let agent = server.agent();
    server.signal(agent, Signal::SIGSTOP);
    wait_until("the agent to be away", || server.status("agent") == "down");
    assert_eq!(follow(&server, heading), 1);
    advises(
        heading,
        "Requests are decided and bans end on time without an agent.",
    );
    assert_eq!(flood(CUSTOMER, 31).last(), Some(&-2));
    server
        .kamcmd(&["sec.ban", "203.0.113.1", "1"])
        .expect("a source is banned without it");
    wait_for_verdict("203.0.113.1", 1);
    advises(
        heading,
        "Until then bans and whitelist entries of networks are refused.",
    );
    for command in ["sec.ban", "sec.whitelist_add"] {
        let refused = server.kamcmd(&[command, "10.1.0.0/16"]).unwrap_err();
        assert_eq!(refused.code, 503, "{refused:?}");
    }
    let line = format!("sec: ban {CUSTOMER}");
    assert!(!server.log().contains(&line));

    advises(
        heading,
        "wait for the next one, which is started within seconds; `agent_restarts` counts",
    );
    server.signal(agent, Signal::SIGKILL);
    wait_until("the next agent", || server.agent() != agent);
    wait_until("it to be up", || server.status("agent") == "up");
    assert_eq!(server.status("agent_restarts"), "1");
    wait_until("the line that waited", || server.log().contains(&line));
    let said = advises(heading, "sec: the agent");
    let log = server.stop();
    let said = format!("{said} was killed by signal 9; it is started again in 1 s");
    assert!(log.contains(&said), "{log}");
}

const NO_START: &str = "Kamailio does not start";

#[test]
fn a_wrong_value_and_a_misspelt_name_are_named() {
    let check = Config::new().param("ban_time", "-5").check();
    let said = advises(NO_START, "sec: ban_time: \"-5\" is not a time; allowed: ");
    assert!(!check.accepted && check.log.contains(said), "{}", check.log);
    let check = Config::new().param("banned_time", 5).check();
    let said = "parameter <banned_time> of type <2:int> not found in module <sec>";
    advises(NO_START, said);
    assert!(!check.accepted && check.log.contains(said), "{}", check.log);
}

/// A configuration that loads this build of the module, and nothing else.
fn bare(directory: &Path, module: &Path, parameters: &str) -> std::path::PathBuf {
    let file = directory.join("kamailio.cfg");
    let text = format!(
        "#!KAMAILIO\nlog_stderror=yes\nloadmodule \"{}\"\n{parameters}\nrequest_route {{\n    exit;\n}}\n",
        module.display()
    );
    fs::write(&file, text).expect("it can be written");
    file
}

#[test]
fn a_build_for_another_kamailio_is_refused() {
    let done = Command::new("kamailio").arg("-v").output();
    let text = String::from_utf8(done.expect("kamailio can be run").stdout).expect("it is text");
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("version: kamailio "));
    let version = version
        .and_then(|rest| rest.split(' ').next())
        .expect("a version");
    let mut other = version.to_owned();
    let digit = other.pop().expect("it is not empty");
    other.push(if digit == '0' { '1' } else { '0' });

    // The same module, as if it had been built then.
    let mut bytes = fs::read(module_file(false)).expect("the module can be read");
    let (from, to) = (format!("kamailio {version}"), format!("kamailio {other}"));
    let places: Vec<usize> = (0..bytes.len() - from.len())
        .filter(|place| bytes[*place..].starts_with(from.as_bytes()))
        .collect();
    assert!(!places.is_empty(), "it does not say what it was built for");
    for place in places {
        bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
    }
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let module = directory.path().join("sec.so");
    fs::write(&module, bytes).expect("it can be written");
    let check = Config::of_file(bare(directory.path(), &module, ""), &[]).check();
    advises(
        NO_START,
        "module version mismatch for …/sec.so; core: kamailio",
    );
    let said = format!(
        "module version mismatch for {}; core: kamailio {version}",
        module.display()
    );
    assert!(
        !check.accepted && check.log.contains(&said),
        "{}",
        check.log
    );
    assert!(
        check.log.contains(&format!("module: kamailio {other}")),
        "{}",
        check.log
    );
}

#[test]
fn a_machine_without_the_memory_is_told_what_to_lower() {
    isolate();
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let parameters = "modparam(\"sec\", \"table_size\", 134217728)";
    let file = bare(directory.path(), &module_file(false), parameters);
    let check = Config::of_file(&file, &[]).check();
    assert!(check.accepted, "{}", check.log);
    // A gigabyte of addresses for a table of two.
    let run = Command::new("prlimit")
        .args([
            "--as=1073741824",
            "kamailio",
            "-DD",
            "-E",
            "-m",
            "32",
            "-M",
            "8",
            "-Y",
        ])
        .arg(directory.path())
        .arg("-f")
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .expect("kamailio can be run");
    let log = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(!run.status.success(), "{log}");
    let said = advises(NO_START, "no shared memory for the tables: ");
    let line = log
        .lines()
        .find(|line| line.contains(said))
        .unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("MB were asked for"), "{line}");
    for table in [
        "table_size",
        "ledger_size",
        "count_table_size",
        "snapshot_size",
    ] {
        advises(NO_START, &format!("`{table}`"));
        assert!(line.contains(table), "{line}");
    }
}
