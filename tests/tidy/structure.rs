//! Rules about the structure: no circle among the files of a module, and parameters with names.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};

use super::rust_text::tokens;
use super::{File, enforce};

/// Segments below the crate's root: `["plan", "key"]`.
type Path = Vec<String>;

/// One file of `src`, read for its structure.
#[derive(Default)]
struct Unit {
    file: String,
    module: Path,
    /// Every name that an import brings in, with what it stands for as written.
    imports: BTreeMap<String, Import>,
    /// Paths outside of imports, as written.
    paths: BTreeSet<Path>,
    signatures: Vec<Signature>,
    /// Functions for other modules that fail with a sentence.
    sentences: Vec<String>,
}

struct Import {
    path: Path,
    /// `pub use`: the name is handed on, which is no use of it.
    hands_on: bool,
}

/// What is wrong with the parameters of one function.
struct Signature {
    name: String,
    fault: &'static str,
}

/// Collects from the production code of one file.
struct Reader {
    unit: Unit,
    in_foreign_impl: bool,
}

fn units(files: &[File]) -> Vec<Unit> {
    let sources = files.iter().filter(|file| file.is_source() && !file.is_test_only());
    sources.filter_map(unit).collect()
}

fn unit(file: &File) -> Option<Unit> {
    let inside = file.path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let inside = inside.trim_end_matches("/mod");
    let module = inside.split('/').map(str::to_owned).filter(|part| part != "lib").collect();
    let parsed = syn::parse_file(&file.text).expect("the compiler reads it");
    let unit = Unit { file: file.path.clone(), module, ..Unit::default() };
    let mut reader = Reader { unit, in_foreign_impl: false };
    reader.visit_file(&parsed);
    Some(reader.unit)
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute.meta.require_list().is_ok_and(|list| {
                    list.tokens
                        .to_string()
                        .split(|c: char| !c.is_alphanumeric())
                        .any(|w| w == "test")
                })
    })
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_for_tests(&item.attrs) {
            let hands_on = !matches!(item.vis, syn::Visibility::Inherited);
            self.import(&item.tree, &mut Vec::new(), &|path| Import { path, hands_on });
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if is_for_tests(&item.attrs) {
            return;
        }
        // The trait says what the parameters are.
        self.in_foreign_impl = item.trait_.is_some();
        visit::visit_item_impl(self, item);
        self.in_foreign_impl = false;
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_for_tests(&item.attrs) {
            self.look_at_errors(&item.vis, &item.sig);
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            self.look_at_errors(&item.vis, &item.sig);
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        let name = signature.ident.to_string();
        if !self.in_foreign_impl {
            let faults = signature.inputs.iter().filter_map(fault);
            self.unit
                .signatures
                .extend(faults.map(|fault| Signature { name: name.clone(), fault }));
        }
        visit::visit_signature(self, signature);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter().map(|segment| segment.ident.to_string());
        self.unit.paths.insert(segments.collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        let tokens = tokens(&item.tokens.to_string());
        let mut at = 0;
        while at < tokens.len() {
            let mut path = vec![tokens[at].1.clone()];
            while at + 2 < tokens.len() && tokens[at + 1].1 == "::" {
                path.push(tokens[at + 2].1.clone());
                at += 2;
            }
            self.unit.paths.insert(path);
            at += 1;
        }
    }
}

impl Reader {
    fn look_at_errors(&mut self, visibility: &syn::Visibility, signature: &syn::Signature) {
        let is_for_others = match visibility {
            syn::Visibility::Public(_) => true,
            syn::Visibility::Restricted(to) => to.path.segments[0].ident == "crate",
            syn::Visibility::Inherited => false,
        };
        if is_for_others && fails_with_a_sentence(&signature.output) {
            self.unit.sentences.push(signature.ident.to_string());
        }
    }

    fn import(&mut self, tree: &syn::UseTree, at: &mut Path, made: &dyn Fn(Path) -> Import) {
        match tree {
            syn::UseTree::Path(path) => {
                at.push(path.ident.to_string());
                self.import(&path.tree, at, made);
                at.pop();
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, at, made);
                }
            }
            syn::UseTree::Name(name) if name.ident == "self" => {
                let last = at.last().cloned().unwrap_or_default();
                self.unit.imports.insert(last, made(at.clone()));
            }
            syn::UseTree::Name(name) => {
                let path = at.iter().cloned().chain([name.ident.to_string()]).collect();
                self.unit.imports.insert(name.ident.to_string(), made(path));
            }
            syn::UseTree::Rename(name) => {
                let mut path = at.clone();
                path.extend((name.ident != "self").then(|| name.ident.to_string()));
                let key = format!("{} {}", name.rename, path.join("::"));
                let key = if name.rename == "_" { key } else { name.rename.to_string() };
                self.unit.imports.insert(key, made(path));
            }
            syn::UseTree::Glob(_) => {
                self.unit.imports.insert(format!("* {}", at.join("::")), made(at.clone()));
            }
        }
    }
}

