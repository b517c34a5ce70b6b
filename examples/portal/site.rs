//! The routes: each request from its visitor to the page he gets.
//!
//! Runs in the portal's one thread. Every change needs a POST whose form carries a secret that
//! only this site's own pages know. When Redis or the accounts cannot be asked, the page says so:
//! nothing is ever assumed of an address.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::FormRejection;
use axum::extract::{DefaultBodyLimit, Form, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use redis::RedisError;
use serde::Deserialize;

use crate::accounts::{Accounts, LONGEST, same};
use crate::allowance::{Allowance, Taken};
use crate::fleet::{Fleet, Link};
use crate::options::Options;
use crate::pages::{self, Desk};
use crate::sessions::{Cookie, Session, Sessions, secret};
use crate::visitor::Visitor;

/// Largest form that is read, in bytes.
const FORM_BYTES: usize = 4096;

/// Everything that requests share.
pub struct Site {
    pub options: Options,
    accounts: Accounts,
    sessions: Sessions,
    fleet: Fleet,
}

impl Site {
    /// The site of these options.
    ///
    /// # Errors
    /// A sentence, when the accounts cannot be read. Redis may come later.
    pub fn new(options: Options) -> Result<Arc<Self>, String> {
        let file = options.accounts.clone();
        let accounts = Accounts::open(file, options.password_column.clone())
            .map_err(|error| format!("--accounts: {error}"))?;
        let fleet = Fleet::new(&options).map_err(|error| format!("--redis: {error}"))?;
        Ok(Arc::new(Self {
            options,
            accounts,
            sessions: Sessions::default(),
            fleet,
        }))
    }

    fn session(&self, headers: &HeaderMap, visitor: &Visitor) -> Option<Session> {
        let name = Cookie::Session.of(headers, visitor.https)?;
        self.sessions.find(name)
    }
}

/// All routes.
pub fn routes(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(desk))
        .route("/style.css", get(style))
        .route("/sign-in", post(sign_in))
        .route("/free", post(free))
        .route("/sign-out", post(sign_out))
        .fallback(async || pages::notice(StatusCode::NOT_FOUND, pages::NO_PAGE))
        .method_not_allowed_fallback(async || {
            pages::notice(StatusCode::METHOD_NOT_ALLOWED, pages::NO_PAGE)
        })
        .layer(DefaultBodyLimit::max(FORM_BYTES))
        .layer(map_response(guarded))
        .with_state(site)
}

/// Headers of every page: nothing from elsewhere, in no frame, in no cache.
async fn guarded(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, &str); 5] = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

async fn style() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "max-age=3600"),
    ];
    (headers, include_str!("style.css"))
}

/// The front page: the sign-in form, or what is known of the visitor's address.
async fn desk(State(site): State<Arc<Site>>, visitor: Visitor, headers: HeaderMap) -> Response {
    let Some(session) = site.session(&headers, &visitor) else {
        return sign_in_form(&visitor, &headers, StatusCode::OK, None);
    };
    show(&site, &visitor, &session, StatusCode::OK, None).await
}

async fn show(
    site: &Site,
    visitor: &Visitor,
    session: &Session,
    status: StatusCode,
    problem: Option<String>,
) -> Response {
    let looked_up = async {
        let mut link = site.fleet.link().await?;
        let standing = site.fleet.standing(&mut link, visitor.address).await?;
        let grants = Allowance::grants(&session.account, site.options.grants);
        let grants_left = grants.left(&mut link.redis).await?;
        Ok((standing, grants_left))
    };
    match looked_up.await {
        Ok((standing, grants_left)) => pages::desk(
            status,
            &Desk {
                visitor,
                session,
                standing: &standing,
                grants_left,
                options: &site.options,
                problem: problem.as_deref(),
            },
        ),
        Err(error) => unavailable(&error, pages::LOOK_UP_FAILED),
    }
}

