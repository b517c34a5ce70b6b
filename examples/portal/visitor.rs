//! Who is asking: the address a request really came from, and whether it came encrypted.
//!
//! Used by every route before anything else. `X-Forwarded-For` is believed only as far as it was
//! written by a configured proxy: read from the right, the first address that is no proxy of ours
//! is the visitor; what stands left of it is his own claim. Pure, apart from the extractor.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ipnet::IpNet;

use crate::pages;
use crate::site::Site;

/// A visitor whose address is known and who cannot be overheard.
pub struct Visitor {
    /// In its own family: an IPv4 address that arrived at an IPv6 socket is IPv4.
    pub address: IpAddr,
    /// Whether he came by https; otherwise he is on this very machine.
    pub https: bool,
}

/// Why a request cannot be served.
#[derive(Debug)]
pub enum Unfit {
    /// The proxy did not say, or said something that is no address, for whom it asks.
    NoAddress,
    /// A password would cross the network in the clear.
    Plain,
}

impl Visitor {
    /// Who is behind a connection from `peer`.
    pub fn identify(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> Result<Self, Unfit> {
        let peer = peer.to_canonical();
        let ours = |address: IpAddr| proxies.iter().any(|proxy| proxy.contains(&address));
        if !ours(peer) {
            let local = peer.is_loopback();
            return local
                .then_some(Self {
                    address: peer,
                    https: false,
                })
                .ok_or(Unfit::Plain);
        }
        if last(headers, "x-forwarded-proto") != Some("https") {
            return Err(Unfit::Plain);
        }
        let mut address = None;
        for hop in hops(headers) {
            let hop = parse(hop).ok_or(Unfit::NoAddress)?;
            address = Some(hop);
            if !ours(hop) {
                break;
            }
        }
        Ok(Self {
            address: address.ok_or(Unfit::NoAddress)?,
            https: true,
        })
    }
}

/// The hops of all `X-Forwarded-For` lines, the nearest first.
fn hops(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    // A line that is no text yields one hop that is no address.
    lines.flat_map(|line| line.to_str().unwrap_or("?").rsplit(',').map(str::trim))
}

fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let line = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    line.rsplit(',').next().map(str::trim)
}

/// An address as proxies write it: bare, in brackets, or with a port.
fn parse(hop: &str) -> Option<IpAddr> {
    let bare = hop
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = bare.unwrap_or(hop).parse().ok();
    let address = address.or_else(|| Some(hop.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

impl FromRequestParts<Arc<Site>> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Response> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map(|ConnectInfo(peer)| peer.ip());
        let visitor = peer
            .ok_or(Unfit::NoAddress)
            .and_then(|peer| Self::identify(peer, &parts.headers, &site.options.proxies));
        visitor.map_err(|unfit| {
            let (status, text) = match unfit {
                Unfit::NoAddress => {
                    eprintln!("portal: a proxy sent no usable X-Forwarded-For");
                    (StatusCode::BAD_GATEWAY, pages::NO_ADDRESS)
                }
                Unfit::Plain => {
                    eprintln!(
                        "portal: refused a request that was not encrypted, from {}; behind a reverse proxy, \
                         give its address with --proxy and let it set X-Forwarded-Proto",
                        peer.map_or_else(|| "?".into(), |peer| peer.to_string())
                    );
                    (StatusCode::FORBIDDEN, pages::PLAIN)
                }
            };
            pages::notice(status, text)
        })
    }
}
