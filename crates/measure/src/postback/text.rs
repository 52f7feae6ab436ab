//! Texts with macros in single braces, and the three places their values go: a URL, a form, a JSON
//! text (postbacks.md section 6). One pass: what a value contains is never looked at again.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::event::Value;

/// The longest URL and the longest body that are sent, bytes (postbacks.md section 11).
pub const REQUEST_BYTES_MAX: usize = 64_000;

/// The longest value of a header, bytes.
const HEADER_BYTES_MAX: usize = 4_096;
const NAME_BYTES_MAX: usize = 64;
const FORMAT_BYTES_MAX: usize = 8;

/// A macro as a template writes it: `{name}` or `{name:format}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'t> {
    /// Letters, digits, `_` and `.`; at most 64.
    pub name: &'t str,
    /// Lower-case letters; at most 8.
    pub format: Option<&'t str>,
}

/// A part of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'t> {
    /// Left as it is: everything that is not a macro, braces included.
    Text(&'t str),
    /// Replaced by its value.
    Token(Token<'t>),
}

/// The parts of a template in order. Nothing is lost: texts and written-out tokens make up the template.
pub fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some((token, after)) = token_at(rest) {
            rest = after;
            return Some(Piece::Token(token));
        }
        // A brace that opens no token is text up to the next one.
        let lead = usize::from(rest.starts_with('{'));
        let end = rest.get(lead..)?.find('{').map_or(rest.len(), |place| place + lead);
        let (text, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(Piece::Text(text))
    })
}

/// The tokens of a template in order.
pub fn tokens(template: &str) -> impl Iterator<Item = Token<'_>> {
    pieces(template).filter_map(|piece| match piece {
        Piece::Token(token) => Some(token),
        Piece::Text(_) => None,
    })
}

/// What stands in braces without being a token.
pub fn no_tokens(template: &str) -> impl Iterator<Item = &str> {
    pieces(template).filter_map(|piece| match piece {
        Piece::Text(text) if text.starts_with('{') => text.get(..=text.find('}')?),
        Piece::Text(_) | Piece::Token(_) => None,
    })
}

/// `\{[A-Za-z0-9_.]{1,64}(:[a-z]{1,8})?\}` at the start of `text`, and what follows it.
fn token_at(text: &str) -> Option<(Token<'_>, &str)> {
    let text = text.strip_prefix('{')?;
    let (name, rest) = run(text, NAME_BYTES_MAX, |b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')?;
    if let Some(rest) = rest.strip_prefix('}') {
        return Some((Token { name, format: None }, rest));
    }
    let (format, rest) = run(rest.strip_prefix(':')?, FORMAT_BYTES_MAX, |b| b.is_ascii_lowercase())?;
    Some((Token { name, format: Some(format) }, rest.strip_prefix('}')?))
}

/// The longest start of `text` of at least 1 and at most `max` bytes that are all `allowed`.
fn run(text: &str, max: usize, allowed: impl Fn(u8) -> bool) -> Option<(&str, &str)> {
    let length = text.bytes().take(max).take_while(|b| allowed(*b)).count();
    (length > 0).then(|| text.split_at_checked(length)).flatten()
}

/// What a macro is replaced by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filling<'v> {
    /// A text.
    Text(Cow<'v, str>),
    /// A number, which stays one in a JSON body.
    Number(Cow<'v, str>),
    /// `true`, `false`, a list or an object, which stay what they are in a JSON body.
    Json(Cow<'v, str>),
}

impl Filling<'_> {
    /// The value as text.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(text) | Self::Json(text) => text,
        }
    }
}

impl<'v> From<&'v Value> for Filling<'v> {
    fn from(value: &'v Value) -> Self {
        let text = Cow::Borrowed(value.text());
        match value {
            Value::Text(_) => Self::Text(text),
            Value::Number(_) => Self::Number(text),
            Value::Bool(_) | Value::Json(_) => Self::Json(text),
        }
    }
}

/// Renders a URL or a form: every value percent-encoded but for the unreserved characters of RFC 3986.
/// `None` when the result is longer than [`REQUEST_BYTES_MAX`].
pub fn render_url<'v>(template: &str, fill: impl FnMut(Token<'_>) -> Option<Filling<'v>>) -> Option<String> {
    render(template, REQUEST_BYTES_MAX, fill, percent_encode)
}

/// Renders a text in which a value that is missing leaves nothing behind.
fn render<'v>(
    template: &str,
    bytes_max: usize,
    mut fill: impl FnMut(Token<'_>) -> Option<Filling<'v>>,
    put: impl Fn(&str, &mut String),
) -> Option<String> {
    let mut out = String::with_capacity(template.len() * 2);
    for piece in pieces(template) {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Token(token) => {
                if let Some(filling) = fill(token) {
                    put(filling.text(), &mut out);
                }
            }
        }
        if out.len() > bytes_max {
            return None;
        }
    }
    Some(out)
}

