//! Bodies that nothing could be read from, made fit to be kept (DECISIONS 11).

/// Characters of a run of identifier-like characters that stay readable.
const SHOWN: usize = 4;
/// Runs of at least this many identifier-like characters are taken for an identifier.
const IDENTIFIER_LENGTH: usize = 12;

/// The text of a body that is no JSON, with everything that looks like an identifier or an address masked:
/// long runs of hexadecimal digits, dots, colons and dashes keep their first four characters. What is not
/// UTF-8 shows as replacement characters.
#[must_use]
pub fn masked(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
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

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn identifiers_and_addresses_are_masked_and_words_are_not() {
        let check = |body: &str, expected: &str| assert_eq!(masked(body.as_bytes()), expected);
        check("{\"idfa\":\"7C9E6679-7425-40DE-944B-E07FC1F90AE7\"", "{\"idfa\":\"7C9E…\"");
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
