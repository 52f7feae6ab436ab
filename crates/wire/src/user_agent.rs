//! User agents and device strings (ingest.md sections 2 and 12, DECISIONS 15 and 20).

use measure::platform::Traits;

/// The device string that stands in for a user agent nobody sent (DECISIONS 20):
/// `Mozilla/5.0 (<model>; <OS> <version>)`, unknown parts left out. `None` without an operating system,
/// because the string would say nothing.
#[must_use]
pub fn manufactured_user_agent(traits: &Traits) -> Option<String> {
    traits.os.as_ref()?;
    let model = traits.model.as_deref().map(|model| format!("{model}; ")).unwrap_or_default();
    Some(format!("Mozilla/5.0 ({model}{})", traits.os_text()))
}
