//! A JSON value that keeps what serde_json's own loses: the text of numbers (money is decimal), the order
//! of keys. It is built by serde_json; nothing of it leaves this crate.

use std::{
    cell::{Cell, RefCell},
    fmt,
};

use measure::{Decimal, event::Value};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use thiserror::Error;

/// How deep lists and objects may lie in each other.
pub const DEPTH_MAX: usize = 32;
/// How many values one element may have.
pub const VALUES_MAX: usize = 10_000;

/// A JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    Null,
    Bool(bool),
    /// A number, exactly as written.
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Object),
}

/// Why a text is not taken for JSON.
#[derive(Debug, Error)]
pub enum JsonError {
    /// It is not sound.
    #[error("not valid JSON: {0}")]
    Broken(#[from] serde_json::Error),
    /// It is too much, whether sound or not.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
}

/// A limit that a JSON text goes beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TooMuch {
    /// More than [`VALUES_MAX`] values.
    #[error("more than {VALUES_MAX} values in one element: send less in each")]
    Values,
    /// More than [`DEPTH_MAX`] levels.
    #[error("nested deeper than {DEPTH_MAX} levels: send it flatter")]
    Depth,
}

/// The entries of an object, in the order written.
pub type Object = Vec<(String, Json)>;

/// The value under `key`; of a repeated key the last one.
pub fn get<'a>(object: &'a [(String, Json)], key: &str) -> Option<&'a Json> {
    object.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
}

impl Json {
    /// Reads exactly one value. Numbers may be of any size: it is for their readers to say which they use.
    /// Half a character, as `JSON.stringify` writes of a text that was cut in the middle of one, is read as
    /// the replacement character: no Unicode text can hold it.
    ///
    /// # Errors
    /// The text is no JSON, or goes beyond a limit.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        match Self::read(text, text) {
            // serde_json takes neither halves of characters nor numbers that are too large in binary.
            Err(JsonError::Broken(error)) => {
                let sound = with_small_numbers(&with_whole_characters(text));
                if sound == text { Err(error.into()) } else { Self::read(&sound, text) }
            }
            read => read,
        }
    }

    /// Reads `sound`, which is `written` but for the values of numbers and halves of characters.
    fn read(sound: &str, written: &str) -> Result<Self, JsonError> {
        let reading = Reading {
            numbers: RefCell::new(Numbers(written)),
            values: Cell::new(0),
            beyond: Cell::new(None),
        };
        let mut deserializer = serde_json::Deserializer::from_str(sound);
        let json = Node { reading: &reading, depth: 0 }.deserialize(&mut deserializer);
        let json = json.and_then(|json| deserializer.end().map(|()| json));
        json.map_err(|error| reading.beyond.get().map_or(JsonError::Broken(error), JsonError::TooMuch))
    }

    /// The entries, when it is an object.
    pub fn object(&self) -> Option<&Object> {
        match self {
            Self::Object(entries) => Some(entries),
            _ => None,
        }
    }

    /// The text of a string or a number.
    pub fn scalar(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Number(text) => Some(text),
            _ => None,
        }
    }

    /// Whether the sender said nothing by it: `null` or `""` (ingest.md section 2).
    pub fn is_blank(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.trim().is_empty(),
            _ => false,
        }
    }

    /// The value as a truth, in every type that senders use for one: `true`, `1`, `"true"`, `"1"`.
    pub fn truth(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            Self::Text(text) | Self::Number(text) => truth(text),
            _ => None,
        }
    }

    /// The value as an amount, from a number or a numeric string.
    pub fn decimal(&self) -> Option<Decimal> {
        decimal(self.scalar()?)
    }

    /// The value as a parameter of the domain; `None` for `null`.
    pub fn value(&self) -> Option<Value> {
        Some(match self {
            Self::Null => return None,
            Self::Bool(truth) => Value::Bool(*truth),
            Self::Number(text) => Value::Number(text.clone()),
            Self::Text(text) => Value::Text(text.clone()),
            Self::List(_) | Self::Object(_) => Value::Json(self.to_string()),
        })
    }
}

/// A text as a truth.
pub fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "1.0" => Some(true),
        "false" | "0" | "0.0" => Some(false),
        _ => None,
    }
}

/// A text as an exact decimal; `None` when it is no number, too large, or has more places than are kept.
pub fn decimal(text: &str) -> Option<Decimal> {
    let text = text.trim();
    let is_numeric =
        text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    if !is_numeric || !text.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    match text.split_once(['e', 'E']) {
        None => exact(text),
        // It rounds what comes before the exponent.
        Some((mantissa, _)) => exact(mantissa).and_then(|_| Decimal::from_scientific(text).ok()),
    }
}

