//! Bodies that nothing could be read from, made fit to be kept (DECISIONS 11).

use std::borrow::Cow;

use crate::{
    json::Json,
    moment,
    redaction::{MASK, begins_as_json, is_masked, mask},
};

/// Characters of a run of identifier-like characters that stay readable.
const SHOWN: usize = 4;
/// Runs of at least this many identifier-like characters are taken for an identifier.
const IDENTIFIER_LENGTH: usize = 12;

/// Runs of at least this many hexadecimal digits are one even when all of them are letters.
const LETTERS_LENGTH: usize = 32;

/// The text of a body that is no sound JSON, with what identifies a device or a person masked: texts under
/// a key that names an identifier, an address or identity links, and everything that looks like an identifier
/// or an address: long runs of hexadecimal digits, dots, colons and dashes keep their first four characters.
/// What is not UTF-8 shows as replacement characters.
#[must_use]
pub fn masked(body: &[u8]) -> String {
    text_masked(&String::from_utf8_lossy(body))
}

/// [`masked`] of a text.
pub(crate) fn text_masked(text: &str) -> String {
    without_runs(&values_masked(text), |run| is_identifier_like(run) || is_address_like(run))
}

/// A text of a sound body with what looks like an identifier masked. Versions look like addresses, and times
/// like identifiers: they stay.
pub(crate) fn runs_masked(text: &str) -> String {
    if moment::is_iso(text) { text.to_owned() } else { without_runs(text, is_identifier_like) }
}

/// Whether a run of hexadecimal digits, dots, colons and dashes may be the identifier of a device.
pub(crate) fn is_identifier_like(run: &str) -> bool {
    let is_run = run.chars().all(is_of_run);
    let has_digit = run.bytes().any(|byte| byte.is_ascii_digit());
    let letters = || run.bytes().filter(u8::is_ascii_hexdigit).count() >= LETTERS_LENGTH;
    is_run && run.len() >= IDENTIFIER_LENGTH && (has_digit || letters())
}

fn is_address_like(run: &str) -> bool {
    let is_address = run.matches('.').count() == 3 || run.matches(':').count() > 1;
    is_address && run.len() >= 7 && run.bytes().any(|byte| byte.is_ascii_digit())
}

const fn is_of_run(c: char) -> bool {
    c.is_ascii_hexdigit() || matches!(c, '-' | ':' | '.')
}

/// The text with the ends of some runs masked.
fn without_runs(text: &str, is_masked: impl Fn(&str) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (plain, behind) = rest.split_at(rest.find(is_of_run).unwrap_or(rest.len()));
        let end = behind.find(|c| !is_of_run(c)).unwrap_or(behind.len());
        let (run, behind) = behind.split_at(end);
        out.push_str(plain);
        if is_masked(run) {
            out.extend(run.chars().take(SHOWN).chain(['…']));
        } else {
            out.push_str(run);
        }
        rest = behind;
    }
    out
}

/// The text with every string masked that stands under a key for something to mask, at any depth below it,
/// as far as a broken text lets that be told.
fn values_masked(text: &str) -> String {
    let is_link = !text.contains("\"action\"") || text.contains("\"identityLink\"");
    let mut out = String::with_capacity(text.len());
    let (mut depth, mut secret_depth, mut is_secret) = (0_usize, None, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (token, behind) = rest.split_at(if c == '"' { string_length(rest) } else { c.len_utf8() });
        rest = behind;
        match c {
            '"' if rest.trim_start().starts_with(':') => {
                is_secret = is_masked(token.trim_matches('"'), is_link);
                out.push_str(token);
            }
            '"' if is_secret || secret_depth.is_some() => {
                out.extend(["\"", if token.len() > 2 { MASK } else { "" }, "\""]);
            }
            '"' => out.push_str(&said_masked(token, is_link)),
            _ => out.push_str(token),
        }
        match c {
            '{' | '[' => {
                depth += 1;
                if is_secret && secret_depth.is_none() {
                    secret_depth = Some(depth);
                }
                is_secret = false;
            }
            '}' | ']' => {
                secret_depth = secret_depth.filter(|secret| *secret < depth);
                depth = depth.saturating_sub(1);
            }
            ',' => is_secret = false,
            _ => {}
        }
    }
    out
}

/// A string with what it says masked, when it is JSON itself.
fn said_masked(string: &str, is_link: bool) -> Cow<'_, str> {
    match Json::parse(string) {
        Ok(Json::Text(text)) if begins_as_json(&text) => {
            let mut json = Json::Text(text);
            mask(&mut json, is_link);
            json.to_string().into()
        }
        _ => string.into(),
    }
}

/// Bytes of the string that a text begins with, its quotes included; to the end when it is not closed.
fn string_length(text: &str) -> usize {
    let mut escaped = true;
    let end = text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    end.map_or(text.len(), |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn identifiers_and_addresses_are_masked_and_words_are_not() {
        let check = |body: &str, expected: &str| assert_eq!(masked(body.as_bytes()), expected);
        check("{\"note\":\"7C9E6679-7425-40DE-944B-E07FC1F90AE7\"", "{\"note\":\"7C9E…\"");
        check("{\"idfa\":\"7C9E\",\"a\":\"b\"", "{\"idfa\":\"***\",\"a\":\"b\"");
        check(
            "{\"action\":\"event\",\"kochava_device_id\" : \"SX-1\"",
            "{\"action\":\"event\",\"kochava_device_id\" : \"***\"",
        );
        check(
            "{\"device_ids\":{\"custom\":\"a\\\"b\",\"x\":[\"c\"]},\"y\":\"d\"",
            "{\"device_ids\":{\"custom\":\"***\",\"x\":[\"***\"]},\"y\":\"d\"",
        );
        check(
            "{\"device_id\":{},\"data\":{\"email\":\"a@example.com",
            "{\"device_id\":{},\"data\":{\"email\":\"***\"",
        );
        check("{\"origination_ip\":\"10.1.2.3\",", "{\"origination_ip\":\"***\",");
        check("ip=203.0.113.24&x=1", "ip=203.…&x=1");
        check("ip=2001:db8::1", "ip=2001…");
        check("deadbeef facade 17.5.1", "deadbeef facade 17.5.1");
        check("", "");
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_as_replacement_characters() {
        assert_eq!(masked(&[b'a', 0xff, b'b']), "a\u{fffd}b");
    }
}
