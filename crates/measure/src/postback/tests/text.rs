use proptest::prelude::*;

use super::super::text::{
    Filling, Piece, REQUEST_BYTES_MAX, Token, is_closed_json, pieces, render_json, render_url, tokens,
};

fn fill<'v>(data: &'v [(&str, &str)], token: Token<'_>) -> Option<Filling<'v>> {
    let (_, value) = data.iter().find(|(key, _)| *key == token.name)?;
    Some(Filling::Text((*value).into()))
}

fn check(template: &str, data: &[(&str, &str)], expected: &str) {
    assert_eq!(render_url(template, |token| fill(data, token)).unwrap(), expected, "{template}");
}

fn check_json(template: &str, filling: Option<Filling<'_>>, expected: &str) {
    assert_eq!(render_json(template, |_| filling.clone()).unwrap(), expected, "{template}");
}

/// The vendor's hiring exercise (postbacks.md section 9), byte for byte.
#[test]
fn the_vendors_exercise() {
    let url = "http://partner.example/data?title={mascot}&image={location}&foo={bar}";
    let gopher = [("mascot", "Gopher & Co"), ("location", "https://blog.example/gopher.png")];
    check(
        url,
        &gopher,
        "http://partner.example/data?title=Gopher%20%26%20Co&image=https%3A%2F%2Fblog.example%2Fgopher.png&foo=",
    );
    check(url, &[("mascot", "Crab")], "http://partner.example/data?title=Crab&image=&foo=");
}

#[test]
fn braces_that_are_no_token_stay() {
    let data = [("a", "1"), ("b", "2")];
    check("{a}{b}", &data, "12");
    check("{{a}}", &data, "{1}");
    check("{ a }", &data, "{ a }");
    check("{a", &data, "{a");
    check("a}", &data, "a}");
    check("{}", &data, "{}");
    check("{a-b}", &data, "{a-b}");
    check("{a:}", &data, "{a:}");
    check("{a:ABC}", &data, "{a:ABC}");
    check("{a:toolongfo}", &data, "{a:toolongfo}");
    check("{a:format}", &data, "1");
    check("x{a{b}", &data, "x{a2");
    check("{ä}{a}", &data, "{ä}1");
}

#[test]
fn a_name_has_at_most_64_bytes() {
    for (length, is_token) in [(64, true), (65, false)] {
        assert_eq!(tokens(&format!("{{{}}}", "n".repeat(length))).count() == 1, is_token, "{length}");
    }
}

#[test]
fn only_unreserved_characters_go_unencoded() {
    check("{a}", &[("a", "azAZ09-._~")], "azAZ09-._~");
    check(
        "{a}",
        &[("a", "/?#[]@!$&'()*+,;=:% ")],
        "%2F%3F%23%5B%5D%40%21%24%26%27%28%29%2A%2B%2C%3B%3D%3A%25%20",
    );
    check("{a}", &[("a", "é\r\n\0")], "%C3%A9%0D%0A%00");
}

