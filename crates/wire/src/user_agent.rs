//! User agents and device strings (ingest.md sections 2 and 12, DECISIONS 15 and 20).

use std::borrow::Cow;

use measure::{
    identifier::is_absent,
    platform::{Os, Traits},
};
use percent_encoding::percent_decode_str;

/// The user agent as the device had it: percent-decoded when it holds `%XX` and no space, in the manner of
/// forms when it has a `+` for them. `None` when it is absent or a placeholder such as `Unknown`.
#[must_use]
pub fn decoded(user_agent: &str) -> Option<String> {
    let written = user_agent.trim();
    let plain = plain(written);
    let is_filled = is_bracketed(&plain) || !is_absent(written) && !is_absent(&plain);
    is_filled.then(|| plain.into_owned())
}

fn plain(written: &str) -> Cow<'_, str> {
    if written.contains(' ') || !has_escape(written) {
        return written.into();
    }
    // Whoever writes spaces as `%20` leaves a `+` as it is or writes `%2B`.
    let is_form = !written.contains("%20");
    let spaced = if is_form { written.replace('+', " ") } else { written.to_owned() };
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned().into()
}

/// Whether it is what apps of one company write in brackets, sometimes alone: `[FBAN/FBIOS;FBDV/iPhone7,2;…]`.
/// A macro that nobody filled is one name.
fn is_bracketed(plain: &str) -> bool {
    plain.starts_with('[') && plain.ends_with(']') && plain.contains(['/', ';'])
}

/// Whether the text holds `%XX`.
#[must_use]
pub fn has_escape(text: &str) -> bool {
    text.as_bytes().windows(3).any(
        |window| matches!(window, [b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit()),
    )
}

/// What a `device_ver` says (ingest.md section 12): `model-OS-version` read from the right, because models
/// hold hyphens; or a bare version; or a bare model. Without an operating system of its own, the one of
/// the user agent counts, then the platform of the app (DECISIONS 15).
#[must_use]
pub fn traits_of_version(device_ver: &str) -> Traits {
    let text = device_ver.trim();
    if is_absent(text) {
        return Traits::default();
    }
    let from_right: Vec<&str> = text.rsplitn(3, '-').map(str::trim).collect();
    match from_right.as_slice() {
        [bare] => match version(bare) {
            Some(version) => Traits { os_version: Some(version), ..Traits::default() },
            None => Traits { model: Some(text.to_owned()), ..Traits::default() },
        },
        [last, os, rest @ ..] => {
            let (os, os_version) = (Os::named(os), version(last));
            // Two parts may also be a model such as `Pixel-8`: then the name before the number is no
            // operating system that anybody knows.
            let is_named =
                os.as_ref().is_some_and(|os| is_well_known(os) || !rest.is_empty() && is_worded(os));
            if os_version.is_none() || !is_named {
                return Traits { model: Some(text.to_owned()), ..Traits::default() };
            }
            let model = rest.first().filter(|model| !is_absent(model)).map(|model| (*model).to_owned());
            Traits { os, os_version, model }
        }
        [] => Traits::default(),
    }
}

/// The digits and dots of a version; `None` when the text is none, such as `7c9e`.
fn version(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let is_version =
        digits.starts_with(|c: char| c.is_ascii_digit()) && !rest.starts_with(char::is_alphanumeric);
    is_version.then(|| digits.trim_end_matches('.').to_owned())
}

fn is_worded(os: &Os) -> bool {
    os.name().starts_with(|c: char| c.is_ascii_alphabetic())
}

fn is_well_known(os: &Os) -> bool {
    const NAMES: [&str; 12] = [
        "windows",
        "macos",
        "mac os x",
        "linux",
        "roku",
        "tizen",
        "tizen os",
        "webos",
        "lgwebos",
        "playstation",
        "chrome os",
        "harmonyos",
    ];
    match os {
        Os::Ios | Os::TvOs | Os::Android | Os::FireOs => true,
        Os::Other(name) => NAMES.contains(&name.as_str()),
    }
}

/// The make of a device from its `device_ver` and its user agent: what the first says counts, the second
/// fills in. When a version came without an operating system, the platform of the app names it.
#[must_use]
pub fn merged(from_version: Traits, from_user_agent: Traits, platform: Option<Os>) -> Traits {
    let conflict = matches!((&from_version.os, &from_user_agent.os), (Some(a), Some(b)) if a != b);
    if conflict {
        // They speak of two devices; the version of one says nothing about the other.
        return from_version;
    }
    let is_told = from_version != Traits::default();
    Traits {
        os: from_version.os.or(from_user_agent.os).or(if is_told { platform } else { None }),
        os_version: from_version.os_version.or(from_user_agent.os_version),
        model: from_version.model.or(from_user_agent.model),
    }
}

/// The device string that stands in for a user agent nobody sent (DECISIONS 20):
/// `Mozilla/5.0 (<model>; <OS> <version>)`, unknown parts left out. `None` without an operating system,
/// because the string would say nothing.
#[must_use]
pub fn manufactured_user_agent(traits: &Traits) -> Option<String> {
    traits.os.as_ref()?;
    let model = traits.model.as_deref().map(|model| format!("{model}; ")).unwrap_or_default();
    Some(format!("Mozilla/5.0 ({model}{})", traits.os_text()))
}
