//! A barrage: hostile messages at a server that looks into every one of them with all that the
//! module has, while a customer goes on.
//!
//! Used by `tests/hostile` and by the trial of `make soak` that goes on for longer. It counts on one
//! UDP worker, which answers the customer after all that was sent before.

pub mod messages;
pub mod oversized;

use std::fs;

use tempfile::TempDir;

use crate::host::{Client, Config, Request, SERVER};

/// What may wait in the server's socket, with what the kernel adds to each datagram.
const MOST_WAITING: usize = 64 * 1024;
const OVERHEAD: usize = 1024;

/// Everything that looks into a message. The second `sec_check` is about an address that is in no
/// state yet, so that every rule has its turn whatever the sender has done before.
const ROUTE: &str = r#"
    if ($si =~ "^198\.51\.100\.") {
        $var(rc) = sec_check();
        sl_send_reply("200", "rc $var(rc)");
        exit;
    }
    $var(fresh) = "10." + ($RANDOM & 255) + "." + ($RANDOM & 255) + "." + ($RANDOM & 255);
    $var(rc) = sec_check();
    sec_check("$var(fresh)");
    sec_check_extension();
    sec_check_extension("$rU", "$rd");
    sec_check_extension("$tU", "$td");
    sec_check_agent();
    sec_count("$fU", "100000", "60");
    sec_count("$ua$ci", "100000", "60");
    sec_auth_failed();
    if ($au != $null) {
        sec_auth_failed("$au");
    }
    if (is_method("MESSAGE")) {
        sec_strike("$ua");
    }
    append_to_reply("X-Sec: $sec(verdict) $sec(reason) $sec(ban_ttl) $sec(strikes) $sec(rdns)\r\n");
    sl_send_reply("200", "rc $var(rc)");
"#;

/// The server, and the list of extensions that it reads.
pub fn config() -> (TempDir, Config) {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let list = directory.path().join("extensions");
    fs::write(&list, "reception\njohn.smith\nZo\u{eb}\n").expect("it can be written");
    let config = Config::new()
        .extra("loadmodule \"cfgutils.so\"\ntcp_rd_buf_size=131072")
        .param("rate", "name=burst;off")
        .param(
            "rate",
            "name=calls;limit=60000;window=1h;count=INVITE,REGISTER",
        )
        .param("agent_check", 1)
        .param("extension_pattern", "7XXX")
        .param("extension_file", &*list)
        .param("extension_methods", "REGISTER,INVITE,OPTIONS,MESSAGE")
        .param("ban_scope", "user")
        .param("ban_scope_users", 100)
        .route(ROUTE);
    (directory, config)
}

/// The sender, and the customer who shows that the server has come so far.
pub struct Barrage {
    customer: Client,
    waiting: usize,
    /// What the customer has asked.
    pub asked: i64,
}

impl Barrage {
    pub fn new(customer: &str) -> Self {
        Self {
            customer: Client::udp(customer),
            waiting: 0,
            asked: 0,
        }
    }

    /// Sends all of them from `attacker`, none too many at once; the server has worked them off
    /// when this returns.
    pub fn send(&mut self, attacker: &mut Client, messages: &[Vec<u8>]) {
        for message in messages {
            let size = message.len() + OVERHEAD;
            if self.waiting + size > MOST_WAITING {
                self.serve_customer();
            }
            attacker.send_bytes(message);
            self.waiting += size;
        }
        self.serve_customer();
    }

    /// A customer's request, which is answered as if nothing else went on.
    ///
    /// # Panics
    /// When it is not.
    pub fn serve_customer(&mut self) {
        let request = Request::new("OPTIONS", &format!("sip:7001@{SERVER}"))
            .header("From", &format!("<sip:7002@{SERVER}>;tag=1"));
        assert_eq!(self.customer.ask(&request).rc(), 1, "a customer");
        self.asked += 1;
        self.waiting = 0;
    }
}