/// A number without an exponent, as it stands. Zeros at its end that are too many say nothing.
fn exact(text: &str) -> Option<Decimal> {
    let shorter = || text.contains('.').then(|| text.trim_end_matches('0'));
    Decimal::from_str_exact(text).ok().or_else(|| Decimal::from_str_exact(shorter()?).ok())
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(truth) => write!(f, "{truth}"),
            Self::Number(text) => f.write_str(text),
            Self::Text(text) => write_text(f, text),
            Self::List(items) => {
                f.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if at == 0 { "" } else { "," })?;
                }
                f.write_str("]")
            }
            Self::Object(entries) => {
                f.write_str("{")?;
                for (at, (key, value)) in entries.iter().enumerate() {
                    f.write_str(if at == 0 { "" } else { "," })?;
                    write_text(f, key)?;
                    write!(f, ":{value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?)
}

/// The number tokens of a JSON text in order. serde_json hands numbers over in binary; their texts are
/// picked up here, which works because a value is visited in the order it is written.
struct Numbers<'a>(&'a str);

impl<'a> Iterator for Numbers<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.0.as_bytes();
        let (mut at, mut in_text) = (0, false);
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'\\' if in_text => at += 1,
                b'"' => in_text = !in_text,
                b'-' | b'0'..=b'9' if !in_text => {
                    let rest = self.0.get(at..)?;
                    let length = rest
                        .bytes()
                        .take_while(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
                        .count();
                    self.0 = rest.get(length..)?;
                    return rest.get(..length);
                }
                _ => {}
            }
            at += 1;
        }
        None
    }
}

/// The text with every number that is beyond binary ones cut short: without its exponent, and with the first
/// digits of its whole part. It is sound exactly when the text is.
fn with_small_numbers(text: &str) -> String {
    const DIGITS_KEPT: usize = 2;
    let mut small = String::with_capacity(text.len());
    let mut copied = 0;
    for number in Numbers(text) {
        if !number.parse::<f64>().is_ok_and(f64::is_infinite) {
            continue;
        }
        // Where the number stands: it is a part of the text.
        let at = number.as_ptr().addr() - text.as_ptr().addr();
        small.push_str(text.get(copied..at).unwrap_or_default());
        let (mantissa, _) = number.split_once(['e', 'E']).unwrap_or((number, ""));
        let (whole, fraction) = mantissa.split_at(mantissa.find('.').unwrap_or(mantissa.len()));
        small.push_str(whole.get(..DIGITS_KEPT.min(whole.len())).unwrap_or_default());
        small.push_str(fraction);
        copied = at + number.len();
    }
    small.push_str(text.get(copied..).unwrap_or_default());
    small
}

/// The text with every escape of half a character (a surrogate without its pair) turned into that of the
/// replacement character. It is as long as the text, and otherwise the same.
pub(crate) fn with_whole_characters(text: &str) -> String {
    const UNIT: usize = "\\uXXXX".len();
    const ESCAPED: usize = "\\n".len();
    let unit = |at: usize| {
        let digits = text.get(at..)?.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut whole = String::with_capacity(text.len());
    let (mut at, mut copied) = (0, 0);
    // A backslash stands in strings only, and what is escaped by it is no backslash of its own.
    while let Some(found) = text.get(at..).and_then(|rest| rest.find('\\')) {
        at += found;
        at += match (unit(at), unit(at + UNIT)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 2 * UNIT,
            (Some(0xd800..=0xdfff), _) => {
                whole.push_str(text.get(copied..at).unwrap_or_default());
                whole.push_str("\\ufffd");
                copied = at + UNIT;
                UNIT
            }
            (Some(_), _) => UNIT,
            (None, _) => ESCAPED,
        };
    }
    whole.push_str(text.get(copied..).unwrap_or_default());
    whole
}

struct Reading<'a> {
    numbers: RefCell<Numbers<'a>>,
    values: Cell<usize>,
    /// The limit that was met.
    beyond: Cell<Option<TooMuch>>,
}

impl Reading<'_> {
    fn number<E: de::Error>(&self) -> Result<Json, E> {
        let token = self.numbers.borrow_mut().next();
        token.map(|text| Json::Number(text.to_owned())).ok_or_else(|| E::custom("a number is out of place"))
    }

    fn beyond<E: de::Error>(&self, limit: TooMuch) -> E {
        self.beyond.set(Some(limit));
        E::custom(limit)
    }
}

/// One value to be read, at a depth.
#[derive(Clone, Copy)]
struct Node<'r, 't> {
    reading: &'r Reading<'t>,
    depth: usize,
}

impl Node<'_, '_> {
    fn below<E: de::Error>(self) -> Result<Self, E> {
        if self.depth >= DEPTH_MAX {
            return Err(self.reading.beyond(TooMuch::Depth));
        }
        Ok(Self { reading: self.reading, depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        let values = self.reading.values.get() + 1;
        self.reading.values.set(values);
        if values > VALUES_MAX {
            return Err(self.reading.beyond(TooMuch::Values));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Json, E> {
        Ok(Json::Bool(truth))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Json, E> {
        self.reading.number()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Json, E> {
        self.reading.number()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Json, E> {
        self.reading.number()
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        let below = self.below()?;
        while let Some(item) = items.next_element_seed(below)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut object = Object::new();
        let below = self.below()?;
        while let Some(key) = entries.next_key::<String>()? {
            object.push((key, entries.next_value_seed(below)?));
        }
        Ok(Json::Object(object))
    }
}
