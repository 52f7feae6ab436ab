//! Form bodies with brackets: `data[device_ids][adid]=…` (ingest.md section 15).

use crate::{
    json::{DEPTH_MAX, Json, Object, VALUES_MAX},
    refusal::Refusal,
};

/// The object that a form body means. Every value is a text; `a[]` appends to a list, and keys `0`, `1`,
/// … in order make one.
///
/// # Errors
/// 400 when the body is no form or nested too deep, 413 for too many pairs.
pub fn parse(body: &[u8]) -> Result<Json, Refusal> {
    if !body.contains(&b'=') {
        return Err(Refusal::bad_request(
            "the body is neither a JSON object, nor an array of them, nor a form: send one JSON object, plain or \
             compressed with gzip",
        ));
    }
    let mut root = Object::new();
    for (count, (key, value)) in form_urlencoded::parse(body).enumerate() {
        if count >= VALUES_MAX {
            return Err(Refusal::too_large(format!("more than {VALUES_MAX} form pairs: send fewer")));
        }
        let path = path(&key);
        if path.len() > DEPTH_MAX {
            return Err(Refusal::bad_request(format!("form keys nested deeper than {DEPTH_MAX} brackets")));
        }
        insert(&mut root, &path, value.into_owned());
    }
    Ok(Json::Object(root.into_iter().map(|(key, value)| (key, with_lists(value))).collect()))
}

/// `data[device_ids][adid]` as its three parts. Brackets that are not in order are part of the name.
fn path(key: &str) -> Vec<&str> {
    let Some((first, rest)) = key.split_once('[').filter(|(first, _)| !first.is_empty()) else {
        return vec![key];
    };
    match rest.strip_suffix(']') {
        Some(inner) => std::iter::once(first).chain(inner.split("][")).collect(),
        None => vec![key],
    }
}

fn insert(object: &mut Object, path: &[&str], value: String) {
    let Some((first, rest)) = path.split_first() else { return };
    // `a[]` takes the next free number.
    let name = if first.is_empty() { object.len().to_string() } else { (*first).to_owned() };
    let place = object.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
        object.push((name, Json::Null));
        object.len() - 1
    });
    let Some((_, slot)) = object.get_mut(place) else { return };
    if rest.is_empty() {
        *slot = Json::Text(value);
        return;
    }
    if slot.object().is_none() {
        *slot = Json::Object(Object::new());
    }
    if let Json::Object(inner) = slot {
        insert(inner, rest, value);
    }
}

/// Objects whose keys are `0`, `1`, … in order are lists.
fn with_lists(json: Json) -> Json {
    let Json::Object(entries) = json else { return json };
    let is_list = entries.iter().enumerate().all(|(at, (key, _))| *key == at.to_string());
    let entries = entries.into_iter().map(|(key, value)| (key, with_lists(value)));
    if is_list {
        Json::List(entries.map(|(_, value)| value).collect())
    } else {
        Json::Object(entries.collect())
    }
}
