use super::IdempotencyKey;

#[test]
fn a_key_is_kept_as_its_digest() {
    let check = |key: &str, expected: &str| {
        let kept = IdempotencyKey::sent("header", key);
        assert_eq!((kept.source.as_str(), kept.key.as_str()), ("header", expected), "{key}");
    };
    check("abc", "ba7816bf8f01cfea414140de5dae2223");
    check("", "e3b0c44298fc1c149afbf4c8996fb924");
}
