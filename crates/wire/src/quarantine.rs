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

/// What stays readable where a value is masked, also as Python writes it: it identifies nobody.
const LITERALS: [&str; 8] = ["true", "false", "null", "True", "False", "None", "u", "b"];

/// The text of a body that is no sound JSON, with what identifies a device or a person masked: texts and numbers under
/// a key that names an identifier, an address or identity links, and everything that looks like an identifier
/// or an address: long runs of hexadecimal digits, dots, colons and dashes keep their first four characters.
/// What is not UTF-8 shows as replacement characters.
#[must_use]
pub fn masked(body: &[u8]) -> String {
    text_masked(&String::from_utf8_lossy(body))
}

/// [`masked`] of a body that came where only identity links are taken, whatever it says that it is.
#[must_use]
pub fn link_masked(body: &[u8]) -> String {
    all_masked(&String::from_utf8_lossy(body), true)
}

/// [`masked`] of a text.
pub(crate) fn text_masked(text: &str) -> String {
    all_masked(text, may_hold_link(text))
}

fn all_masked(text: &str, is_link: bool) -> String {
    without_runs(&values_masked(text, is_link), |run| is_identifier_like(run) || is_address_like(run))
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

/// Whether what says this `action` is or may be an identity link: one that is misspelled is refused and has the
/// links of a person in it all the same.
pub(crate) fn may_be_link(action: &str) -> bool {
    !matches!(action, "install" | "event" | "update")
}

/// Whether a text holds or may hold an identity link: each object at its root has to say that it is something
/// else.
fn may_hold_link(text: &str) -> bool {
    let is_array = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}').starts_with('[');
    let root = 1 + usize::from(is_array);
    let (mut depth, mut objects, mut others, mut is_action) = (0_usize, 0_usize, 0_usize, false);
    let mut tokens = Tokens::of(text);
    while let Some(token) = tokens.next() {
        match token {
            "{" | "[" => {
                depth += 1;
                objects += usize::from(token == "{" && depth == root);
            }
            "}" | "]" => depth = depth.saturating_sub(1),
            _ if depth != root || token == ":" || token.trim().is_empty() => {}
            _ if tokens.is_at_colon() => is_action = unquoted(token) == "action",
            _ if is_action && may_be_link(unquoted(token)) => return true,
            _ => others += usize::from(std::mem::take(&mut is_action)),
        }
    }
    objects == 0 || objects != others
}

/// A text cut into strings, marks and spaces, and what stands between them.
struct Tokens<'t> {
    rest: &'t str,
    quotes: &'static [char],
}

impl<'t> Tokens<'t> {
    /// Python and JavaScript write strings in single quotes too: where the first quote is one, they count.
    fn of(text: &'t str) -> Self {
        let before = text.find(['"', '\'']).and_then(|at| text.split_at_checked(at));
        let is_single = before.is_some_and(|(before, behind)| {
            // Not the apostrophe of a word; Python marks some strings with a letter.
            let before = before.trim_end_matches(['u', 'b']).chars().next_back();
            behind.starts_with('\'') && before.is_none_or(is_mark)
        });
        Self { rest: text, quotes: if is_single { &['"', '\''] } else { &['"'] } }
    }

    /// Whether a token of it is a string.
    fn is_string(&self, token: &str) -> bool {
        token.starts_with(self.quotes)
    }

    /// Whether a token of it is neither a string nor a mark nor space: a number, a word, a key without quotes.
    fn is_bare(&self, token: &str) -> bool {
        !self.is_string(token) && !token.starts_with(is_mark)
    }

    /// Whether the last token stands before a colon, as keys do.
    fn is_at_colon(&self) -> bool {
        self.rest.trim_start().starts_with(':')
    }
}

impl<'t> Iterator for Tokens<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let first = self.rest.chars().next()?;
        let is_quote = |c| self.quotes.contains(&c);
        let length = match first {
            quote if is_quote(quote) => string_length(self.rest),
            mark if is_mark(mark) => mark.len_utf8(),
            _ => self.rest.find(|c| is_quote(c) || is_mark(c)).unwrap_or(self.rest.len()),
        };
        let (token, behind) = self.rest.split_at(length);
        self.rest = behind;
        Some(token)
    }
}

fn is_mark(c: char) -> bool {
    c.is_whitespace() || matches!(c, '{' | '}' | '[' | ']' | ',' | ':')
}

