//! All lists of extensions together, as far as they can be trusted.
//!
//! Called by the agent whenever a list has changed. A user is known if any list names him. A list
//! that is empty, or not whole, has nobody judged where it counts: whoever is missing from it may
//! be a customer.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::names::{Names, NamesBuilder};
use super::shrinkage::{FILLING_MS, Filling, Origin, Shrunk, Sizes};

/// Lists whose sizes are remembered at most, those included that are gone.
const LISTS_MAX: usize = 1 << 17;

/// The lists that are configured; each is settled.
#[derive(Clone, Debug, Default)]
pub struct Union {
    /// `extension_file`.
    pub file: Option<Arc<NamesBuilder>>,
    /// The sets of `extension_redis_key`.
    pub sets: Option<Vec<Arc<NamesBuilder>>>,
    /// Nobody is judged in a domain without names of its own.
    pub own_only: bool,
    /// There are more names, or sets, than can be taken.
    pub overflows: bool,
}

/// Why nobody is judged, in one domain or in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// A list that is configured has no name.
    Empty(Origin),
    /// A list is less than half of what it was.
    Shrunk(Shrunk),
    /// A list in Redis is just being filled.
    Filling(Filling),
    /// There is more than can be taken.
    TooMany,
}

impl Doubt {
    /// What it is about: the parameter, and the domain, empty for all.
    pub fn about(&self) -> (Origin, Vec<u8>) {
        match self {
            Doubt::Empty(origin) => (*origin, Vec::new()),
            Doubt::Shrunk(shrunk) => (shrunk.origin, shrunk.domain.clone()),
            Doubt::Filling(filling) => (Origin::Redis, filling.domain.clone()),
            Doubt::TooMany => (Origin::Redis, Vec::new()),
        }
    }

    /// When it ends.
    pub fn end(&self) -> String {
        match self {
            Doubt::Empty(_) => "until it has one".into(),
            Doubt::Shrunk(shrunk) => {
                let list = shrunk.origin.word();
                format!("until they are back, or sec.reload {list} confirm accepts that")
            }
            Doubt::Filling(_) => format!("until it is quiet for {} s", FILLING_MS / 1000),
            Doubt::TooMany => "until there are fewer".into(),
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::Empty(origin) => write!(f, "{} has no name: nobody is judged", origin.word()),
            Doubt::Shrunk(shrunk) => {
                let Shrunk { names, were, .. } = shrunk;
                write!(f, "{}: {names} names", shrunk.origin.word())?;
                match &*shrunk.domain {
                    b"" => write!(f, " where {were} were: nobody is judged"),
                    domain => {
                        let domain = domain.escape_ascii();
                        write!(f, " in {domain} where {were} were: nobody is judged there")
                    }
                }
            }
            Doubt::Filling(Filling { domain, names }) => {
                let (name, shown) = (Origin::Redis.word(), domain.escape_ascii());
                let (place, there) = match domain.is_empty() {
                    true => ("", ""),
                    false => (" in ", " there"),
                };
                write!(f, "{name}: {names} names{place}{shown}, and quickly more: ")?;
                write!(f, "nobody is judged{there} until it is full")
            }
            Doubt::TooMany => f.write_str("there are too many extensions: nobody is judged"),
        }
    }
}

impl Union {
    /// A list by which nobody is judged.
    pub fn nobody() -> Names {
        let mut nobody = NamesBuilder::new();
        nobody.suspend(b"");
        nobody.build()
    }

    /// All names, indexed, and where they are not to be trusted. `sizes` are remembered; the lists
    /// of an origin that is `confirmed` are as they are to be.
    pub fn join(
        &self,
        sizes: &mut Sizes,
        now_ms: u64,
        confirmed: &BTreeSet<Origin>,
    ) -> (Names, Vec<Doubt>) {
        let mut all = NamesBuilder::new();
        for set in self.sets.iter().flatten() {
            all.extend(set);
        }
        all.settle();
        let mut empty = Vec::new();
        if self.sets.is_some() && !self.overflows {
            let origin = Origin::Redis;
            sizes.take(now_ms, origin, all.sizes(), confirmed.contains(&origin));
            empty.extend(all.is_empty().then_some(origin));
        }
        if let Some(file) = &self.file {
            let origin = Origin::File;
            sizes.take(now_ms, origin, file.sizes(), confirmed.contains(&origin));
            empty.extend(file.is_empty().then_some(origin));
            all.extend(file);
        }
        let mut doubts = doubts(sizes, &empty);
        doubts.extend(sizes.filling(now_ms).map(Doubt::Filling));
        if self.overflows || sizes.len() > LISTS_MAX {
            doubts.insert(0, Doubt::TooMany);
        }
        if self.own_only {
            all.judge_own_only();
        }
        for doubt in &doubts {
            all.suspend(&doubt.about().1);
        }
        (all.build(), doubts)
    }
}

