//! Reads a source of the crate: the modules, imports, items and paths in it, without comments, strings and test code.

use std::collections::BTreeSet;

/// One module: a file, or `mod name { … }` in one.
#[derive(Debug, Default)]
pub(crate) struct Module {
    pub(crate) uses: Vec<Use>,
    /// Modules in files of their own, with the `path` attribute if there is one.
    pub(crate) files: Vec<(String, Option<String>)>,
    /// Modules between braces.
    pub(crate) inline: Vec<(String, Module)>,
    /// Names of items that are written here.
    pub(crate) items: BTreeSet<String>,
    /// Paths in the code, imports aside. A path can be one name.
    pub(crate) paths: BTreeSet<Vec<String>>,
}

/// One name of a `use`.
#[derive(Debug)]
pub(crate) struct Use {
    pub(crate) path: Vec<String>,
    /// `*` for all names.
    pub(crate) name: String,
    /// Whether it is `pub use`, also `pub(crate) use`.
    pub(crate) is_export: bool,
}

const ITEMS: [&str; 9] = ["fn", "struct", "enum", "trait", "type", "const", "static", "union", "macro_rules"];

/// Words that begin an item or a statement, which ends with `;` or a block. Anything else, such as a field, ends with `,`.
const BEGINNINGS: [&str; 13] = [
    "pub", "use", "mod", "impl", "unsafe", "async", "fn", "struct", "enum", "trait", "const", "static", "let",
];

pub(crate) fn parse(source: &str) -> Module {
    let mut tokens = Tokens { all: tokens(source), at: 0 };
    tokens.module()
}

struct Tokens {
    all: Vec<String>,
    at: usize,
}

impl Tokens {
    fn peek(&self, ahead: usize) -> &str {
        self.all.get(self.at + ahead).map_or("", String::as_str)
    }

    fn next(&mut self) -> String {
        self.at += 1;
        self.all.get(self.at - 1).cloned().unwrap_or_default()
    }

    /// Reads to the brace that ends this module.
    fn module(&mut self) -> Module {
        let (mut module, mut depth, mut is_export, mut file) = (Module::default(), 0, false, None);
        while self.at < self.all.len() {
            let token = self.next();
            match token.as_str() {
                "{" => depth += 1,
                "}" if depth == 0 => return module,
                "}" => depth -= 1,
                "#" => {
                    let attribute = self.attribute();
                    if is_test(&attribute) {
                        self.skip_item();
                    } else if let [name, _, path] = attribute.as_slice()
                        && name == "path"
                    {
                        file = Some(path.trim_start_matches('"').to_owned());
                    }
                    continue;
                }
                "pub" => {
                    is_export = true;
                    if self.peek(0) == "(" {
                        self.group();
                    }
                    continue;
                }
                "use" => {
                    let before = module.uses.len();
                    self.use_tree(&mut Vec::new(), &mut module.uses);
                    module.uses[before..].iter_mut().for_each(|import| import.is_export = is_export);
                }
                "mod" => {
                    let name = self.next();
                    if self.next() == "{" {
                        module.inline.push((name, self.module()));
                    } else {
                        module.files.push((name, file.take()));
                    }
                }
                word if ITEMS.contains(&word) => {
                    let name = self.peek(usize::from(self.peek(0) == "!")).to_owned();
                    module.items.insert(name);
                }
                word if is_name(word) => {
                    let mut path = vec![word.to_owned()];
                    while self.peek(0) == "::" && is_name(self.peek(1)) {
                        self.next();
                        path.push(self.next());
                    }
                    let before = self.at.checked_sub(2 * path.len()).map(|at| self.all[at].as_str());
                    if !matches!(before, Some("." | "::")) {
                        module.paths.insert(path);
                    }
                }
                _ => {}
            }
            is_export = false;
        }
        module
    }

    /// What stands between the brackets that come next.
    fn attribute(&mut self) -> Vec<String> {
        if self.peek(0) == "!" {
            self.next();
        }
        self.group()
    }