/// The sign-in form, with a token that its cookie repeats.
fn sign_in_form(
    visitor: &Visitor,
    headers: &HeaderMap,
    status: StatusCode,
    problem: Option<&str>,
) -> Response {
    // One token for all tabs: the newest form must not spoil the others.
    let known = Cookie::Form.of(headers, visitor.https);
    let known = known.filter(|token| token.len() == 64);
    let token = known.map_or_else(secret, str::to_string);
    let page = pages::sign_in(status, &token, problem);
    let cookie = Cookie::Form.set(&token, visitor.https);
    (AppendHeaders([(header::SET_COOKIE, cookie)]), page).into_response()
}

#[derive(Deserialize)]
struct SignIn {
    token: String,
    user: String,
    password: String,
}

async fn sign_in(
    State(site): State<Arc<Site>>,
    visitor: Visitor,
    headers: HeaderMap,
    form: Result<Form<SignIn>, FormRejection>,
) -> Response {
    let Ok(Form(form)) = form else {
        return pages::notice(StatusCode::BAD_REQUEST, pages::BAD_FORM);
    };
    let expected = Cookie::Form.of(&headers, visitor.https);
    if !expected.is_some_and(|expected| same(expected, &form.token)) {
        return pages::notice(StatusCode::FORBIDDEN, pages::FOREIGN_FORM);
    }
    match admit(&site, visitor.address, &form).await {
        Ok(Admission::Account(account)) => {
            let name = site.sessions.begin(account);
            let cookies = [
                (
                    header::SET_COOKIE,
                    Cookie::Session.set(&name, visitor.https),
                ),
                (header::SET_COOKIE, Cookie::Form.set("", visitor.https)),
            ];
            (AppendHeaders(cookies), Redirect::to("/")).into_response()
        }
        Ok(Admission::Wrong) => {
            // Not 401, which would have to name a scheme that browsers ask for by themselves.
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            sign_in_form(&visitor, &headers, status, Some(pages::WRONG_PASSWORD))
        }
        Ok(Admission::TooMany(left)) => {
            let text = pages::too_many_attempts(left);
            let status = StatusCode::TOO_MANY_REQUESTS;
            let page = sign_in_form(&visitor, &headers, status, Some(&text));
            ([(header::RETRY_AFTER, left.as_secs().max(1))], page).into_response()
        }
        Err(Failure::Redis(error)) => unavailable(&error, pages::SIGN_IN_FAILED),
        Err(Failure::Accounts(error)) => {
            eprintln!("portal: {error}");
            pages::notice(StatusCode::SERVICE_UNAVAILABLE, pages::NO_ACCOUNTS)
        }
    }
}

/// What a sign-in came to.
enum Admission {
    Account(String),
    Wrong,
    TooMany(std::time::Duration),
}