#[test]
fn a_value_that_looks_like_a_macro_is_not_one() {
    check("{a}", &[("a", "{b}"), ("b", "2")], "%7Bb%7D");
    check_json(r#"{"x":"{a}"}"#, Some(Filling::Text("{a}".into())), r#"{"x":"{a}"}"#);
}

#[test]
fn json_values_keep_their_type() {
    let number = || Some(Filling::Number("19.90".into()));
    check_json(r#"{"v":{event_value}}"#, number(), r#"{"v":19.90}"#);
    check_json(r#"{"v":"{event_value}"}"#, number(), r#"{"v":"19.90"}"#);
    check_json(r#"{"v":{a}}"#, Some(Filling::Number("1,5".into())), r#"{"v":"1,5"}"#);
    check_json(r#"{"v":{a}}"#, Some(Filling::Number("007".into())), r#"{"v":"007"}"#);
    check_json(
        r#"{"v":{a}}"#,
        Some(Filling::Text("say \"x\"\\\n\u{1}".into())),
        r#"{"v":"say \"x\"\\\n\u0001"}"#,
    );
    check_json(r#"{"v":"<{a}>"}"#, Some(Filling::Text("\"".into())), r#"{"v":"<\">"}"#);
    check_json(
        r#"{"v":{a},"w":"{a}"}"#,
        Some(Filling::Json("[1,\"x\"]".into())),
        r#"{"v":[1,"x"],"w":"[1,\"x\"]"}"#,
    );
    check_json(r#"{"v":{a},"w":"{a}"}"#, None, r#"{"v":null,"w":""}"#);
    check_json(r#"{"q":"\"{a}","v":{a}}"#, number(), r#"{"q":"\"19.90","v":19.90}"#);
}

#[test]
fn a_json_template_closes_what_it_opens() {
    for (template, closed) in [
        (r#"{"a":[1,{b}],"c":"{d}"}"#, true),
        (r#"{"a":"}"}"#, true),
        (r#"{"a":"\"}"}"#, true),
        (r#"{"a":1"#, false),
        (r#"{"a":[1}]"#, false),
        (r#"{"a":"1}"#, false),
        ("[1]]", false),
    ] {
        assert_eq!(is_closed_json(template), closed, "{template}");
    }
}

#[test]
fn what_grows_too_long_is_not_rendered() {
    let long = "x".repeat(REQUEST_BYTES_MAX / 3);
    let value = || Some(Filling::Text(long.as_str().into()));
    assert!(render_url("{a}{b}", |_| value()).is_some());
    assert!(render_url("{a}{b}{c}{d}", |_| value()).is_none());
    assert!(render_json("[{a},{b},{c},{d}]", |_| value()).is_none());
}

/// Undoes percent-encoding.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        if *first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&after[..2]).unwrap(), 16).unwrap());
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// Texts that are likely to contain macros.
fn any_template() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[{}:]{1,3}",
        "\\{[a-z_.]{1,6}(:iso)?\\}",
        "[a-z\"\\\\/?&=\\[\\] ]{0,6}",
        any::<String>()
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn pieces_lose_nothing(template in any_template()) {
        let written: String = pieces(&template)
            .map(|piece| match piece {
                Piece::Text(text) => text.to_owned(),
                Piece::Token(Token { name, format: None }) => format!("{{{name}}}"),
                Piece::Token(Token { name, format: Some(format) }) => format!("{{{name}:{format}}}"),
            })
            .collect();
        prop_assert_eq!(written, template);
    }

    #[test]
    fn a_value_comes_out_encoded_and_whole(value in any::<String>()) {
        let out = render_url("{a}", |_| Some(Filling::Text(value.as_str().into()))).unwrap();
        prop_assert!(out.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)), "{}", out);
        prop_assert_eq!(decode(&out), value);
    }

    /// Rendering again changes nothing but the template's own leftovers: every token was replaced in the
    /// first pass, and none came in with a value.
    #[test]
    fn one_pass_replaces_each_token_once(template in any_template(), value in any_template()) {
        let mut seen = Vec::new();
        let out = render_url(&template, |token| {
            seen.push(token.name.to_owned());
            Some(Filling::Text(value.as_str().into()))
        });
        let expected: Vec<_> = tokens(&template).map(|token| token.name.to_owned()).collect();
        prop_assert_eq!(&seen, &expected);
        let encoded = render_url("{a}", |_| Some(Filling::Text(value.as_str().into()))).unwrap();
        let whole: String = pieces(&template)
            .map(|piece| if let Piece::Text(text) = piece { text } else { encoded.as_str() })
            .collect();
        prop_assert_eq!(out, Some(whole));
    }

    #[test]
    fn a_json_text_stays_closed_whatever_the_value(value in any::<String>(), number in any::<bool>()) {
        let template = r#"{"a":"{x}","b":{x},"c":["{x}",{x}]}"#;
        let out = render_json(template, |_| {
            let text = value.as_str().into();
            Some(if number { Filling::Number(text) } else { Filling::Text(text) })
        });
        // The renderer must not be its own judge: cut the strings out by hand and look at the skeleton.
        let mut skeleton = String::new();
        let mut in_string = false;
        let mut escaped = false;
        for c in out.unwrap().chars() {
            prop_assert!(c >= ' ', "a raw control character");
            if !in_string {
                skeleton.push(c);
            }
            match c {
                _ if escaped => escaped = false,
                '\\' if in_string => escaped = true,
                '"' => in_string = !in_string,
                _ => {}
            }
        }
        prop_assert!(!in_string);
        let bare = if number && serde_number(&value) { value.as_str() } else { "\"" };
        let expected = format!("{{\":\",\":{bare},\":[\",{bare}]}}");
        prop_assert_eq!(skeleton, expected);
    }

    #[test]
    fn arbitrary_templates_render(template in any_template()) {
        let _ = render_json(&template, |_| Some(Filling::Text("v".into())));
        let _ = is_closed_json(&template);
    }
}

/// A number as JSON writes it, read another way than the renderer does.
fn serde_number(text: &str) -> bool {
    let ascii = !text.is_empty() && text.bytes().all(|b| b"0123456789+-.eE".contains(&b));
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let leads = unsigned.bytes().next().is_some_and(|b| b.is_ascii_digit());
    let padded = unsigned.len() > 1 && unsigned.starts_with('0') && unsigned.as_bytes()[1].is_ascii_digit();
    let bare_point = unsigned.ends_with('.') || unsigned.contains(".e") || unsigned.contains(".E");
    ascii && leads && !padded && !bare_point && text.parse::<f64>().is_ok()
}