/// A token without its quotes.
fn unquoted(token: &str) -> &str {
    let Some(quote) = token.chars().next().filter(|first| matches!(first, '"' | '\'')) else { return token };
    let text = token.strip_prefix(quote).unwrap_or(token);
    text.strip_suffix(quote).unwrap_or(text)
}

/// The text with every string and number masked that stands under a key for something to mask, at any depth
/// below it, as far as a broken text lets that be told.
fn values_masked(text: &str, is_link: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut depth, mut secret_depth, mut is_secret) = (0_usize, None, false);
    let mut tokens = Tokens::of(text);
    while let Some(token) = tokens.next() {
        let (is_string, is_bare) = (tokens.is_string(token), tokens.is_bare(token));
        let is_below_secret = is_secret || secret_depth.is_some();
        // A word before a colon is a key, unless a value is due: then it may be the beginning of an address.
        let is_key = tokens.is_at_colon() && (is_string || is_bare && !is_secret);
        if is_key {
            is_secret = is_masked(unquoted(token), is_link);
            out.push_str(token);
        } else if is_below_secret && (is_string || is_bare && !LITERALS.contains(&token)) {
            let quote = if token.starts_with('\'') { "'" } else { "\"" };
            out.extend([quote, if is_string && token.len() <= 2 { "" } else { MASK }, quote]);
        } else if is_string {
            out.push_str(&said_masked(token, is_link));
        } else {
            out.push_str(token);
        }
        match token {
            "{" | "[" => {
                depth += 1;
                if is_secret && secret_depth.is_none() {
                    secret_depth = Some(depth);
                }
                is_secret = false;
            }
            "}" | "]" => {
                secret_depth = secret_depth.filter(|secret| *secret < depth);
                depth = depth.saturating_sub(1);
            }
            "," => is_secret = false,
            _ => {}
        }
    }
    out
}

/// A string with what it says masked, when it is or begins JSON itself: a text may have been cut off in it.
fn said_masked(string: &str, is_link: bool) -> Cow<'_, str> {
    let quote = if string.starts_with('\'') { '\'' } else { '"' };
    let said = match Json::parse(string) {
        Ok(Json::Text(text)) => text,
        _ => unquoted(string).replace(&format!("\\{quote}"), &quote.to_string()).replace("\\\\", "\\"),
    };
    if !begins_as_json(&said) {
        return string.into();
    }
    let mut json = Json::Text(said);
    mask(&mut json, is_link);
    match json {
        Json::Text(text) if quote == '\'' => {
            format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")).into()
        }
        json => json.to_string().into(),
    }
}

