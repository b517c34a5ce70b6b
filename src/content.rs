//! What a request says of itself: its User-Agent, and the user that it claims or asks for.
//!
//! Called by `check.rs` for the rules about it, and by the script's functions, in SIP workers. It
//! parses a header only where a rule needs it. Content is written by its sender: it denies and it
//! strikes, but what follows from that is for the rules to say.

use crate::engine::facts::{Facts, Standing};
use crate::engine::policy::method_bit;
use crate::extension::Judgement;
use crate::kamailio::{Arg, Message};
use crate::node::{Node, node};
use crate::request::Request;
use crate::script::{NO, YES};
use crate::shared::ledger::Key;
use crate::user_agents::{Pattern, Tier};

/// `sec_check_agent()`: 1, or -1 for a known scanner, -2 for a suspect. Changes nothing.
pub fn check_agent(message: &Message<'_>, _: &[Arg<'_>]) -> i32 {
    let Some(node) = node() else { return YES };
    if !message.is_request() {
        return YES;
    }
    match agent(node, message).map(Pattern::tier) {
        None => YES,
        Some(Tier::Scanner) => -1,
        Some(Tier::Suspect) => -2,
    }
}

/// `sec_check_extension([user [, domain]])`: 1 if it exists or there is nothing to judge it by, 2
/// if it resembles one that does, -1 if it resembles none. Changes nothing.
pub fn check_extension(message: &Message<'_>, args: &[Arg<'_>]) -> i32 {
    let Some(node) = node() else { return YES };
    let given = |index: usize| {
        let text = args.get(index).map(|arg| arg.text());
        text.filter(|text| !text.is_empty())
    };
    let user = given(0).or_else(|| message.from_user());
    let domain = given(1).or_else(|| message.from_domain());
    match node.judge(user.unwrap_or_default(), domain.unwrap_or_default()) {
        Judgement::Known | Judgement::Match | Judgement::Nothing => YES,
        Judgement::Near => 2,
        Judgement::Far => NO,
    }
}

/// The pattern that the request's User-Agent matches.
pub fn agent<'n>(node: &'n Node, request: &impl Request) -> Option<&'n Pattern> {
    node.user_agents.find(request.user_agent()?)
}

/// Whether the request's User-Agent is a scanner's.
pub fn is_scanner(node: &Node, request: &impl Request) -> bool {
    agent(node, request).is_some_and(|agent| agent.tier() == Tier::Scanner)
}

/// Whether the request guesses at an extension, and that is to be struck: its user resembles none,
/// or one near miss too many. Trust and grace exempt; a retransmission is no second guess.
#[inline]
pub fn is_guess(
    node: &Node,
    request: &impl Request,
    facts: &Facts,
    standing: &Standing,
    key: Key,
) -> bool {
    node.policy.extensions.methods & facts.method != 0
        && !standing.trusted(facts.now)
        && !standing.graced(facts.now)
        && resembles_none(node, request, facts, key)
}

/// Whether the user that the request is about resembles none that exists, or once too often.
fn resembles_none(node: &Node, request: &impl Request, facts: &Facts, key: Key) -> bool {
    let (rule, now) = (&node.policy.extensions, facts.now);
    let (user, domain) = judged(request, facts);
    let Some(user) = user else { return false };
    let domain = domain.unwrap_or_default();
    let forgivable = match node.judge(user, domain) {
        Judgement::Known | Judgement::Match | Judgement::Nothing => return false,
        Judgement::Near => true,
        Judgement::Far => false,
    };
    if forgivable
        && node
            .ledger
            .forgive(key, node.user(user, domain), rule.forgive, now)
    {
        return false;
    }
    let via = request.header(b"Via").or_else(|| request.header(b"v"));
    let transaction = node.user(user, via.unwrap_or_default());
    node.ledger.is_new_guess(key, transaction, now)
}

/// The user, and the domain, that is judged in such a request.
pub fn judged<'m>(
    request: &'m impl Request,
    facts: &Facts,
) -> (Option<&'m [u8]>, Option<&'m [u8]>) {
    // No domain without a user: each look at a broken header may cost the core a line in the log.
    match method_bit(b"REGISTER") == Some(facts.method) {
        true => {
            let user = request.to_user();
            (user, user.and_then(|_| request.to_domain()))
        }
        false => {
            let user = request.from_user();
            (user, user.and_then(|_| request.from_domain()))
        }
    }
}
