//! Tables that are too small for what is going on: what gives way is counted, for each table, and
//! the same number is shown wherever it is shown.

use super::troubleshooting::advises;
use super::{Client, Config, Kamailio, Request, THIRTY, check, observer, start};
use crate::host::wait_until;

/// The smallest tables that there are.
fn small() -> Kamailio {
    start(
        Config::new()
            .param("rate", THIRTY)
            .param("table_size", 1024)
            .param("ledger_size", 1024)
            .param("count_table_size", 1024)
            .param("snapshot_size", 1),
    )
}

/// Calls `function` about many addresses.
fn about_many(function: &str, more: &[&str]) {
    let mut script = observer();
    for number in 0..4000_u32 {
        let address = format!("10.1.{}.{}", number / 256, number % 256);
        script.call(function, &[&[address.as_str()], more].concat());
    }
}

fn status(server: &Kamailio, name: &str) -> i64 {
    server.status(name).parse().expect("a number")
}

/// What has given way so far, by the statistic and by `sec.status`.
fn evictions(server: &Kamailio) -> i64 {
    let counted = server.stat("evictions");
    assert_eq!(status(server, "evictions"), counted);
    counted
}

#[test]
fn what_gives_way_in_a_table_is_counted_and_shown_alike() {
    let server = small();
    assert_eq!(evictions(&server), 0);
    let mut before = 0;
    let mut grew = |what: &str| {
        let now = evictions(&server);
        assert!(now > before, "{what}: {now}, before it {before}");
        before = now;
    };
    about_many("sec_check", &[]);
    grew("rates");
    about_many("sec_ban", &["600"]);
    grew("ledger");
    about_many("sec_count", &["9", "3600"]);
    grew("counters");
    assert_eq!(server.stat("panics"), 0);
}

#[test]
fn who_looks_finds_the_table_that_is_full() {
    let heading = "`evictions` grows";
    let server = small();
    for (table, line) in [
        ("table_size", "`table_size`"),
        ("ledger_size", "`ledger_size`"),
    ] {
        advises(heading, line);
        assert_eq!(server.status(table), "1024");
    }
    advises(heading, "Compare `sources` and `ledger_records`");
    about_many("sec_check", &[]);
    wait_until("the table of rates to look full", || {
        status(&server, "sources") >= status(&server, "table_size")
    });
    assert!(status(&server, "ledger_records") < 100);
    about_many("sec_ban", &["600"]);
    wait_until("the ledger to look full", || {
        status(&server, "ledger_records") == status(&server, "ledger_size")
    });

    // Entries are never pushed out: a new one is refused.
    let line = advises(heading, "no room in the ledger for");
    assert!(!server.log().contains(line));
    about_many("sec_whitelist_add", &["600"]);
    // So many changes at once have no line each; one of the next second has.
    let mut script = observer();
    wait_until("a line", || {
        assert_eq!(script.call("sec_whitelist_add", &["10.9.9.9", "600"]), -1);
        server.log().contains(line)
    });
}

#[test]
fn the_counters_of_the_script_are_a_table_of_their_own() {
    advises("`evictions` grows", "`count_table_size`");
    let server = small();
    let count = |key: &str| Request::call("sec_count", &[key, "1", "3600"]);
    let mut client = Client::udp("203.0.113.1");
    for number in 0..4000 {
        assert_eq!(client.ask(&count(&format!("key {number}"))).rc(), 1);
    }
    assert!(evictions(&server) > 0);
    assert_eq!(
        (status(&server, "ledger_records"), server.stat("errors")),
        (0, 0)
    );
    assert_eq!(
        client.burst(31, &check()).last(),
        Some(&-2),
        "rates are not touched"
    );
}

#[test]
fn the_defaults_take_what_the_readme_says() {
    let server = start(Config::new());
    let megabytes = status(&server, "memory").cast_unsigned().div_ceil(1 << 20);
    let words = format!("With the defaults it is {megabytes} MB");
    assert_eq!(advises("Kamailio does not start", &words), words);
}

#[test]
fn the_lists_and_their_room_are_shown() {
    let server = small();
    let most = status(&server, "lists_bytes_max");
    assert!(
        (500_000..1 << 19).contains(&most),
        "half a megabyte: {most}"
    );
    let before = status(&server, "lists_bytes");
    for number in 0..100 {
        let network = format!("10.{number}.0.0/16");
        server
            .kamcmd(&["sec.ban", &network, "600"])
            .expect("it bans");
    }
    wait_until("the networks to take room", || {
        (before + 4000..most).contains(&status(&server, "lists_bytes"))
    });
}