/// Why a sign-in could not be decided.
enum Failure {
    Redis(RedisError),
    Accounts(String),
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

async fn admit(site: &Arc<Site>, address: IpAddr, form: &SignIn) -> Result<Admission, Failure> {
    let (user, password) = (form.user.trim(), form.password.as_str());
    if user.len() > LONGEST || password.len() > LONGEST {
        return Ok(Admission::Wrong);
    }
    let mut link = site.fleet.link().await?;
    let limits = [
        Allowance::sign_ins_from(address),
        Allowance::sign_ins_to(user),
    ];
    for limit in &limits {
        if let Taken::Spent(left) = limit.take(&mut link.redis).await? {
            eprintln!("portal: too many sign-ins, now of {user:?} from {address}");
            return Ok(Admission::TooMany(left));
        }
    }
    let account = site.accounts.sign_in(user, password);
    let Some(account) = account.map_err(Failure::Accounts)? else {
        eprintln!("portal: wrong name or password, {user:?} from {address}");
        return Ok(Admission::Wrong);
    };
    // A success takes back its own attempt and no other: it must not clear the way for guessing.
    for limit in &limits {
        limit.give_back(&mut link.redis).await?;
    }
    Ok(Admission::Account(account))
}

#[derive(Deserialize)]
struct Free {
    token: String,
    /// The address that the page showed.
    address: String,
}

async fn free(
    State(site): State<Arc<Site>>,
    visitor: Visitor,
    headers: HeaderMap,
    form: Result<Form<Free>, FormRejection>,
) -> Response {
    let Some(session) = site.session(&headers, &visitor) else {
        return Redirect::to("/").into_response();
    };
    let Ok(Form(form)) = form else {
        return pages::notice(StatusCode::BAD_REQUEST, pages::BAD_FORM);
    };
    if !same(&session.token, &form.token) {
        return pages::notice(StatusCode::FORBIDDEN, pages::FOREIGN_FORM);
    }
    if form.address != visitor.address.to_string() {
        // A browser may change between IPv4 and IPv6 from one request to the next.
        let text = pages::moved(visitor.address);
        return show(&site, &visitor, &session, StatusCode::CONFLICT, Some(text)).await;
    }
    match site.accounts.holds(&session.account) {
        Ok(true) => {}
        // His account was taken from him: the session goes with it.
        Ok(false) => return leave(&site, &headers, &visitor),
        Err(error) => {
            eprintln!("portal: {error}");
            return pages::notice(StatusCode::SERVICE_UNAVAILABLE, pages::NOTHING_CHANGED);
        }
    }
    let mut link = match site.fleet.link().await {
        Ok(link) => link,
        Err(error) => return unavailable(&error, pages::NOTHING_CHANGED),
    };
    match may_free(&site, &mut link, &visitor, &session).await {
        Err(error) => unavailable(&error, pages::NOTHING_CHANGED),
        Ok(Permission::Needless) => Redirect::to("/").into_response(),
        Ok(Permission::Refused(status, text)) => {
            drop(link);
            show(&site, &visitor, &session, status, Some(text)).await
        }
        Ok(Permission::Granted) => match site.fleet.free(&mut link, visitor.address).await {
            Ok(()) => {
                eprintln!("portal: {} freed {}", session.account, visitor.address);
                Redirect::to("/").into_response()
            }
            Err(error) => unavailable(&error, pages::PERHAPS_CHANGED),
        },
    }
}

/// Whether an address may be freed.
enum Permission {
    Granted,
    /// It is free already.
    Needless,
    Refused(StatusCode, String),
}

async fn may_free(
    site: &Site,
    link: &mut Link<'_>,
    visitor: &Visitor,
    session: &Session,
) -> Result<Permission, RedisError> {
    let standing = site.fleet.standing(link, visitor.address).await?;
    if let Some(cool_down) = &standing.cool_down {
        let text = pages::cooling(cool_down);
        return Ok(Permission::Refused(StatusCode::CONFLICT, text));
    }
    if standing.has_fresh_grant() {
        return Ok(Permission::Needless);
    }
    let grants = Allowance::grants(&session.account, site.options.grants);
    Ok(match grants.take(&mut link.redis).await? {
        Taken::Granted => Permission::Granted,
        Taken::Spent(left) => {
            let text = pages::no_grants(site.options.grants, left);
            Permission::Refused(StatusCode::TOO_MANY_REQUESTS, text)
        }
    })
}

#[derive(Deserialize)]
struct SignOut {
    token: String,
}

async fn sign_out(
    State(site): State<Arc<Site>>,
    visitor: Visitor,
    headers: HeaderMap,
    form: Result<Form<SignOut>, FormRejection>,
) -> Response {
    let Some(session) = site.session(&headers, &visitor) else {
        return Redirect::to("/").into_response();
    };
    if !form.is_ok_and(|Form(form)| same(&session.token, &form.token)) {
        return pages::notice(StatusCode::FORBIDDEN, pages::FOREIGN_FORM);
    }
    leave(&site, &headers, &visitor)
}

/// Ends the session and shows the way back in.
fn leave(site: &Site, headers: &HeaderMap, visitor: &Visitor) -> Response {
    if let Some(name) = Cookie::Session.of(headers, visitor.https) {
        site.sessions.end(name);
    }
    let cookie = Cookie::Session.set("", visitor.https);
    let cookies = AppendHeaders([(header::SET_COOKIE, cookie)]);
    (cookies, Redirect::to("/")).into_response()
}

fn unavailable(error: &RedisError, text: &'static str) -> Response {
    eprintln!("portal: Redis: {error}");
    pages::notice(StatusCode::SERVICE_UNAVAILABLE, text)
}
