//! The replay of a real capture says what the real server said: same requests, same verdicts, same
//! reasons, same bans.
//!
//! A real Kamailio with passwords answers every request with its verdict in a header, while the real
//! tcpdump listens. The windows are an hour long, so that no verdict depends on how fast the machine
//! is.

use std::fs;
use std::path::Path;

use crate::host::{Client, Config, Kamailio, Phone, Request, SERVER, Tcpdump, isolate, wait_until};
use crate::run;

const PARAMETERS: [(&str, &str); 9] = [
    ("rate", "name=burst;limit=30;window=1h"),
    (
        "rate",
        "name=calls;limit=5;window=1h;count=INVITE;action=limit",
    ),
    (
        "rate",
        "name=watched;limit=3;window=1h;count=MESSAGE;action=shadow",
    ),
    ("trust_rate", "limit=60;window=1h"),
    ("whitelist", "198.51.100.0/24"),
    ("extension_pattern", "1XXX"),
    ("agent_check", "1"),
    ("ban_time", "10m"),
    ("strike_window", "1h"),
];

/// Every answer carries the verdict, refusals too.
const ROUTE: &str = r#"
    $var(verdict) = sec_check();
    append_to_reply("X-Verdict: $sec(verdict),$sec(reason)\r\n");
    if ($var(verdict) < 0) {
        sl_send_reply("403", "rc $var(verdict)");
        exit;
    }
    if (is_method("REGISTER")) {
        $var(result) = pv_www_authenticate("$fd", "secret", "0");
        if ($var(result) > 0) {
            sec_auth_ok("$au");
            sl_send_reply("200", "OK");
            exit;
        }
        if ($var(result) == -2) {
            sec_auth_failed("$au");
        }
        www_challenge("$fd", "0");
        exit;
    }
    sl_send_reply("200", "rc $var(verdict)");
"#;

fn start() -> Kamailio {
    isolate();
    let config = Config::new().listen("udp:[2001:db8::10]:5060");
    let config = config.extra("loadmodule \"siputils.so\"\nloadmodule \"auth.so\"");
    let set = |config: Config, (name, value): &(&str, &str)| config.param(name, *value);
    Kamailio::start(PARAMETERS.iter().fold(config, set).route(ROUTE))
}

fn request(method: &str) -> Request {
    Request::new(method, &format!("sip:1001@{SERVER}"))
}

/// Registers so often, whatever comes of it; how often it worked.
fn register(user: &str, password: &str, source: &str, times: usize) -> usize {
    let mut phone = Phone::new(user, password, source);
    (0..times).filter(|_| phone.register().is_ok()).count()
}

/// Everybody that the rules are about.
fn traffic() {
    Client::udp("203.0.113.1").burst(60, &request("OPTIONS"));
    Client::udp("203.0.113.2").burst(12, &request("INVITE"));
    Client::udp("203.0.113.3").burst(5, &request("MESSAGE"));
    Client::udp("198.51.100.7").burst(80, &request("OPTIONS"));
    for host in 1..=4 {
        Client::udp(&format!("2001:db8:0:5::{host}")).burst(10, &request("OPTIONS"));
    }
    let scan = request("OPTIONS").header("User-Agent", "friendly-scanner");
    Client::udp("203.0.113.4").burst(3, &scan);
    assert_eq!(register("1002", "wrong", "203.0.113.5", 14), 0);
    // An office: one phone logs in, one has an old password, all of them are busy.
    assert_eq!(register("1003", "secret", "203.0.113.6", 1), 1);
    assert_eq!(register("1004", "wrong", "203.0.113.6", 14), 0);
    Client::udp("203.0.113.6").burst(70, &request("OPTIONS"));
    for user in ["9001", "9002", "9003", "9004", "9005"] {
        register(user, "wrong", "203.0.113.7", 1);
    }
    // Over TCP, which the replay does not see; the server's answers to others are the same.
    assert!(
        Phone::over_tcp("1005", "secret", "203.0.113.8")
            .register()
            .is_ok()
    );
}

/// What the server said, in the order of its answers: `verdict,reason`.
fn said(capture: &[u8]) -> Vec<String> {
    let mark = b"X-Verdict: ";
    let places = capture
        .windows(mark.len())
        .enumerate()
        .filter(|(_, bytes)| bytes == mark);
    let line = |(place, _): (usize, &[u8])| {
        let rest = &capture[place + mark.len()..];
        let end = rest
            .iter()
            .position(|byte| *byte == b'\r')
            .unwrap_or(rest.len());
        let text = String::from_utf8_lossy(&rest[..end]).into_owned();
        // The script is told the pattern, too.
        text.split("agent:")
            .next()
            .map_or(text.clone(), |head| match text.contains("agent:") {
                true => format!("{head}agent"),
                false => text.clone(),
            })
    };
    places.map(line).collect()
}

/// What the replay says: `verdict,reason` of each request.
fn replayed(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("v.csv")).expect("it was written");
    let columns = |line: &str| line.splitn(5, ',').nth(4).unwrap_or_default().to_owned();
    text.lines().skip(1).map(columns).collect()
}

/// The configuration's lines for the module.
fn configuration() -> String {
    let line =
        |(name, value): &(&str, &str)| format!("modparam(\"sec\", \"{name}\", \"{value}\")\n");
    PARAMETERS.iter().map(line).collect()
}

#[test]
fn the_replay_says_what_the_server_said() {
    let server = start();
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let capture = folder.path().join("t.pcap");
    let tcpdump = Tcpdump::start(&capture);
    traffic();
    let over_tcp = 2;
    let checks = usize::try_from(server.stat("checks")).expect("a number") - over_tcp;
    let read = || fs::read(&capture).expect("there is a capture");
    wait_until("everything to be captured", || {
        said(&read()).len() == checks
    });
    tcpdump.stop();
    fs::write(folder.path().join("k.cfg"), configuration()).expect("it can be written");
    let words = ["--config", "k.cfg", "--csv", "v.csv", "t.pcap"];
    let outcome = run(folder.path(), &words);
    assert_eq!((outcome.code, outcome.complaint.as_str()), (0, ""));
    let (said, replayed) = (said(&read()), replayed(folder.path()));
    for (number, (said, replayed)) in said.iter().zip(&replayed).enumerate() {
        assert_eq!(said, replayed, "request {number}\n{}", outcome.report);
    }
    assert_eq!(said.len(), replayed.len());
    // The traffic meets every rule, or the comparison says little.
    for verdict in [
        "1,",
        "2,whitelist",
        "-1,",
        "-2,rate:burst",
        "-4,rate:calls",
        "-4,trust_rate",
        "-5,agent",
        "-5,auth",
        "-2,extension",
    ] {
        assert!(
            said.iter().any(|said| said.starts_with(verdict)),
            "{verdict}: {said:?}"
        );
    }
    let watched = "2 were over a limit with action=shadow, which denies nobody (203.0.113.3 2)";
    assert!(outcome.report.contains(watched), "{}", outcome.report);
    let denied = server.stat("denied");
    let line = format!("{denied} denied");
    assert!(outcome.report.contains(&line), "{line}: {}", outcome.report);
    let bans = server.kamcmd(&["sec.bans"]).expect("it lists");
    let banned: Vec<&str> = bans
        .lines()
        .filter_map(|line| line.trim().strip_prefix("ip: "))
        .collect();
    assert!(banned.len() >= 4, "{bans}");
    for source in banned {
        let logged = outcome
            .report
            .lines()
            .any(|line| line.contains(&format!("  ban   {source} ")));
        assert!(logged, "{source} was banned: {}", outcome.report);
    }
}
