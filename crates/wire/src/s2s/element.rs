//! Bodies taken apart into elements (ingest.md section 15).

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::{
    body::hash,
    form,
    json::{Json, JsonError, get, with_whole_characters},
    quarantine::{link_masked, masked, may_be_link},
    redaction::mask,
    refusal::Refusal,
    s2s::Endpoint,
};

/// How many elements one array may have.
pub const ELEMENTS_MAX: usize = 20_000;

/// The byte order mark of UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// A body taken apart.
#[derive(Clone, Debug)]
pub struct Body {
    /// Its elements in order; an element that is not an object is refused alone.
    pub elements: Vec<Result<Element, BadElement>>,
    /// Whether it was an array: the answer then lists the refused elements.
    pub is_array: bool,
}

/// An element of an array that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadElement {
    /// What to fix.
    pub refusal: Refusal,
    /// Its own text, masked for the quarantine: not the whole array, which would be kept once for each.
    pub masked: String,
    /// Its own text.
    pub(crate) text: String,
    /// The first 16 bytes of SHA-256 over its own text.
    pub hash: [u8; 16],
}

impl BadElement {
    /// Its text, masked as what comes to this endpoint.
    #[must_use]
    pub fn masked_at(&self, endpoint: Endpoint) -> String {
        endpoint.masked(self.text.as_bytes())
    }
}

impl Endpoint {
    /// A body that nothing could be read from, masked for the quarantine.
    #[must_use]
    pub fn masked(self, body: &[u8]) -> String {
        match self {
            Self::TrackJson => masked(body),
            Self::IdentityLink => link_masked(body),
        }
    }
}

impl From<BadElement> for Refusal {
    fn from(bad: BadElement) -> Self {
        bad.refusal
    }
}

/// One element of a body: one install, event, update or identity link. Always a JSON object.
#[derive(Clone, Debug)]
pub struct Element {
    text: String,
    json: Json,
}

/// Takes a body apart. The first byte that is not space decides: `{` an object, `[` an array, anything
/// else a form with brackets. The headers do not matter.
///
/// # Errors
/// 400 for an empty or broken body, 413 for more than [`ELEMENTS_MAX`] elements.
pub fn elements(body: &[u8]) -> Result<Body, Refusal> {
    let body = body.trim_ascii();
    let body = body.strip_prefix(BOM).unwrap_or(body).trim_ascii();
    match body.first() {
        None => Err(Refusal::bad_request("the body is empty: send one JSON object")),
        Some(b'{') => one(Element::read(text(body)?)),
        Some(b'[') => array(text(body)?),
        Some(_) => one(form::parse(body).map(|json| Element { text: json.to_string(), json })),
    }
}

/// The envelope of a body that is one sound object and all the same too much to be read, such as one nested
/// too deep: an element of the texts at its root and nothing else. It tells whose the body is, and whether
/// its sender will repeat it for ever (ingest.md section 17).
#[must_use]
pub fn outline(body: &[u8]) -> Option<Element> {
    let body = body.trim_ascii();
    let text = str::from_utf8(body.strip_prefix(BOM).unwrap_or(body)).ok()?;
    let sound = with_whole_characters(text);
    let root: BTreeMap<String, &RawValue> = serde_json::from_str(&sound).ok()?;
    let texts = root.into_iter().filter(|(_, value)| value.get().starts_with('"'));
    let entries = texts.filter_map(|(key, text)| Some((key, Json::parse(text.get()).ok()?)));
    Some(Element { text: text.to_owned(), json: Json::Object(entries.collect()) })
}

fn one(element: Result<Element, Refusal>) -> Result<Body, Refusal> {
    Ok(Body { elements: vec![Ok(element?)], is_array: false })
}

