//! A network of its own for the calling thread, in which every address is local.
//!
//! Called once at the start of a test or of the demo; children that the thread starts (Kamailio,
//! kamcmd, phones in threads) inherit it. Nothing that is sent in it can leave the machine.

use std::process::Command;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};

/// Where Kamailio listens. It is the server's own address, which is always allowed, so traffic
/// comes from other addresses.
pub const SERVER: &str = "192.0.2.10";
/// The same over IPv6.
pub const SERVER6: &str = "2001:db8::10";

/// Moves the calling thread into a fresh network namespace: any IPv4 address and any address in
/// 2001:db8::/32 can be a source, and port 5060 is free.
///
/// # Panics
/// Without the right to make one (root, or `unshare -rn`), with a sentence that says so.
pub fn isolate() {
    match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => {}
        Err(Errno::EPERM) => panic!(
            "these programs need a network namespace of their own: run them as root, with sudo, or under `unshare -rn`"
        ),
        Err(error) => panic!("cannot make a network namespace: {error}"),
    }
    ip("link set lo up");
    ip("route add local 0.0.0.0/0 dev lo");
    ip("-6 route add local 2001:db8::/32 dev lo");
    ip(&format!("-6 addr add {SERVER6}/128 dev lo nodad"));
}

fn ip(arguments: &str) {
    let done = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .expect("`ip` of the package iproute2 can be run");
    assert!(
        done.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}
