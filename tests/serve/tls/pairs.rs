//! Certificates and keys that can be used, and what is said of those that cannot.

use std::error::Error as _;
use std::fs;

use keywire::serve::{Tls, TlsError};

use super::{bytes, localhost};
use crate::support::{Directory, fixture};

#[test]
fn keys_of_all_forms_are_read() {
    // PKCS #8, SEC 1 and PKCS #1.
    for name in ["localhost", "renewed", "rsa"] {
        let (chain, key) = (format!("tls-{name}.pem"), format!("tls-{name}.private.pem"));
        Tls::files(fixture(&chain), fixture(&key)).expect(name);
        Tls::pem(&bytes(&chain), &bytes(&key)).expect(name);
        let both = [bytes(&key), bytes(&chain)].concat();
        Tls::pem(&both, &both).expect(name);
    }
    let chain = [bytes("tls-localhost.pem"), bytes("tls-authority.pem")].concat();
    Tls::pem(&chain, &bytes("tls-localhost.private.pem")).expect("a chain of two");
}

#[test]
fn the_file_and_its_fault_are_named() {
    for (chain, key, text) in [
        ("tls-localhost.pem", "tls-renewed.private.pem", "does not match the first certificate"),
        ("tls-authority.pem", "tls-localhost.private.pem", "does not match the first certificate"),
        ("README.md", "tls-localhost.private.pem", "README.md has no certificate"),
        ("tls-localhost.private.pem", "tls-localhost.private.pem", "private.pem has no certificate"),
        ("tls-localhost.pem", "tls-localhost.pem", "tls-localhost.pem has no private key"),
        ("tls-renewed.pem", "tls-encrypted.private.pem", "is encrypted with a password"),
        ("nothing.pem", "tls-localhost.private.pem", "nothing.pem cannot be read"),
        ("tls-localhost.pem", "nothing.pem", "nothing.pem cannot be read"),
    ] {
        let error = Tls::files(fixture(chain), fixture(key)).expect_err(text);
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(error.source().is_some(), matches!(error, TlsError::Read { .. }), "{error}");
    }
    let directory = Directory::new("tls-large");
    let large = directory.0.join("large.pem");
    fs::write(&large, vec![b'\n'; (1 << 20) + 1]).expect("a file");
    let error = Tls::files(&large, &large).expect_err("too large");
    assert!(error.to_string().contains("large.pem is larger than 1 MiB"), "{error}");
    let nonsense = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let error = Tls::pem(nonsense, &bytes("tls-localhost.private.pem")).expect_err("no certificate");
    assert!(
        error.to_string().contains("the first certificate of the certificate chain is not valid"),
        "{error}"
    );
    let nonsense = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let error = Tls::pem(&bytes("tls-localhost.pem"), nonsense).expect_err("no key");
    assert!(error.to_string().contains("the private key of the key is malformed"), "{error}");
}

#[test]
fn files_that_are_half_written_never_show_their_bytes() {
    let (chain, key) = (bytes("tls-localhost.pem"), bytes("tls-localhost.private.pem"));
    let line = String::from_utf8(key.clone()).expect("PEM").lines().nth(1).expect("a line").to_owned();
    for len in 0..key.len() - 2 {
        let error = Tls::pem(&chain, &key[..len]).expect_err("a half");
        let said = format!("{error} {error:?}");
        assert!(!said.contains(&line[..8]), "{said}");
    }
    for at in 0..key.len() {
        let mut broken = key.clone();
        broken[at] = b'-';
        if let Err(error) = Tls::pem(&chain, &broken) {
            let said = format!("{error} {error:?}");
            assert!(!said.contains(&line[..8]), "{said}");
        }
    }
    let said = format!("{:?}", localhost());
    assert!(said.contains("tls-localhost.pem") && !said.contains(&line[..8]), "{said}");
}
