/// A time of the server, `2026-11-26T17:49:00.123456789Z`, in milliseconds since 1970. Only the server's times are compared.
pub(super) fn millis(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|number| number.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut time = time.splitn(3, ':').map(|number| number.parse::<u64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    // Years begin in March here, so that a leap day is the last day of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    const DAYS_TO_1970: u64 = 719_468;
    let seconds = ((days - DAYS_TO_1970) * 24 + hour) * 3600 + minute * 60 + second;
    let millis = format!("{fraction:0<3}")[..3].parse::<u64>().ok()?;
    Some(seconds * 1000 + millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_server_are_read() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.5Z", 500),
            ("2000-02-29T12:00:00.001999Z", 951_825_600_001),
            ("2026-11-26T17:49:00.123456789Z", 1_795_715_340_123),
            ("2100-03-01T00:00:00Z", 4_107_542_400_000),
        ] {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
        for wrong in [
            "",
            "Z",
            "2026-11-26",
            "2026-13-26T00:00:00Z",
            "2026-11-26T00:00:00+01:00",
            "2026-11-26T00:00:00.é00Z",
        ] {
            assert_eq!(millis(wrong), None, "{wrong}");
        }
    }
}
