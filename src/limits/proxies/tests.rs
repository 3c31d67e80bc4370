use http::HeaderValue;
use proptest::prelude::*;

use super::*;

/// Where a request comes from that came over 10.0.0.1 or, as given, from elsewhere.
fn resolve(proxies: &TrustedProxies, from: &str, name: &'static str, lines: &[&[u8]]) -> String {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(name, HeaderValue::from_bytes(line).unwrap());
    }
    match proxies.resolve(from.parse().unwrap(), &headers) {
        Some(peer) => peer.to_string(),
        None => NONE.to_owned(),
    }
}

const PROXY: &str = "10.0.0.1:4000";
const NONE: &str = "none";

#[test]
fn x_forwarded_for_is_walked_from_its_end_over_trusted_hops() {
    let proxies =
        TrustedProxies::x_forwarded_for(["10.0.0.0/8", "2001:db8:ffff::/48", "192.0.2.99"]).unwrap();
    for (from, lines, peer) in [
        (PROXY, &["192.0.2.1"][..], "192.0.2.1:0"),
        (PROXY, &["192.0.2.1:555"], "192.0.2.1:555"),
        (PROXY, &["2001:db8::7"], "[2001:db8::7]:0"),
        // The whole way through trusted proxies, also in several lines.
        (PROXY, &["192.0.2.1, 10.9.9.9,192.0.2.99"], "192.0.2.1:0"),
        (PROXY, &["192.0.2.1", "10.9.9.9", "2001:db8:ffff::1"], "192.0.2.1:0"),
        // A client that is in the same network as the proxies.
        (PROXY, &["10.1.1.1, 10.2.2.2"], "10.1.1.1:0"),
        // What a client has put in front does not matter.
        (PROXY, &["127.0.0.1, 192.0.2.1"], "192.0.2.1:0"),
        (PROXY, &["10.0.0.5, 192.0.2.1"], "192.0.2.1:0"),
        (PROXY, &["10.0.0.5", "192.0.2.1, 10.3.3.3"], "192.0.2.1:0"),
        (PROXY, &["\", 192.0.2.1"], "192.0.2.1:0"),
        (PROXY, &["a\"b,\"c, 192.0.2.1, 10.3.3.3"], "192.0.2.1:0"),
        (PROXY, &["é, 192.0.2.1"], "192.0.2.1:0"),
        // Empty elements are none.
        (PROXY, &[", ,192.0.2.1,, "], "192.0.2.1:0"),
        (PROXY, &["192.0.2.1", ""], "192.0.2.1:0"),
        // What cannot be read is no address, and never that of the proxy that wrote it down.
        (PROXY, &["192.0.2.1, unknown"], NONE),
        (PROXY, &["192.0.2.1, _hidden"], NONE),
        (PROXY, &["192.0.2.1, rubbish, 10.3.3.3"], NONE),
        (PROXY, &["192.0.2.1\"x"], NONE),
        (PROXY, &["192.0.2.1", "é"], NONE),
        (PROXY, &["192.0.2.1, unix:"], NONE),
        (PROXY, &["é"], NONE),
        (PROXY, &[""], NONE),
        (PROXY, &[" , "], NONE),
        // A request of the proxy's own.
        (PROXY, &[], PROXY),
        // From somebody else it is not read at all.
        ("192.0.2.50:7", &["192.0.2.1"], "192.0.2.50:7"),
        ("11.0.0.1:7", &["10.0.0.1"], "11.0.0.1:7"),
        ("[2001:db8:fffe::1]:7", &["192.0.2.1"], "[2001:db8:fffe::1]:7"),
        ("[::ffff:11.0.0.1]:7", &["é"], "11.0.0.1:7"),
        // A socket for both versions of IP shows the proxy in another way.
        ("[::ffff:10.0.0.1]:7", &["192.0.2.1"], "192.0.2.1:0"),
        (PROXY, &["192.0.2.1, ::ffff:10.3.3.3"], "192.0.2.1:0"),
    ] {
        let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
        assert_eq!(resolve(&proxies, from, "x-forwarded-for", &lines), peer, "{from} {lines:?}");
    }
    assert_eq!(resolve(&proxies, PROXY, "x-forwarded-for", &[b"192.0.2.1", b"\xff\xfe"]), NONE);
    for byte in 0x80..=0xff {
        for line in [&[byte, b',', b' '][..], &[b'a', byte, b','], &[b'"', byte, b',']] {
            let line = [line, b"192.0.2.1"].concat();
            assert_eq!(resolve(&proxies, PROXY, "x-forwarded-for", &[&line]), "192.0.2.1:0", "{byte}");
        }
    }
    assert_eq!(resolve(&proxies, PROXY, "forwarded", &[b"for=192.0.2.1"]), PROXY, "the other header");
}