/// Whether that is `Result<_, String>`.
fn fails_with_a_sentence(output: &syn::ReturnType) -> bool {
    let syn::ReturnType::Type(_, kind) = output else { return false };
    let syn::Type::Path(path) = &**kind else { return false };
    let Some(last) = path.path.segments.last().filter(|last| last.ident == "Result") else {
        return false;
    };
    let syn::PathArguments::AngleBracketed(arguments) = &last.arguments else { return false };
    let Some(syn::GenericArgument::Type(error)) = arguments.args.iter().nth(1) else {
        return false;
    };
    matches!(error, syn::Type::Path(path) if path.path.is_ident("String"))
}

/// What is wrong with one parameter.
fn fault(input: &syn::FnArg) -> Option<&'static str> {
    let syn::FnArg::Typed(parameter) = input else { return None };
    let mut kind = &*parameter.ty;
    while let syn::Type::Reference(reference) = kind {
        kind = &reference.elem;
    }
    match kind {
        _ if matches!(*parameter.pat, syn::Pat::Tuple(_)) => Some("a tuple: make it a struct"),
        syn::Type::Tuple(tuple) if !tuple.elems.is_empty() => Some("a tuple: make it a struct"),
        syn::Type::Path(path) if path.path.is_ident("bool") => Some("a `bool`: make it an enum"),
        _ => None,
    }
}

/// Finds the files that paths lead to.
struct Map<'a> {
    by_module: BTreeMap<&'a [String], &'a Unit>,
}

impl<'a> Map<'a> {
    fn of(units: &'a [Unit]) -> Self {
        Self { by_module: units.iter().map(|unit| (&unit.module[..], unit)).collect() }
    }

