//! Devices that do not exist.

/// An iPhone in Safari's words.
pub const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 \
                          (KHTML, like Gecko) Mobile/15E148";
/// A Pixel in Chrome's words.
pub const PIXEL: &str = "Mozilla/5.0 (Linux; Android 14; Pixel 8 Pro) AppleWebKit/537.36 (KHTML, like Gecko) \
                         Chrome/126.0.0.0 Mobile Safari/537.36";

/// An advertising identifier that belongs to number `n` and nobody else.
pub fn advertising_id(n: u64) -> String {
    format!("7c9e6679-7425-40de-944b-{n:012x}")
}

/// A text as a query carries it.
pub fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
