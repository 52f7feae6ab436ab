//! Look-back windows as people write them: a duration, or `disabled`.

use measure::policy::Window;
use serde::{Deserialize as _, Deserializer, de::Error as _};

use super::parse_duration;

/// For `#[serde(deserialize_with)]`. Windows count whole seconds.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Window, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim() == "disabled" {
        return Ok(Window::Disabled);
    }
    let seconds = parse_duration(&text).map_err(D::Error::custom)?.as_secs();
    // Whatever does not fit is longer than any window may be.
    Ok(Window::Seconds(u32::try_from(seconds).unwrap_or(u32::MAX)))
}
