//! The command line, checked: every other part gets values that are already right.
//!
//! Called once by `main`. It reads no file and opens no connection.

use std::env;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use redis::IntoConnectionInfo;

/// What `--help` prints.
pub const HELP: &str = "\
usage: portal [OPTION VALUE]...

  --listen IP:PORT           where to listen (127.0.0.1:8080)
  --redis URL                the fleet's Redis (the variable REDIS_URL, else redis://127.0.0.1:6379);
                             a password is safer in the variable, where `ps` does not show it
  --accounts FILE            the registrar's table of subscribers (/etc/kamailio/dbtext/subscriber)
  --password-column NAME     as modparam(\"auth_db\", \"password_column\") (password);
                             ha1 holds digests, any other column plain text
  --proxy IP|CIDR            a reverse proxy whose X-Forwarded-For and X-Forwarded-Proto are
                             believed; repeatable (none)
  --grants NUMBER            how often an account may free an address within a day, 1 to 1000 (5)
  --ipv4-url URL             this page under a name that has only an IPv4 address (none)
  --ipv6-url URL             this page under a name that has only an IPv6 address (none)
  --whitelist-prefix TEXT    as modparam(\"sec\", \"redis_whitelist_prefix\") (white_list:)
  --ban-prefix TEXT          as modparam(\"sec\", \"redis_ban_prefix\") (ban:)
";

/// What the command line asks for.
pub enum Command {
    Run(Box<Options>),
    Help,
}

/// How the portal is set up.
pub struct Options {
    pub listen: SocketAddr,
    pub redis: redis::ConnectionInfo,
    pub accounts: PathBuf,
    pub password_column: String,
    pub proxies: Vec<IpNet>,
    /// Grants per account and day.
    pub grants: u32,
    pub ipv4_url: Option<String>,
    pub ipv6_url: Option<String>,
    pub whitelist_prefix: String,
    pub ban_prefix: String,
}

impl Options {
    /// Reads the arguments that follow the program's name.
    ///
    /// # Errors
    /// A sentence that names the option, its value and what is allowed.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Command, String> {
        let url = env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".into());
        let mut options = Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            redis: connection("REDIS_URL", &url)?,
            accounts: "/etc/kamailio/dbtext/subscriber".into(),
            password_column: "password".into(),
            proxies: Vec::new(),
            grants: 5,
            ipv4_url: None,
            ipv6_url: None,
            whitelist_prefix: "white_list:".into(),
            ban_prefix: "ban:".into(),
        };
        while let Some(name) = arguments.next() {
            if matches!(name.as_str(), "--help" | "-h") {
                return Ok(Command::Help);
            }
            if !options.knows(&name) {
                return Err(format!("there is no option \"{name}\""));
            }
            let value = arguments
                .next()
                .ok_or_else(|| format!("{name}: its value is missing"))?;
            options.set(&name, value)?;
        }
        if overlapping(&options.whitelist_prefix, &options.ban_prefix) {
            return Err(format!(
                "--whitelist-prefix \"{}\" and --ban-prefix \"{}\": neither may be empty or the start of the other",
                options.whitelist_prefix, options.ban_prefix
            ));
        }
        Ok(Command::Run(Box::new(options)))
    }

    fn knows(&self, name: &str) -> bool {
        HELP.lines()
            .any(|line| line.split_whitespace().next() == Some(name))
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        match name {
            "--listen" => {
                self.listen = value.parse().map_err(|_| {
                    format!("{name} \"{value}\": allowed is address:port, such as 127.0.0.1:8080 or [::1]:8080")
                })?;
            }
            "--redis" => self.redis = connection(name, &value)?,
            "--accounts" => self.accounts = value.into(),
            "--password-column" => self.password_column = value,
            "--proxy" => self.proxies.push(network(name, &value)?),
            "--grants" => self.grants = grants(name, &value)?,
            "--ipv4-url" => self.ipv4_url = Some(link(name, value)?),
            "--ipv6-url" => self.ipv6_url = Some(link(name, value)?),
            "--whitelist-prefix" => self.whitelist_prefix = value,
            _ => self.ban_prefix = value,
        }
        Ok(())
    }
}

/// The address of a Redis server. Its password, if it has one, is not repeated in an error.
fn connection(name: &str, url: &str) -> Result<redis::ConnectionInfo, String> {
    url.into_connection_info().map_err(|error| {
        format!("{name}: {error}; allowed are redis:// or rediss://[user:password@]host[:port][/db] and redis+unix:///socket")
    })
}

fn network(name: &str, value: &str) -> Result<IpNet, String> {
    let address = value.parse::<IpAddr>().map(IpNet::from);
    address.or_else(|_| value.parse()).map_err(|_| {
        format!(
            "{name} \"{value}\": allowed is an address or a CIDR, such as 192.0.2.1 or 10.0.0.0/8"
        )
    })
}

fn grants(name: &str, value: &str) -> Result<u32, String> {
    let number = value.parse().ok();
    number
        .filter(|number| (1..=1000).contains(number))
        .ok_or_else(|| format!("{name} \"{value}\": allowed is a number from 1 to 1000"))
}

fn link(name: &str, value: String) -> Result<String, String> {
    if value.starts_with("https://") || value.starts_with("http://") {
        return Ok(value);
    }
    Err(format!(
        "{name} \"{value}\": allowed is a URL that starts with https:// (or http://)"
    ))
}

fn overlapping(one: &str, other: &str) -> bool {
    one.starts_with(other) || other.starts_with(one)
}
