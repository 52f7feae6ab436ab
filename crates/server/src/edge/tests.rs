use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use measure::platform::{Os, Traits};

use super::{UserAgents, address};

/// The client behind `headers`, one a line, when 10.0.0.0/8 and 2001:db8:1::/48 are trusted.
fn client(peer: &str, headers: &str) -> String {
    let mut map = HeaderMap::new();
    for line in headers.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let trusted = ["10.0.0.0/8".parse().unwrap(), "2001:db8:1::/48".parse().unwrap()];
    let peer: IpAddr = peer.parse().unwrap();
    address::client(peer, &map, &trusted).map_or("unknown".to_owned(), |address| address.to_string())
}

#[test]
fn only_trusted_proxies_are_believed() {
    let rows = [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "X-Forwarded-For: 198.51.100.1", "192.0.2.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "X-Forwarded-For: 198.51.100.1", "198.51.100.1"),
        ("::ffff:10.0.0.1", "X-Forwarded-For: 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "X-Forwarded-For: 203.0.113.9, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "X-Forwarded-For: 203.0.113.9, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "X-Forwarded-For: 203.0.113.9\nX-Forwarded-For: 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "X-Forwarded-For: 10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "X-Forwarded-For: 198.51.100.1:5123", "198.51.100.1"),
        ("10.0.0.1", "X-Forwarded-For: 2001:db8::7", "2001:db8::7"),
        ("10.0.0.1", "X-Forwarded-For: unknown", "unknown"),
        ("10.0.0.1", "X-Forwarded-For: 198.51.100.1, nonsense", "unknown"),
        ("10.0.0.1", "Forwarded: for=198.51.100.1;proto=https", "198.51.100.1"),
        ("10.0.0.1", "Forwarded: proto=https;FOR=\"[2001:db8::7]:4711\"", "2001:db8::7"),
        ("10.0.0.1", "Forwarded: for=203.0.113.9, for=\"[2001:db8::7]\"", "2001:db8::7"),
        ("10.0.0.1", "Forwarded: for=\"x,y\"", "unknown"),
        ("10.0.0.1", "Forwarded: for=_hidden", "unknown"),
        ("10.0.0.1", "Forwarded: by=10.0.0.9", "unknown"),
        ("10.0.0.1", "Forwarded: for=198.51.100.1\nX-Forwarded-For: 203.0.113.9", "198.51.100.1"),
        ("2001:db8:1::5", "X-Forwarded-For: 198.51.100.1", "198.51.100.1"),
    ];
    for (peer, headers, expected) in rows {
        assert_eq!(client(peer, headers), expected, "{peer} {headers}");
    }
}

#[test]
fn user_agents_tell_the_make() {
    const WEBKIT: &str = "AppleWebKit/605.1.15 (KHTML, like Gecko)";
    const CHROME: &str = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Mobile Safari/537.36";
    let iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X)";
    let rows = [
        (format!("Mozilla/5.0 (Linux; Android 10; K) {CHROME}"), Some(Os::Android), "", ""),
        (
            format!("Mozilla/5.0 (Linux; Android 14; Pixel 8 Pro) {CHROME}"),
            Some(Os::Android),
            "14",
            "Pixel 8 Pro",
        ),
        (
            "Dalvik/2.1.0 (Linux; U; Android 13; SM-S911B Build/TP1A.220624.014)".to_owned(),
            Some(Os::Android),
            "13",
            "SM-S911B",
        ),
        (
            format!("{iphone} {WEBKIT} Version/17.5 Mobile/15E148 Safari/604.1"),
            Some(Os::Ios),
            "17.5.1",
            "iPhone",
        ),
        (format!("{iphone} {WEBKIT} Mobile/21F90 Instagram 330.0.0.0"), Some(Os::Ios), "17.5.1", "iPhone"),
        (
            "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 Version/16.6 Mobile/15E148 \
             Safari/604.1"
                .to_owned(),
            Some(Os::Ios),
            "16.6",
            "iPad",
        ),
        ("Shop/1 CFNetwork/1404.0.5 Darwin/22.4.0".to_owned(), Some(Os::Ios), "16.4", ""),
        // The rules know no version of this one; unknown is better than wrong.
        (
            "AppleCoreMedia/1.0.0.21L227 (Apple TV; U; CPU OS 17_4 like Mac OS X; en_us)".to_owned(),
            Some(Os::TvOs),
            "",
            "AppleTV",
        ),
        ("Player/2.1 (tvOS 17.4; en_US)".to_owned(), Some(Os::TvOs), "17.4", ""),
        ("curl/8.5.0".to_owned(), None, "", ""),
        (String::new(), None, "", ""),
        ("x".repeat(5_000), None, "", ""),
    ];
    let user_agents = UserAgents::default();
    for (text, os, version, model) in rows {
        for _cached in [false, true] {
            let traits = user_agents.traits_of(&text);
            assert_eq!(traits.os, os, "{text}");
            assert_eq!(traits.os_version.as_deref().unwrap_or_default(), version, "{text}");
            assert_eq!(traits.model.as_deref().unwrap_or_default(), model, "{text}");
        }
    }
}