    /// The file that defines what `path`, as written in `unit`, stands for; none for what comes
    /// from other crates, and for a module as such.
    fn target(&self, unit: &'a Unit, path: &[String]) -> Option<&'a Unit> {
        self.follow(unit, path, 0)
    }

    fn follow(&self, unit: &'a Unit, path: &[String], depth: usize) -> Option<&'a Unit> {
        let (first, rest) = path.split_first()?;
        let (module, rest) = match first.as_str() {
            "crate" => (Vec::new(), rest),
            "self" => (unit.module.clone(), rest),
            "super" => {
                let above = path.iter().take_while(|part| *part == "super").count();
                let kept = unit.module.len().checked_sub(above)?;
                (unit.module[..kept].to_vec(), &path[above..])
            }
            _ => {
                let child: Path = unit.module.iter().chain([first]).cloned().collect();
                if self.by_module.contains_key(&child[..]) {
                    (child, rest)
                } else {
                    let import = unit.imports.get(first)?;
                    let whole: Path = import.path.iter().chain(rest).cloned().collect();
                    // An import of the same name from another crate: `use toml::de` and the like.
                    let again = whole.first() == Some(first) && whole == path;
                    return if again || depth > 20 {
                        None
                    } else {
                        self.follow(unit, &whole, depth + 1)
                    };
                }
            }
        };
        self.descend(module, rest, depth)
    }

    fn descend(&self, mut module: Path, rest: &[String], depth: usize) -> Option<&'a Unit> {
        let mut rest = rest;
        while let Some((first, after)) = rest.split_first() {
            let mut child = module.clone();
            child.push(first.clone());
            if self.by_module.contains_key(&child[..]) {
                (module, rest) = (child, after);
                continue;
            }
            let unit = self.by_module.get(&module[..])?;
            return match unit.imports.get(first) {
                Some(import) if depth < 20 => {
                    let whole: Path = import.path.iter().chain(after).cloned().collect();
                    self.follow(unit, &whole, depth + 1)
                }
                _ => Some(*unit),
            };
        }
        None
    }

    /// The files of its own module that a file uses.
    fn used_by(&self, unit: &'a Unit) -> BTreeSet<&'a str> {
        let imports = unit.imports.iter().filter(|(name, import)| {
            !import.hands_on || unit.paths.iter().any(|path| path.first() == Some(*name))
        });
        let globs = unit.imports.values().filter(|import| !import.hands_on);
        let globs = globs.filter_map(|import| {
            let module = import.path.clone();
            self.target(unit, &[module, vec!["*".to_owned()]].concat())
                .filter(|_| unit.imports.contains_key(&format!("* {}", import.path.join("::"))))
        });
        let named = imports.filter_map(|(_, import)| self.target(unit, &import.path));
        let written = unit.paths.iter().filter(|path| path.len() > 1);
        let written = written.filter_map(|path| self.target(unit, path));
        let all = named.chain(written).chain(globs);
        let inside = all.filter(|other| other.module.first() == unit.module.first());
        inside.map(|other| &other.file[..]).filter(|file| *file != unit.file).collect()
    }
}

/// Files that lead to each other, as groups of more than one.
fn circles<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Vec<BTreeSet<&'a str>> {
    let reach = |from: &'a str| {
        let mut seen = BTreeSet::new();
        let mut open = vec![from];
        while let Some(file) = open.pop() {
            for next in edges.get(file).into_iter().flatten() {
                if seen.insert(*next) {
                    open.push(next);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        edges.keys().map(|file| (*file, reach(file))).collect();
    let group = |file: &'a str| {
        let there = reached.get(file).into_iter().flatten().copied();
        there.filter(|to| reached.get(to).is_some_and(|back| back.contains(file))).collect()
    };
    let groups: BTreeSet<BTreeSet<&str>> = edges.keys().map(|file| group(file)).collect();
    groups.into_iter().filter(|group| group.len() > 1).collect()
}

/// Which files of their own module the files use.
fn arrows(units: &[Unit]) -> BTreeMap<&str, BTreeSet<&str>> {
    let map = Map::of(units);
    units.iter().map(|unit| (&unit.file[..], map.used_by(unit))).collect()
}

fn no_circles(files: &[File]) -> Vec<String> {
    let units = units(files);
    let arrows = arrows(&units);
    let said = circles(&arrows).into_iter().filter_map(|group| {
        let first = group.first()?;
        let arrows = group.iter().map(|file| {
            let to: Vec<&str> = arrows[file].intersection(&group).copied().collect();
            format!("    {file} -> {}", to.join(", "))
        });
        let arrows: Vec<String> = arrows.collect();
        Some(format!("{first}: in a circle of {} files:\n{}", group.len(), arrows.join("\n")))
    });
    said.collect()
}

fn parameters_have_names(files: &[File]) -> Vec<String> {
    let units = units(files);
    let said = units.iter().flat_map(|unit| {
        let faults = unit.signatures.iter();
        faults.map(|s| format!("{}: `{}` takes {}", unit.file, s.name, s.fault))
    });
    said.collect()
}

fn errors_are_values(files: &[File]) -> Vec<String> {
    let units = units(files);
    let said = units.iter().flat_map(|unit| {
        let names = unit.sentences.iter();
        names.map(|name| format!("{}: `{name}` fails with a sentence: make an enum", unit.file))
    });
    said.collect()
}

#[test]
fn files_of_a_module_use_each_other_in_one_direction() {
    enforce(no_circles, &[], &[]);
}

#[test]
fn circles_are_found_through_imports_that_hand_names_on() {
    let found = |files: &[(&str, &str)]| {
        let files: Vec<File> = files.iter().map(|(path, text)| File::new(path, text)).collect();
        let units = units(&files);
        circles(&arrows(&units)).iter().map(BTreeSet::len).collect::<Vec<_>>()
    };
    let door = ("src/a/mod.rs", "mod b;\nmod c;\npub use b::B;\npub use c::C;");
    // What a file of the module hands on is used where it is defined.
    let one_way = ("src/a/b.rs", "use super::C;\npub struct B(C);");
    let back = ("src/a/c.rs", "pub struct C;\nfn f() { crate::a::b::f(); }");
    assert_eq!(found(&[door, one_way, ("src/a/c.rs", "pub struct C;")]), [0; 0]);
    assert_eq!(found(&[door, one_way, back]), [2]);
    // Tests may look at everything.
    let tests = "pub struct C;\n#[cfg(test)]\nmod tests {\n    use crate::a::b::B;\n}";
    assert_eq!(found(&[door, one_way, ("src/a/c.rs", tests)]), [0; 0]);
    // What `mod.rs` defines itself is one with its file, and so is a path within a macro.
    let defines = ("src/a/mod.rs", "mod b;\npub struct C;\nfn f() { g!(1, b::f()) }");
    assert_eq!(found(&[defines, one_way]), [2]);
    // Modules of other names are other modules.
    let far = ("src/c/mod.rs", "use crate::a::C;\npub struct D;");
    assert_eq!(found(&[("src/a/mod.rs", "use crate::c::D;\npub struct C;"), far]), [0; 0]);
}

#[test]
fn no_parameter_is_a_tuple_or_a_bool() {
    enforce(
        parameters_have_names,
        &[
            ("src/digest.rs", "fn f((a, b): Pair) {}"),
            ("src/digest.rs", "fn f(pair: (u8, u8)) {}"),
            ("src/digest.rs", "impl A { fn f(&self, pair: &(u8, u8)) {} }"),
            ("src/digest.rs", "trait T { fn f(&self, quiet: bool); }"),
        ],
        &[
            ("src/digest.rs", "fn f(pairs: &[(u8, u8)], done: Option<bool>) -> bool { true }"),
            ("src/digest.rs", "impl Visitor for A { fn visit_bool(self, value: bool) {} }"),
            ("src/digest.rs", "#[cfg(test)]\nmod tests {\n    fn f(a: bool) {}\n}"),
        ],
    );
}

#[test]
fn no_sentence_crosses_a_module_as_an_error() {
    enforce(
        errors_are_values,
        &[
            ("src/digest.rs", "pub fn f() -> Result<u8, String> { Ok(1) }"),
            ("src/digest.rs", "impl A { pub(crate) fn f(&self) -> Result<(), String> { Ok(()) } }"),
        ],
        &[
            ("src/digest.rs", "fn f() -> Result<u8, String> { Ok(1) }"),
            ("src/digest.rs", "pub fn f() -> Result<String, Error> { Ok(String::new()) }"),
            ("src/digest.rs", "impl T for A { fn f(&self) -> Result<u8, String> { Ok(1) } }"),
        ],
    );
}
