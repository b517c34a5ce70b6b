//! DNS names in the whitelist, in a real Kamailio with a real name server: found, followed, kept for
//! a while when nobody answers, and shown.
#![forbid(unsafe_code)]

mod host;

use std::fs;

use host::{
    Client, Config, DNS, Dnsmasq, Kamailio, Request, isolate, verdict, wait_for_verdict, wait_until,
};
use nix::sys::signal::Signal;

const NAME: &str = "sip.carrier.com";

fn config() -> Config {
    Config::new()
        .param("resolver", DNS)
        .param("whitelist", NAME)
}

fn whitelist(server: &Kamailio) -> String {
    server.kamcmd(&["sec.whitelist"]).unwrap()
}

/// The next agent asks for all names at once, however long their TTL.
fn restart_agent(server: &Kamailio) {
    let before = server.agent();
    server.signal(before, Signal::SIGKILL);
    wait_until("the next agent", || server.agent() != before);
}

#[test]
fn a_name_stands_for_all_its_addresses() {
    isolate();
    let records = ["203.0.113.7", "203.0.113.8", "2001:db8:7::1"];
    let records = records.map(|address| format!("--host-record={NAME},{address}"));
    let _dns = Dnsmasq::start(&records.each_ref().map(String::as_str));
    let server = Kamailio::start(config().listen("udp:[2001:db8::10]:5060"));
    wait_for_verdict("203.0.113.7", 2);
    wait_for_verdict("203.0.113.8", 2);
    wait_for_verdict("2001:db8:7::1", 2);
    assert_eq!(verdict("2001:db8:7::2"), 1, "an address is not its prefix");
    assert_eq!(verdict("203.0.113.9"), 1);
    let trunk = Client::udp("203.0.113.7").burst(400, &Request::call("sec_check", &[]));
    assert_eq!(trunk, [2; 400], "there is no ceiling");
    assert_eq!(Client::udp("203.0.113.7").call("is_whitelisted", &[]), 1);
    let listed = whitelist(&server);
    for part in [
        &format!("name: {NAME}"),
        "ip: 203.0.113.7, 203.0.113.8, 2001:db8:7::1",
    ] {
        assert!(listed.contains(part), "{listed}");
    }
    assert!(listed.contains("state: resolved"), "{listed}");
    let refused = server.kamcmd(&["sec.ban", "203.0.113.7"]).unwrap_err();
    assert_eq!(refused.code, 400, "{refused:?}");
    let status = server.kamcmd(&["sec.status"]).unwrap();
    assert!(status.contains("whitelist_names_resolved: 1"), "{status}");
    assert!(status.contains("dns: for whitelist"), "{status}");
}

#[test]
fn an_address_that_was_lost_is_dropped() {
    isolate();
    let dns = Dnsmasq::start(&[&format!("--host-record={NAME},203.0.113.7")]);
    let server = Kamailio::start(config());
    wait_for_verdict("203.0.113.7", 2);
    drop(dns);
    let _dns = Dnsmasq::start(&[&format!("--host-record={NAME},203.0.113.8")]);
    restart_agent(&server);
    wait_for_verdict("203.0.113.8", 2);
    assert_eq!(verdict("203.0.113.7"), 1);
    assert!(
        server
            .log()
            .contains(&format!("whitelist: {NAME} is 203.0.113.8"))
    );
}

#[test]
fn a_name_without_an_answer_is_kept_and_stale() {
    isolate();
    let dns = Dnsmasq::start(&[&format!("--host-record={NAME},203.0.113.7")]);
    let server = Kamailio::start(config());
    wait_for_verdict("203.0.113.7", 2);
    drop(dns);
    for records in [None, Some(["--host-record=other.carrier.com,203.0.113.9"])] {
        // First nobody answers, then somebody says that there is no such name.
        let _dns = records.map(|records| Dnsmasq::start(&records));
        restart_agent(&server);
        wait_until("the name to be stale", || {
            assert_eq!(verdict("203.0.113.7"), 2);
            whitelist(&server).contains("state: stale")
        });
        let status = server.kamcmd(&["sec.status"]).unwrap();
        assert!(status.contains("whitelist_names_stale: 1"), "{status}");
    }
    let _dns = Dnsmasq::start(&[&format!("--host-record={NAME},203.0.113.7")]);
    wait_until("the name to be found again", || {
        whitelist(&server).contains("state: resolved")
    });
    assert_eq!(verdict("203.0.113.7"), 2);
}

#[test]
fn a_name_server_may_come_later() {
    isolate();
    let server = Kamailio::start(config());
    assert_eq!(verdict("203.0.113.7"), 1);
    assert!(whitelist(&server).contains("state: not resolved"));
    let _dns = Dnsmasq::start(&[&format!("--host-record={NAME},203.0.113.7")]);
    wait_for_verdict("203.0.113.7", 2);
}

#[test]
fn names_in_a_file_are_read_anew_with_it() {
    isolate();
    let _dns = Dnsmasq::start(&[
        &format!("--host-record={NAME},203.0.113.7"),
        "--host-record=pbx.carrier.com,203.0.113.8",
        "--host-record=new.carrier.com,203.0.113.9",
    ]);
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let file = directory.path().join("whitelist");
    fs::write(&file, "pbx.carrier.com # ours\n10.7.0.0/16\n").unwrap();
    let server = Kamailio::start(config().param("whitelist_file", &*file));
    wait_for_verdict("203.0.113.7", 2);
    wait_for_verdict("203.0.113.8", 2);
    fs::write(&file, "new.carrier.com\n").unwrap();
    assert!(server.kamcmd(&["sec.reload", "whitelist_file"]).is_ok());
    wait_for_verdict("203.0.113.9", 2);
    wait_for_verdict("203.0.113.8", 1);
    assert_eq!((verdict("203.0.113.7"), verdict("10.7.0.1")), (2, 1));
    fs::write(&file, "new..carrier.com\n").unwrap();
    assert!(server.kamcmd(&["sec.reload", "whitelist_file"]).is_ok());
    wait_until("the refusal", || {
        server.log().contains("new..carrier.com") && server.log().contains("empty label")
    });
    assert_eq!(verdict("203.0.113.9"), 2, "the list before stays");
}
