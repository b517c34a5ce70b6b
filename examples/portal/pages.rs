//! The HTML: every sentence that a customer reads.
//!
//! Used by `site`. Plain pages without scripts and without anything from elsewhere; whatever
//! comes from Redis, the accounts or the visitor is escaped by the template.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use crate::fleet::{Ban, CoolDown, Free, Standing};
use crate::options::Options;
use crate::sessions::Session;
use crate::visitor::Visitor;

pub const NO_ADDRESS: &str =
    "We cannot see the address you come from. This is a fault of ours; please tell support.";
pub const PLAIN: &str = "Please open this page by its address that starts with https://: your password must not cross the network unencrypted.";
pub const NO_PAGE: &str = "There is no such page.";
pub const BAD_FORM: &str =
    "We could not read what your browser sent. Please go back and try again.";
pub const FOREIGN_FORM: &str = "This form is out of date, or it did not come from this page. Nothing was changed. Please open this page again; it needs cookies.";
pub const WRONG_PASSWORD: &str = "The user name or the password is wrong.";
pub const NO_ACCOUNTS: &str = "Signing in is not possible at the moment. Nothing was changed. Please try again in a few minutes.";
pub const SIGN_IN_FAILED: &str = NO_ACCOUNTS;
pub const LOOK_UP_FAILED: &str = "At the moment we cannot look up your address, so we cannot say whether it is banned. Nothing was changed. Please try again in a few minutes.";
pub const NOTHING_CHANGED: &str = "At the moment we cannot free your address: it was not freed. Please try again in a few minutes.";
pub const PERHAPS_CHANGED: &str = "We cannot tell whether your address was freed: the answer did not come. Please open this page again in a few minutes and look.";

/// What the page of a signed-in user shows.
pub struct Desk<'a> {
    pub visitor: &'a Visitor,
    pub session: &'a Session,
    pub standing: &'a Standing,
    pub grants_left: u32,
    pub options: &'a Options,
    /// What went wrong with the request before.
    pub problem: Option<&'a str>,
}

/// One sentence and the way back.
pub fn notice(status: StatusCode, text: &str) -> Response {
    let body = html! {
        h1 { "Your phone's access" }
        p.card.warn role="alert" { (text) }
        p { a href="/" { "Back to the first page" } }
    };
    page(status, "Notice", &body)
}

/// The sign-in form.
pub fn sign_in(status: StatusCode, token: &str, problem: Option<&str>) -> Response {
    let body = html! {
        h1 { "Is your phone cut off?" }
        p {
            "Sign in with the account of your phone. You will see whether your internet "
            "address is banned, and can free it."
        }
        @if let Some(problem) = problem { p.card.bad role="alert" { (problem) } }
        form method="post" action="/sign-in" {
            input type="hidden" name="token" value=(token);
            label for="user" { "User name" }
            input id="user" name="user" required maxlength="128" autocomplete="username"
                autocapitalize="none" spellcheck="false" aria-describedby="user-hint";
            small id="user-hint" { "As in your phone; with several accounts, name@domain." }
            label for="password" { "Password" }
            input id="password" name="password" type="password" required maxlength="128"
                autocomplete="current-password";
            button { "Sign in" }
        }
    };
    page(status, "Sign in", &body)
}

/// What is known of the visitor's address, and the button.
pub fn desk(status: StatusCode, desk: &Desk<'_>) -> Response {
    let address = desk.visitor.address;
    let body = html! {
        h1 { "Your internet address" }
        @if let Some(problem) = desk.problem { p.card.warn role="alert" { (problem) } }
        p { "You come from " code.address id="address" { (address) } " (" (family(address)) ")." }
        (state(desk.standing))
        (button(desk))
        (hint(address, desk.options))
        footer {
            span { "Signed in as " (desk.session.account) }
            form method="post" action="/sign-out" {
                input type="hidden" name="token" value=(desk.session.token);
                button.plain { "Sign out" }
            }
        }
    };
    page(status, "Your internet address", &body)
}

/// A cool-down, when the button was pressed all the same.
pub fn cooling(cool_down: &CoolDown) -> String {
    let left = cool_down.left.map_or_else(
        || "until we allow it again".into(),
        |left| format!("for another {}", span(left)),
    );
    format!("Your address was not freed: it cannot be freed {left}.")
}

pub fn no_grants(grants: u32, left: Duration) -> String {
    format!(
        "Your address was not freed: this account has freed an address {grants} times within a day, and can again in {}.",
        span(left)
    )
}

pub fn moved(address: IpAddr) -> String {
    format!(
        "Nothing was freed: you now come from another address, {address}. Look at what is said of it below; then you can free it."
    )
}

pub fn too_many_attempts(left: Duration) -> String {
    format!("Too many attempts. Please try again in {}.", span(left))
}

