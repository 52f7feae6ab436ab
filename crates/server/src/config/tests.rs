use std::{collections::HashMap, io::Write as _};

use figment::{
    Figment,
    providers::{Format as _, Toml},
};

use measure::policy::Window;

use super::{Asn, Cli, Config, DEFAULTS, LogFormat, load, parse_duration, source};

fn from_environment(variables: &[(&str, &str)]) -> Result<Config, String> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load(&Cli::default(), variables).map(|(config, _)| config).map_err(|error| error.to_string())
}

fn from_file(text: &str) -> Result<Config, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let cli = Cli { file: Some(file.path().to_owned()), settings: Vec::new() };
    load(&cli, []).map(|(config, _)| config).map_err(|error| error.to_string())
}

#[test]
fn the_defaults_are_whole_and_those_of_the_rules() {
    let config = from_environment(&[]).unwrap();
    assert_eq!(config.policy(), measure::policy::Policy::default());
    assert_eq!(config.commit_wait().as_millis(), 250);
    assert!(!config.attribution.resolve_adservices_token && !config.skad.accept_development_postbacks);
}

#[test]
fn every_default_is_explained() {
    let mut explained = false;
    for line in DEFAULTS.lines() {
        if line.contains(" = ") && !line.starts_with('#') {
            assert!(explained, "{line}");
        } else {
            explained = line.starts_with('#');
        }
    }
}

#[test]
fn no_two_settings_have_one_environment_name() {
    let settings = source::names(&Figment::from(Toml::string(DEFAULTS))).unwrap();
    let mut names = HashMap::new();
    for (setting, _) in settings {
        let name = source::environment_name(&setting);
        assert!(!source::OTHER_NAMES.contains(&name.as_str()), "{name}");
        assert!(!source::SHORT_NAMES.iter().any(|(short, _)| *short == name), "{name}");
        assert_eq!(names.insert(name.clone(), setting), None, "{name}");
    }
}

#[test]
fn the_environment_is_read_by_the_type_of_the_default() {
    let config = from_environment(&[
        ("SEXTANT_COURIER_ALLOW_TARGETS", "127.0.0.0/8, 2001:db8::/32"),
        ("SEXTANT_TRACKING_ACCEPT_CLICK_TIME", "true"),
        ("SEXTANT_SERVER_ADMIN_LISTEN", "127.0.0.1:0"),
        ("SEXTANT_LIMITS_APP_REQUESTS_PER_SECOND", "7"),
        ("SEXTANT_INGEST_HOLD", "2h"),
        ("SEXTANT_LOG_FORMAT", "json"),
        ("SEXTANT_GEO_ANONYMOUS_DATABASE", "asn.mmdb"),
        ("SEXTANT_GEO_ANONYMOUS_ASNS", "64500, AS64501"),
        ("SEXTANT_ATTRIBUTION_WINDOWS_CLICK_MODELED", "90m"),
        ("SEXTANT_ATTRIBUTION_WINDOWS_IMPRESSION_MODELED", "disabled"),
        ("SEXTANT_BOOTSTRAP_KEY", "ignored here"),
        ("PATH", "/bin"),
    ])
    .unwrap();
    assert_eq!(config.courier.allow_targets.len(), 2);
    assert!(config.tracking.accept_click_time && config.server.admin_listen.is_some());
    assert_eq!((config.app_requests_per_second(), config.policy().hold_ms), (7, 7_200_000));
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.geo.anonymous_asns, [Asn(64_500), Asn(64_501)]);
    let windows = config.policy().windows;
    assert_eq!(windows.click_device, Some(Window::Seconds(30 * 86_400)));
    assert_eq!(windows.click_modeled, Some(Window::Seconds(90 * 60)));
    assert_eq!(windows.impression_modeled, Some(Window::Disabled));
}