    /// What stands in the brackets that come next, which are of any kind.
    fn group(&mut self) -> Vec<String> {
        let (start, mut depth) = (self.at + 1, 0);
        loop {
            match self.next().as_str() {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                "" => break,
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        self.all[start..(self.at - 1).max(start)].to_vec()
    }

    /// Skips what a `cfg(test)` stands on.
    fn skip_item(&mut self) {
        while self.peek(0) == "#" {
            self.next();
            self.attribute();
        }
        let (is_item, is_use) = (BEGINNINGS.contains(&self.peek(0)), (0..6).any(|at| self.peek(at) == "use"));
        loop {
            match self.peek(0) {
                "{" => {
                    self.group();
                    if is_item && !is_use {
                        return;
                    }
                }
                "(" | "[" => {
                    self.group();
                }
                ")" | "]" | "}" | "" => return,
                token => {
                    let ends = token == ";" || (token == "," && !is_item);
                    self.next();
                    if ends {
                        return;
                    }
                }
            }
        }
    }

    fn use_tree(&mut self, path: &mut Vec<String>, uses: &mut Vec<Use>) {
        let depth = path.len();
        loop {
            match self.next().as_str() {
                "{" => {
                    while !matches!(self.peek(0), "}" | "") {
                        self.use_tree(path, uses);
                    }
                    self.next();
                    break;
                }
                "::" => {}
                "as" => {
                    let name = self.next();
                    uses.last_mut().expect("a name before `as`").name = name;
                    break;
                }
                word => {
                    path.push(word.to_owned());
                    if self.peek(0) != "::" {
                        if word == "self" || word == "*" {
                            path.pop();
                        }
                        let name = if word == "*" { word } else { path.last().map_or("", String::as_str) };
                        uses.push(Use { path: path.clone(), name: name.to_owned(), is_export: false });
                        if self.peek(0) != "as" {
                            break;
                        }
                    }
                }
            }
        }
        if matches!(self.peek(0), "," | ";") {
            self.next();
        }
        path.truncate(depth);
    }
}

fn is_test(attribute: &[String]) -> bool {
    let words: Vec<_> = attribute.iter().map(String::as_str).collect();
    matches!(words.as_slice(), ["cfg", "(", "test", ..] | ["cfg", "(", "all", "(", "test", ..])
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::` and single characters. A string is one token, which begins with its quote.
fn tokens(source: &str) -> Vec<String> {
    let (mut tokens, mut rest) = (Vec::new(), source);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => string(rest),
            'r' if raw_string(rest).is_some() => raw_string(rest).unwrap_or_default(),
            '\'' => character(rest),
            _ if first.is_alphanumeric() || first == '_' => {
                rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())
            }
            _ if rest.starts_with("::") => 2,
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        if token.contains('"') && !token.starts_with('/') {
            tokens.push(format!("\"{}", token.trim_matches('"')));
        } else if !(first.is_whitespace() || token.starts_with("//") || token.starts_with("/*")) {
            tokens.push(token.to_owned());
        }
        rest = after;
    }
    tokens
}

/// The length of a string with escapes.
fn string(text: &str) -> usize {
    let (mut escaped, bytes) = (false, text.as_bytes());
    for (at, byte) in bytes.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    bytes.len()
}

/// The length of `r"…"` or `r#"…"#`, if it is one.
fn raw_string(text: &str) -> Option<usize> {
    let hashes = text[1..].find(|c| c != '#')?;
    let start = 1 + hashes;
    text[start..].starts_with('"').then_some(())?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(text[start + 1..].find(&end).map_or(text.len(), |at| start + 1 + at + end.len()))
}

/// The length of a character or a lifetime.
fn character(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), Some(_)) => text[3..].find('\'').map_or(text.len(), |at| at + 4),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => text[1..].find(|c: char| !(c.is_alphanumeric() || c == '_')).map_or(text.len(), |at| at + 1),
    }
}
