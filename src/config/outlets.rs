//! Where bans go besides this node: `feed_export`, `nft_set`.
//!
//! Called by the setters of `parameters`. Whether the file can be written and the sets are there is
//! only known at run time, to the agent.
#![forbid(unsafe_code)]

use std::fmt;

use super::Config;
use super::compound::{Compound, Form};
use super::parameter::Outcome;
use super::value::Given;

/// What switches the firewall off.
const OFF: &str = "off";
/// Longest name of a table or a set.
const NAME_MAX: usize = 64;
/// Families of tables whose rules see IP packets.
const FAMILIES: [&str; 5] = ["inet", "ip", "ip6", "bridge", "netdev"];

const FORM: Form = Form {
    keys: &["table", "v4", "v6"],
    flag: None,
    allowed: "table=<family> <table>, and the name of a set for v4, for v6 or for both, as \
              table=inet filter;v4=sec_v4;v6=sec_v6; or off",
};

/// Who gets the bans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlets {
    /// `feed_export`: a file.
    pub file: Option<String>,
    /// `nft_set`: sets of the firewall.
    pub sets: Option<NftSets>,
}

/// Sets of nftables. One holds addresses of one family, so there are two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NftSets {
    /// The family of the table.
    pub family: String,
    /// The table.
    pub table: String,
    /// The set for IPv4; without one these bans stay here.
    pub v4: Option<String>,
    /// The set for IPv6.
    pub v6: Option<String>,
}

impl fmt::Display for NftSets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.family, self.table)?;
        for set in self.v4.iter().chain(&self.v6) {
            write!(f, " {set}")?;
        }
        Ok(())
    }
}

/// `feed_export`.
pub(super) fn set_file(config: &mut Config, given: Given<'_>) -> Outcome {
    let named = given.text.starts_with('/') && !given.text.ends_with('/');
    if !named || given.text.contains(char::is_control) {
        return Err(given.refuse("is not the path of a file", "an absolute path"));
    }
    config.outlets.file = Some(given.text.into());
    Ok(None)
}

/// `nft_set`.
pub(super) fn set_sets(config: &mut Config, given: Given<'_>) -> Outcome {
    if given.text == OFF {
        config.outlets.sets = None;
        return Ok(None);
    }
    let compound = Compound::parse(given, &FORM)?;
    let (family, table) = table(compound.required("table")?)?;
    let set = |key| compound.optional(key).map(name).transpose();
    let (v4, v6) = (set("v4")?, set("v6")?);
    let other_family = match family.as_str() {
        "ip" if v6.is_some() => Some("an ip table sees no IPv6 packets: a second table is needed"),
        "ip6" if v4.is_some() => {
            Some("an ip6 table sees no IPv4 packets: a second table is needed")
        }
        _ if v4.is_none() && v6.is_none() => Some("names no set"),
        _ if v4 == v6 => Some("names one set for both, but a set holds one family"),
        _ => None,
    };
    if let Some(problem) = other_family {
        return Err(compound.refuse(problem.into()));
    }
    config.outlets.sets = Some(NftSets {
        family,
        table,
        v4,
        v6,
    });
    Ok(None)
}

fn table(given: Given<'_>) -> Result<(String, String), String> {
    let mut words = given.text.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(family), Some(table), None) if FAMILIES.contains(&family) && is_name(table) => {
            Ok((family.into(), table.into()))
        }
        _ => {
            let families = FAMILIES.join(", ");
            let allowed = format!("a family ({families}), a blank and a name, as inet filter");
            Err(given.refuse("is not a table", allowed))
        }
    }
}

fn name(given: Given<'_>) -> Result<String, String> {
    if !is_name(given.text) {
        let allowed =
            format!("a letter or '_', and up to {NAME_MAX} letters, digits, '_', '-' and '.'");
        return Err(given.refuse("is not the name of a set", allowed));
    }
    Ok(given.text.into())
}

fn is_name(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.len() <= NAME_MAX
        && text.chars().all(letter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Value;

    fn set(name: &str, text: &str) -> Result<Outlets, String> {
        let mut config = Config::default();
        config.set(name, Value::Text(text))?;
        Ok(config.outlets().clone())
    }

    #[test]
    fn a_table_and_its_sets_are_read() {
        for (text, shown) in [
            (
                "table=inet filter;v4=sec_v4;v6=sec_v6",
                "inet filter sec_v4 sec_v6",
            ),
            (" v6 = b ; table = netdev  x-y.z ", "netdev x-y.z b"),
            ("table=ip nat;v4=_a", "ip nat _a"),
        ] {
            let sets = set("nft_set", text).unwrap().sets.unwrap();
            assert_eq!(sets.to_string(), shown);
        }
        assert_eq!(set("nft_set", "off").unwrap().sets, None);
    }

    #[test]
    fn every_slip_has_its_sentence() {
        for (text, problem) in [
            ("", "has an empty part"),
            ("OFF", "has an odd part"),
            ("inet filter sec_banned", "has an odd part"),
            ("v4=a", "has no table="),
            ("table=inet filter", "names no set"),
            ("table=inet filter;v4=a;v6=a", "names one set for both"),
            ("table=filter;v4=a", "is not a table"),
            ("table=inet;v4=a", "is not a table"),
            ("table=arp filter;v4=a", "is not a table"),
            ("table=inet a b;v4=a", "is not a table"),
            ("table=inet fil{ter;v4=a", "is not a table"),
            ("table=ip filter;v6=a", "sees no IPv6 packets"),
            ("table=ip6 filter;v4=a;v6=b", "sees no IPv4 packets"),
            ("table=inet filter;v4=a b", "is not the name of a set"),
            ("table=inet filter;v4=1a", "is not the name of a set"),
            ("table=inet filter;v4=@a", "is not the name of a set"),
            ("table=inet filter;v5=a", "unknown key \"v5\""),
        ] {
            let error = set("nft_set", text).unwrap_err();
            assert!(
                error.starts_with("nft_set: ") && error.contains(problem),
                "{error}"
            );
        }
    }

    #[test]
    fn a_file_is_an_absolute_path() {
        let path = "/var/lib/kamailio/bans.list";
        assert_eq!(
            set("feed_export", path).unwrap().file.as_deref(),
            Some(path)
        );
        for text in ["", "bans.list", "/", "/tmp/", "/tmp/a\nb", "file:///tmp/x"] {
            let error = set("feed_export", text).unwrap_err();
            assert!(error.ends_with("; allowed: an absolute path"), "{error}");
        }
    }
}
