//! Validation of the claims of a token whose signature is valid (RFC 7519, section 4.1).

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::refused::Refused;
use crate::key::Key;

/// Requirements for claims.
#[derive(Clone)]
pub(super) struct Rules {
    pub(super) leeway: Duration,
    pub(super) issuer: Option<String>,
    pub(super) audience: Option<String>,
    /// The claim that holds the key.
    pub(super) subject: String,
}

/// The key and the validity period of a token. The leeway extends the period at both ends.
pub(super) struct Subject {
    pub(super) key: Key,
    pub(super) begins_at: Option<SystemTime>,
    pub(super) expires_at: SystemTime,
}

impl Subject {
    /// Whether the token is valid at `now`. A new token, or waiting, can remove each of the two rejections.
    pub(super) fn check_time(&self, now: SystemTime) -> Result<(), Refused> {
        if self.expires_at <= now {
            Err(Refused::EXPIRED)
        } else if self.begins_at.is_some_and(|moment| moment > now) {
            Err(Refused::NOT_YET)
        } else {
            Ok(())
        }
    }
}

impl Rules {
    /// Checks everything except the time. A failure is final, since waiting does not change what the signer wrote.
    pub(super) fn check(&self, claims: &[u8]) -> Result<Subject, Refused> {
        // Fails if a standard claim has a wrong type or occurs twice.
        let standard: Standard = serde_json::from_slice(claims).map_err(|_| STANDARD)?;
        // Fails if any claim is nested too deep, even one that the application does not read.
        let mut all: Map<String, Value> = serde_json::from_slice(claims).map_err(|_| STANDARD)?;
        if self.issuer.is_some() && self.issuer != standard.iss {
            return Err(Refused::invalid("its iss is not the required issuer"));
        }
        // A token with an audience is refused if no audience is configured (section 4.1.3).
        let meant = match (&self.audience, &standard.aud) {
            (None, None) => true,
            (Some(own), Some(Audience::One(one))) => own == one,
            (Some(own), Some(Audience::Many(many))) => many.contains(own),
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !meant {
            return Err(Refused::invalid(match self.audience {
                Some(_) => "its aud is not the required audience",
                None => "it has an aud, and no audience is set",
            }));
        }
        let Some(Value::String(subject)) = all.remove(&self.subject) else {
            return Err(Refused::invalid("the claim that holds the key is missing or no string"));
        };
        let key = Key::new(subject)
            .map_err(|_| Refused::invalid("the claim that holds the key is no valid key"))?;
        let expires_at = standard.exp.0.checked_add(self.leeway).ok_or(STANDARD)?;
        let begins_at = standard.nbf.and_then(|nbf| nbf.0.checked_sub(self.leeway));
        Ok(Subject { key, begins_at, expires_at })
    }
}

const STANDARD: Refused =
    Refused::invalid("its claims are not valid: exp is required, and each has its type");

/// The claims that the standard names. `null` does not count as absent.
#[derive(Deserialize)]
struct Standard {
    exp: Moment,
    #[serde(default, deserialize_with = "given")]
    nbf: Option<Moment>,
    /// Must be a number, but no value is refused: it is the time of signing and does not limit validity (section 4.1.6).
    #[serde(default, deserialize_with = "given", rename = "iat")]
    _iat: Option<f64>,
    #[serde(default, deserialize_with = "given")]
    iss: Option<String>,
    #[serde(default, deserialize_with = "given", rename = "sub")]
    _sub: Option<String>,
    #[serde(default, deserialize_with = "given")]
    aud: Option<Audience>,
    #[serde(default, deserialize_with = "given", rename = "jti")]
    _jti: Option<String>,
}

fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// Seconds since 1970; a fraction is allowed (RFC 7519, section 2, NumericDate).
struct Moment(SystemTime);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(value)?;
        // A time out of range is an error, since it must not make a token without an end.
        let moment = Duration::try_from_secs_f64(seconds)
            .ok()
            .and_then(|since_1970| SystemTime::UNIX_EPOCH.checked_add(since_1970));
        moment.map(Self).ok_or_else(|| serde::de::Error::custom("time out of range"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rejection::Rejection;

    const NOW: u64 = 1_800_000_000;

    fn check(rules: &Rules, claims: &str) -> Result<(String, f64), Rejection> {
        let subject = rules.check(claims.as_bytes())?;
        subject.check_time(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))?;
        let end = subject.expires_at.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Ok((subject.key.to_string(), end.as_secs_f64() - NOW as f64))
    }

    fn rules() -> Rules {
        Rules { leeway: Duration::from_secs(30), issuer: None, audience: None, subject: "sub".into() }
    }

    #[test]
    fn the_boundaries_of_time_are_exact() {
        for (exp, nbf, left) in [
            (json!(NOW), json!(NOW), Ok(30.0)),
            (json!(NOW + 100), json!(NOW + 30), Ok(130.0)),
            (json!(NOW as f64 - 29.5), json!(0), Ok(0.5)),
            (json!(NOW - 30), json!(0), Err(Rejection::Expired)),
            (json!(NOW - 31), json!(0), Err(Rejection::Expired)),
            (json!(NOW), json!(NOW as f64 + 30.5), Err(Rejection::NotYet)),
            (json!(NOW), json!(NOW + 31), Err(Rejection::NotYet)),
            (json!(NOW), json!(NOW * 1000), Err(Rejection::NotYet)),
            (json!(NOW - 31), json!(NOW + 31), Err(Rejection::Expired)),
            (json!(-1), json!(0), Err(Rejection::Invalid)),
            (json!(NOW), json!(-1), Err(Rejection::Invalid)),
            (json!(NOW), json!(1e300), Err(Rejection::Invalid)),
            (json!(u64::MAX), json!(0), Err(Rejection::Invalid)),
            (json!(i64::MAX), json!(0), Err(Rejection::Invalid)),
            (json!(1e300), json!(0), Err(Rejection::Invalid)),
        ] {
            let claims = json!({ "sub": "alice", "exp": exp, "nbf": nbf }).to_string();
            assert_eq!(check(&rules(), &claims), left.map(|left| ("alice".into(), left)), "{claims}");
        }
    }

    #[test]
    fn no_moment_of_signing_refuses() {
        for iat in [
            json!(NOW),
            json!(NOW + 40),
            json!(NOW as f64 + 40.5),
            json!(NOW * 1000),
            json!(u64::MAX),
            json!(1e300),
            json!(-1),
        ] {
            let claims = json!({ "sub": "alice", "exp": NOW, "iat": iat }).to_string();
            assert_eq!(check(&rules(), &claims), Ok(("alice".into(), 30.0)), "{claims}");
        }
        for iat in [json!(null), json!("1800000000"), json!(true), json!([NOW])] {
            let claims = json!({ "sub": "alice", "exp": NOW, "iat": iat }).to_string();
            assert_eq!(check(&rules(), &claims), Err(Rejection::Invalid), "{claims}");
        }
    }

    #[test]
    fn a_claim_that_stands_twice_is_none() {
        for twice in [r#""sub":"alice","sub":"bob""#, r#""sub":"alice","exp":1900000001"#] {
            let claims = format!(r#"{{"exp":1900000000,{twice}}}"#);
            assert_eq!(check(&rules(), &claims), Err(Rejection::Invalid), "{claims}");
        }
    }

    #[test]
    fn another_claim_may_hold_the_key() {
        let rules = Rules { subject: "user_id".into(), ..rules() };
        for (claims, wanted) in [
            (json!({ "user_id": "alice", "exp": NOW }), Ok("alice")),
            (json!({ "user_id": "alice", "sub": "42", "exp": NOW }), Ok("alice")),
            (json!({ "user_id": "alice", "sub": 42, "exp": NOW }), Err(Rejection::Invalid)),
            (json!({ "user_id": 42, "sub": "alice", "exp": NOW }), Err(Rejection::Invalid)),
            (json!({ "sub": "alice", "exp": NOW }), Err(Rejection::Invalid)),
            (json!({ "user_id": "", "exp": NOW }), Err(Rejection::Invalid)),
        ] {
            let key = check(&rules, &claims.to_string()).map(|(key, _)| key);
            assert_eq!(key, wanted.map(ToOwned::to_owned), "{claims}");
        }
    }
}
