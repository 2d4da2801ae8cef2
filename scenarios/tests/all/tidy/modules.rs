//! The modules of a crate, and which of them uses which.
//!
//! A module is a file. A module uses another if its code names, by a path that begins with `crate`, `super`,
//! `self` or a child, an item that the other one defines. Three rules go with that:
//!
//! - A re-export defines nothing. A path that names one leads on to the file where the item is defined, so a
//!   child that takes something from its parent's list of re-exports does not use its parent.
//! - Declaring a child, or re-exporting from it, is no use of it.
//! - Code under `#[cfg(test)]`, comments and links in documentation do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The path of a module, from the root of its crate.
type Module = Vec<String>;

/// What the code of one module says about others.
#[derive(Default)]
struct Source {
    /// The paths that the code names.
    named: Vec<Module>,
    /// What each name stands for that a `use` brings in.
    imported: BTreeMap<String, Module>,
    macros: BTreeSet<String>,
}

/// The modules of one crate.
pub(crate) struct Crate {
    modules: BTreeMap<Module, Source>,
}

impl Crate {
    /// Reads a crate: the text of each file, by its path below `src`.
    pub(crate) fn read<'a>(files: impl IntoIterator<Item = (&'a Path, &'a str)>) -> Crate {
        let texts: BTreeMap<Module, &str> =
            files.into_iter().map(|(path, text)| (module_of(path), text)).collect();
        let children = |module: &Module| -> BTreeSet<String> {
            let inside = |other: &&Module| other.len() == module.len() + 1 && other.starts_with(module);
            texts.keys().filter(inside).filter_map(|child| child.last().cloned()).collect()
        };
        let read = |(module, text): (&Module, &&str)| {
            let tokens: TokenStream = text.parse().expect("Rust");
            let mut reader = Reader { module, children: children(module), source: Source::default() };
            reader.code(&tokens.into_iter().collect::<Vec<_>>());
            (module.clone(), reader.source)
        };
        Crate { modules: texts.iter().map(read).collect() }
    }

    /// The module that defines what a path names.
    fn definer(&self, path: &[String]) -> Option<&Module> {
        let within = (0..=path.len()).rev().find(|n| self.modules.contains_key(&path[..*n]))?;
        let (module, source) = self.modules.get_key_value(&path[..within])?;
        let Some(name) = path.get(within) else { return Some(module) };
        if let Some(original) = source.imported.get(name).filter(|original| original.as_slice() != path) {
            return self.definer(original);
        }
        let name = name.trim_end_matches('!');
        let exported = || self.modules.iter().find(|(_, source)| source.macros.contains(name));
        Some(if within == 0 { exported().map_or(module, |(module, _)| module) } else { module })
    }

    /// Which modules each module uses.
    fn uses(&self) -> BTreeMap<&Module, BTreeSet<&Module>> {
        let used = |module: &Module, source: &Source| -> BTreeSet<&Module> {
            let others = source.named.iter().filter_map(|path| self.definer(path));
            others.filter(|other| *other != module).collect()
        };
        self.modules.iter().map(|(module, source)| (module, used(module, source))).collect()
    }

    /// The circles: each as the modules that reach one another, with one way round.
    pub(crate) fn circles(&self) -> Vec<Circle> {
        let uses = self.uses();
        let reached = |from: &Module| -> BTreeSet<&Module> {
            let (mut seen, mut next) = (BTreeSet::new(), uses[from].iter().copied().collect::<Vec<_>>());
            while let Some(module) = next.pop() {
                if seen.insert(module) {
                    next.extend(&uses[module]);
                }
            }
            seen
        };
        let reach: BTreeMap<&Module, BTreeSet<&Module>> =
            self.modules.keys().map(|module| (module, reached(module))).collect();
        let mut circles: Vec<Circle> = Vec::new();
        for (&module, reached) in reach.iter().filter(|(module, reached)| reached.contains(*module)) {
            let members: Vec<String> =
                reached.iter().filter(|other| reach[*other].contains(module)).map(|other| name(other)).collect();
            if !circles.iter().any(|circle| circle.members == members) {
                circles.push(Circle { members, way: way_round(module, &uses) });
            }
        }
        circles
    }
}

/// Modules that reach one another.
pub(crate) struct Circle {
    pub(crate) members: Vec<String>,
    /// A shortest way from one of them back to it.
    pub(crate) way: String,
}

fn module_of(file: &Path) -> Module {
    let mut module: Module =
        file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    module
}

fn name(module: &Module) -> String {
    if module.is_empty() { "lib".to_string() } else { module.join("/") }
}

