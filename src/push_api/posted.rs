use super::answer::Failure;
use super::fields::Fields;
use crate::delivery::Message;
use crate::key::Key;
use crate::message::{Code, Flag, Json, Push};

/// A push in a request.
#[derive(Debug)]
pub(super) struct Posted {
    push: Push,
    keep: Keep,
}

#[derive(Debug)]
enum Keep {
    No,
    Kept,
    Once(String),
}

/// Longest id of a push, in bytes.
const MAX_ONCE: usize = 256;

const LIVE: [&str; 5] = ["code", "msg", "data", "flag", "sender"];
const ALL: [&str; 7] = ["code", "msg", "data", "flag", "sender", "kept", "once"];

impl Posted {
    /// A push that may be kept. `within` is the path to its object.
    pub(super) fn read(json: &str, within: &'static str) -> Result<Self, Failure> {
        let fields = Fields::read(json, within, &ALL)?;
        let is_kept = fields.boolean("kept")?.unwrap_or_default();
        let keep = match fields.string("once")? {
            None if is_kept => Keep::Kept,
            None => Keep::No,
            Some(_) if !is_kept => {
                return Err(fields.bad("once", "needs kept: true, since a log remembers it"));
            }
            Some(once) if once.is_empty() || once.len() > MAX_ONCE => {
                return Err(fields.bad("once", format_args!("must have 1 to {MAX_ONCE} bytes")));
            }
            Some(once) => Keep::Once(once),
        };
        Ok(Self { push: push(&fields)?, keep })
    }

    /// A push to more recipients than a log is for.
    pub(super) fn read_live(json: &str) -> Result<Self, Failure> {
        Ok(Self { push: push(&Fields::read(json, "", &LIVE)?)?, keep: Keep::No })
    }

    pub(super) fn is_kept(&self) -> bool {
        !matches!(self.keep, Keep::No)
    }

    pub(super) fn into_message(self) -> Message {
        match self.keep {
            Keep::No => self.push.into(),
            Keep::Kept => self.push.kept().into(),
            Keep::Once(id) => self.push.kept().once(id).into(),
        }
    }
}

fn push(fields: &Fields<'_>) -> Result<Push, Failure> {
    let code = fields.string("code")?.map_or(Code::DONE, Code::from);
    let mut push = Push::new(code, fields.string("msg")?.unwrap_or_default());
    // The parser has accepted it as a part of the body.
    push.data = fields.json("data").map(|json| Json::trusted(json.to_owned().into()));
    push.flag = fields.string("flag")?.map(Flag::from);
    if push.flag.as_ref().is_some_and(Flag::is_reserved) {
        return Err(fields.bad("flag", "must not begin with kw:, since such flags belong to keywire"));
    }
    let sender = fields.string("sender")?.map(Key::new).transpose();
    push.sender = sender.map_err(|error| fields.bad("sender", error))?;
    Ok(push)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_fields() {
        let json =
            r#"{"code":"17","msg":"hi","data":[1, 2],"flag":"order","sender":"bob","kept":true,"once":"a"}"#;
        let posted = Posted::read(json, "").unwrap();
        assert_eq!(
            posted.push.to_json(),
            r#"{"code":"17","msg":"hi","data":[1, 2],"flag":"order","sender":"bob"}"#
        );
        assert!(matches!(&posted.keep, Keep::Once(id) if id == "a"));
        assert_eq!(Posted::read("{}", "").unwrap().push.to_json(), r#"{"code":"00","msg":""}"#);
    }

    #[test]
    fn each_rule() {
        let long = format!(r#"{{"kept":true,"once":"{}"}}"#, "a".repeat(257));
        for (json, said) in [
            (r#"{"code":0}"#, "push.code: must be a string"),
            (r#"{"msg":"\ud800"}"#, "push.msg: must be a string"),
            (
                r#"{"flag":"kw:ping"}"#,
                "push.flag: must not begin with kw:, since such flags belong to keywire",
            ),
            (r#"{"sender":""}"#, "push.sender: a key must not be empty"),
            (r#"{"kept":1}"#, "push.kept: must be true or false"),
            (r#"{"once":"a"}"#, "push.once: needs kept: true, since a log remembers it"),
            (r#"{"kept":true,"once":""}"#, "push.once: must have 1 to 256 bytes"),
            (&long, "push.once: must have 1 to 256 bytes"),
        ] {
            let error = Posted::read(json, "push.").expect_err(json).into_response().into_body();
            assert_eq!(error, format!(r#"{{"error":"{said}"}}"#), "{json}");
        }
        let error = Posted::read_live(r#"{"kept":true}"#).unwrap_err().into_response().into_body();
        assert!(error.contains("kept: unknown field"), "{error}");
    }
}
