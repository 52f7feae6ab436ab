use super::*;

#[test]
fn a_country_has_two_letters() {
    for (text, expected) in [
        ("DE", Some("DE")),
        ("nz", Some("NZ")),
        (" fr ", Some("FR")),
        ("DEU", None),
        ("D", None),
        ("D1", None),
        ("ß", None),
        ("", None),
    ] {
        assert_eq!(Country::named(text).map(|country| country.to_string()).as_deref(), expected, "{text}");
    }
}