#[test]
fn what_kubernetes_puts_into_the_environment_is_passed_over() {
    let of_service = [
        ("SEXTANT_SERVICE_HOST", "10.0.0.1"),
        ("SEXTANT_SERVICE_PORT", "80"),
        ("SEXTANT_SERVICE_PORT_HTTP", "80"),
        ("SEXTANT_PORT", "tcp://10.0.0.1:80"),
        ("SEXTANT_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("SEXTANT_PORT_80_TCP_PROTO", "tcp"),
        ("SEXTANT_PORT_80_TCP_PORT", "80"),
        ("SEXTANT_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("SEXTANT_ADMIN_SERVICE_HOST", "10.0.0.2"),
        ("SEXTANT_ADMIN_PORT", "udp://10.0.0.2:80"),
        ("SEXTANT_ADMIN_PORT_80_UDP_ADDR", "10.0.0.2"),
    ];
    assert_eq!(from_environment(&of_service).unwrap().policy(), measure::policy::Policy::default());
    for (name, value) in [
        ("SEXTANT_PORT", "8080"),
        ("SEXTANT_PORT_HTTP", "80"),
        ("SEXTANT_HOST", "10.0.0.1"),
        ("SEXTANT_SERVICE", "tcp://10.0.0.1:80"),
    ] {
        let error = from_environment(&[(name, value)]).err().unwrap_or_else(|| panic!("{name} was taken"));
        assert!(error.contains(name), "{name}: {error}");
    }
}

#[test]
fn a_truth_is_a_word_or_a_digit() {
    let check = |name: &str, value: &str, of: fn(&Config) -> bool, expected: bool| {
        assert_eq!(of(&from_environment(&[(name, value)]).unwrap()), expected, "{name}={value}");
    };
    for (value, expected) in [("true", true), ("1", true), (" 1 ", true), ("false", false), ("0", false)] {
        check(
            "SEXTANT_TRACKING_ACCEPT_CLICK_TIME",
            value,
            |config| config.tracking.accept_click_time,
            expected,
        );
    }
    for wrong in ["2", "-1", "01", "yes"] {
        assert!(from_environment(&[("SEXTANT_TRACKING_ACCEPT_CLICK_TIME", wrong)]).is_err(), "{wrong}");
    }
}

#[test]
fn nonsense_is_refused_by_name() {
    let check = |outcome: Result<Config, String>, name: &str| {
        let error = outcome.err().unwrap_or_else(|| panic!("{name} was taken"));
        assert!(error.contains(name), "{name}: {error}");
    };
    check(from_environment(&[("SEXTANT_INGEST_HLOD", "1h")]), "SEXTANT_INGEST_HLOD");
    check(from_environment(&[("SEXTANT_INGEST_HOLD", "soon")]), "SEXTANT_INGEST_HOLD");
    check(from_environment(&[("SEXTANT_TRACKING_ACCEPT_CLICK_TIME", "yes")]), "tracking.accept_click_time");
    check(from_environment(&[("SEXTANT_SERVER_LISTEN", "here")]), "server.listen");
    check(from_environment(&[("SEXTANT_COURIER_ALLOW_TARGETS", "10.0.0.0/99")]), "courier.allow_targets");
    check(
        from_environment(&[("SEXTANT_COURIER_ALLOW_TARGETS", "10.0.0.0/8,10.0.0.0/99")]),
        "(in SEXTANT_COURIER_ALLOW_TARGETS)",
    );
    check(from_environment(&[("SEXTANT_LOG_LEVEL", "info,courier=loud")]), "log.level");
    check(from_environment(&[("SEXTANT_SERVER_PUBLIC_URL", "link.example.com")]), "server.public_url");
    check(from_environment(&[("SEXTANT_SERVER_TLS_CERT", "a.pem")]), "server.tls_key");
    check(from_environment(&[("SEXTANT_PUBLISHER_API_DUPLICATE_STATUS", "500")]), "duplicate_status");
    check(from_environment(&[("SEXTANT_POSTBACKS_HOLD_INSTALL", "11m")]), "postbacks.hold_install");
    check(from_environment(&[("SEXTANT_ATTRIBUTION_ADSERVICES_WAIT", "26s")]), "attribution.adservices_wait");
    check(from_environment(&[("SEXTANT_ATTRIBUTION_ADSERVICES_URL", "ftp://a/")]), "adservices_url");
    check(from_environment(&[("SEXTANT_GEO_ANONYMOUS_ASNS", "64500")]), "geo.anonymous_database");
    check(from_environment(&[("SEXTANT_GEO_ANONYMOUS_ASNS", "cloud")]), "geo.anonymous_asns");
    check(from_environment(&[("SEXTANT_LIMITS_BODIES_IN_FLIGHT", "1000")]), "limits.bodies_in_flight");
    for (name, value) in [
        ("CLICK_DEVICE", "31d"),
        ("CLICK_MODELED", "59s"),
        ("IMPRESSION_DEVICE", "25h"),
        ("IMPRESSION_MODELED", "off"),
    ] {
        let variable = format!("SEXTANT_ATTRIBUTION_WINDOWS_{name}");
        check(from_environment(&[(&variable, value)]), "attribution.windows.");
    }
    check(from_file("[attribution.windows]\nclick = \"1h\""), "click");
    check(from_environment(&[("SEXTANT_COURIER_CONCURRENCY", "0")]), "courier.concurrency");
    check(from_environment(&[("SEXTANT_COURIER_CONCURRENCY", "4097")]), "courier.concurrency");
    check(from_environment(&[("SEXTANT_COURIER_HOST_CONCURRENCY", "4097")]), "courier.host_concurrency");
    check(from_environment(&[("SEXTANT_COURIER_CONNECT_TIMEOUT", "0s")]), "courier.connect_timeout");
    check(from_environment(&[("SEXTANT_COURIER_CONNECT_TIMEOUT", "11s")]), "courier.connect_timeout");
    check(from_environment(&[("SEXTANT_COURIER_TOTAL_TIMEOUT", "61s")]), "courier.total_timeout");
    check(from_file("[ingest]\nholt = \"1h\""), "holt");
    check(from_file("[no_section]\na = 1"), "no_section");
    check(from_file("not toml"), "configuration");
    let missing = Cli { file: Some("/no/such/file".into()), settings: Vec::new() };
    check(load(&missing, []).map(|(config, _)| config).map_err(|error| error.to_string()), "/no/such/file");
}

#[test]
fn the_later_source_wins_and_is_named() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"[ingest]\nhold = \"1h\"\n[click]\ncommit_wait = \"1s\"\n[log]\nlevel = \"warn\"")
        .unwrap();
    let cli = Cli {
        file: Some(file.path().to_owned()),
        settings: vec![("server.listen", "127.0.0.1:1".to_owned())],
    };
    let environment = [
        ("SEXTANT_CLICK_COMMIT_WAIT".to_owned(), "2s".to_owned()),
        ("SEXTANT_SERVER_LISTEN".to_owned(), "127.0.0.1:2".to_owned()),
    ];
    let (config, effective) = load(&cli, environment).unwrap();
    assert_eq!(config.server.listen.port(), 1);
    assert_eq!(config.click.commit_wait.as_secs(), 2);
    let check = |name: &str, value: &str, source: &str| {
        let setting = effective.iter().find(|setting| setting.name == name).unwrap();
        assert_eq!((setting.value.as_str(), setting.source.as_str()), (value, source), "{name}");
    };
    let path = file.path().display().to_string();
    check("server.listen", "\"127.0.0.1:1\"", "command line");
    check("click.commit_wait", "\"2s\"", "SEXTANT_CLICK_COMMIT_WAIT");
    check("ingest.hold", "\"1h\"", &path);
    check("log.format", "\"human\"", "default");
    check("attribution.resolve_adservices_token", "false", "default");
    check("publisher_api.duplicate_status", "409", "default");
    check("courier.allow_targets", "[]", "default");
}