#[test]
fn forwarded_is_walked_from_its_end_over_trusted_hops() {
    let proxies = TrustedProxies::forwarded(["10.0.0.0/8"]).unwrap();
    for (lines, peer) in [
        (&["for=192.0.2.1"][..], "192.0.2.1:0"),
        (&["for=\"[2001:db8::1]:47\";proto=https, for=10.2.2.2;by=10.0.0.1"], "[2001:db8::1]:47"),
        (&["for=192.0.2.1", "for=10.2.2.2"], "192.0.2.1:0"),
        (&["for=10.9.9.9, for=192.0.2.1"], "192.0.2.1:0"),
        // An open quote of the client's swallows nothing.
        (&["for=\"10.9.9.9, for=192.0.2.1"], "192.0.2.1:0"),
        (&["for=\"10.9.9.9, for=\"192.0.2.1:5\""], "192.0.2.1:5"),
        (&["for=\"x\\\", for=192.0.2.1"], "192.0.2.1:0"),
        (&[r#"for="x\"#, "for=\"192.0.2.1:5\""], "192.0.2.1:5"),
        (&[r#"for="x\, for=192.0.2.1;by="_a\"b""#], "192.0.2.1:0"),
        (&["for=\"é, for=192.0.2.1"], "192.0.2.1:0"),
        (&[", for=192.0.2.1,"], "192.0.2.1:0"),
        (&["for=192.0.2.1, ", ""], "192.0.2.1:0"),
        (&["for=192.0.2.1, for=unknown"], NONE),
        (&["for=192.0.2.1, for=_obfuscated, for=10.2.2.2"], NONE),
        (&["for=192.0.2.1, proto=https"], NONE),
        (&["for=192.0.2.1;for=192.0.2.2"], NONE),
        (&["for=192.0.2.1, for=\"10.2.2.2"], NONE),
        (&["for=192.0.2.1, for=é"], NONE),
        (&["192.0.2.1"], NONE),
        (&["for=192.0.2.1\""], NONE),
        (&[";"], NONE),
        (&[""], NONE),
        (&[], PROXY),
    ] {
        let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
        assert_eq!(resolve(&proxies, PROXY, "forwarded", &lines), peer, "{lines:?}");
    }
    assert_eq!(resolve(&proxies, PROXY, "x-forwarded-for", &[b"192.0.2.1"]), PROXY, "the other header");
}

#[test]
fn nobody_is_trusted_by_default() {
    for name in ["forwarded", "x-forwarded-for"] {
        for line in [&b"for=192.0.2.1"[..], b"192.0.2.1"] {
            assert_eq!(resolve(&TrustedProxies::default(), "127.0.0.1:7", name, &[line]), "127.0.0.1:7");
        }
    }
}

#[test]
fn networks_are_addresses_with_or_without_a_length() {
    for good in ["10.0.0.0/8", "10.1.2.3/8", "::1", "0.0.0.0/0", "::/0", "fd00::/8", "::/96"] {
        assert!(TrustedProxies::forwarded([good]).is_ok(), "{good}");
    }
    for bad in
        ["", "10.0.0.0/33", "10.0.0/8", "localhost", "10.0.0.1:80", "*", "::ffff:0:0/95", "fe80::1%eth0"]
    {
        let error = TrustedProxies::forwarded(["::1", bad]).unwrap_err();
        assert_eq!(error.to_string(), format!("{bad:?} is neither an address nor a network"));
    }
}

/// All addresses of IPv4 are compared as such.
#[test]
fn networks_of_ipv4_may_be_written_as_ipv6() {
    for (network, trusts, not) in [
        ("::ffff:10.0.0.0/104", "10.255.0.1", "11.0.0.1"),
        ("::ffff:a00:0/104", "10.255.0.1", "11.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
        ("::ffff:10.0.0.1/128", "10.0.0.1", "10.0.0.2"),
        ("::ffff:0:0/96", "198.51.100.1", "2001:db8::1"),
        ("::/0", "2001:db8::1", "198.51.100.1"),
    ] {
        let proxies = TrustedProxies::x_forwarded_for([network]).unwrap();
        let from = |address: &str| SocketAddr::new(address.parse().unwrap(), 7).to_string();
        assert_eq!(
            resolve(&proxies, &from(trusts), "x-forwarded-for", &[b"192.0.2.1"]),
            "192.0.2.1:0",
            "{network}"
        );
        assert_eq!(resolve(&proxies, &from(not), "x-forwarded-for", &[b"192.0.2.1"]), from(not), "{network}");
    }
}

/// The bytes that a client may put into a header's value (RFC 9110, section 5.5), those more often that mean something.
fn invention() -> impl Strategy<Value = Vec<u8>> {
    let meaning = prop::sample::select(&b"\"\\,;=:[]%_ \tfor127.0"[..]);
    prop::collection::vec(prop_oneof![meaning, 0x20u8..0x7f, 0x80u8..], 0..40)
}

proptest! {
    #[test]
    fn nothing_in_front_changes_what_a_proxy_wrote(invention in invention()) {
        let proxies = TrustedProxies::x_forwarded_for(["10.0.0.0/8"]).unwrap();
        for wrote in ["192.0.2.1:5", "192.0.2.1:5, 10.2.2.2"] {
            let line = [&invention[..], b", ", wrote.as_bytes()].concat();
            prop_assert_eq!(resolve(&proxies, PROXY, "x-forwarded-for", &[&line]), "192.0.2.1:5");
            let lines = [&invention[..], wrote.as_bytes()];
            prop_assert_eq!(resolve(&proxies, PROXY, "x-forwarded-for", &lines), "192.0.2.1:5");
        }
        let proxies = TrustedProxies::forwarded(["10.0.0.0/8"]).unwrap();
        for wrote in ["for=\"192.0.2.1:5\"", "for=\"192.0.2.1:5\";by=\"_a\\\"\\\\\", for=10.2.2.2", "by=\"a,b\";for=\"192.0.2.1:5\""] {
            let line = [&invention[..], b", ", wrote.as_bytes()].concat();
            prop_assert_eq!(resolve(&proxies, PROXY, "forwarded", &[&line]), "192.0.2.1:5");
            let lines = [&invention[..], wrote.as_bytes()];
            prop_assert_eq!(resolve(&proxies, PROXY, "forwarded", &lines), "192.0.2.1:5");
        }
        // And alone it is never the proxy.
        for name in ["x-forwarded-for", "forwarded"] {
            let proxies = TrustedProxies::new(proxies_of(name), ["10.0.0.1"]).unwrap();
            prop_assert_ne!(resolve(&proxies, PROXY, name, &[&invention]), PROXY);
        }
    }
}

fn proxies_of(name: &str) -> Header {
    if name == "forwarded" { Header::Forwarded } else { Header::XForwardedFor }
}