/// A shortest way from a module back to itself.
fn way_round(module: &Module, uses: &BTreeMap<&Module, BTreeSet<&Module>>) -> String {
    let mut ways = vec![vec![module]];
    let mut seen = BTreeSet::new();
    loop {
        let mut longer = Vec::new();
        for way in ways {
            for next in &uses[way[way.len() - 1]] {
                let way: Vec<&Module> = way.iter().chain([next]).copied().collect();
                if *next == module {
                    return way.into_iter().map(name).collect::<Vec<_>>().join(" -> ");
                }
                if seen.insert(*next) {
                    longer.push(way);
                }
            }
        }
        ways = longer;
    }
}

/// Reads the tokens of one module.
struct Reader<'a> {
    module: &'a Module,
    children: BTreeSet<String>,
    source: Source,
}

impl Reader<'_> {
    fn code(&mut self, tokens: &[TokenTree]) {
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            if is_test(&tokens[at..]) {
                at += 2;
                while tokens.get(at).is_some_and(|token| !ends_item(token)) {
                    at += 1;
                }
                at += 1;
                continue;
            }
            let rest = &tokens[at + 1..];
            match token {
                TokenTree::Group(group) => self.code(&group.stream().into_iter().collect::<Vec<_>>()),
                TokenTree::Ident(word) if word == "use" => {
                    let end = rest.iter().position(|token| is_punct(token, ';')).unwrap_or(rest.len());
                    // What is re-exported is not used here.
                    let exports = at > 0 && (is_word(&tokens[at - 1], "pub") || is_group(&tokens[at - 1]));
                    self.tree(&rest[..end], &[], exports);
                    at += end;
                }
                TokenTree::Ident(word) if word == "macro_rules" => {
                    self.source.macros.extend(rest.get(1).map(ToString::to_string));
                }
                TokenTree::Ident(_) => {
                    let before = at.checked_sub(1).map(|before| &tokens[before]);
                    let goes_on = before.is_some_and(|t| is_punct(t, ':') || is_punct(t, '$') || is_word(t, "in"));
                    if !goes_on && is_path(rest) {
                        let mut words = path(&tokens[at..]);
                        let after = tokens.get(at + 3 * words.len() - 2);
                        // A call of a macro is no use of the module that has the same name.
                        if after.is_some_and(|token| is_punct(token, '!')) {
                            let name = words.pop();
                            words.extend(name.map(|name| name + "!"));
                        }
                        self.source.named.extend(self.rooted(&words));
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// One tree of a `use`, below a path.
    fn tree(&mut self, tokens: &[TokenTree], above: &[String], exports: bool) {
        let mut words = above.to_vec();
        words.extend(path(tokens));
        if let Some(group) = tokens.iter().find_map(braces) {
            let inner: Vec<TokenTree> = group.into_iter().collect();
            for tree in inner.split(|token| is_punct(token, ',')).filter(|tree| !tree.is_empty()) {
                self.tree(tree, &words, exports);
            }
            return;
        }
        if words.len() > 1 && words.last().is_some_and(|last| last == "self") {
            words.pop();
        }
        let renamed = tokens.iter().position(|token| is_word(token, "as")).and_then(|at| tokens.get(at + 1));
        let known_as = renamed.map(ToString::to_string).or_else(|| words.last().cloned());
        let Some(full) = self.rooted(&words) else { return };
        self.source.imported.extend(known_as.map(|name| (name, full.clone())));
        if !exports {
            self.source.named.push(full);
        }
    }

    /// A path from the root of the crate; none if it leads out of the crate.
    fn rooted(&self, words: &[String]) -> Option<Module> {
        let mut from = match words.first()?.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => self.module.clone(),
            child if self.children.contains(child) => {
                return Some(self.module.iter().chain(words).cloned().collect());
            }
            _ => return None,
        };
        for word in words {
            match word.as_str() {
                "crate" | "self" => {}
                "super" => drop(from.pop()),
                word => from.push(word.to_string()),
            }
        }
        Some(from)
    }
}

/// The words of the path with which these tokens begin.
fn path(tokens: &[TokenTree]) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = tokens;
    while let [TokenTree::Ident(word), after @ ..] = rest {
        words.push(word.to_string());
        if !is_path(after) {
            break;
        }
        rest = &after[2..];
    }
    words
}

fn is_path(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [a, b, ..] if is_punct(a, ':') && is_punct(b, ':'))
}

fn is_punct(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn is_word(token: &TokenTree, text: &str) -> bool {
    matches!(token, TokenTree::Ident(word) if word == text)
}

fn is_group(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis)
}

fn braces(token: &TokenTree) -> Option<TokenStream> {
    match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group.stream()),
        _ => None,
    }
}

/// Whether these tokens begin with `#[cfg(test)]`.
fn is_test(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [hash, TokenTree::Group(group), ..]
        if is_punct(hash, '#') && group.stream().to_string().replace(' ', "") == "cfg(test)")
}

fn ends_item(token: &TokenTree) -> bool {
    is_punct(token, ';') || braces(token).is_some()
}
