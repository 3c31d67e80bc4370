use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::answer::Failure;
use crate::excerpt::Excerpt;

/// The fields of a JSON object, unparsed, so that an error can name the field. A field that is `null` is absent.
#[cfg_attr(test, derive(Debug))]
pub(super) struct Fields<'a> {
    /// Where the object is: empty, or the path to it with a dot.
    within: &'static str,
    list: Vec<Field<'a>>,
}

#[cfg_attr(test, derive(Debug))]
struct Field<'a> {
    name: Cow<'a, str>,
    value: &'a str,
}

/// The most fields that are read, so that a body of empty fields does not take many times its size.
const MAX: usize = 64;

impl<'a> Fields<'a> {
    /// Reads an object that has no other fields than these, and none twice.
    pub(super) fn read(json: &'a str, within: &'static str, known: &[&str]) -> Result<Self, Failure> {
        let whole = if within.is_empty() { "body" } else { within.trim_end_matches('.') };
        let Object(list) = serde_json::from_str(json).map_err(|error| match error.is_data() {
            // serde's own words would repeat the client's.
            true => Failure::bad(whole, format_args!("must be an object of at most {MAX} fields")),
            false => {
                let (line, column) = (error.line(), error.column());
                Failure::bad(whole, format_args!("must be JSON, and is not in line {line}, column {column}"))
            }
        })?;
        for (index, Field { name, .. }) in list.iter().enumerate() {
            let fault = match () {
                () if !known.contains(&&**name) => format!("unknown field; there are {}", known.join(", ")),
                () if list[..index].iter().any(|other| other.name == *name) => "there twice".to_owned(),
                () => continue,
            };
            return Err(Failure::bad(format_args!("{within}{}", Excerpt(name)), fault));
        }
        Ok(Self { within, list })
    }

    /// The JSON of a field.
    pub(super) fn json(&self, name: &str) -> Option<&'a str> {
        self.list
            .iter()
            .find(|field| field.name == name)
            .map(|field| field.value)
            .filter(|json| *json != "null")
    }

    /// The JSON of a field that must be there.
    pub(super) fn required(&self, name: &str) -> Result<&'a str, Failure> {
        self.json(name).ok_or_else(|| self.bad(name, "missing"))
    }

    pub(super) fn string(&self, name: &str) -> Result<Option<String>, Failure> {
        let parse = |json| serde_json::from_str(json).map_err(|_| self.bad(name, "must be a string"));
        self.json(name).map(parse).transpose()
    }

    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, Failure> {
        let parse = |json| serde_json::from_str(json).map_err(|_| self.bad(name, "must be true or false"));
        self.json(name).map(parse).transpose()
    }

    /// The field breaks this rule.
    pub(super) fn bad(&self, name: &str, rule: impl fmt::Display) -> Failure {
        Failure::bad(format_args!("{}{name}", self.within), rule)
    }
}

struct Object<'a>(Vec<Field<'a>>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some((Name(name), value)) = map.next_entry::<Name<'_>, &RawValue>()? {
                    if list.len() == MAX {
                        return Err(A::Error::custom("too many fields"));
                    }
                    list.push(Field { name, value: value.get() });
                }
                Ok(Object(list))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

/// A name that is copied only if it has escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn error(json: &str) -> String {
        let fields = Fields::read(json, "", &["code", "msg"]);
        fields.expect_err(json).into_response().into_body()
    }

    #[test]
    fn an_error_names_the_field_and_the_rule() {
        for (json, said) in [
            ("", "body: must be JSON, and is not in line 1, column 0"),
            ("{} {}", "body: must be JSON, and is not in line 1, column 4"),
            ("[1]", "body: must be an object of at most 64 fields"),
            (r#""s3cret""#, "body: must be an object of at most 64 fields"),
            (r#"{"kept":1}"#, "kept: unknown field; there are code, msg"),
            (r#"{"msg":1,"m\u0073g":2}"#, "msg: there twice"),
            (r#"{"\u202e\n":1}"#, r"\\u{202e}\\n: unknown field; there are code, msg"),
        ] {
            assert_eq!(error(json), format!(r#"{{"error":"{said}"}}"#), "{json}");
        }
        let many: Vec<_> = (0..65).map(|number| format!(r#""{number}":1"#)).collect();
        assert!(error(&format!("{{{}}}", many.join(","))).contains("at most 64"));
    }

    #[test]
    fn fields_of_each_type() {
        let fields = Fields::read(r#"{"a":"x","b":true,"c":null,"d":[1]}"#, "push.", &["a", "b", "c", "d"]);
        let fields = fields.expect("fields");
        assert_eq!(fields.string("a").ok(), Some(Some("x".to_owned())));
        assert_eq!(fields.boolean("b").ok(), Some(Some(true)));
        assert_eq!(fields.string("c").ok(), Some(None));
        assert_eq!(fields.json("d"), Some("[1]"));
        let error = fields.string("d").unwrap_err().into_response().into_body();
        assert_eq!(error, r#"{"error":"push.d: must be a string"}"#);
    }
}
