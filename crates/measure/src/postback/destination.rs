//! What counts as a URL that a postback may be sent to. A small strict check, so that nothing half-formed
//! reaches the outbox; whether the host may be reached is for the sender to say.

use std::net::Ipv6Addr;

use url::Url;

use super::text::REQUEST_BYTES_MAX;

/// Whether `url` is http or https with a host, and if not, why. A template is held against the same rule,
/// which is why no macro can stand in the host: it would let a value choose who is told.
pub fn check(url: &str) -> Result<(), &'static str> {
    if url.len() > REQUEST_BYTES_MAX {
        return Err("it is longer than 64 kB");
    }
    // Parsers disagree on what a backslash ends; none is needed.
    if url.bytes().any(|b| b.is_ascii_control() || b == b'\\') {
        return Err("it contains a control character or a backslash");
    }
    let rest = strip_scheme(url).ok_or("it must begin with http:// or https://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (user, address) = authority.rsplit_once('@').unwrap_or(("", authority));
    if !user.bytes().all(|b| b.is_ascii_graphic() && !b"{}[]<>\"^`|@".contains(&b)) {
        return Err("its user name or password must be percent-encoded and without macros");
    }
    let (host, port) = split_port(address).ok_or("its host is not valid")?;
    if !(port.is_empty()
        || port.bytes().all(|b| b.is_ascii_digit()) && port.parse().is_ok_and(|n: u16| n > 0))
    {
        return Err("its port must be a number from 1 to 65535");
    }
    if is_host(host) { Ok(()) } else { Err("its host must be written out in ASCII, without macros") }
}

/// The URL that is asked for when `rendered` is, character for character: encoded as every client encodes it, and
/// without the fragment, which no client sends. `None` when no client can ask for it, or when a value of `template`
/// came out as `.` or `..` between two slashes: clients take these for steps in the path, so a value would choose
/// what is called.
pub fn exact(template: &str, rendered: &str) -> Option<String> {
    check(rendered).ok()?;
    if has_filled_step(template, rendered) {
        return None;
    }
    let mut url = Url::parse(rendered).ok()?;
    url.set_fragment(None);
    Some(String::from(url)).filter(|url| url.len() <= REQUEST_BYTES_MAX)
}

/// Whether a part of the path that a macro has a share in is a step. Values are encoded, so they add no slashes: the
/// parts of both stand in the same places.
fn has_filled_step(template: &str, rendered: &str) -> bool {
    let parts = |url| path(url).split('/');
    parts(template).zip(parts(rendered)).any(|(written, part)| written != part && is_step(part))
}

/// What stands before query and fragment.
fn path(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

/// `.` or `..`, with any of the dots percent-encoded.
fn is_step(part: &str) -> bool {
    matches!(part.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

fn strip_scheme(url: &str) -> Option<&str> {
    ["https://", "http://"].iter().find_map(|scheme| {
        let (start, rest) = url.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

fn split_port(address: &str) -> Option<(&str, &str)> {
    if address.starts_with('[') {
        let (host, rest) = address.split_at_checked(address.find(']')? + 1)?;
        return Some((host, if rest.is_empty() { "" } else { rest.strip_prefix(':')? }));
    }
    Some(address.split_once(':').unwrap_or((address, "")))
}

fn is_host(host: &str) -> bool {
    if let Some(literal) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return literal.parse::<Ipv6Addr>().is_ok();
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        })
}