fn array(text: &str) -> Result<Body, Refusal> {
    let items: Vec<&RawValue> = serde_json::from_str(text).map_err(broken)?;
    if items.is_empty() {
        return Err(Refusal::bad_request("the array is empty: send at least one object"));
    }
    if items.len() > ELEMENTS_MAX {
        return Err(Refusal::too_large(format!("more than {ELEMENTS_MAX} elements: send fewer at once")));
    }
    let elements = items.into_iter().map(|item| {
        let read = match item.get() {
            object if object.starts_with('{') => Element::read(object),
            _ => Err(Refusal::bad_request("the element is not an object")),
        };
        let text = item.get();
        read.map_err(|refusal| BadElement {
            refusal,
            masked: masked(text.as_bytes()),
            text: text.to_owned(),
            hash: hash(text.as_bytes()),
        })
    });
    Ok(Body { elements: elements.collect(), is_array: true })
}

fn text(body: &[u8]) -> Result<&str, Refusal> {
    str::from_utf8(body).map_err(|_| Refusal::bad_request("the body is not UTF-8: encode it as UTF-8"))
}

fn broken(error: impl Into<JsonError>) -> Refusal {
    Refusal::bad_request(match error.into() {
        error @ JsonError::Broken(_) => format!("the body is {error}"),
        JsonError::TooMuch(limit) => limit.to_string(),
    })
}

impl Element {
    /// Reads one JSON object.
    fn read(text: &str) -> Result<Self, Refusal> {
        let json = Json::parse(text).map_err(broken)?;
        Ok(Self { text: text.to_owned(), json })
    }

    /// An element that was drafted from a call of another platform. It has no text of its own.
    pub(crate) const fn drafted(json: Json) -> Self {
        Self { text: String::new(), json }
    }

    /// `kochava_app_id`: the app's GUID, without spaces around it.
    #[must_use]
    pub fn app_guid(&self) -> Option<&str> {
        self.root_text("kochava_app_id").map(str::trim)
    }

    /// `action`, exactly as sent.
    #[must_use]
    pub fn action(&self) -> Option<&str> {
        self.root_text("action")
    }

    /// `nt_id`: unique per request of the browser SDK and the same on a retry (ingest.md section 17).
    #[must_use]
    pub fn nt_id(&self) -> Option<&str> {
        self.root_text("nt_id")
    }

    /// Whether it comes from the browser SDK: `sdk_version` starts with `WebTracker`.
    #[must_use]
    pub fn is_web_sdk(&self) -> bool {
        self.root_text("sdk_version").is_some_and(is_web_sdk)
    }

    /// The element's own JSON text: exactly the received bytes, or for a form the JSON that it means.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text with identifier values masked, for the quarantine (DECISIONS 11).
    #[must_use]
    pub fn masked(&self) -> String {
        self.masked_as(self.action().is_none_or(may_be_link))
    }

    /// [`masked`](Self::masked) of one that came to this endpoint: what comes where only identity links are
    /// taken is one, whatever it says.
    #[must_use]
    pub fn masked_at(&self, endpoint: Endpoint) -> String {
        match endpoint {
            Endpoint::TrackJson => self.masked(),
            Endpoint::IdentityLink => self.masked_as(true),
        }
    }

    fn masked_as(&self, is_link: bool) -> String {
        let mut json = self.json.clone();
        mask(&mut json, is_link);
        json.to_string()
    }

    /// The first 16 bytes of SHA-256 over the text.
    #[must_use]
    pub fn body_hash(&self) -> [u8; 16] {
        hash(self.text.as_bytes())
    }

    pub(crate) const fn json(&self) -> &Json {
        &self.json
    }

    fn root_text(&self, key: &str) -> Option<&str> {
        match get(self.json.object()?, key)? {
            Json::Text(text) if !text.trim().is_empty() => Some(text),
            _ => None,
        }
    }
}

/// Whether an `sdk_version` is that of the browser SDK.
#[must_use]
pub fn is_web_sdk(sdk_version: &str) -> bool {
    sdk_version.starts_with("WebTracker")
}
