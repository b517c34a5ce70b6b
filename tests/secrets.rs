//! What must not get out, and whom the agent must not believe: passwords in logs and answers, and
//! the certificate of a real redis-server with TLS.
#![forbid(unsafe_code)]

mod host;

use std::path::{Path, PathBuf};
use std::process::Command;

use host::{Config, Kamailio, Page, Redis, Web, isolate, wait_for, wait_until};
use tempfile::TempDir;

const PASSWORD: &str = "hunter2-correct-horse";
const TLS_URL: &str = "rediss://127.0.0.1:6380";

/// A certificate for an address, signed by itself, and its key.
struct Certificate {
    directory: TempDir,
}

impl Certificate {
    fn for_address(address: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let certificate = Self { directory };
        let (key, file) = (certificate.path("key"), certificate.path("certificate"));
        let done = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"])
            .args(["-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-subj", "/CN=redis"])
            .args(["-addext", &format!("subjectAltName=IP:{address}")])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args([Path::new("-keyout"), &key, Path::new("-out"), &file])
            .output()
            .expect("openssl can be run");
        assert!(done.status.success(), "{done:?}");
        certificate
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn file(&self) -> String {
        self.path("certificate").display().to_string()
    }

    /// A server with TLS on port 6380 that shows it.
    fn server(&self) -> Redis {
        let (file, key) = (self.file(), self.path("key").display().to_string());
        Redis::with(&[
            "--tls-port",
            "6380",
            "--tls-auth-clients",
            "no",
            "--tls-cert-file",
            &file,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &file,
        ])
    }
}

fn status(node: &Kamailio) -> String {
    node.kamcmd(&["sec.status"]).expect("sec.status answers")
}

/// Why there is no link.
fn problem(node: &Kamailio) -> String {
    wait_for("a problem", || {
        let status = status(node);
        let mut lines = status.lines();
        let problem = lines.find_map(|line| line.trim().strip_prefix("redis_problem: "))?;
        (!problem.is_empty()).then(|| problem.to_owned())
    })
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    isolate();
    let certificate = Certificate::for_address("127.0.0.1");
    let redis = certificate.server();
    let node = Kamailio::start(Config::new().param("redis_url", TLS_URL));
    let problem = problem(&node);
    assert!(problem.contains("certificate"), "{problem}");
    node.kamcmd(&["sec.ban", "198.51.100.7", "600"]).unwrap();
    assert_eq!(node.stat("redis_up"), 0);
    assert_eq!(redis.get("ban:198.51.100.7"), None);
}

#[test]
fn a_certificate_for_somebody_else_is_refused() {
    isolate();
    let certificate = Certificate::for_address("192.0.2.99");
    let _redis = certificate.server();
    let config = Config::new().param("redis_url", TLS_URL);
    let node = Kamailio::start(config.variable("SSL_CERT_FILE", &certificate.file()));
    let problem = problem(&node);
    assert!(problem.contains("not valid for"), "{problem}");
    assert_eq!(node.stat("redis_up"), 0);
}

#[test]
fn a_certificate_that_the_machine_trusts_is_taken() {
    isolate();
    let certificate = Certificate::for_address("127.0.0.1");
    let redis = certificate.server();
    let config = Config::new().param("redis_url", TLS_URL);
    let node = Kamailio::start(config.variable("SSL_CERT_FILE", &certificate.file()));
    wait_until("the link", || node.stat("redis_up") == 1);
    node.kamcmd(&["sec.ban", "198.51.100.7", "600"]).unwrap();
    wait_until("the ban in Redis", || {
        redis.get("ban:198.51.100.7").is_some()
    });
}

#[test]
fn verification_cannot_be_switched_off() {
    let config = Config::new().param("redis_url", &*format!("{TLS_URL}/#insecure"));
    let check = config.check();
    assert!(!check.accepted);
    assert!(check.log.contains("has a '#'"), "{}", check.log);
}

/// Everything that an operator or a stranger with access to logs and commands can read.
fn all_that_is_said(node: Kamailio) -> String {
    let commands = [
        "sec.status",
        "sec.bans",
        "sec.whitelist",
        "sec.top",
        "core.modules",
        "core.psx",
        "core.ppdefines_full",
        "cfg.list",
        "stats.get_statistics sec:",
    ];
    let mut said = String::new();
    for command in commands {
        let words: Vec<&str> = command.split(' ').collect();
        let answer = node.kamcmd(&words);
        said += &answer.unwrap_or_else(|fault| fault.message);
    }
    said + &node.stop()
}

#[test]
fn the_password_of_redis_is_never_shown() {
    isolate();
    let redis = Redis::with(&["--requirepass", PASSWORD]);
    let url = |password: &str| format!("redis://:{password}@127.0.0.1:6379");
    // As chatty as it gets.
    let chatty = || Config::new().extra("debug=3");
    let node = Kamailio::start(chatty().param("redis_url", &*url(PASSWORD)));
    wait_until("the link", || node.stat("redis_up") == 1);
    let said = all_that_is_said(node);
    assert!(
        said.contains("redis: up") && !said.contains(PASSWORD),
        "{said}"
    );

    let wrong = format!("{PASSWORD}-wrong");
    let node = Kamailio::start(chatty().param("redis_url", &*url(&wrong)));
    assert!(!problem(&node).is_empty());
    let said = all_that_is_said(node);
    assert!(
        said.contains("redis: down") && !said.contains(PASSWORD),
        "{said}"
    );
    drop(redis);
}

#[test]
fn the_password_is_not_shown_when_the_configuration_is_refused() {
    let twice = |first: &str, second: &str| {
        let config = Config::new().param("redis_url", first);
        config.param("redis_url", second).check()
    };
    let right = format!("redis://:{PASSWORD}@127.0.0.1");
    for wrong in [
        format!("redis://:{PASSWORD}@127.0.0.1:port"),
        format!("http://:{PASSWORD}@127.0.0.1"),
        format!("redis://user:{PASSWORD}@"),
        format!("redis://user:{PASSWORD}#{PASSWORD}@127.0.0.1"),
        format!("rediss://:{PASSWORD}@[::1"),
        format!("redis:user:{PASSWORD}@127.0.0.1"),
        format!("redis://user:?{PASSWORD}@127.0.0.1:port"),
        format!("redis+unix:///run/redis.sock?pass={PASSWORD}#"),
        format!("redis+unix:///run/redis.sock?pass={PASSWORD}@{PASSWORD}&db=x"),
        format!("redis+unix:///run/redis.sock?pass={PASSWORD}"),
        right.clone(),
    ] {
        let check = twice(&right, &wrong);
        assert!(check.log.contains("redis_url"), "{}", check.log);
        assert!(!check.log.contains(PASSWORD), "{}", check.log);
    }
    let socket = format!("redis+unix:///run/redis.sock?user=u&pass={PASSWORD}");
    for url in [right, socket] {
        let config = Config::new().param("state_file", "/tmp/state");
        let check = config.param("redis_url", &*url).check();
        assert!(!check.accepted, "{}", check.log);
        assert!(check.log.contains("beside state_file"), "{}", check.log);
        assert!(!check.log.contains(PASSWORD), "{}", check.log);
    }
}

#[test]
fn a_feed_over_https_is_believed_with_a_certificate_alone() {
    isolate();
    for (address, trusted, problem) in [
        ("127.0.0.1", true, ""),
        ("127.0.0.1", false, "certificate"),
        ("192.0.2.99", true, "not valid for"),
    ] {
        let certificate = Certificate::for_address(address);
        let other = Certificate::for_address("127.0.0.1");
        let page = Page::new("203.0.113.7\n");
        let (file, key) = (certificate.path("certificate"), certificate.path("key"));
        let web = Web::secure(&file, &key, page);
        let feed = format!("name=list;url={}", web.url("/list"));
        let trusts = if trusted {
            certificate.file()
        } else {
            other.file()
        };
        let config = Config::new().param("feed", &*feed);
        let node = Kamailio::start(config.variable("SSL_CERT_FILE", &trusts));
        let feeds = wait_for("the feed to be asked for", || {
            let feeds = node.kamcmd(&["sec.feeds"]).ok()?;
            (!feeds.contains("failures: 0") || feeds.contains("state: loaded")).then_some(feeds)
        });
        let loaded = feeds.contains("state: loaded");
        assert_eq!(loaded, problem.is_empty(), "{feeds}");
        assert!(feeds.contains(problem), "{feeds}");
    }
}