fn state(standing: &Standing) -> Markup {
    let bans = &standing.bans;
    html! {
        @if let Some(cool_down) = &standing.cool_down {
            section.card.bad {
                h2 { "It cannot be freed now" }
                p {
                    "It was freed before and then behaved like an attacker"
                    @if !cool_down.reason.is_empty() { ": " (reason(&cool_down.reason)) }
                    ". " (lasting(cool_down.left, "It cannot be freed again"))
                }
            }
            @for ban in bans { (banned(ban)) }
        } @else if let Some(free) = &standing.free {
            (freed(free, bans))
        } @else if bans.is_empty() {
            section.card.good {
                h2 { "Not banned" }
                p {
                    "No ban is recorded for it. If your phone is cut off all the same, it may use "
                    "another address, or its account name or password may be wrong."
                }
            }
        } @else {
            @for ban in bans { (banned(ban)) }
        }
    }
}

fn freed(free: &Free, bans: &[Ban]) -> Markup {
    html! {
        section.card.good {
            h2 { "Free" }
            p {
                (lasting(free.left, "It is free"))
                @if !bans.is_empty() { " The ban that was recorded for it does not count meanwhile." }
            }
            @if free.subject.contains('/') { p { "Its whole network " code { (free.subject) } " is." } }
            @for text in bans.iter().filter_map(remedy) { p { (text) } }
        }
    }
}

fn banned(ban: &Ban) -> Markup {
    html! {
        section.card.bad {
            h2 { "Banned" }
            p {
                @if let Some(text) = &ban.reason { "Reason: " (reason(text)) "." }
                @else { "No reason was recorded." }
            }
            p {
                (lasting(ban.left, "The ban lasts"))
                @if let Some(age) = ban.age { " It began " (span(age)) " ago." }
                @if let Some(count) = ban.count.filter(|count| *count > 1) {
                    " It is ban number " (count) " in a row; each lasts longer."
                }
            }
            @if ban.subject.contains('/') {
                p { "It concerns the whole network " code { (ban.subject) } "." }
            }
            @if let Some(text) = remedy(ban) { p { (text) } }
        }
    }
}

fn button(desk: &Desk<'_>) -> Markup {
    let standing = desk.standing;
    let options = desk.options;
    html! {
        @if standing.cool_down.is_some() || standing.has_fresh_grant() {
        } @else if desk.grants_left == 0 {
            p.card.warn { "This account has freed an address " (options.grants) " times within a day. It can again later." }
        } @else {
            form method="post" action="/free" {
                input type="hidden" name="token" value=(desk.session.token);
                input type="hidden" name="address" value=(desk.visitor.address);
                button id="free" aria-describedby="grants" { "Free this address for one hour" }
            }
            p.hint id="grants" { "Possible another " (times(desk.grants_left)) " within a day." }
        }
    }
}

/// For those whose browser and phone use different address families.
fn hint(address: IpAddr, options: &Options) -> Markup {
    let (other, url) = match address {
        IpAddr::V4(_) => ("IPv6", &options.ipv6_url),
        IpAddr::V6(_) => ("IPv4", &options.ipv4_url),
    };
    html! {
        p.hint id="family" {
            "You came by " (family(address)) ". If your phone uses " (other)
            ", it has another address, which is not shown here"
            @if let Some(url) = url { "; then open this page by " a href=(url) { (url) } "." }
            @else { "." }
            " Use the network that your phone uses: a mobile connection or a VPN has an address of its own."
        }
    }
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// What a node's word for a reason means to a customer.
fn reason(word: &str) -> String {
    let meaning = match word {
        "auth" => "sign-ins with a wrong password or an unknown user name",
        "whitelist_users" => "wrong passwords of many users",
        "whitelist_rate" => "far more requests than even a freed address may send",
        "scanner" => "a program that only attackers use",
        "malformed" => "messages that no phone sends",
        "manual" => "set by an operator",
        _ if word.starts_with("rate:") => "too many requests in a short time",
        _ => return word.to_string(),
    };
    format!("{meaning} ({word})")
}

/// What helps against being banned again.
fn remedy(ban: &Ban) -> Option<&'static str> {
    match ban.reason.as_deref()? {
        "auth" | "whitelist_users" => Some(
            "Please correct the password in every phone and program behind this address first, or switch it off: otherwise the address will soon be banned again.",
        ),
        word if word.starts_with("rate:") => Some(
            "Many phones behind one address? Please tell support, so that it gets a higher limit.",
        ),
        _ => None,
    }
}

fn lasting(left: Option<Duration>, what: &str) -> String {
    match left {
        Some(left) => format!("{what} for another {}.", span(left)),
        None => format!("{what} until an operator changes it."),
    }
}

fn times(number: u32) -> String {
    match number {
        1 => "time".into(),
        _ => format!("{number} times"),
    }
}

/// A time in words, rounded up to minutes.
fn span(time: Duration) -> String {
    let minutes = time.as_millis().div_ceil(60_000);
    let of = |number: u128, unit: &str| match number {
        0 => None,
        1 => Some(format!("1 {unit}")),
        _ => Some(format!("{number} {unit}s")),
    };
    let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    let minutes = if days > 0 { 0 } else { minutes };
    let parts = [of(days, "day"), of(hours, "hour"), of(minutes, "minute")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    match parts.is_empty() {
        true => "a moment".into(),
        false => parts.join(" "),
    }
}

fn page(status: StatusCode, title: &str, body: &Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                link rel="stylesheet" href="/style.css";
            }
            body { main { (body) } }
        }
    };
    (status, Html(page.into_string())).into_response()
}
