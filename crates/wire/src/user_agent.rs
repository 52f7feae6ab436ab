//! User agents and device strings (ingest.md sections 2 and 12, DECISIONS 15 and 20).

use std::borrow::Cow;

use measure::{
    identifier::is_absent,
    platform::{Os, Traits, says_nothing},
};
use percent_encoding::percent_decode_str;

/// Of how many words between hyphens the name of an operating system may be: `Mac-OS-X`.
const OS_WORDS_MAX: usize = 3;

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
    let bare = || Traits { model: Some(text.to_owned()), ..Traits::default() };
    let (before, last) = match text.rsplit_once('-') {
        Some((before, last)) => (before, last.trim()),
        None => match version(text) {
            Some(version) => return Traits { os_version: Some(version), ..Traits::default() },
            None => return bare(),
        },
    };
    let os_version = version(last);
    let named = if os_version.is_some() {
        known_os(before).or_else(|| worded_os(before))
    } else if is_absent(last) {
        known_os(before)
    } else {
        // Without a version: `KFTRWI-Fire-OS`.
        known_os(text).filter(|(model, _)| !model.is_empty())
    };
    let Some((model, os)) = named else { return bare() };
    let model = (!is_absent(model)).then(|| model.to_owned());
    Traits { os: Some(os), os_version, model }.settled()
}

/// The operating system at the end of a text, if it is one that anybody knows, and what stands before it. Its
/// name may hold hyphens itself: `KFTRWI-Fire-OS`.
fn known_os(text: &str) -> Option<(&str, Os)> {
    let hyphens = text.rmatch_indices('-').take(OS_WORDS_MAX).map(|(at, _)| (&text[..at], &text[at + 1..]));
    let whole = (text.matches('-').count() < OS_WORDS_MAX).then_some(("", text));
    // The longest name counts: `Fire-OS` and not some `OS`.
    hyphens
        .chain(whole)
        .filter_map(|(model, name)| Some((model.trim(), Os::named(name).filter(Os::is_known)?)))
        .last()
}

/// The part behind the last hyphen as an operating system that nobody knows yet. Without a hyphen it is part
/// of a model, such as `Pixel-8`.
fn worded_os(text: &str) -> Option<(&str, Os)> {
    let (model, name) = text.rsplit_once('-')?;
    let os = Os::named(name).filter(|os| os.name().starts_with(|c: char| c.is_ascii_alphabetic()))?;
    Some((model.trim(), os))
}

/// The digits and dots of a version; `None` when the text is none, such as `7c9e`.
fn version(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let is_version =
        digits.starts_with(|c: char| c.is_ascii_digit()) && !rest.starts_with(char::is_alphanumeric);
    is_version.then(|| digits.trim_end_matches('.').to_owned())
}

/// The make of a device from its `device_ver` and its user agent: what the first says counts, the second
/// fills in. When a version came without an operating system, the platform of the app names it.
#[must_use]
pub fn merged(mut from_version: Traits, from_user_agent: Traits, platform: Option<Os>) -> Traits {
    let is_vague = from_version.model.as_deref().is_none_or(says_nothing);
    let told = from_version.os.as_ref().or(platform.as_ref());
    if is_vague && from_user_agent.os == Some(Os::FireOs) && matches!(told, None | Some(Os::Android)) {
        // An app that was built for Android takes Fire OS for it, and tells its version.
        from_version = Traits { os: Some(Os::FireOs), os_version: None, model: None };
    }
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
    .settled()
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
