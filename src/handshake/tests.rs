use super::*;

fn handshake(uri: &str, headers: &[(&str, &str)]) -> Handshake {
    let mut request = Request::get(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Handshake::new(request.body(()).unwrap())
}

#[test]
fn the_parts_of_a_request_give_the_key_and_the_peer() {
    let peer = SocketAddr::from(([192, 0, 2, 1], 47));
    let request = Request::get("http://example.com/ws/al%2569ce?token=1").extension(PeerAddr(peer));
    let (parts, ()) = request.header("x-badge", "7").body(()).unwrap().into_parts();
    let handshake = Handshake::from_parts(&parts, "/ws");
    assert_eq!(handshake.path_key(), Ok(Some("al%69ce".into())));
    assert_eq!(handshake.peer(), Some(peer));
    assert_eq!(handshake.query("token"), Ok(Some("1".into())));
    assert_eq!(handshake.header("x-badge"), Ok(Some("7")));
}

#[test]
fn the_path_key_is_decoded_and_may_be_empty() {
    let key = |segment: &str| {
        handshake("/", &[])
            .with_path_key(PathKey::encoded(segment))
            .path_key()
            .map(|key| key.map(Cow::into_owned))
    };
    assert_eq!(key("zo%C3%AB%2F1"), Ok(Some("zoë/1".into())));
    assert_eq!(key("a+b"), Ok(Some("a+b".into())));
    assert_eq!(key("100%"), Ok(Some("100%".into())));
    assert_eq!(key(""), Ok(None));
    assert_eq!(key("%FF"), Err(Rejection::Malformed));
}

#[test]
fn a_query_parameter_stands_once() {
    let query = |query: &str| handshake(&format!("/x?{query}"), &[]).query("token");
    assert_eq!(query("a=1&token=a%2Bb+c"), Ok(Some("a+b c".into())));
    assert_eq!(query("tok%65n=1"), Ok(Some("1".into())));
    assert_eq!(query("token"), Ok(Some(String::new())));
    assert_eq!(query("mytoken=1"), Ok(None));
    assert_eq!(query("token=1&token=1"), Err(Rejection::Malformed));
    assert_eq!(query("token=%C0"), Err(Rejection::Malformed));
    // Other parameters may have any encoding.
    assert_eq!(query("nick=%FF&token=1&%FF=2&nick=%C0"), Ok(Some("1".into())));
    assert_eq!(query("token%FF=1"), Ok(None));
}

/// A handshake with lines of one header, as bytes.
fn lines(name: &'static str, lines: &[&[u8]]) -> Handshake {
    let mut request = Request::new(());
    for line in lines {
        request.headers_mut().append(name, HeaderValue::from_bytes(line).unwrap());
    }
    Handshake::new(request)
}

fn cookie(headers: &[&[u8]]) -> Result<Option<String>, Rejection> {
    lines("cookie", headers).cookie("id").map(|value| value.map(str::to_owned))
}

#[test]
fn a_cookie_is_found_in_any_header() {
    let seven = Ok(Some("7".to_owned()));
    assert_eq!(cookie(&[b"a=b; id=7;c=d"]), seven);
    assert_eq!(cookie(&[b"a=b", b"id=\"7\""]), seven);
    assert_eq!(cookie(&[b"id=a=b"]), Ok(Some("a=b".into())));
    assert_eq!(cookie(&[b"id="]), Ok(Some(String::new())));
    assert_eq!(cookie(&[b"xid=7; id; ID=7; =id; =id=7"]), Ok(None));
    assert_eq!(cookie(&[]), Ok(None));
}

#[test]
fn other_cookies_decide_nothing() {
    for other in 0x80..=0xff {
        for foreign in
            [&[b'n', b'=', other][..], &[other, b'=', b'1'], &[other], &[b'i', b'd', other, b'=', b'8']]
        {
            for headers in [
                &[&[foreign, b"; id=7"].concat()[..]][..],
                &[&[b"id=7; ", foreign].concat()],
                &[b"id=7", foreign],
                &[foreign, b"id=7"],
            ] {
                assert_eq!(cookie(headers), Ok(Some("7".into())), "{}", foreign.escape_ascii());
            }
            assert_eq!(cookie(&[foreign]), Ok(None), "{}", foreign.escape_ascii());
        }
    }
    // Only the requested value is checked.
    assert_eq!(cookie(&["id=José".as_bytes()]), Ok(Some("José".into())));
    assert_eq!(cookie(&[b"id=Jos\xe9"]), Err(Rejection::Malformed));
}

/// A browser lets a page of another host set a cookie with this name, so the two must not be confused.
#[test]
fn only_blanks_are_trimmed_off_a_cookie() {
    for space in ["\u{a0}", "\u{2000}", "\u{3000}", "\u{feff}", "\u{85}"] {
        assert_eq!(cookie(&[format!("{space}id=7").as_bytes()]), Ok(None));
        assert_eq!(cookie(&[format!("id{space}=7").as_bytes()]), Ok(None));
    }
    assert_eq!(cookie(&[b"a=1;\t id=7 "]), Ok(Some("7".into())));
}

#[test]
fn two_values_of_a_cookie_are_ambiguous() {
    let ambiguous = Err(Rejection::Ambiguous);
    assert_eq!(cookie(&[b"id=7; id=8"]), ambiguous);
    assert_eq!(cookie(&[b"id=7", b"id=8"]), ambiguous);
    assert_eq!(cookie(&[b"id=7; id=7", b"a=b; id=8"]), ambiguous);
    assert_eq!(cookie(&[b"id=7; id="]), ambiguous);
    assert_eq!(cookie(&[b"id=7; id=\xff"]), ambiguous);
    // Equal values are not ambiguous.
    assert_eq!(cookie(&[b"id=7; id=7", b"id=\"7\""]), Ok(Some("7".into())));
}

#[test]
fn a_header_stands_once_and_is_utf_8() {
    let header =
        |values: &[&[u8]]| lines("x-user", values).header("x-user").map(|value| value.map(str::to_owned));
    assert_eq!(header(&[b"alice"]), Ok(Some("alice".into())));
    assert_eq!(header(&["José".as_bytes()]), Ok(Some("José".into())));
    assert_eq!(header(&[b"Jos\xe9"]), Err(Rejection::Malformed));
    assert_eq!(header(&[b"alice", b"alice"]), Err(Rejection::Malformed));
    assert_eq!(lines("x-other", &[b"\xff"]).header("x-user"), Ok(None));
    assert_eq!(handshake("/", &[]).header("no header"), Ok(None));
}

#[test]
fn a_bearer_token_is_of_that_scheme() {
    let bearer =
        |values: &[&[u8]]| lines("authorization", values).bearer().map(|token| token.map(str::to_owned));
    let good = Ok(Some("abc".to_owned()));
    assert_eq!(bearer(&[b"Bearer abc"]), good);
    assert_eq!(bearer(&[b"bearer  abc"]), good);
    assert_eq!(bearer(&[b"Basic abc"]), Ok(None));
    assert_eq!(bearer(&[b"Bearer "]), Ok(None));
    assert_eq!(bearer(&[b"Bearer"]), Ok(None));
    assert_eq!(bearer(&[b"Bearer abc\xff"]), Err(Rejection::Malformed));
    assert_eq!(bearer(&[b"Bearer abc", b"Bearer abd"]), Err(Rejection::Malformed));
    assert_eq!(bearer(&[b"Bearer abc", b"Bearer abc"]), Err(Rejection::Malformed));
    // Other schemes belong to other parties.
    assert_eq!(bearer(&[b"Digest username=\"Jos\xe9\""]), Ok(None));
    assert_eq!(bearer(&[b"Basic abd", b"Bearer abc"]), good);
    assert_eq!(bearer(&[b"Bearer abc", b"Digest \xff"]), good);
}

#[test]
fn a_subprotocol_that_is_no_text_hides_no_other() {
    let offered = |values: &[&[u8]]| {
        let handshake = lines("sec-websocket-protocol", values);
        handshake.subprotocols().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(offered(&[b"caf\xe9, keywire.v1 ,,chat", b"\xff"]), ["keywire.v1", "chat"]);
    let offer = b"keywire.v1, caf\xe9, base64url.bearer.keywire.c2VzYW1l";
    let handshake = lines("sec-websocket-protocol", &[offer]);
    assert!(handshake.speaks_v1());
    assert_eq!(handshake.protocol_token(), Ok(Some("sesame".into())));
}

#[test]
fn only_a_client_of_keywire_v1_can_be_asked() {
    let dialect = |offer: &[u8]| lines("sec-websocket-protocol", &[offer]).dialect();
    assert_eq!(dialect(b"chat"), Dialect::Plain);
    assert_eq!(dialect(b"answers.keywire"), Dialect::Plain);
    assert_eq!(dialect(b"keywire.v1, answers.keywire.v2"), Dialect::V1);
    assert_eq!(dialect(b"answers.keywire, keywire.v1"), Dialect::V1Answering);
}

#[test]
fn a_token_among_the_subprotocols_is_canonical_and_stands_next_to_keywire_v1() {
    let token = |offered: &[&str]| {
        let headers: Vec<_> = offered.iter().map(|value| ("sec-websocket-protocol", *value)).collect();
        handshake("/", &headers).protocol_token()
    };
    let good = |text: &str| Ok(Some(text.to_owned()));
    let v1 = "keywire.v1";
    assert_eq!(token(&[v1, "base64url.bearer.keywire.c2VzYW1l"]), good("sesame"));
    assert_eq!(token(&["base64url.bearer.keywire.c2VzYW1l, keywire.v1"]), good("sesame"));
    assert_eq!(token(&["keywire.v1, base64url.bearer.keywire.w7_Dvw"]), good("ÿÿ"));
    assert_eq!(token(&[v1, "base64url.bearer.keywire."]), good(""));
    for none in ["keywire.v1", "keywire.v1, base64url.bearer.other.c2VzYW1l", "Base64url.bearer.keywire.YQ"] {
        assert_eq!(token(&[none]), Ok(None), "{none}");
    }
    for bad in [
        "base64url.bearer.keywire.c2VzYW1l",
        "keywire.v2, base64url.bearer.keywire.c2VzYW1l",
        "keywire.v1, base64url.bearer.keywire.YQ, base64url.bearer.keywire.Yg",
        "keywire.v1, base64url.bearer.keywire.YQ, base64url.bearer.keywire.",
        "keywire.v1, base64url.bearer.keywire.YQ==",
        "keywire.v1, base64url.bearer.keywire.YR",
        "keywire.v1, base64url.bearer.keywire.Y",
        "keywire.v1, base64url.bearer.keywire.w7/Dvw",
        "keywire.v1, base64url.bearer.keywire.Y.Q",
        "keywire.v1, base64url.bearer.keywire._w",
    ] {
        assert_eq!(token(&[bad]), Err(Rejection::Malformed), "{bad}");
    }
}

#[test]
fn debug_keeps_credentials_to_itself() {
    let handshake = handshake("/websocket/s3cret?token=s3cret", &[("authorization", "Bearer s3cret")])
        .with_path_key(PathKey::encoded("s3cret"));
    assert!(!format!("{handshake:?}").contains("s3cret"));
}
