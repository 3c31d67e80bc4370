//! Which file of `src/` uses which other.
//!
//! A path is followed through `use` and `pub use` to the file that defines the item, so a file that imports a sibling's item
//! from the parent depends on the sibling. `mod` and `pub use` alone are no dependency of the parent.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::path::{Path, PathBuf};

use super::source::{Module, Use, parse};

/// The files that each file uses, by their path below `src/`, each with the paths in the code that say so.
pub(crate) type Graph = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// More steps than any path of the crate takes.
const STEPS: usize = 50;

/// Reads the crate from `lib.rs` on. `read` returns the content of a file of `src/`.
pub(crate) fn graph(read: &dyn Fn(&Path) -> Option<String>) -> Graph {
    let mut modules = Modules { read, all: BTreeMap::new() };
    modules.add_file(Vec::new(), Path::new("lib.rs"));
    modules.graph()
}

/// A circle of files, or none. The smallest through the first file that is in one.
pub(crate) fn circle(graph: &Graph) -> Option<Vec<String>> {
    let circles = graph.keys().filter_map(|start| {
        let mut paths = vec![vec![start]];
        let mut seen = BTreeSet::new();
        while !paths.is_empty() {
            let mut longer = Vec::new();
            for path in paths {
                for next in graph.get(path[path.len() - 1]).into_iter().flat_map(BTreeMap::keys) {
                    if next == start {
                        return Some(path);
                    }
                    if seen.insert(next) {
                        longer.push(path.iter().copied().chain([next]).collect());
                    }
                }
            }
            paths = longer;
        }
        None
    });
    circles.min_by_key(Vec::len).map(|circle| circle.into_iter().cloned().collect())
}

struct Modules<'a> {
    read: &'a dyn Fn(&Path) -> Option<String>,
    /// By path, each with its file.
    all: BTreeMap<Vec<String>, (String, Module)>,
}

/// What a path names.
enum Found {
    Module(Vec<String>),
    /// An item of this file.
    Item(String),
}

impl Modules<'_> {
    /// Adds the module of a file and those below it.
    fn add_file(&mut self, path: Vec<String>, file: &Path) {
        let source = (self.read)(file).unwrap_or_else(|| panic!("{} cannot be read", file.display()));
        self.add(path, file, parse(&source));
    }

    fn add(&mut self, path: Vec<String>, file: &Path, mut module: Module) {
        let child = |name: &str| path.iter().cloned().chain([name.to_owned()]).collect::<Vec<_>>();
        let directory: PathBuf = path.iter().collect();
        for (name, place) in mem::take(&mut module.files) {
            let files = match place {
                Some(place) => vec![file.with_file_name(place)],
                None => vec![directory.join(format!("{name}.rs")), directory.join(&name).join("mod.rs")],
            };
            let found = files.iter().find(|file| (self.read)(file).is_some());
            self.add_file(
                child(&name),
                found.unwrap_or_else(|| panic!("no file of {name} in {directory:?}")),
            );
        }
        for (name, content) in mem::take(&mut module.inline) {
            self.add(child(&name), file, content);
        }
        // One name can stand for two files, of which a feature takes one.
        let (_, entry) =
            self.all.entry(path).or_insert_with(|| (file.display().to_string(), Module::default()));
        entry.uses.append(&mut module.uses);
        entry.items.append(&mut module.items);
        entry.paths.append(&mut module.paths);
    }

    fn graph(&self) -> Graph {
        let mut graph = Graph::new();
        for (path, (file, module)) in &self.all {
            let used = graph.entry(file.clone()).or_default();
            let is_used =
                |import: &Use| !import.is_export || module.paths.iter().any(|path| path[0] == import.name);
            let imports = module.uses.iter().filter(|import| is_used(import)).map(|import| &import.path);
            for name in imports.chain(&module.paths) {
                if let Some(Found::Item(other)) = self.find(path, name, STEPS) {
                    used.entry(other).or_default().insert(name.join("::"));
                }
            }
            for import in module.uses.iter().filter(|import| import.name == "*" && !import.is_export) {
                if let Some(Found::Module(other)) = self.find(path, &import.path, STEPS) {
                    let other = self.all[&other].0.clone();
                    used.entry(other).or_default().insert(format!("{}::*", import.path.join("::")));
                }
            }
            used.remove(file);
        }
        graph
    }

    /// What a path in this module names, if it is of this crate.
    fn find(&self, from: &[String], path: &[String], steps: usize) -> Option<Found> {
        let steps = steps.checked_sub(1)?;
        let (mut module, mut rest) = (from.to_vec(), path);
        let mut is_first = true;
        while let Some((name, after)) = rest.split_first() {
            match name.as_str() {
                "crate" => module.clear(),
                "self" => {}
                "super" => {
                    module.pop()?;
                }
                name => {
                    let (file, content) = &self.all[&module];
                    let child: Vec<_> = module.iter().cloned().chain([name.to_owned()]).collect();
                    let import = content.uses.iter().find(|import| import.name == name);
                    if self.all.contains_key(&child) && !(after.is_empty() && import.is_some()) {
                        module = child;
                    } else if let Some(import) = import.filter(|import| import.path != path[..]) {
                        match self.find(&module, &import.path, steps)? {
                            Found::Module(other) => module = other,
                            item => return Some(item),
                        }
                    } else if let Some(found) = self.find_by_glob(&module, name, steps) {
                        return Some(found);
                    } else {
                        let is_here = !is_first || content.items.contains(name);
                        return is_here.then(|| Found::Item(file.clone()));
                    }
                }
            }
            (rest, is_first) = (after, false);
        }
        Some(Found::Module(module))
    }

    fn find_by_glob(&self, module: &[String], name: &str, steps: usize) -> Option<Found> {
        let uses = &self.all[module].1.uses;
        uses.iter().filter(|import| import.name == "*").find_map(|import| {
            match self.find(module, &import.path, steps)? {
                Found::Module(other) if self.all[&other].1.items.contains(name) => {
                    Some(Found::Item(self.all[&other].0.clone()))
                }
                _ => None,
            }
        })
    }
}
