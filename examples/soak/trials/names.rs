//! A name server that is silent or slow, while thousands of offenders are to be looked up at once.

use std::thread;
use std::time::Duration;

use hickory_resolver::proto::op::ResponseCode;

use super::{Extent, Trial};
use crate::host::{
    Callers, Client, Config, DNS, Kamailio, NameServer, Reply, Request, isolate, wait_until,
};

pub const SILENT: Trial = Trial {
    done: "thousands of offenders at once, and a name server that is silent",
    expected: "calls go on, nobody is held for longer than two seconds, all are banned",
    run: |extent| offend(extent, || Reply::Silence),
};

pub const SLOW: Trial = Trial {
    done: "the same, and a name server that needs 20 ms for each answer, one after the other",
    expected: "the same",
    run: |extent| {
        offend(extent, || {
            thread::sleep(Duration::from_millis(20));
            Reply::Code(ResponseCode::NXDomain)
        })
    },
};

fn offend(extent: &Extent, answer: fn() -> Reply) -> String {
    isolate();
    let dns = NameServer::start(move |_, _| answer());
    let config = Config::new()
        .workers(2)
        .param("rate", "name=burst;limit=30;window=2")
        .param("rdns_trusted", "trusted.example.com")
        .param("resolver", DNS);
    let server = Kamailio::start(config);
    let callers = Callers::start();
    let strike = Request::call("sec_strike", &["scan", "10"]);
    let address = |number: u32| format!("10.2.{}.{}", number >> 8, number & 255);
    for number in 0..extent.offenders {
        // Held; banned if the machine is so slow that the answer is there already.
        let code = Client::udp(&address(number)).ask(&strike).rc();
        assert!([1, -2].contains(&code), "{code}");
    }
    let banned = || server.stat("active_bans") == i64::from(extent.offenders);
    wait_until("all of them to be banned", banned);
    let asked = dns.asked().len();
    let callers = callers.stop();
    for number in 0..extent.offenders {
        let code = Client::udp(&address(number)).call("sec_check", &[]);
        assert_eq!(code, -1, "{}", address(number));
    }
    format!(
        "{} offenders, {asked} questions, all banned; {callers}",
        extent.offenders
    )
}
