//! ARCHITECTURE.md is true: the map has every room, no room imports what its row forbids, and neither rooms nor files form a
//! circle.

#[path = "architecture/files.rs"]
mod files;
#[path = "architecture/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The limits of what a reader can hold.
const LIB_LINES: usize = 120;
const ROOT_NAMES: usize = 30;
const FILE_LINES: usize = 400;
const PAGE_LINES: usize = 200;

/// Files of the crate that belong to no room: the contents page and what goes through the public names.
const NO_ROOM: [&str; 4] = ["lib", "prelude", "docs", "fuzz"];

/// The knot of the map: a step between two files that is not counted.
const KNOT: (&str, &str) = ("session.rs", "hub.rs");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(&path))
        .unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

/// All Rust files below a directory of the repository.
fn rust_files(directory: &str) -> Vec<PathBuf> {
    let (mut files, mut directories) = (Vec::new(), vec![root().join(directory)]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default();
            if path.is_dir() && name != "target" && name != "node_modules" {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// The room of a file: the first part of its path in `src/`.
fn room(file: &Path) -> String {
    let path = file.strip_prefix(root().join("src")).expect("a file of src");
    path.iter().next().expect("a part").to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// The rooms that a source imports from, tests aside.
fn imports(source: &str) -> BTreeSet<String> {
    let code: String = source
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default()
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n");
    let name =
        |text: &str| text.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or("").to_owned();
    code.split("crate::")
        .skip(1)
        .map(name)
        .filter(|name| name.starts_with(|c: char| c.is_lowercase()))
        .collect()
}

/// What each room imports from.
fn graph() -> BTreeMap<String, BTreeSet<String>> {
    let mut graph = BTreeMap::<String, BTreeSet<String>>::new();
    for file in rust_files("src") {
        let (room, name) = (room(&file), file.file_stem().unwrap_or_default().to_string_lossy().into_owned());
        let is_test = ["tests", "model", "differential"].contains(&&*name)
            || file.iter().any(|part| part == "tests")
            || file.ends_with("store/memory/turns.rs");
        if NO_ROOM.contains(&&*room) || is_test {
            continue;
        }
        let imports = imports(&fs::read_to_string(&file).expect("a source"));
        graph.entry(room.clone()).or_default().extend(imports.into_iter().filter(|other| *other != room));
    }
    let rooms: BTreeSet<_> = graph.keys().cloned().collect();
    graph.values_mut().for_each(|imports| imports.retain(|import| rooms.contains(import)));
    graph
}

/// The names in back quotes, without a path's last slash.
fn names(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(|name| name.trim_end_matches('/').to_owned()).collect()
}

/// The rows of the map: its rooms, and what they never depend on.
fn map() -> Vec<(Vec<String>, Vec<String>)> {
    let page = read("ARCHITECTURE.md");
    let rows = page.lines().skip_while(|line| !line.starts_with("| room |")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('|').collect::<Vec<_>>())
        .map(|cells| (names(cells[1]), names(cells[3])))
        .collect()
}

#[test]
fn the_map_has_every_room_once() {
    let mut mapped: Vec<_> = map().into_iter().flat_map(|(rooms, _)| rooms).collect();
    mapped.sort();
    assert_eq!(mapped, graph().into_keys().collect::<Vec<_>>());
}

#[test]
fn no_room_depends_on_what_its_row_forbids() {
    let graph = graph();
    let mut wrong = Vec::new();
    for (rooms, forbidden) in map() {
        assert!(!forbidden.is_empty(), "{rooms:?}");
        for name in &forbidden {
            assert!(graph.contains_key(name), "{rooms:?} must not depend on {name}, which is no room");
        }
        for room in rooms {
            wrong.extend(
                forbidden
                    .iter()
                    .filter(|name| graph[&room].contains(*name))
                    .map(|name| format!("{room} -> {name}")),
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn rooms_form_no_circle_but_the_one_of_a_session_and_its_hub() {
    let mut graph = graph();
    assert!(graph.get_mut("session").expect("a room").remove("hub"), "the knot");
    // A room that depends on nothing is no part of a circle. Nor is, then, one that depends on such rooms alone.
    loop {
        let done: BTreeSet<_> =
            graph.iter().filter(|(_, imports)| imports.is_empty()).map(|(room, _)| room.clone()).collect();
        if done.is_empty() {
            break;
        }
        graph.retain(|room, _| !done.contains(room));
        graph.values_mut().for_each(|imports| imports.retain(|import| !done.contains(import)));
    }
    assert!(graph.is_empty(), "circles, and what depends on them: {graph:#?}");
}

#[test]
fn files_form_no_circle_but_the_one_of_a_session_and_its_hub() {
    let mut graph = files::graph(&|file| fs::read_to_string(root().join("src").join(file)).ok());
    let (from, to) = KNOT;
    let knot = graph.get_mut(from).and_then(|used| used.remove(to));
    assert!(knot.is_some(), "{from} does not use {to} any more: remove the exception");
    let mut circles = Vec::new();
    while let Some(circle) = files::circle(&graph) {
        let next = circle.iter().cycle().skip(1);
        let steps =
            circle.iter().zip(next).map(|(from, to)| format!("{from} -> {to}: {:?}", graph[from][to]));
        circles.push(steps.collect::<Vec<_>>());
        // The next circle is one without this step.
        graph.get_mut(&circle[0]).and_then(|used| used.remove(&circle[1]));
    }
    assert!(circles.is_empty(), "{circles:#?}");
}

/// The circles of a crate with a file `a.rs` like this.
fn planted(a: &str) -> Option<Vec<String>> {
    let files = BTreeMap::from([
        ("lib.rs", "mod room;"),
        (
            "room/mod.rs",
            "mod a;\nmod b;\n#[cfg(test)]\nmod tests;\npub(crate) use self::b::B;\npub use a::A;",
        ),
        ("room/a.rs", a),
        ("room/b.rs", "use super::A;\npub struct B(A);"),
    ]);
    files::circle(&files::graph(&|file| files.get(file.to_str()?).map(|&source| source.to_owned())))
}

#[test]
fn a_planted_circle_is_found_by_any_path() {
    for path in ["super::B", "crate::room::B", "crate::room::b::B", "super::b::B", "self::super::b::B"] {
        for code in [format!("use {path};"), format!("fn f() {{ let _: {path}; }}")] {
            let circle = planted(&format!("pub struct A;\n{code}")).unwrap_or_default();
            assert_eq!(circle, ["room/a.rs", "room/b.rs"], "{code}");
        }
    }
    let inner = planted("pub struct A;\nmod inner { use super::super::{b::{self, B as Other}}; }");
    assert!(inner.is_some());
}

#[test]
fn a_circle_is_not_what_tests_and_comments_say() {
    for code in [
        "",
        "// super::B",
        "/// [`B`](super::B)\nfn f() {}",
        "const B: &str = \"super::B\";",
        "const B: &str = r#\"\" super::B\"#;",
        "#[cfg(test)]\nuse super::{B, b};",
        "#[cfg(test)]\nmod tests { use super::super::B; }",
        "#[cfg(all(test, unix))]\nfn f(_: [u8; 2]) { super::B; }",
        "struct S { #[cfg(test)] b: super::B, c: u8 }",
        "use bytes::B;",
    ] {
        assert_eq!(planted(&format!("pub struct A;\n{code}")), None, "{code}");
    }
}

#[test]
fn what_a_reader_meets_first_is_short() {
    let lib = read("src/lib.rs");
    assert!(lib.lines().count() <= LIB_LINES, "src/lib.rs has {} lines", lib.lines().count());
    let page = read("ARCHITECTURE.md").lines().count();
    assert!(page < PAGE_LINES, "ARCHITECTURE.md has {page} lines");
    let mut names = BTreeSet::new();
    for line in lib.lines().filter(|line| *line != "pub mod fuzz;") {
        if let Some(module) = line.strip_prefix("pub mod ") {
            names.insert(module.trim_end_matches(';'));
        } else if let Some(path) = line.strip_prefix("pub use ") {
            let list = path.rsplit("::").next().unwrap_or_default();
            names.extend(list.trim_matches(|c| "{};".contains(c)).split(", "));
        }
    }
    assert!(names.contains("auth") && names.contains("Hub") && names.contains("Switch"), "{names:?}");
    assert!(names.len() <= ROOT_NAMES, "{} names at the root: {names:?}", names.len());
}

#[test]
fn no_file_is_too_long_to_be_one_idea() {
    for directory in ["src", "tests", "examples", "bench", "fuzz"] {
        for file in rust_files(directory) {
            let lines = fs::read_to_string(&file).expect("a source").lines().count();
            assert!(lines <= FILE_LINES, "{} has {lines} lines", file.display());
        }
    }
}
