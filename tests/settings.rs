//! docs/reference/settings.md has every setting, with the default that the code has.
#![cfg(feature = "serve")]

use std::collections::BTreeMap;

use keywire::cluster::presence::PresenceTiming;
use keywire::limits::Limits;
use keywire::log::Retention;
use keywire::message::MessageId;
use keywire::serve::ServeConfig;
use keywire::session::Group;
use keywire::{Config, Envelope, Key};

const PAGE: &str = include_str!("../docs/reference/settings.md");

/// Builders: type, source. A setting is a public method that takes `self` and returns `Self`.
const BUILDERS: [(&str, &str); 14] = [
    ("HubBuilder", include_str!("../src/hub/builder.rs")),
    ("Origins", include_str!("../src/origin.rs")),
    ("Compression", include_str!("../src/compression/mod.rs")),
    ("Cluster", include_str!("../src/cluster/settings.rs")),
    ("RedisOptions", include_str!("../src/cluster/redis/options.rs")),
    ("NatsOptions", include_str!("../src/cluster/nats/options.rs")),
    ("MemoryLog", include_str!("../src/log/memory.rs")),
    ("SqliteOptions", include_str!("../src/log/sqlite/mod.rs")),
    ("JwtKey", include_str!("../src/auth/jwt/mod.rs")),
    ("Jwks", include_str!("../src/auth/jwt/jwks/mod.rs")),
    ("Tickets", include_str!("../src/auth/ticket/mod.rs")),
    ("TicketKey", include_str!("../src/auth/ticket/mod.rs")),
    ("ClientBuilder", include_str!("../src/client/builder.rs")),
    ("PushApi", include_str!("../src/push_api/mod.rs")),
];

/// The first two cells of each row, of the settings and of the fixed limits.
fn rows() -> BTreeMap<&'static str, &'static str> {
    let mut rows = BTreeMap::new();
    for line in PAGE.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line.split(" | ").collect();
        let name = cells[0].trim_start_matches("| ").trim_matches('`');
        assert!(rows.insert(name, cells[1]).is_none(), "{name} has two rows");
    }
    assert!(rows.len() > 100, "{} rows", rows.len());
    rows
}

/// The fields in the Debug output of a struct, with their values.
fn fields(value: &impl std::fmt::Debug) -> Vec<(String, String)> {
    let text = format!("{value:#?}");
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().skip(1).filter(|line| *line != "}") {
        match line.strip_prefix("    ").filter(|rest| !rest.starts_with([' ', '}', ')', ']'])) {
            Some(field) => {
                let (name, value) = field.split_once(": ").expect("a field");
                fields.push((name.to_owned(), value.to_owned()));
            }
            None => fields.last_mut().expect("a field").1.push_str(line.trim()),
        }
    }
    fields.retain(|(name, _)| name != "non_exhaustive");
    fields
}

/// A value of the Debug output, as the page writes it.
fn shown(name: &str, value: &str) -> String {
    let value = value.trim_end_matches(',');
    let value = value.strip_prefix("Some(").map_or(value, |inner| inner.trim_end_matches([')', ',']));
    if let Some(seconds) = value.strip_suffix('s').and_then(|number| number.parse::<u64>().ok()) {
        return match seconds {
            _ if seconds % 86_400 == 0 => format!("{} days", seconds / 86_400),
            600.. if seconds % 60 == 0 => format!("{} min", seconds / 60),
            _ => format!("{seconds} s"),
        };
    }
    match value.parse::<u64>() {
        Ok(number) if name.ends_with("bytes") => match number {
            _ if number % (1 << 20) == 0 => format!("{} MiB", number >> 20),
            _ => format!("{} KiB", number >> 10),
        },
        Ok(number) => grouped(number),
        Err(_) if value == "None" || value.contains("networks: []") => "none".to_owned(),
        Err(_) if value == "Compression(None,)" => "`Compression::OFF`".to_owned(),
        Err(_) if value == "Many {cap: 256,}" => "`Many { cap: 256 }`".to_owned(),
        Err(_) => match value.strip_prefix("Rate {times: ").and_then(|rate| rate.split_once(",per: ")) {
            Some((times, rest)) => {
                let (per, _) = rest.split_once(',').expect("more fields");
                format!("{} in {}", grouped(times.parse().expect("a number")), shown("per", per))
            }
            None => format!("`{value}`"),
        },
    }
}

fn grouped(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1000), number % 1000),
    }
}

