//! The client's address behind proxies.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The address nearest to us that is not a trusted proxy: the peer itself, else read from the right of
/// `Forwarded`, or of `X-Forwarded-For` where that is absent. What an untrusted sender wrote further left is
/// never looked at. `None` when a trusted proxy wrote something that is no address, such as `unknown`.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let trusts = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    let mut nearest = peer.to_canonical();
    if !trusts(nearest) {
        return Some(nearest);
    }
    for hop in hops(headers).into_iter().rev() {
        nearest = hop?;
        if !trusts(nearest) {
            break;
        }
    }
    Some(nearest)
}

/// The hops that the headers name, in order; `None` for one that is not an address.
fn hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let values = |name: &str| -> Vec<String> {
        let lines = headers.get_all(name).iter();
        lines.flat_map(|line| list(&String::from_utf8_lossy(line.as_bytes()), ',')).collect()
    };
    let forwarded = values("forwarded");
    if forwarded.is_empty() {
        return values("x-forwarded-for").iter().map(|hop| address(hop)).collect();
    }
    forwarded
        .iter()
        .map(|element| {
            let pairs = list(element, ';');
            let hop = pairs.iter().filter_map(|pair| pair.split_once('='));
            let (_, node) = hop.into_iter().find(|(key, _)| key.trim().eq_ignore_ascii_case("for"))?;
            address(node)
        })
        .collect()
}

/// The parts of a list; separators between double quotes do not count.
fn list(text: &str, separator: char) -> Vec<String> {
    let mut quoted = false;
    let parts = text.split(|c| {
        quoted ^= c == '"';
        c == separator && !quoted
    });
    parts.map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// An address, bare or with a port, an IPv6 one in brackets or not, in quotes or not.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let bare = bracketed.unwrap_or(text).parse::<IpAddr>();
    let found = bare.or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    found.ok().map(|address| address.to_canonical())
}
