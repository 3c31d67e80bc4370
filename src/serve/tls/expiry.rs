//! The end of a certificate's validity (RFC 5280, section 4.1.2.5).

/// The last second of validity, since 1970. `None` if the certificate is not understood.
pub(super) fn of(certificate: &[u8]) -> Option<u64> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    let (_, certificate, _) = element(certificate)?;
    let (_, mut fields, _) = element(certificate)?;
    if fields.first() == Some(&VERSION) {
        fields = element(fields)?.2;
    }
    // The serial number, the algorithm and the issuer.
    for _ in 0..3 {
        fields = element(fields)?.2;
    }
    let (SEQUENCE, validity, _) = element(fields)? else { return None };
    let (.., not_after) = element(validity)?;
    let (tag, time, _) = element(not_after)?;
    seconds(tag, time)
}

/// The tag and content of the first element of DER, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        len @ 0..=0x7f => (usize::from(len), rest),
        0x81..=0x84 => {
            let (len, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (len.iter().fold(0, |len, &byte| len << 8 | usize::from(byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((tag, content, rest))
}

fn seconds(tag: u8, time: &[u8]) -> Option<u64> {
    const UTC: u8 = 0x17;
    const GENERALIZED: u8 = 0x18;
    let (digits, b"Z") = time.split_at_checked(time.len().checked_sub(1)?)? else { return None };
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number =
        |digits: &[u8]| digits.iter().fold(0, |number, &digit| number * 10 + u64::from(digit - b'0'));
    let (year, rest) = match (tag, digits.len()) {
        (UTC, 12) => {
            let year = number(&digits[..2]);
            (if year < 50 { 2000 + year } else { 1900 + year }, &digits[2..])
        }
        (GENERALIZED, 14) => (number(&digits[..4]), &digits[4..]),
        _ => return None,
    };
    let field = |at: usize| number(&rest[2 * at..2 * at + 2]);
    let (month, day) = (field(0), field(1));
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some(((days(year, month, day) * 24 + field(2)) * 60 + field(3)) * 60 + field(4))
}

/// Days from 1970 to a date. A year begins in March here, so that the leap day is its last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    const UNTIL_1970: u64 = 719_468;
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - UNTIL_1970
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_times_are_understood() {
        const UTC: u8 = 0x17;
        const GENERALIZED: u8 = 0x18;
        for (tag, time, expected) in [
            (UTC, "700101000000Z", Some(0)),
            (UTC, "240229120000Z", Some(1_709_208_000)),
            (UTC, "491231235959Z", Some(2_524_607_999)),
            (GENERALIZED, "20500101000000Z", Some(2_524_608_000)),
            (GENERALIZED, "99991231235959Z", Some(253_402_300_799)),
            (UTC, "500101000000Z", None),
            (UTC, "241301000000Z", None),
            (UTC, "24010100000Z", None),
            (UTC, "2401010000xxZ", None),
            (UTC, "", None),
            (GENERALIZED, "240101000000Z", None),
        ] {
            assert_eq!(seconds(tag, time.as_bytes()), expected, "{time}");
        }
    }

    #[test]
    fn any_bytes_may_come() {
        use rustls::pki_types::CertificateDer;
        use rustls::pki_types::pem::PemObject as _;

        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls-localhost.pem");
        let whole = CertificateDer::from_pem_file(path).expect("a certificate");
        assert!(of(&whole).is_some());
        for len in 0..whole.len() {
            assert_eq!(of(&whole[..len]), None, "{len}");
        }
        for at in 0..whole.len().min(300) {
            for byte in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut changed = whole.to_vec();
                changed[at] = byte;
                let _ = of(&changed);
            }
        }
    }
}
