//! Reverse DNS and the name server: `rdns_trusted`, `rdns_timeout`, `rdns_no_name`, `resolver`.
//!
//! Called by the setters of `parameters`. It only reads what is written there; DNS is asked by the
//! agent.
#![forbid(unsafe_code)]

use std::net::{IpAddr, SocketAddr};

use super::Config;
use super::parameter::Outcome;
use super::value::Given;
use crate::domain::Domain;
use crate::engine::policy;

/// Longest `rdns_timeout` in seconds: whoever is looked up waits so long.
const TIMEOUT_MAX: u64 = 10;
/// Most lines of `rdns_trusted`.
const TRUSTED_MAX: usize = 256;
/// What a question and its answer take on their way between the processes, and more.
const HOLD_MARGIN_MS: u64 = 1000;
const DNS_PORT: u16 = 53;

/// Whose names spare them a ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rdns {
    /// `rdns_trusted`: domains whose hosts are not banned; none switches the look-up off.
    pub trusted: Vec<Domain>,
    /// `rdns_timeout` in seconds: for the name and for its confirmation together.
    pub timeout: u64,
    /// `rdns_no_name=spare`: who has no name is not banned either.
    pub spare_no_name: bool,
    /// `resolver`; `None` is what the system uses.
    pub resolver: Option<SocketAddr>,
}

impl Default for Rdns {
    fn default() -> Rdns {
        Rdns {
            trusted: Vec::new(),
            timeout: 1,
            spare_no_name: false,
            resolver: None,
        }
    }
}

impl Rdns {
    /// What the engine has to know of it.
    pub(super) fn rule(&self) -> policy::Rdns {
        policy::Rdns {
            asks: !self.trusted.is_empty(),
            hold_ms: self.timeout * 1000 + HOLD_MARGIN_MS,
            spare_no_name: self.spare_no_name,
        }
    }
}

/// `rdns_trusted`.
pub(super) fn add_trusted(config: &mut Config, given: Given<'_>) -> Outcome {
    let allowed = "a domain such as example.com; its hosts and those of its subdomains are spared";
    let text = given.text.strip_prefix('.').unwrap_or(given.text);
    let domain = Domain::parse(text).map_err(|error| given.refuse(error, allowed))?;
    let trusted = &mut config.rdns.trusted;
    if trusted.len() == TRUSTED_MAX {
        return Err(given.refuse("is one too many", format!("{TRUSTED_MAX} domains")));
    }
    let wide = domain.labels() == 1;
    let warning = wide.then(|| {
        format!("rdns_trusted: \"{domain}\" is a whole top-level domain: any host in it is spared")
    });
    if !trusted.contains(&domain) {
        trusted.push(domain);
    }
    Ok(warning)
}

/// `rdns_timeout`.
pub(super) fn set_timeout(config: &mut Config, given: Given<'_>) -> Outcome {
    config.rdns.timeout = given.time(TIMEOUT_MAX)?;
    Ok(None)
}

/// `rdns_no_name`.
pub(super) fn set_no_name(config: &mut Config, given: Given<'_>) -> Outcome {
    config.rdns.spare_no_name = match given.text {
        "ban" => false,
        "spare" => true,
        _ => return Err(given.refuse("is no way to deal with it", "ban, spare")),
    };
    Ok(None)
}

/// `resolver`.
pub(super) fn set_resolver(config: &mut Config, given: Given<'_>) -> Outcome {
    let allowed = "system, or the IP address of a name server, and its port if that is not 53, as \
                   192.0.2.53, 192.0.2.53:5353, 2001:db8::53, [2001:db8::53]:5353";
    if given.text == "system" {
        config.rdns.resolver = None;
        return Ok(None);
    }
    let bare = given.text.parse::<IpAddr>();
    let address = match bare {
        Ok(ip) => Some(SocketAddr::new(ip, DNS_PORT)),
        Err(_) => given.text.parse().ok(),
    };
    let usable = |address: &SocketAddr| address.port() != 0 && !address.ip().is_unspecified();
    let Some(address) = address.filter(usable) else {
        return Err(given.refuse("is not the address of a name server", allowed));
    };
    config.rdns.resolver = Some(address);
    Ok(None)
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Value};

    fn set(name: &str, text: &str) -> Result<(Config, String), String> {
        let mut config = Config::default();
        let warning = config.set(name, Value::Text(text))?;
        Ok((config, warning.unwrap_or_default()))
    }

    #[test]
    fn trusted_domains_add_up() {
        let mut config = Config::default();
        assert!(!config.policy().rdns.asks);
        for text in ["googlebot.com", ".Example.NET.", "example.net"] {
            config.set("rdns_trusted", Value::Text(text)).unwrap();
        }
        let trusted: Vec<&str> = config.rdns().trusted.iter().map(|it| it.text()).collect();
        assert_eq!(trusted, ["googlebot.com", "example.net"]);
        assert!(config.policy().rdns.asks);
        let (_, warning) = set("rdns_trusted", "com").unwrap();
        assert!(warning.contains("top-level domain"), "{warning}");
        for text in [
            "",
            ".",
            "*.example.com",
            "a b",
            "192.0.2.1",
            "exa\u{e4}mple.de",
        ] {
            let error = set("rdns_trusted", text).unwrap_err();
            assert!(error.starts_with("rdns_trusted: \""), "{error}");
            assert!(error.contains("allowed: a domain"), "{error}");
        }
    }

    #[test]
    fn the_hold_lasts_a_little_longer_than_the_look_up() {
        let (config, _) = set("rdns_timeout", "3s").unwrap();
        assert_eq!(
            (config.rdns().timeout, config.policy().rdns.hold_ms),
            (3, 4000)
        );
        for text in ["0", "11", "-1", "1.5", ""] {
            let error = set("rdns_timeout", text).unwrap_err();
            assert!(error.contains("1 second to 10 seconds"), "{error}");
        }
    }

    #[test]
    fn who_has_no_name_is_banned_or_spared() {
        assert!(
            set("rdns_no_name", "spare")
                .unwrap()
                .0
                .policy()
                .rdns
                .spare_no_name
        );
        assert!(
            !set("rdns_no_name", "ban")
                .unwrap()
                .0
                .policy()
                .rdns
                .spare_no_name
        );
        let error = set("rdns_no_name", "allow").unwrap_err();
        assert!(error.contains("allowed: ban, spare"), "{error}");
    }

    #[test]
    fn a_name_server_is_an_address() {
        for (text, expected) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("192.0.2.53:5353", "192.0.2.53:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
        ] {
            let resolver = set("resolver", text).unwrap().0.rdns().resolver;
            assert_eq!(resolver.map(|it| it.to_string()).as_deref(), Some(expected));
        }
        assert_eq!(set("resolver", "system").unwrap().0.rdns().resolver, None);
        for text in [
            "",
            "dns.example.com",
            "192.0.2.53:0",
            "192.0.2.53:x",
            "0.0.0.0",
            "[::1]",
        ] {
            let error = set("resolver", text).unwrap_err();
            assert!(
                error.contains("is not the address of a name server"),
                "{error}"
            );
        }
    }
}