/// All that is to be doubted. That a list has shrunk says more than that it is empty.
fn doubts(sizes: &Sizes, empty: &[Origin]) -> Vec<Doubt> {
    let mut doubts: Vec<Doubt> = sizes.shrunk().map(Doubt::Shrunk).collect();
    let told: Vec<_> = doubts.iter().map(Doubt::about).collect();
    let untold = |origin: &&Origin| !told.contains(&(**origin, Vec::new()));
    let empty = empty.iter().filter(untold);
    doubts.extend(empty.map(|origin| Doubt::Empty(*origin)));
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::{Extensions, Judgement};

    fn list(names: &[&str]) -> Arc<NamesBuilder> {
        let mut list = NamesBuilder::new();
        for name in names {
            let (name, domain) = name.split_once('@').unwrap_or((name, ""));
            list.insert(domain.as_bytes(), name.as_bytes()).unwrap();
        }
        list.settle();
        Arc::new(list)
    }

    /// Joins, and says what is doubted.
    fn join(union: &Union, sizes: &mut Sizes, confirmed: &[Origin]) -> (Names, String) {
        let confirmed = confirmed.iter().copied().collect();
        let (names, doubts) = union.join(sizes, 0, &confirmed);
        let doubts: Vec<String> = doubts.iter().map(Doubt::to_string).collect();
        (names, doubts.join("; "))
    }

    fn judge(names: &Names, user: &str, domain: &str) -> Judgement {
        let (masks, names) = (&[][..], names.table());
        Extensions { masks, names }.judge(user.as_bytes(), domain.as_bytes(), 80)
    }

    #[test]
    fn a_user_is_known_if_any_list_names_him() {
        let union = Union {
            file: Some(list(&["112", "anna"])),
            sets: Some(vec![list(&["bert", "anna"]), list(&["carl@a.example"])]),
            ..Union::default()
        };
        let (names, doubts) = join(&union, &mut Sizes::new(), &[]);
        assert_eq!((names.table().len(), &*doubts), (4, ""));
        for user in ["112", "anna", "bert", "carl"] {
            assert_eq!(judge(&names, user, "a.example"), Judgement::Known);
        }
        assert_eq!(judge(&names, "mallory", "b.example"), Judgement::Far);
        let own_only = true;
        let (names, _) = join(&Union { own_only, ..union }, &mut Sizes::new(), &[]);
        assert_eq!(judge(&names, "mallory", "a.example"), Judgement::Far);
        assert_eq!(judge(&names, "mallory", "b.example"), Judgement::Nothing);
    }

    #[test]
    fn an_emptied_list_switches_the_rule_off_until_it_is_whole_or_confirmed() {
        let sizes = &mut Sizes::new();
        let mut union = Union {
            file: Some(list(&["1", "2", "3", "4", "5"])),
            sets: Some(vec![list(&["anna", "bert", "carl"])]),
            ..Union::default()
        };
        let of = |sets: &[&str]| Some(vec![list(sets)]);
        assert_eq!(join(&union, sizes, &[]).1, "");
        for (left, doubt) in [
            (
                &["anna"][..],
                "extension_redis_key: 1 names where 3 were: nobody is judged",
            ),
            (
                &[],
                "extension_redis_key: 0 names where 3 were: nobody is judged",
            ),
            (
                &["anna", "bert"],
                "extension_redis_key: 2 names where 3 were: nobody is judged",
            ),
        ] {
            union.sets = of(left);
            let (names, doubts) = join(&union, sizes, &[]);
            assert_eq!(doubts, doubt);
            assert_eq!(judge(&names, "mallory", "a.example"), Judgement::Nothing);
        }
        let (names, doubts) = join(&union, &mut sizes.clone(), &[Origin::Redis]);
        assert_eq!(doubts, "");
        assert_eq!(judge(&names, "carl", ""), Judgement::Far);
        assert_ne!(join(&union, &mut sizes.clone(), &[Origin::File]).1, "");
        union.sets = of(&["anna", "bert", "dora"]);
        assert_eq!(join(&union, sizes, &[]).1, "");
        union.sets = of(&[]);
        let (names, doubts) = join(&union, sizes, &[Origin::Redis]);
        assert_eq!(doubts, "extension_redis_key has no name: nobody is judged");
        assert_eq!(judge(&names, "mallory", ""), Judgement::Nothing);
    }

    #[test]
    fn a_domain_that_loses_its_names_is_not_judged_and_others_are() {
        let sizes = &mut Sizes::new();
        let both = vec![list(&["anna@a.example"]), list(&["bert@b.example"])];
        let mut union = Union {
            sets: Some(both.clone()),
            own_only: true,
            ..Union::default()
        };
        assert_eq!(join(&union, sizes, &[]).1, "");
        union.sets = Some(both[..1].to_vec());
        let (names, doubts) = join(&union, sizes, &[]);
        let expected =
            "extension_redis_key: 0 names in b.example where 1 were: nobody is judged there";
        assert_eq!(doubts, expected);
        assert_eq!(judge(&names, "mallory", "a.example"), Judgement::Far);
        assert_eq!(judge(&names, "mallory", "b.example"), Judgement::Nothing);
    }

    #[test]
    fn more_than_can_be_taken_judges_nobody() {
        let union = Union {
            sets: Some(vec![list(&["anna"])]),
            overflows: true,
            ..Union::default()
        };
        let (names, doubts) = join(&union, &mut Sizes::new(), &[]);
        assert_eq!(doubts, "there are too many extensions: nobody is judged");
        assert_eq!(judge(&names, "mallory", ""), Judgement::Nothing);
        assert_eq!(judge(&Union::nobody(), "mallory", ""), Judgement::Nothing);
    }

    #[test]
    fn an_empty_file_judges_nobody_whatever_redis_says() {
        let union = Union {
            file: Some(list(&[])),
            sets: Some(vec![list(&["anna"])]),
            ..Union::default()
        };
        let (names, doubts) = join(&union, &mut Sizes::new(), &[]);
        assert_eq!(doubts, "extension_file has no name: nobody is judged");
        assert_eq!(judge(&names, "mallory", ""), Judgement::Nothing);
    }
}
