//! The functions in Lua and Python: the same names in both, the same answers as in a native script.

use super::{Client, Config, Request, THIRTY, observer, start};
use crate::host::{Engine, Kamailio};

fn run(engine: Engine) {
    let config = Config::new()
        .param("rate", THIRTY)
        .param("strike_limit", 3)
        .engine(engine)
        .listen("udp:[2001:db8::10]:5060");
    let server: Kamailio = start(config);

    let codes = Client::udp("203.0.113.1").burst(40, &Request::call("check", &[]));
    assert_eq!(codes[..30], [1; 30]);
    assert_eq!(codes[30..32], [-2, -1]);
    let answer = Client::udp("203.0.113.1").ask(&Request::call("check", &[]));
    assert_eq!(answer.variable("verdict"), "-1");
    assert!(
        answer.variable("reason").contains("burst"),
        "{}",
        answer.text()
    );

    let mut script = observer();
    assert_eq!(script.call("is_banned_ip", &["203.0.113.1"]), 1);
    assert_eq!(script.call("unban", &["203.0.113.1"]), 1);
    assert_eq!(script.call("is_banned_ip", &["203.0.113.1"]), -1);
    assert_eq!(script.call("check_ip", &["203.0.113.2"]), 1);
    assert_eq!(script.call("ban", &["203.0.113.2", "60", "toll fraud"]), 1);
    assert_eq!(script.call("check_ip", &["203.0.113.2"]), -1);
    assert_eq!(script.call("is_whitelisted", &[]), -1);
    assert_eq!(
        script.call("whitelist_add", &["203.0.113.2", "0"]),
        1,
        "0 is the default time"
    );
    assert_eq!(script.call("is_whitelisted_ip", &["203.0.113.2"]), 1);
    assert_eq!(script.call("check_ip", &["203.0.113.2"]), 2);
    assert_eq!(script.call("whitelist_remove", &["203.0.113.2"]), 1);
    assert_eq!(script.call("whitelist_remove", &["203.0.113.2"]), -1);

    // An empty text is the source address, or the user in From.
    let mut own = Client::udp("203.0.113.3");
    assert_eq!(own.call("ban", &["", "0", ""]), 1);
    assert_eq!(own.call("is_banned", &[]), 1);
    assert_eq!(own.call("unban", &[""]), 1);
    let mut own = Client::udp("2001:db8:3::1");
    assert_eq!(
        [
            own.call("auth_failed", &[""]),
            own.call("auth_failed", &["7001"])
        ],
        [1, 1]
    );
    assert_eq!(own.call("auth_failed", &[""]), -2);
    assert_eq!(Client::udp("203.0.113.5").call("auth_ok", &["7001"]), 1);
    assert_eq!(
        Client::udp("203.0.113.6").call("strike", &["scanner", "0"]),
        1
    );
    assert_eq!(
        Client::udp("203.0.113.6").call("strike", &["scanner", "3"]),
        -2
    );

    let count = Request::call("count", &["alice", "2", "3600"]);
    assert_eq!(script.burst(3, &count), [1, 1, -1]);
    assert_eq!(server.stat("panics"), 0);
}

#[test]
fn lua() {
    run(Engine::Lua);
}

#[test]
fn python() {
    run(Engine::Python);
}