#[test]
fn user_agents_of_computers_televisions_and_consoles_tell_their_family() {
    let rows = [
        // Silk on a Fire tablet: of today, reduced, of former years, and as of a computer.
        (
            "Mozilla/5.0 (Linux; Android 9; KFTRWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/98.6.10 like \
             Chrome/98.0.4758.136 Safari/537.36",
            "Fire OS//KFTRWI",
        ),
        (
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Silk/120.1.1 like \
             Chrome/120.0.0.0 Safari/537.36",
            "Fire OS//",
        ),
        (
            "Mozilla/5.0 (Linux; U; en-us; KFTHWI Build/JDQ39) AppleWebKit/535.19 (KHTML, like Gecko) \
             Silk/3.14 Safari/535.19 Silk-Accelerated=true",
            "Fire OS//KFTHWI",
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Silk/98.6.10 like \
             Chrome/98.0.4758.136 Safari/537.36",
            "Fire OS//",
        ),
        (
            "Mozilla/5.0 (Macintosh; U; Intel Mac OS X 10_6_3; en-us; Silk/1.0.146.3-Gen4_12000410) \
             AppleWebKit/533.16 (KHTML, like Gecko) Version/5.0 Safari/533.16 Silk-Accelerated=true",
            "Fire OS//",
        ),
        // Apps on Fire tablets and Fire TV.
        (
            "Mozilla/5.0 (Linux; Android 11; KFRAPWI Build/RS8314.3144N; wv) AppleWebKit/537.36 (KHTML, like \
             Gecko) Version/4.0 Chrome/116.0.0.0 Safari/537.36",
            "Fire OS//KFRAPWI",
        ),
        (
            "Mozilla/5.0 (Linux; Android 7.1.2; AFTMM Build/NS6265; wv) AppleWebKit/537.36 (KHTML, like \
             Gecko) Version/4.0 Chrome/70.0.3538.110 Mobile Safari/537.36",
            "Fire OS//AFTMM",
        ),
        ("Dalvik/2.1.0 (Linux; U; Android 7.1.2; AFTMM Build/NS6265)", "Fire OS//AFTMM"),
        // An app may be called like a model.
        ("KFCUK/3.2 (Linux; Android 14; SM-S911B Build/UP1A)", "Android/14/SM-S911B"),
        ("AFTER/3.2 (iPhone; iOS 17.5; Scale/3.00)", "iOS/17.5/iPhone"),
        // One console of Sony's gives itself out for Amazon's.
        (
            "Mozilla/5.0 (Playstation Vita 3.61) AppleWebKit/537.73 (KHTML, like Gecko) Silk/3.2",
            "playstation//",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
             Version/17.4.1 Safari/605.1.15",
            "macos/10.15.7/",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/124.0.0.0 Safari/537.36",
            "macos/10.15.7/",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:125.0) Gecko/20100101 Firefox/125.0",
            "macos/10.15/",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/124.0.0.0 Safari/537.36",
            "windows/10/",
        ),
        (
            "Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) AppleWebKit/537.36 \
             (KHTML, like Gecko) Chrome/52.0.2743.116 Mobile Safari/537.36 Edge/15.15063",
            "windows phone/10.0/Lumia 950",
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 \
             Safari/537.36",
            "linux//",
        ),
        ("Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0", "linux//"),
        (
            "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/124.0.0.0 Safari/537.36",
            "chrome os/14541.0.0/",
        ),
        (
            "Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/87.0.4280.88 Safari/537.36 WebAppManager",
            "webos//",
        ),
        (
            "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) \
             76.0.3809.146/6.0 TV Safari/537.36",
            "tizen/6.0/",
        ),
        (
            "HbbTV/1.4.1 (+DRM;Samsung;SmartTV2018:UNU7100;T-KTM2DEUC-1290.1;KantM2;2018;) Tizen/4.0 \
             Chrome/56",
            "tizen/4.0/",
        ),
        ("Roku/DVP-9.10 (519.10E04111A)", "roku/9.10/"),
        ("Roku4640X/DVP-7.70 (297.70E04154A)", "roku/7.70/4640X"),
        (
            "Mozilla/5.0 (compatible; U; NETFLIX) AppleWebKit/533.3 (KHTML, like Gecko) Qt/4.7.0 Safari/533.3 \
             Netflix/3.2 (DEVTYPE=RKU-42XXX-; CERTVER=0) QtWebKit/2.2, Roku 3/7.0 (Roku, 4200X, Wireless)",
            "roku/7.0/4200X",
        ),
        // The remote control is an app on a telephone.
        ("Roku/9.0 (iPhone; iOS 17.5; Scale/3.00)", "iOS/17.5/iPhone"),
        (
            "Mozilla/5.0 (X11; Linux armv7l) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/76.0.3809.88 \
             Safari/537.36 CrKey/1.0.999999 VIZIO SmartCast(Conjure/MTKF-5.1.516.1 Model/V505-G9)",
            "smartcast//",
        ),
        (
            "Mozilla/5.0 (X11; Linux armv7l) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/90.0.4430.225 \
             Safari/537.36 CrKey/1.56.500000 DeviceType/Chromecast",
            "chromecast/1.56.500000/",
        ),
        (
            "Mozilla/5.0 (PlayStation; PlayStation 5/2.26) AppleWebKit/605.1.15 (KHTML, like Gecko) \
             Version/13.0 Safari/605.1.15",
            "playstation//PlayStation 5",
        ),
        (
            "Mozilla/5.0 (Phone; OpenHarmony 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/114.0.0.0 \
             Safari/537.36 ArkWeb/4.1.6.1 Mobile",
            "harmonyos//",
        ),
        // HarmonyOS runs the apps of Android up to version 4, and says that it is one.
        (
            "Mozilla/5.0 (Linux; Android 12; HarmonyOS; NOH-AN00; HMSCore 6.12.0.302) AppleWebKit/537.36 \
             (KHTML, like Gecko) Chrome/99.0.4844.88 HuaweiBrowser/14.0.0.322 Mobile Safari/537.36",
            "Android/12/",
        ),
        (
            "Mozilla/5.0 (Linux; Android 12; Quest 2) AppleWebKit/537.36 (KHTML, like Gecko) \
             OculusBrowser/31.0 SamsungBrowser/4.0 Chrome/120.0 VR Safari/537.36",
            "Android/12/Quest 2",
        ),
    ];
    check_makes(&rows);
}

