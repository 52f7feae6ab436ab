use super::*;

const GOOD: &str = r#"id = 9999
name = "Example"

[[inputs]]
id = "cpi_example_key"
name = "Key"
required = "true"

[[inputs]]
id = "cpi_example_lookback_window"
name = "Lookback"
default = "7"
days = 2

[request]
method = "POST"
url = "https://partner.example/pb?k={context.cpi_example_key}"
json = '{"click": "{click_id}", "v": {revenue}}'

[request.headers]
X-Key = "{context.cpi_example_key}"
"#;

/// A file that differs from a good one by one replacement fails in this line for this reason.
#[track_caller]
fn refused(from: &str, to: &str, line: usize, reason: &str) {
    assert!(GOOD.contains(from), "{from}");
    let error = parse("partners/example.toml", &GOOD.replacen(from, to, 1)).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(&format!("partners/example.toml:{line}: ")), "{text}");
    assert!(text.contains(reason), "{text} does not say {reason}");
}

#[test]
fn a_bad_template_names_file_line_and_reason() {
    assert!(parse("partners/example.toml", GOOD).is_ok());
    refused("id = 9999", "id = 0", 1, "id: must be at least 1");
    refused("id = 9999", "id = \"x\"", 1, "invalid type");
    refused("name = \"Example\"", "name = \" \"", 2, "name: must not be empty");
    refused("name = \"Example\"", "nam = \"Example\"", 2, "unknown field");
    refused("name = \"Example\"", "name = \"Example", 2, "");
    refused("name = \"Example\"", "name = \"Example\"\nkinds = []", 3, "kinds: must not be empty");
    refused("name = \"Example\"", "name = \"Example\"\nkinds = [\"session\"]", 3, "unknown variant");
    refused("name = \"Example\"", "name = \"E\"\nrequired = [\"clickid\"]", 3, "no macro {clickid}");
    refused("name = \"Example\"", "name = \"E\"\nrequired = [\"idfa|a b\"]", 3, "not the name of a macro");
    refused("cpi_example_key\"\nname", "Key-1\"\nname", 5, "inputs.id");
    refused("cpi_example_lookback_window", "cpi_example_key", 10, "asked for twice");
    refused("https://partner", "ftp://partner", 17, "not a usable URL");
    refused("https://partner", "https://{click_id}", 17, "without macros");
    refused("{context.cpi_example_key}\"\njson", "{context.cpi_other}\"\njson", 17, "none of the inputs");
    refused("{click_id}", "{clikc_id}", 18, "no macro {clikc_id}");
    refused("{revenue}}", "{revenue}", 18, "not JSON");
    refused("\"v\": {revenue}", "v: {revenue}", 18, "not JSON");
    refused("X-Key", "Content-Length", 21, "not a header that can be set");
    refused("X-Key", "webhook-id", 21, "not a header that can be set");
    refused("\"POST\"", "\"GET\"", 16, "must be POST");
    refused("\"POST\"", "\"PUT\"", 16, "unknown variant");
    refused("name = \"Example\"", "name = \"Example\"\nfree = true", 3, "free template");
}

#[test]
fn inputs_keep_the_types_they_have_on_the_wire() {
    let shown = shown(&parse("example.toml", GOOD).unwrap());
    assert_eq!(shown["network_id"], 0);
    assert_eq!(shown["platform"], "");
    let inputs: Vec<_> = shown["context_meta"].as_array().unwrap().iter().collect();
    let input = |place: usize| &inputs[place]["input"];
    assert_eq!(*input(0), json!({ "id": "cpi_example_key", "type": "text", "required": "true" }));
    let window = json!({ "id": "cpi_example_lookback_window", "type": "select", "default_value": "7",
                         "options": [{ "value": 1, "label": "1 day" }, { "value": 2, "label": "2 days" }] });
    assert_eq!(*input(1), window);
    assert_eq!(input(2)["id"], "deferred_for");
    assert_eq!(input(2)["default_value"], 0);
    assert_eq!(input(2)["options"][1], json!({ "value": 30_000, "label": "30 Second Delay" }));
    assert_eq!(input(3)["id"], "max_delivery_attempts");
    assert_eq!(input(3)["options"].as_array().unwrap().len(), 11);
    assert_eq!(inputs.len(), 4);
}

#[test]
fn tables_keep_the_order_of_the_file() {
    let file = "id = 1\nname = \"x\"\n[request]\nurl = \"https://a.example/\"\n[request.query]\nz = \"1\"\n\
                a = \"2\"\nm = \"3\"\n";
    let query = parse("x.toml", file).unwrap().request.query;
    assert_eq!(query.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["z", "a", "m"]);
}