/// Renders a JSON text. Inside a string a value is string-escaped; outside of one it stands as the JSON
/// value it is: a number, a list, a quoted text, or `null` when it is missing. `None` when the result is
/// longer than [`REQUEST_BYTES_MAX`].
pub fn render_json<'v>(
    template: &str,
    mut fill: impl FnMut(Token<'_>) -> Option<Filling<'v>>,
) -> Option<String> {
    let mut out = String::with_capacity(template.len() * 2);
    let mut place = JsonPlace::default();
    for piece in pieces(template) {
        match piece {
            Piece::Text(text) => {
                place.pass(text);
                out.push_str(text);
            }
            Piece::Token(token) => match fill(token) {
                Some(filling) if place.in_string => json_escape(filling.text(), &mut out),
                Some(filling) => json_value(&filling, &mut out),
                None if place.in_string => {}
                None => out.push_str("null"),
            },
        }
        if out.len() > REQUEST_BYTES_MAX {
            return None;
        }
    }
    Some(out)
}

/// Whether the strings, lists and objects of a JSON template are all closed. It does not read numbers or
/// commas: what is wrong there, the partner says.
pub fn is_closed_json(template: &str) -> bool {
    let mut place = JsonPlace::default();
    for piece in pieces(template) {
        if let Piece::Text(text) = piece {
            place.pass(text);
        }
    }
    !place.in_string && place.open.is_empty() && !place.broken
}

/// Whether a JSON template is JSON once its macros are gone: in strings they leave nothing, elsewhere
/// `null`.
#[must_use]
pub fn is_json_template(template: &str) -> bool {
    let rendered = render_json(template, |_| None);
    rendered.is_some_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok())
}

/// Where in a JSON text the renderer is.
#[derive(Default)]
struct JsonPlace {
    in_string: bool,
    escaped: bool,
    open: Vec<u8>,
    broken: bool,
}

impl JsonPlace {
    fn pass(&mut self, text: &str) {
        for byte in text.bytes() {
            if self.in_string {
                let escaped = std::mem::take(&mut self.escaped);
                match byte {
                    b'\\' => self.escaped = !escaped,
                    b'"' if !escaped => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' => self.open.push(b'}'),
                b'[' => self.open.push(b']'),
                b'}' | b']' => self.broken |= self.open.pop() != Some(byte),
                _ => {}
            }
        }
    }
}

/// Renders the value of a header: as it is. `None` when it comes out as something that a header cannot
/// hold.
pub fn render_header<'v>(
    template: &str,
    fill: impl FnMut(Token<'_>) -> Option<Filling<'v>>,
) -> Option<String> {
    let out = render(template, HEADER_BYTES_MAX, fill, |value, out| out.push_str(value))?;
    is_header_text(&out).then_some(out)
}

/// Why no value of a header can ever come of a template, whatever its macros stand for.
pub fn wrong_header(template: &str) -> Option<String> {
    let fixed = || {
        pieces(template).filter_map(|piece| match piece {
            Piece::Text(text) => Some(text),
            Piece::Token(_) => None,
        })
    };
    if fixed().map(str::len).sum::<usize>() > HEADER_BYTES_MAX {
        return Some(format!("must have at most {HEADER_BYTES_MAX} bytes"));
    }
    let sendable = fixed().all(is_header_text);
    (!sendable).then(|| "must be of printable ASCII characters, on one line".to_owned())
}

fn is_header_text(text: &str) -> bool {
    text.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
}

/// A JSON object of these members.
pub fn json_object(members: &[(&str, &Value)]) -> String {
    let mut out = String::from("{");
    for (place, (name, value)) in members.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        json_value(&Filling::Text((*name).into()), &mut out);
        out.push(':');
        json_value(&Filling::from(*value), &mut out);
    }
    out.push('}');
    out
}

/// Adds `name=value`, both percent-encoded, to a query or a form; `first` says whether nothing stands
/// before it.
pub fn push_pair(out: &mut String, first: bool, name: &str, value: &str) {
    if !first {
        out.push('&');
    }
    percent_encode(name, out);
    out.push('=');
    out.push_str(value);
}

/// A value as it stands in a URL or a form.
pub fn percent_encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    percent_encode(value, &mut out);
    out
}

fn percent_encode(value: &str, out: &mut String) {
    /// Everything but the unreserved characters of RFC 3986.
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    out.extend(utf8_percent_encode(value, RESERVED));
}

fn json_value(filling: &Filling<'_>, out: &mut String) {
    match filling {
        Filling::Number(text) if is_json_number(text) => out.push_str(text),
        Filling::Json(text) => out.push_str(text),
        Filling::Number(text) | Filling::Text(text) => {
            out.push('"');
            json_escape(text, out);
            out.push('"');
        }
    }
}

fn json_escape(value: &str, out: &mut String) {
    let quoted = serde_json::Value::from(value).to_string();
    out.push_str(quoted.get(1..quoted.len() - 1).unwrap_or_default());
}

/// Whether `text` is a number as JSON writes it (RFC 8259 section 6).
pub fn is_json_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}
