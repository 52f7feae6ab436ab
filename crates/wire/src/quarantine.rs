//! Bodies that nothing could be read from, made fit to be kept (DECISIONS 11).

use crate::redaction::{MASK, is_masked};

/// Characters of a run of identifier-like characters that stay readable.
const SHOWN: usize = 4;
/// Runs of at least this many identifier-like characters are taken for an identifier.
const IDENTIFIER_LENGTH: usize = 12;

/// The text of a body that is no sound JSON, with what identifies a device or a person masked: texts under
/// a key that names an identifier, an address or identity links, and everything that looks like an identifier
/// or an address: long runs of hexadecimal digits, dots, colons and dashes keep their first four characters.
/// What is not UTF-8 shows as replacement characters.
#[must_use]
pub fn masked(body: &[u8]) -> String {
    let text = values_masked(&String::from_utf8_lossy(body));
    let mut out = String::with_capacity(text.len());
    let mut run = String::new();
    for c in text.chars().chain(['\0']) {
        if c.is_ascii_hexdigit() || matches!(c, '-' | ':' | '.') {
            run.push(c);
            continue;
        }
        let digits = run.chars().filter(char::is_ascii_digit).count();
        let address = run.matches('.').count() == 3 || run.matches(':').count() > 1;
        if digits > 0 && (run.len() >= IDENTIFIER_LENGTH || (address && run.len() >= 7)) {
            out.extend(run.chars().take(SHOWN));
            out.push('…');
        } else {
            out.push_str(&run);
        }
        run.clear();
        if c != '\0' {
            out.push(c);
        }
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