#[test]
fn user_agents_of_apps_tell_the_system_in_brackets() {
    check_makes(&[
        ("Shop/3.4 (com.example.shop; build:7; iOS 17.5.1) Alamofire/5.9", "iOS/17.5.1/"),
        ("Shop/3.4 (com.example.shop; build:7; macOS 14.4.1) Alamofire/5.9", "macos/14.4.1/"),
        ("Shop/3.4 (Tizen/6.0; en)", "tizen/6.0/"),
        ("Shop/3.4 (Macintosh)", "macos//"),
        ("Shop/12 CFNetwork/1494.0.7 Darwin/23.4.0 (x86_64)", "macos//"),
        ("Shop/12 CFNetwork/1494.0.7 Darwin/23.4.0", "iOS//"),
        // As we write it ourselves where none came.
        ("Mozilla/5.0 (iPhone; iOS 13.6.0)", "iOS/13.6.0/iPhone"),
        ("Mozilla/5.0 (MacBookPro18,3; macos 14.4.1)", "macos/14.4.1/"),
        ("Mozilla/5.0 (43UN7100; webos 5.2)", "webos/5.2/"),
        ("Mozilla/5.0 (KFTRWI; Fire OS 7.3)", "Fire OS/7.3/KFTRWI"),
        ("Mozilla/5.0 (iPhone)", "iOS//iPhone"),
        // Those of servers.
        ("test-ua", "//"),
        ("Go-http-client/1.1", "//"),
        ("RudderLabs", "//"),
        ("Segment (Actions)", "//"),
        ("python-requests/2.31 (", "//"),
        ("Shop/3.4 (Toaster 4.0)", "//"),
    ]);
}

/// Compares what user agents tell, as `OS/version/model`.
fn check_makes(rows: &[(&str, &str)]) {
    let user_agents = UserAgents::default();
    for (text, expected) in rows {
        let Traits { os, os_version, model } = user_agents.traits_of(text);
        let os = os.as_ref().map(Os::name).unwrap_or_default();
        let found =
            [os, os_version.as_deref().unwrap_or_default(), model.as_deref().unwrap_or_default()].join("/");
        assert_eq!(&found, expected, "{text}");
    }
}
