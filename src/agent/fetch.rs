//! One feed, fetched: a file, or an answer over HTTP.
//!
//! Runs in a thread of the agent of its own, because files and servers may be slow. Everything that a
//! server can do is bounded: redirects, time, and the size once it is unpacked. No sentence from here
//! repeats an address, for a key may be in it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::{HeaderMap, StatusCode};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::config::Feed;
use crate::config::feeds::Origin;
use crate::feed::{self, BYTES_MAX, Guard, Reading};
use crate::files;

/// A server may take so long to accept, and for everything.
const CONNECT: Duration = Duration::from_secs(10);
const ALL: Duration = Duration::from_secs(120);
const REDIRECTS_MAX: u32 = 3;
/// The longest that a server may ask us to wait, in seconds.
const RETRY_MAX: u64 = 86_400;
/// Longest tag that is given back to a server, in bytes.
const TAG_MAX: usize = 256;

/// What tells whether a list is the one that is known already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The file that was read last: device, inode, size, and when it was written and changed.
    stamp: Option<[i64; 7]>,
    /// The server's `ETag`.
    pub etag: String,
    /// Its `Last-Modified`.
    pub modified: String,
}

/// What came of it.
pub enum Fetched {
    /// The file was not touched since it was looked at last.
    Untouched,
    /// The server says that the list is the one that is known.
    Confirmed,
    /// Another list, and its mark.
    List(Reading, Mark),
}

/// Why there is no list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A sentence.
    pub problem: String,
    /// The server wants to be left alone for so many seconds.
    pub pause: Option<u64>,
    /// The file that it came of: it need not be read again.
    pub mark: Option<Box<Mark>>,
}

impl Failure {
    /// Without a wish of the server.
    pub fn new(problem: impl Into<String>) -> Failure {
        Failure {
            problem: problem.into(),
            pause: None,
            mark: None,
        }
    }
}

/// Fetches a feed that is a list, unless it is the one with this mark.
pub fn fetch(feed: &Feed, known: &Mark, guard: &Guard, now: u32) -> Result<Fetched, Failure> {
    match &feed.origin {
        Origin::File(path) => read_file(feed, Path::new(path), known, guard, now),
        Origin::Web(url) => {
            let answer = Client::new(url.reveal())?.get(url.reveal(), known)?;
            if answer.status == StatusCode::NOT_MODIFIED {
                return Ok(Fetched::Confirmed);
            }
            if answer.status != StatusCode::OK {
                return Err(answer.failure(format!("HTTP status {}", answer.status.as_u16())));
            }
            let reading = feed::read(&feed.format, &answer.bytes, guard, now);
            let reading = reading.map_err(Failure::new)?;
            Ok(Fetched::List(reading, answer.mark))
        }
    }
}

fn read_file(
    feed: &Feed,
    path: &Path,
    known: &Mark,
    guard: &Guard,
    now: u32,
) -> Result<Fetched, Failure> {
    let look = || {
        let unreadable = |error| Failure::new(format!("the file cannot be read: {error}"));
        let data = fs::metadata(path).map_err(unreadable)?;
        let stamp = [
            data.dev().cast_signed(),
            data.ino().cast_signed(),
            data.size().cast_signed(),
            data.mtime(),
            data.mtime_nsec(),
            data.ctime(),
            data.ctime_nsec(),
        ];
        Ok(Mark {
            stamp: Some(stamp),
            ..Mark::default()
        })
    };
    let mark = look()?;
    if mark == *known {
        return Ok(Fetched::Untouched);
    }
    let bytes = files::read(path, BYTES_MAX)
        .map_err(|error| Failure::new(format!("the file cannot be read: {error}")))?;
    if look()? != mark {
        return Err(Failure::new("the file is just being written"));
    }
    match feed::read(&feed.format, &bytes, guard, now) {
        Ok(reading) => Ok(Fetched::List(reading, mark)),
        Err(problem) => Err(Failure {
            mark: Some(Box::new(mark)),
            ..Failure::new(problem)
        }),
    }
}

/// What a server answered.
pub struct Answer {
    pub status: StatusCode,
    pub bytes: Vec<u8>,
    mark: Mark,
    retry: Option<u64>,
}

impl Answer {
    /// A failure, with the wish of the server to be left alone.
    pub fn failure(&self, problem: String) -> Failure {
        Failure {
            pause: self.retry,
            ..Failure::new(problem)
        }
    }
}

/// An HTTP client for one round of questions.
pub struct Client(ureq::Agent);

impl Client {
    /// For an address with this scheme: a question over https is never answered over http.
    pub fn new(url: &str) -> Result<Client, Failure> {
        let found = rustls_native_certs::load_native_certs();
        let roots = found.certs.iter();
        let roots: RootCerts = roots
            .map(|root| Certificate::from_der(root).to_owned())
            .into();
        let secure = url.starts_with("https://");
        if secure && found.certs.is_empty() {
            return Err(Failure::new(
                "this system trusts nobody: there are no certificates (ca-certificates)",
            ));
        }
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(roots)
            .unversioned_rustls_crypto_provider(ring)
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .https_only(secure)
            .http_status_as_error(false)
            .max_redirects(REDIRECTS_MAX)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(ALL))
            .user_agent(concat!("kamailio-sec/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Client(config.into()))
    }

    /// Asks for an address, unless what is there has this mark.
    pub fn get(&self, url: &str, known: &Mark) -> Result<Answer, Failure> {
        let mut request = self.0.get(url);
        for (name, value) in [
            ("If-None-Match", &known.etag),
            ("If-Modified-Since", &known.modified),
        ] {
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        let mut response = request.call().map_err(|error| failure(&error))?;
        let body = response.body_mut().with_config().limit(BYTES_MAX as u64);
        let bytes = body.read_to_vec().map_err(|error| failure(&error))?;
        let headers = response.headers();
        let retry = text(headers, "retry-after").parse().ok();
        Ok(Answer {
            status: response.status(),
            bytes,
            mark: Mark {
                stamp: None,
                etag: text(headers, "etag"),
                modified: text(headers, "last-modified"),
            },
            retry: retry.map(|seconds: u64| seconds.min(RETRY_MAX)),
        })
    }
}

fn text(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    let short = value.filter(|value| value.len() <= TAG_MAX);
    short.unwrap_or_default().trim().to_string()
}

/// A sentence about what went wrong on the way.
fn failure(error: &ureq::Error) -> Failure {
    Failure::new(match error {
        ureq::Error::BodyExceedsLimit(_) => format!("it is larger than {} MiB", BYTES_MAX >> 20),
        ureq::Error::BadUri(_) => "it is redirected to where nothing can be".into(),
        ureq::Error::RequireHttpsOnly(_) => "it is redirected from https to http".into(),
        ureq::Error::TooManyRedirects => {
            format!("it is redirected more than {REDIRECTS_MAX} times")
        }
        ureq::Error::HostNotFound => "its host has no address".into(),
        ureq::Error::Timeout(_) => "the server takes too long".into(),
        other => other.to_string(),
    })
}
