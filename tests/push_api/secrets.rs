//! Who may use the API.

use std::time::Duration;

use keywire::adapter::push_api::{PushApi, SecretError};
use keywire::auth::RawKey;
use keywire::limits::{Limits, Rate, TrustedProxies};
use keywire::{Config, Hub};

use crate::api::{Api, ROUTES, SECRET, hub, request};
use crate::support::Raw;

const NEW: &str = "a-new-secret-of-32-characters-002";

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn no_route_is_open() {
    let api = Api::start_with(hub(), |api| api.wrong_secrets(None)).await;
    let mut alice = api.tab("alice").await;
    let bearer = |secret: &str| format!("Authorization: Bearer {secret}");
    let (right, longer, shorter) = (bearer(SECRET), bearer(&format!("{SECRET}0")), bearer(&SECRET[1..]));
    let missing = "{\"error\":\"secret missing: send `Authorization: Bearer` with it, once\"}";
    let wrong = "{\"error\":\"wrong secret\"}";
    for route in ROUTES {
        let query = format!("{route}?token={SECRET}&access_token={SECRET}&api_key={SECRET}");
        let (basic, plain) = (format!("Authorization: Basic {SECRET}"), format!("Authorization: {SECRET}"));
        let (header, cookie) = (format!("X-API-Key: {SECRET}"), format!("Cookie: secret={SECRET}"));
        for (what, headers, said) in [
            (route, &[][..], missing),
            (&query, &[], missing),
            (route, &[&*basic], missing),
            (route, &[&plain], missing),
            (route, &[&header, &cookie], missing),
            (route, &[&right, &right], missing),
            (route, &[&right, &longer], missing),
            (route, &["Authorization: Bearer "], missing),
            (route, &[&longer], wrong),
            (route, &[&shorter], wrong),
            (route, &["Authorization: Bearer \u{e9}"], wrong),
        ] {
            let answer = api.ask_openly(what, headers, "").await;
            assert_eq!((answer.status, &*answer.body), (401, said), "{what} {headers:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
        let answer = api.ask_openly(route, &[&format!("authorization: bEARER {SECRET}")], "").await;
        assert_ne!(answer.status, 401, "{route}");
        if route.starts_with("DELETE") {
            assert_eq!(alice.end().await.code, 4505);
        }
    }
}

#[tokio::test]
async fn a_secret_is_replaced_without_a_pause() {
    let both = Api::start_api(hub(), PushApi::new(hub(), [NEW, SECRET]).expect("good secrets")).await;
    let new = Api::start_api(hub(), PushApi::new(hub(), [NEW]).expect("a good secret")).await;
    let status = async |api: &Api, secret: &str| {
        let header = format!("Authorization: Bearer {secret}");
        api.ask_openly("GET /stats", &[&header], "").await.status
    };
    assert_eq!((status(&both, SECRET).await, status(&both, NEW).await), (200, 200));
    assert_eq!((status(&new, SECRET).await, status(&new, NEW).await), (401, 200));
}

#[tokio::test]
async fn an_api_without_a_good_secret_is_not_made() {
    let made = |secrets: &[&str]| PushApi::new(hub(), secrets).map(drop);
    assert!(matches!(made(&[]), Err(SecretError::Missing)));
    assert!(matches!(made(&[""]), Err(SecretError::TooShort)));
    assert!(matches!(made(&[SECRET, "fifteen-bytes-1"]), Err(SecretError::TooShort)));
    assert!(matches!(made(&["sixteen-bytes-01\n"]), Err(SecretError::Character)));
    assert!(made(&["sixteen-bytes-01"]).is_ok());
}

/// The status of a request from this address.
async fn from(api: &Api, address: &str, secret: &str, forwarded: &str) -> u16 {
    let mut raw = Raw::connect_from(address, api.addr).await;
    let headers = [format!("Authorization: Bearer {secret}"), format!("X-Forwarded-For: {forwarded}")];
    raw.write(request("GET /stats", &[&headers[0], &headers[1]], "").as_bytes()).await;
    raw.head().await.status
}

#[tokio::test]
async fn wrong_secrets_of_an_address_have_a_rate_and_right_ones_have_none() {
    let limits = Limits {
        proxies: TrustedProxies::x_forwarded_for(["127.0.0.9"]).expect("a network"),
        ..Limits::default()
    };
    let config = Config { limits, ..Config::default() };
    let hub = Hub::builder(RawKey::from_path()).config(config).build();
    let api = Api::start_with(hub, |api| api.wrong_secrets(Some(Rate::new(2, DAY)))).await;
    for expected in [401, 401, 429, 429] {
        assert_eq!(from(&api, "127.0.0.2", NEW, "").await, expected);
    }
    assert_eq!(from(&api, "127.0.0.2", SECRET, "").await, 200);
    assert_eq!(from(&api, "127.0.0.3", NEW, "").await, 401);
    // Behind a proxy, the client counts.
    assert_eq!(from(&api, "127.0.0.9", NEW, "127.0.0.2").await, 429);
    assert_eq!(from(&api, "127.0.0.9", NEW, "127.0.0.4").await, 401);
    // A client that is none of the proxies cannot claim another address.
    assert_eq!(from(&api, "127.0.0.2", NEW, "127.0.0.5").await, 429);

    let mut raw = Raw::connect_from("127.0.0.2", api.addr).await;
    let header = format!("Authorization: Bearer {NEW}");
    raw.write(request("GET /stats", &[&header], "").as_bytes()).await;
    let answer = raw.head().await;
    assert_eq!(answer.header("retry-after"), Some("60"));
    assert_eq!(answer.body, r#"{"error":"too many wrong secrets"}"#);
}