#[test]
fn durations_have_units() {
    let check = |text: &str, milliseconds: Option<u128>| {
        assert_eq!(parse_duration(text).ok().map(|duration| duration.as_millis()), milliseconds, "{text}");
    };
    check("250ms", Some(250));
    check("30 s", Some(30_000));
    check("10m", Some(600_000));
    check("24h", Some(86_400_000));
    check("30d", Some(2_592_000_000));
    check("5", Some(5_000));
    check("", None);
    check("-1s", None);
    check("1.5h", None);
    check("1w", None);
    check("99999999999999999999s", None);
}

#[test]
fn short_names_count_as_the_environment_and_are_named() {
    let variables = [
        ("SEXTANT_LISTEN", "127.0.0.1:7"),
        ("SEXTANT_SERVER_LISTEN", "127.0.0.1:8"),
        ("SEXTANT_DATA_DIR", "/d"),
    ];
    let variables = || variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let check = |settings: Vec<(&'static str, String)>, name: &str, value: &str, source: &str| {
        let (_, effective) = load(&Cli { file: None, settings }, variables()).unwrap();
        let setting = effective.iter().find(|setting| setting.name == name).unwrap();
        assert_eq!((setting.value.as_str(), setting.source.as_str()), (value, source), "{name}");
    };
    check(vec![], "server.listen", "\"127.0.0.1:7\"", "SEXTANT_LISTEN");
    check(vec![], "server.data_dir", "\"/d\"", "SEXTANT_DATA_DIR");
    check(
        vec![("server.listen", "127.0.0.1:9".to_owned())],
        "server.listen",
        "\"127.0.0.1:9\"",
        "command line",
    );
    let wrong = load(&Cli::default(), [("SEXTANT_LISTEN".to_owned(), "here".to_owned())]);
    let error = wrong.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("server.listen") && error.contains("SEXTANT_LISTEN"), "{error}");
}