#[test]
fn every_field_has_a_row_with_its_default() {
    let mut structs = vec![
        ("Config", fields(&Config::default())),
        ("Limits", fields(&Limits::default())),
        ("ServeConfig", fields(&ServeConfig::default())),
        ("Retention", fields(&Retention::default())),
        ("PresenceTiming", fields(&PresenceTiming::default())),
    ];
    structs[0].1.retain(|(name, _)| name != "limits");
    let rows = rows();
    for (of, fields) in &structs {
        assert!(fields.len() >= 2, "{of}: {fields:?}");
        for (name, value) in fields {
            let row = rows.get(format!("{of}::{name}").as_str());
            assert_eq!(row.copied(), Some(shown(name, value).as_str()), "{of}::{name}: {value}");
        }
        let known = |name: &str| fields.iter().any(|(field, _)| field == name);
        for name in rows.keys().filter_map(|row| row.strip_prefix(of)?.strip_prefix("::")) {
            assert!(known(name), "{of}::{name} has a row, and is no field");
        }
    }
}

/// A text as words, without the marks of links and code.
fn plain(text: &str) -> String {
    text.replace(['[', ']', '`'], "").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The settings of a builder: name, and its default if the documentation has a sentence about it.
fn settings<'a>(of: &str, source: &'a str) -> Vec<(&'a str, Option<String>)> {
    let mut settings = Vec::new();
    let mut docs = String::new();
    let mut is_builder = false;
    for (number, line) in source.lines().enumerate() {
        if line.starts_with("impl") {
            is_builder = line == format!("impl {of} {{");
        }
        let line = line.trim();
        let head: String = source.lines().skip(number).take(6).collect();
        let head = head.split('{').next().unwrap_or_default();
        if let Some(text) = line.strip_prefix("///") {
            docs.push_str(text);
        } else if let Some(method) = line.strip_prefix("pub fn ").or(line.strip_prefix("pub const fn ")) {
            let takes_itself = head.contains("mut self") || head.contains("(self");
            if is_builder && takes_itself && head.contains("-> Self") {
                let (_, default) = docs.split_once("Default:").unzip();
                settings.push((method.split(['(', '<']).next().expect("a name"), default.map(plain)));
            }
            docs.clear();
        } else if !line.starts_with("#[") {
            docs.clear();
        }
    }
    settings
}

#[test]
fn every_method_of_a_builder_has_a_row_with_its_default() {
    let rows = rows();
    for (of, source) in BUILDERS {
        let settings = settings(of, source);
        assert!(!settings.is_empty(), "{of}");
        for (name, default) in &settings {
            let row = rows.get(format!("{of}::{name}").as_str());
            let row = row.unwrap_or_else(|| panic!("{of}::{name} has no row"));
            // What is off or absent has other words in a sentence.
            let Some(default) = default.as_ref().filter(|_| !["none", "off"].contains(row)) else { continue };
            let said = default.strip_prefix(&plain(row));
            let ends = said.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', ',', '(', ';']));
            assert!(ends, "{of}::{name}: the page says {row}, the code {default}");
        }
        let known = |name: &str| settings.iter().any(|(setting, _)| *setting == name);
        for name in rows.keys().filter_map(|row| row.strip_prefix(of)?.strip_prefix("::")) {
            assert!(known(name), "{of}::{name} has a row, and is no setting");
        }
    }
}

#[test]
fn every_option_of_the_browser_client_has_a_row_with_its_default() {
    let source = include_str!("../client/keywire.js");
    let rows = rows();
    let mut options = 0;
    for line in source.lines().filter_map(|line| line.strip_prefix(" * @property {")) {
        let Some((_, option)) = line.split_once("} [") else { continue };
        let (option, _) = option.split_once(']').expect("the end of an option");
        let (name, default) = option.split_once('=').unwrap_or((option, "none"));
        let row = rows.get(name).unwrap_or_else(|| panic!("{name} has no row"));
        assert_eq!(row.trim_matches('`'), default, "{name}");
        options += 1;
    }
    let (_, numbers) = source.split_once("const NUMBERS = {").expect("the defaults");
    let (numbers, _) = numbers.split_once("};").expect("their end");
    for number in numbers.split(',').map(str::trim).filter(|number| !number.is_empty()) {
        let (name, default) = number.split_once(": ").expect("a default");
        assert_eq!(rows[name], default.replace('_', ""), "{name}");
    }
    let own = |name: &&&str| !name.contains("::") && !name.starts_with("kw:");
    assert_eq!(rows.keys().filter(own).count(), options, "rows and options");
}

#[test]
fn fixed_limits_are_those_of_the_code() {
    let rows = rows();
    let limits = [
        ("Key::MAX_BYTES", format!("{} bytes", Key::MAX_BYTES)),
        ("Group::MAX_BYTES", format!("{} bytes", Group::MAX_BYTES)),
        ("MessageId::MAX_BYTES", format!("{} bytes", MessageId::MAX_BYTES)),
        ("MessageId::MAX_NUMBER", grouped(MessageId::MAX_NUMBER.unsigned_abs())),
        ("Envelope::MAX_DEPTH", Envelope::MAX_DEPTH.to_string()),
    ];
    for (name, value) in limits {
        assert_eq!(rows[name], value, "{name}");
    }
}
