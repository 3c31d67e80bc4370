use super::*;

fn expected(address: Option<&str>) -> Option<SocketAddr> {
    address.map(|address| address.parse().unwrap())
}

#[test]
fn lists_are_split_outside_of_quotes() {
    let split = |list: &str| {
        let parts = rsplit(list.as_bytes(), b',');
        parts.map(|part| part.map(|part| String::from_utf8(part.to_vec()).unwrap())).collect::<Vec<_>>()
    };
    let parts = |parts: &[&str]| parts.iter().map(|part| Some((*part).to_owned())).collect::<Vec<_>>();
    assert_eq!(split("a,b"), parts(&["b", "a"]));
    assert_eq!(split(""), parts(&[""]));
    assert_eq!(split("a , \t,"), parts(&["", "", "a"]));
    assert_eq!(split("\"a,b\",c"), parts(&["c", "\"a,b\""]));
    assert_eq!(split(r#""a\",b",c"#), parts(&["c", r#""a\",b""#]));
    assert_eq!(split(r#""a\\",b",""#), parts(&[r#"b",""#, r#""a\\""#]));
    assert_eq!(split(r#""a\\\",b",c"#), parts(&["c", r#""a\\\",b""#]));
    assert_eq!(split("\"a,b"), [Some("b".to_owned()), None]);
}

#[test]
fn nodes() {
    for (text, address) in [
        ("192.0.2.1", Some("192.0.2.1:0")),
        ("192.0.2.1:47", Some("192.0.2.1:47")),
        ("192.0.2.1:00047", Some("192.0.2.1:47")),
        ("192.0.2.1:_secret", Some("192.0.2.1:0")),
        ("192.0.2.1:_SE.c-r_3t", Some("192.0.2.1:0")),
        ("2001:db8::1", Some("[2001:db8::1]:0")),
        ("[2001:db8::1]", Some("[2001:db8::1]:0")),
        ("[2001:DB8::1]:47", Some("[2001:db8::1]:47")),
        ("[2001:db8::1]:_x", Some("[2001:db8::1]:0")),
        ("::ffff:192.0.2.1", Some("192.0.2.1:0")),
        ("::ffff:c000:201", Some("192.0.2.1:0")),
        ("[::ffff:192.0.2.1]:47", Some("192.0.2.1:47")),
        ("fe80::1%eth0", Some("[fe80::1]:0")),
        ("[fe80::1%2]:47", Some("[fe80::1]:47")),
        ("unknown", None),
        ("UNKNOWN", None),
        ("unknown:47", None),
        ("_hidden", None),
        ("_hidden:47", None),
        ("", None),
        ("192.0.2.1:", None),
        ("192.0.2.1:65536", None),
        ("192.0.2.1:000047", None),
        ("192.0.2.1:+47", None),
        ("192.0.2.1:-1", None),
        ("192.0.2.1:_", None),
        ("192.0.2.1:_a b", None),
        ("192.0.2.1%eth0", None),
        ("192.0.2.256", None),
        ("192.0.2", None),
        ("0xc0000201", None),
        ("3221225985", None),
        ("192.0.2.01", None),
        ("[192.0.2.1]", None),
        ("[2001:db8::1", None),
        ("2001:db8::1]", None),
        ("[2001:db8::1]47", None),
        ("[[2001:db8::1]]", None),
        ("[fe80::1%]", None),
        ("[fe80::1%a%b]", None),
        ("\"192.0.2.1\"", None),
        ("localhost", None),
        ("192.0.2.1 192.0.2.2", None),
        ("１９２.0.2.1", None),
    ] {
        assert_eq!(node(text.as_bytes()), expected(address), "{text}");
    }
    assert_eq!(node(b"192.0.2.1\xff"), None);
}

#[test]
fn elements() {
    for (text, address) in [
        (&b"for=192.0.2.1"[..], Some("192.0.2.1:0")),
        (b" For=192.0.2.1; proto=https;by=203.0.113.43 ", Some("192.0.2.1:0")),
        (b"proto=http;FOR=\"192.0.2.1:47\"", Some("192.0.2.1:47")),
        (b"for=\"[2001:db8::1]:47\"", Some("[2001:db8::1]:47")),
        (b";for=192.0.2.1; ;", Some("192.0.2.1:0")),
        (b"\tfor\t= 192.0.2.1 ", Some("192.0.2.1:0")),
        (b"by=\"a;b\";for=192.0.2.1", Some("192.0.2.1:0")),
        // What may stand in a quoted string: quoted pairs, separators, any byte from 0x80 on.
        (br#"for="192\.0.2\.\1""#, Some("192.0.2.1:0")),
        (br#"for="\[2001:db8::1\]:4\7""#, Some("[2001:db8::1]:47")),
        (br#"by="_a\"b";for=192.0.2.1"#, Some("192.0.2.1:0")),
        (br#"by="\\";for=192.0.2.1"#, Some("192.0.2.1:0")),
        (br#"for=192.0.2.1;by="\";for=192.0.2.2;x=\"""#, Some("192.0.2.1:0")),
        (b"host=\"caf\xe9, \\\xff\";for=192.0.2.1", Some("192.0.2.1:0")),
        (b"for=\"192.0.2.1:_secret\"", Some("192.0.2.1:0")),
        (b"proto=https", None),
        (b"for=unknown", None),
        (b"for=\"_hidden\"", None),
        (b"for=_gazonk:_port", None),
        (b"for=192.0.2.1;for=192.0.2.2", None),
        (b"for=192.0.2.1;For=192.0.2.1", None),
        (b"for=\"192.0.2.1", None),
        (b"for=192.0.2.1\"", None),
        (br#"for="192.0.2.1\""#, None),
        (br#"for="192.0.2.1\"""#, None),
        (b"for=\"192.0.2.1\" x", None),
        (b"for=\"192.0.2.1\"\"\"", None),
        (b"for=", None),
        (b"for=\"\"", None),
        (b"for", None),
        (b"192.0.2.1", None),
        (b"for=192.0.2.1;x", None),
        (b"for=\xff", None),
        (b";", None),
        (b"", None),
    ] {
        assert_eq!(super::address(text), expected(address), "{}", text.escape_ascii());
    }
}
