//! The fields of a postback, and which of them have been read.

use measure::skad::{Advisory, CoarseValue};

use crate::{
    json::{Object, get},
    refusal::Refusal,
};

/// What Apple joins signed values with. A value that holds it could pass for two.
pub const SEPARATOR: char = '\u{2063}';
/// Characters of a signed value; the longest genuine ones are UUIDs and domains.
const VALUE_CHARS_MAX: usize = 256;

/// The fields of one object.
pub struct Fields<'o> {
    object: &'o Object,
    used: Vec<&'static str>,
}

impl<'o> Fields<'o> {
    pub const fn new(object: &'o Object) -> Self {
        Self { object, used: Vec::new() }
    }

    /// Leaves a field to others.
    pub fn skip(&mut self, name: &'static str) {
        self.used.push(name);
    }

    /// A text or a number as written; blank is absent.
    pub fn optional(&mut self, name: &'static str) -> Result<Option<String>, Refusal> {
        self.used.push(name);
        let Some(value) = get(self.object, name).filter(|value| !value.is_blank()) else { return Ok(None) };
        let text = value.scalar().ok_or_else(|| wrong(name, "a text or a number"))?;
        if text.contains(SEPARATOR) || text.chars().count() > VALUE_CHARS_MAX {
            return Err(wrong(name, "at most 256 characters without U+2063"));
        }
        Ok(Some(text.to_owned()))
    }

    pub fn required(&mut self, name: &'static str) -> Result<String, Refusal> {
        self.optional(name)?.ok_or_else(|| {
            Refusal::bad_request(format!("{name} is missing: forward the postback as Apple sent it"))
        })
    }

    pub fn optional_digits(&mut self, name: &'static str) -> Result<Option<String>, Refusal> {
        let text = self.optional(name)?;
        match text {
            Some(text) if !text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Err(wrong(name, "a whole number"))
            }
            text => Ok(text),
        }
    }

    pub fn required_digits(&mut self, name: &'static str) -> Result<String, Refusal> {
        self.required(name)?;
        Ok(self.optional_digits(name)?.unwrap_or_default())
    }

    /// A number from 0 to `most`, in one digit.
    pub fn required_digit(&mut self, name: &'static str, most: u8) -> Result<u8, Refusal> {
        let digit = match self.required(name)?.as_bytes() {
            [byte @ b'0'..=b'9'] => byte - b'0',
            _ => u8::MAX,
        };
        if digit <= most { Ok(digit) } else { Err(wrong(name, &format!("a number from 0 to {most}"))) }
    }

    pub fn required_truth(&mut self, name: &'static str) -> Result<bool, Refusal> {
        self.used.push(name);
        let value = get(self.object, name).filter(|value| !value.is_blank());
        let value = value.ok_or_else(|| {
            Refusal::bad_request(format!("{name} is missing: forward the postback as Apple sent it"))
        })?;
        value.truth().ok_or_else(|| wrong(name, "true or false"))
    }

    /// What is not signed. An odd value is kept with the other fields rather than refused: Apple's
    /// signature is on the rest.
    pub fn advisory(mut self) -> Advisory {
        let fine_value =
            self.advised("conversion-value", |text| text.parse().ok().filter(|fine| *fine <= 63));
        let coarse_value = self.advised("coarse-conversion-value", CoarseValue::named);
        let kept = |text: &str| Some(text.to_owned());
        let interaction = self.advised("ad-interaction-type", kept);
        let country = self.advised("country-code", kept);
        Advisory { fine_value, coarse_value, interaction, country, params: self.rest() }
    }

    fn advised<T>(&mut self, name: &'static str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let value = get(self.object, name)?.scalar().and_then(read)?;
        self.used.push(name);
        Some(value)
    }

    /// Every field that was not read.
    pub fn rest(self) -> Vec<(String, String)> {
        let rest = self.object.iter().filter(|(name, _)| !self.used.contains(&name.as_str()));
        rest.map(|(name, value)| {
            (name.clone(), value.scalar().map_or_else(|| value.to_string(), str::to_owned))
        })
        .collect()
    }
}

fn wrong(name: &str, expected: &str) -> Refusal {
    Refusal::bad_request(format!("{name} must be {expected}: forward the postback as Apple sent it"))
}
