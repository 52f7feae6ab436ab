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
    refused(
        "name = \"Example\"",
        "name = \"E\"\nplatform = \"Androyd\"",
        3,
        "platform: must be one of Android",
    );
}

/// Nobody could send what these say, or no trigger could be saved for a key that it leaves to the template.
#[test]
fn what_no_trigger_could_use_is_refused() {
    let key = "{context.cpi_example_key}\"\n";
    let header = |value: &str| format!("{key}X-Y = \"{value}\"\n");
    refused_at_end(key, &header("a\\r\\nb"), 22, "request.headers.X-Y: must be of printable ASCII");
    refused_at_end(key, &header("é{click_id}"), 22, "request.headers.X-Y: must be of printable ASCII");
    refused("method", "content_type = \"a\\nb\"\nmethod", 16, "request.content_type: must be of printable");
    let defaults = |row: &str, reason: &str| {
        let defaults = format!("[defaults]\nsx_default.revenue = 0\n{row}\n[request]")
            .replace("sx_default.revenue", "\"sx_default.revenue\"");
        refused("[request]", &defaults, 17, &format!("defaults.{reason}"));
    };
    defaults("sx_delivery = \"everyone\"", "sx_delivery: must be all, network");
    defaults("sx_countries = \"Germany\"", "sx_countries: must be countries");
    defaults("sx_all_data = 1", "sx_all_data: must be true or false");
    defaults("sx_network_id = \"x\"", "sx_network_id: must be a whole number");
    defaults("sx_filter = '{\"min\": 1}'", "sx_filter.min: must be");
    defaults("sx_headers = '{\"X-Y\": \"a\\r\\nb\"}'", "sx_headers.X-Y: must be of printable ASCII");
    defaults("sx_body = \"form\"", "sx_body: the template Example has that fixed");
    defaults("sx_rate_cap = \"9/week\"", "sx_rate_cap: must be");
    defaults("sx_sucess_match = \"ok\"", "sx_sucess_match: not a setting");
    defaults("\"sx_default.revenu\" = 0", "sx_default.revenu: there is no macro {revenu}");
    defaults("sx_signing_secret = \"whsec_\"", "sx_signing_secret: is set by triggers only");
    defaults("deferred_for = -5", "deferred_for: must be a whole number from 0 to 600000");
    defaults("max_delivery_attempts = 11", "max_delivery_attempts: must be a whole number from 0 to 10");
    defaults("cpi_example_lookback_window = 8", "cpi_example_lookback_window: is an input with a default");
    refused("cpi_example_lookback_window", "sx_sucess_match", 10, "inputs.sx_sucess_match: not a setting");
    let window = |row: &str| format!("cpi_example_device_id_lookback_window\"\n{row}\nname = \"W");
    let from = "cpi_example_lookback_window\"\nname = \"Lookback\"\ndefault = \"7";
    for row in ["default = \"400\"", "options = [{ value = 0, label = \"none\" }]"] {
        let reason = "inputs.cpi_example_device_id_lookback_window: must be a whole number from 1 to 365";
        refused(from, &window(row), 10, reason);
    }
    refused("days = 2", "days = 366", 10, "inputs.days: must be at most 365");
}

/// As [`refused`], of what stands last.
#[track_caller]
fn refused_at_end(from: &str, to: &str, line: usize, reason: &str) {
    let good = format!("{}{to}", GOOD.strip_suffix(from).unwrap());
    let text = parse("partners/example.toml", &good).unwrap_err().to_string();
    assert!(text.starts_with(&format!("partners/example.toml:{line}: {reason}")), "{text}");
}

#[test]
fn defaults_of_delay_and_retries_are_those_that_are_shown() {
    let file = GOOD
        .replace("[request]\n", "[defaults]\ndeferred_for = 60000\nmax_delivery_attempts = 0\n[request]\n");
    let template = parse("example.toml", &file).unwrap();
    let inputs = &shown(&template)["context_meta"];
    assert_eq!(
        (&inputs[2]["input"]["default_value"], &inputs[3]["input"]["default_value"]),
        (&json!(60_000), &json!(0))
    );
    let off = file.replace("name = \"Example\"", "name = \"Example\"\ndelay = false\nplatform = \"IOS\"");
    let template = parse("example.toml", &off).unwrap();
    assert_eq!(template.default_of("deferred_for").unwrap().text(), "60000");
    assert_eq!(template.platform, "iOS");
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
