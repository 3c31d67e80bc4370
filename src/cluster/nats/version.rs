use super::NatsError;

/// The oldest server that the log and presence are tested with.
const OLDEST: ((u64, u64), &str) = ((2, 10), "2.10");

/// Checks that a server has what the log and presence need.
pub(super) fn check(found: &str) -> Result<(), NatsError> {
    let mut numbers = found.split(['.', '-']).map(|number| number.parse::<u64>().unwrap_or_default());
    let version = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let (oldest, needed) = OLDEST;
    if version < oldest { Err(NatsError::TooOld { found: found.to_owned(), needed }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_server_is_refused_by_its_version() {
        for enough in ["2.10.0", "2.10.25", "2.15.1", "2.15.0-RC.1", "3.0.0"] {
            assert!(check(enough).is_ok(), "{enough}");
        }
        for old in ["2.9.10", "1.4.1", "", "two"] {
            let error = check(old).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("the NATS server has version {old}; the log and presence need 2.10 or newer")
            );
        }
    }
}
