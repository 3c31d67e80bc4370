use super::*;

/// The request of RFC 6455 1.3. Tests replace, double or remove its headers.
fn request() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_static("server.example.com"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers
}

fn get(headers: &HeaderMap) -> Result<Opening, OpeningError> {
    check(head(&Method::GET, Version::HTTP_11, headers))
}

fn head<'a>(method: &'a Method, version: Version, headers: &'a HeaderMap) -> Head<'a> {
    Head { method, version, protocol: None, authority: None, headers }
}

/// The request of RFC 8441 5.1.
fn connect() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("chat, superchat"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers
}

/// The request with these values for a header. No values: the header is missing.
fn with(name: HeaderName, values: &[&'static str]) -> Result<Vec<String>, OpeningError> {
    let mut headers = request();
    headers.remove(&name);
    for value in values {
        headers.append(&name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    get(&headers).map(|opening| opening.protocols)
}

#[test]
fn the_example_of_the_rfc_is_granted() {
    let response = get(&request()).unwrap().response(None);
    assert_eq!(response.status(), 101);
    let headers: Vec<_> = response.headers().iter().map(|(name, value)| (name.as_str(), value)).collect();
    assert_eq!(headers.len(), 3);
    assert_eq!(response.headers()[UPGRADE], "websocket");
    assert_eq!(response.headers()[CONNECTION], "Upgrade");
    assert_eq!(response.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn the_method_and_the_version_of_http() {
    for method in [Method::POST, Method::HEAD, Method::OPTIONS, Method::CONNECT] {
        let headers = request();
        let head = Head { protocol: Some("websocket"), ..head(&method, Version::HTTP_11, &headers) };
        assert_eq!(check(head).unwrap_err(), OpeningError::Method);
    }
    for version in [Version::HTTP_09, Version::HTTP_10, Version::HTTP_2, Version::HTTP_3] {
        let headers = request();
        assert_eq!(check(head(&Method::GET, version, &headers)).unwrap_err(), OpeningError::HttpVersion);
    }
    for version in [Version::HTTP_09, Version::HTTP_10] {
        let headers = connect();
        let head = head(&Method::CONNECT, version, &headers);
        let head = Head { protocol: Some("websocket"), authority: Some("a"), ..head };
        assert_eq!(check(head).unwrap_err(), OpeningError::HttpVersion);
    }
}

#[test]
fn the_example_of_rfc_8441_is_granted() {
    for version in [Version::HTTP_2, Version::HTTP_3] {
        let headers = connect();
        let head = head(&Method::CONNECT, version, &headers);
        let head = Head { protocol: Some("websocket"), authority: Some("server.example.com"), ..head };
        let response = check(head).unwrap().response(Some("chat"));
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers().len(), 1);
        assert_eq!(response.headers()[SEC_WEBSOCKET_PROTOCOL], "chat");
    }
}

#[test]
fn an_extended_connect() {
    use OpeningError as E;
    let websocket = Some("websocket");
    for (method, protocol, authority, header, expected) in [
        (Method::CONNECT, Some("WebSocket"), Some("a:1"), (HOST, "A:1"), None),
        (Method::CONNECT, websocket, Some("a"), (UPGRADE, "h2c"), None),
        (Method::GET, websocket, Some("a"), (HOST, "a"), Some(E::HttpVersion)),
        (Method::POST, websocket, Some("a"), (HOST, "a"), Some(E::HttpVersion)),
        (Method::CONNECT, None, Some("a"), (HOST, "a"), Some(E::Protocol)),
        (Method::CONNECT, Some("connect-udp"), Some("a"), (HOST, "a"), Some(E::Protocol)),
        (Method::CONNECT, Some("websockets"), Some("a"), (HOST, "a"), Some(E::Protocol)),
        (Method::CONNECT, websocket, None, (HOST, "a"), Some(E::Authority)),
        (Method::CONNECT, websocket, Some("a"), (HOST, "b"), Some(E::Authority)),
        (Method::CONNECT, websocket, Some("a"), (HOST, "a:1"), Some(E::Authority)),
        (Method::CONNECT, websocket, Some("a"), (CONTENT_LENGTH, "1"), Some(E::Body)),
        (Method::CONNECT, websocket, Some("a"), (SEC_WEBSOCKET_VERSION, "8"), Some(E::ConnectVersion)),
        (Method::CONNECT, websocket, Some("a"), (SEC_WEBSOCKET_PROTOCOL, "a, a"), Some(E::Protocols)),
    ] {
        let mut headers = connect();
        headers.insert(header.0.clone(), HeaderValue::from_static(header.1));
        let head = Head { protocol, authority, ..head(&method, Version::HTTP_2, &headers) };
        assert_eq!(check(head).err(), expected, "{method} {protocol:?} {authority:?} {header:?}");
    }
    let mut headers = connect();
    headers.remove(SEC_WEBSOCKET_VERSION);
    let head = head(&Method::CONNECT, Version::HTTP_2, &headers);
    let head = Head { protocol: websocket, authority: Some("a"), ..head };
    assert_eq!(check(head).unwrap_err(), E::ConnectVersion);
}

#[test]
fn headers() {
    let good = Ok(vec![]);
    let bad = Err;
    use OpeningError::*;
    for (name, values, expected) in [
        (HOST, &[][..], bad(Host)),
        (HOST, &["a", "b"], bad(Host)),
        (UPGRADE, &[], bad(NotAnUpgrade)),
        (UPGRADE, &["h2c"], bad(NotAnUpgrade)),
        (UPGRADE, &["websockets"], bad(NotAnUpgrade)),
        (UPGRADE, &["h2c,\tWebSocket ,"], good.clone()),
        (UPGRADE, &["h2c", "WEBSOCKET"], good.clone()),
        (UPGRADE, &["caf\u{e9}, websocket"], good.clone()),
        (UPGRADE, &["websocket, \u{ff}", "\u{ff}"], good.clone()),
        (UPGRADE, &["websocket\u{e9}"], bad(NotAnUpgrade)),
        (CONNECTION, &[], bad(Connection)),
        (CONNECTION, &["keep-alive"], bad(Connection)),
        (CONNECTION, &["not-upgrade"], bad(Connection)),
        (CONNECTION, &["keep-alive, upgrade"], good.clone()),
        (CONNECTION, &["keep-alive", "Upgrade"], good.clone()),
        (CONNECTION, &["\u{ff},Upgrade,\u{ff}"], good.clone()),
        (CONNECTION, &["\u{a0}Upgrade"], bad(Connection)),
        (SEC_WEBSOCKET_VERSION, &[], bad(Version)),
        (SEC_WEBSOCKET_VERSION, &["8"], bad(Version)),
        (SEC_WEBSOCKET_VERSION, &["013"], bad(Version)),
        (SEC_WEBSOCKET_VERSION, &["13, 8"], bad(Version)),
        (SEC_WEBSOCKET_VERSION, &["13", "13"], bad(Version)),
        (SEC_WEBSOCKET_KEY, &[], bad(Key)),
        (SEC_WEBSOCKET_KEY, &[""], bad(Key)),
        (SEC_WEBSOCKET_KEY, &["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="], bad(Key)),
        // 15 bytes and 17 bytes, no padding, the other alphabet, trailing bits, not base64.
        (SEC_WEBSOCKET_KEY, &["AAAAAAAAAAAAAAAAAAAA"], bad(Key)),
        (SEC_WEBSOCKET_KEY, &["AAAAAAAAAAAAAAAAAAAAAAA="], bad(Key)),
        (SEC_WEBSOCKET_KEY, &["dGhlIHNhbXBsZSBub25jZQ"], bad(Key)),
        (SEC_WEBSOCKET_KEY, &["____________________8w=="], bad(Key)),
        (SEC_WEBSOCKET_KEY, &["dGhlIHNhbXBsZSBub25jZR=="], bad(Key)),
        (SEC_WEBSOCKET_KEY, &["dGhlIHNhbXBsZSBub25j ?=="], bad(Key)),
    ] {
        assert_eq!(with(name.clone(), values), expected, "{name}: {values:?}");
    }
}

#[test]
fn subprotocols() {
    let good = |protocols: &[&str]| Ok(protocols.iter().map(|&protocol| protocol.to_owned()).collect());
    let bad = || Err(OpeningError::Protocols);
    for (values, expected) in [
        (&["keywire.v1"][..], good(&["keywire.v1"])),
        (&["b,a", "c"], good(&["b", "a", "c"])),
        (&[" b ,, a\t"], good(&["b", "a"])),
        (&["a,A"], good(&["a", "A"])),
        (&[""], bad()),
        (&[","], bad()),
        (&["a b"], bad()),
        (&["a/b"], bad()),
        (&["a;b=c"], bad()),
        (&["é"], bad()),
        (&["a,b,a"], bad()),
        (&["a", "a"], bad()),
    ] {
        assert_eq!(with(SEC_WEBSOCKET_PROTOCOL, values), expected, "{values:?}");
    }
}

#[test]
fn a_subprotocol_is_chosen_out_of_the_offered() {
    let mut headers = request();
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("keywire.v1, base64url.bearer.secret"));
    let opening = get(&headers).unwrap();
    assert_eq!(opening.response(Some("keywire.v1")).headers()[SEC_WEBSOCKET_PROTOCOL], "keywire.v1");
    assert!(!opening.response(Some("keywire.v2")).headers().contains_key(SEC_WEBSOCKET_PROTOCOL));
    assert!(!opening.response(None).headers().contains_key(SEC_WEBSOCKET_PROTOCOL));
    assert!(!format!("{opening:?}").contains("secret"));
}

#[test]
fn a_refusal_tells_what_would_have_been_right() {
    use OpeningError::*;
    let upgrade = [("upgrade", "websocket"), ("connection", "Upgrade")];
    for (error, status, expected) in [
        (HttpVersion, 505, &[][..]),
        (Method, 405, &[("allow", "GET")]),
        (NotAnUpgrade, 426, &upgrade),
        (Version, 426, &[upgrade[0], upgrade[1], ("sec-websocket-version", "13")]),
        (ConnectVersion, 400, &[("sec-websocket-version", "13")]),
        (Protocol, 501, &[]),
        (Authority, 400, &[]),
        (Connection, 400, &[]),
        (Host, 400, &[]),
        (Key, 400, &[]),
        (Protocols, 400, &[]),
    ] {
        assert_eq!(error.status(), status, "{error:?}");
        let headers = error.headers();
        assert_eq!(headers.len(), expected.len(), "{error:?}");
        for &(name, value) in expected {
            assert_eq!(headers[name], value, "{error:?}");
        }
    }
}