/// Bytes of the string that a text begins with, its quotes included; to the end when it is not closed.
fn string_length(text: &str) -> usize {
    let quote = text.bytes().next();
    let mut escaped = true;
    let end = text.bytes().position(|byte| {
        let closes = Some(byte) == quote && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    end.map_or(text.len(), |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::{link_masked, masked};

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
    fn what_may_be_an_identity_link_is_masked_as_one() {
        const DATA: &str = r#""data":{"email":"joe@example.com""#;
        const MASKED: &str = r#""data":{"email":"***""#;
        let check = |before: &str, is_link: bool| {
            let kept = |data: &str| format!("{before}{data}");
            let body = kept(DATA);
            assert_eq!(masked(body.as_bytes()), kept(if is_link { MASKED } else { DATA }), "{body}");
            assert_eq!(link_masked(body.as_bytes()), kept(MASKED), "{body}");
        };
        for other in ["install", "event", "update"] {
            check(&format!(r#"{{"action":"{other}","#), false);
            check(&format!(r#" [ {{ "action" : "{other}" , "#), false);
        }
        let links = [
            "identityLink",
            "IdentityLink",
            "identitylink",
            "identity_link",
            " identityLink",
            "",
            "Event",
            "x",
        ];
        for link in links {
            check(&format!(r#"{{"action":"{link}","#), true);
        }
        check("{", true);
        check("", true);
        check(r#"{"action":5,"#, true);
        check(r#"{"action":,"#, true);
        check(r#"{"Action":"event","#, true);
        check(r#"{"a":{"action":"event"},"#, true);
        check(r#"{"a":"action","b":"event","#, true);
        check(r#"{"action":"event","a":{"action":"x"},"#, false);
        check(r#"{"action":"event","action":"identityLink","#, true);
        check(r#"[{"action":"event"},{"action":"install","#, false);
        check(r#"[{"action":"event"},{"action":"Install","#, true);
        check(r#"[{"action":"event"},{"#, true);
    }

    #[test]
    fn numbers_and_words_are_masked_where_texts_are() {
        let check = |body: &str, expected: &str| assert_eq!(masked(body.as_bytes()), expected);
        check(
            r#"{"action":"event","n":271828182,"identity_link":{"user_id":271828182},"device_ids":{"imei":35209900},"origination_ip":"1.2.3.4""#,
            r#"{"action":"event","n":271828182,"identity_link":{"user_id":"***"},"device_ids":{"imei":"***"},"origination_ip":"***""#,
        );
        check(
            r#"{"action":"event","imei":3520,"n":1,"m":[2,{"adid":[-3.5e+6, 4 ],"o":5},6"#,
            r#"{"action":"event","imei":"***","n":1,"m":[2,{"adid":["***", "***" ],"o":5},6"#,
        );
        check(
            r#"{"device_ids":{"a":true,"b":false,"c":null,"d":1"#,
            r#"{"device_ids":{"a":true,"b":false,"c":null,"d":"***""#,
        );
        check(
            r#"{"data":{"email":joe@example.com,"n":1},"m":2"#,
            r#"{"data":{"email":"***","n":"***"},"m":2"#,
        );
        check(r#"{data:{email:"joe@example.com",n:1},m:2"#, r#"{data:{email:"***",n:"***"},m:2"#);
        check(r#"{"ip":2001:db8::1,"n":1"#, r#"{"ip":"***":"***"::"***","n":1"#);
        check(r#"{"ip":35209"#, r#"{"ip":"***""#);
        check(
            r#"{"kochava_app_id":1234,"usertime":1760000000,"n":5"#,
            r#"{"kochava_app_id":1234,"usertime":1760000000,"n":5"#,
        );
    }

    #[test]
    fn strings_in_single_quotes_are_masked() {
        let check = |body: &str, expected: &str| assert_eq!(masked(body.as_bytes()), expected);
        check(
            "{'action': 'event', 'kochava_device_id': 'user-joe', 'data': {'identity_link': {'email': 'joe@example.com', 'id': 5, 'x': None}, 'adid': ''}}",
            "{'action': 'event', 'kochava_device_id': '***', 'data': {'identity_link': {'email': '***', 'id': \"***\", 'x': None}, 'adid': ''}}",
        );
        check(
            r#"{'action': 'identityLink', 'data': {'name': "O'Joe", 'say': 'O\'Joe "x"', 'n': 'Joe'"#,
            r#"{'action': 'identityLink', 'data': {'name': "***", 'say': '***', 'n': '***'"#,
        );
        check(
            r#"[{u'action': u'event', u'data': {u'adid': u'joe'}, u'n': u'x'}"#,
            r#"[{u'action': u'event', u'data': {u'adid': u'***'}, u'n': u'x'}"#,
        );
        check("{action:'event',data:{idfv:'joe',n:'x'}}", "{action:'event',data:{idfv:'***',n:'x'}}");
        check(r#"{"action":"event",'adid':'joe','n':'x'}"#, r#"{"action":"event",'adid':'***','n':'x'}"#);
        check(r#"it's {"adid":"joe","n":"x""#, r#"it's {"adid":"***","n":"x""#);
    }

    #[test]
    fn texts_that_are_json_are_masked_in_broken_bodies() {
        let check = |body: &str, expected: &str| assert_eq!(masked(body.as_bytes()), expected);
        check(
            r#"{"action":"event","data":"{\"adid\":\"joe\",\"n\":\"x\"}""#,
            r#"{"action":"event","data":"{\"adid\":\"***\",\"n\":\"x\"}""#,
        );
        check(
            r#"{"action":"event","data":"{\"n\":\"x\",\"identity_link\":{\"email\":\"joe@exa"#,
            r#"{"action":"event","data":"{\"n\":\"x\",\"identity_link\":{\"email\":\"***\"""#,
        );
        check(
            r#"{'action': 'event', 'data': '{"adid": "joe", "n": "O\'Joe"}'"#,
            r#"{'action': 'event', 'data': '{"adid":"***","n":"O\'Joe"}'"#,
        );
        check(
            r#"{"action":"event","data":"{'adid': 'joe', 'n': 'x'}""#,
            r#"{"action":"event","data":"{'adid': '***', 'n': 'x'}""#,
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_as_replacement_characters() {
        assert_eq!(masked(&[b'a', 0xff, b'b']), "a\u{fffd}b");
    }
}
