//! Finds the lines of code that make a shared access themselves.
//!
//! An access function has `#[track_caller]`, so the event names the line of its caller. A line within an access function
//! never shows. A line that awaits another routine is not counted, because the lines of that routine are.

use std::collections::BTreeSet;

use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, Member, Signature, Token};

/// Access functions that touch no word. Their steps leave no access in the event log.
const SILENT: [&str; 3] = ["invlpg", "broadcast_invalidate", "wrpkru"];

fn has(attributes: &[Attribute], name: &str) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident(name))
}

/// Whether an item is compiled for tests alone.
fn is_test(attributes: &[Attribute]) -> bool {
    let test = |attribute: &Attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|word| word == "test")
    };
    attributes.iter().any(test)
}

/// Goes through a file. It leaves out what is compiled for tests alone.
#[derive(Default)]
struct Reader<'n> {
    /// The access functions that are defined.
    defined: BTreeSet<String>,
    /// The access functions whose calls are looked for.
    known: Option<&'n BTreeSet<String>>,
    /// The lines that call one.
    lines: BTreeSet<usize>,
}

/// The names of the access functions that some files define.
pub(crate) fn access_functions<'f>(files: impl IntoIterator<Item = &'f syn::File>) -> BTreeSet<String> {
    let mut reader = Reader::default();
    files.into_iter().for_each(|file| reader.visit_file(file));
    reader.defined
}

/// The numbers of the lines of a file that call an access function.
pub(crate) fn accesses(file: &syn::File, functions: &BTreeSet<String>) -> BTreeSet<usize> {
    let mut reader = Reader { known: Some(functions), ..Reader::default() };
    reader.visit_file(file);
    reader.lines
}

impl Reader<'_> {
    fn knows(&self, name: &syn::Ident) -> bool {
        self.known.is_some_and(|known| known.contains(&name.to_string()))
    }

    /// Whether the function is an access function, whose lines never show.
    fn defines(&mut self, attributes: &[Attribute], signature: &Signature) -> bool {
        let is_access = has(attributes, "track_caller");
        let name = signature.ident.to_string();
        if is_access && name != "new" && !SILENT.contains(&&*name) {
            self.defined.insert(name);
        }
        is_access
    }
}

/// Whether an expression is a CPU: `cpu`, `self` within one, or a field of that name.
fn is_cpu(expr: &Expr) -> bool {
    match expr {
        Expr::Path(path) => path.path.is_ident("cpu") || path.path.is_ident("self"),
        Expr::Field(field) => matches!(&field.member, Member::Named(name) if name == "cpu"),
        Expr::Paren(paren) => is_cpu(&paren.expr),
        Expr::Reference(reference) => is_cpu(&reference.expr),
        Expr::Unary(unary) => is_cpu(&unary.expr),
        _ => false,
    }
}

/// `Op::new(...)`, an operation that is announced here.
fn announces(expr: &Expr) -> bool {
    let Expr::Call(call) = expr else { return false };
    let Expr::Path(function) = &*call.func else { return false };
    let words: Vec<String> = function.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
    matches!(&words[..], [.., of, new] if of == "Op" && new == "new")
}

impl<'a> Visit<'a> for Reader<'_> {
    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        if !is_test(&item.attrs) && !self.defines(&item.attrs, &item.sig) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
        if !is_test(&item.attrs) && !self.defines(&item.attrs, &item.sig) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        if self.knows(&call.method) && is_cpu(&call.receiver) {
            self.lines.insert(call.method.span().start().line);
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'a syn::ExprCall) {
        if let Expr::Path(function) = &*call.func
            && function.path.get_ident().is_some_and(|name| self.knows(name))
        {
            self.lines.insert(call.span().start().line);
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        if announces(expr) {
            self.lines.insert(expr.span().start().line);
        }
        visit::visit_expr(self, expr);
    }

    /// In `Op { place, ..Op::new(...) }` the line of another caller is given, so this line does not count.
    fn visit_expr_struct(&mut self, expr: &'a syn::ExprStruct) {
        expr.fields.iter().for_each(|field| self.visit_field_value(field));
        match expr.rest.as_deref() {
            Some(Expr::Call(call)) if expr.rest.as_deref().is_some_and(announces) => {
                call.args.iter().for_each(|argument| self.visit_expr(argument));
            }
            Some(rest) => self.visit_expr(rest),
            None => {}
        }
    }

    /// The arguments of a macro, as far as they are expressions: `check!(cpu, NAME, !cpu.pte_same(ptep, pte).await)`.
    fn visit_macro(&mut self, call: &'a syn::Macro) {
        let expressions = |input: ParseStream<'_>| {
            let mut expressions = Vec::new();
            while let Ok(expr) = input.parse::<Expr>() {
                expressions.push(expr);
                if input.parse::<Token![,]>().is_err() {
                    break;
                }
            }
            // The other arguments are no expressions.
            input.parse::<proc_macro2::TokenStream>()?;
            Ok(expressions)
        };
        let inside = expressions.parse2(call.tokens.clone()).unwrap_or_default();
        let mut reader = Reader { known: self.known, ..Reader::default() };
        inside.iter().for_each(|expr| reader.visit_expr(expr));
        self.lines.append(&mut reader.lines);
    }
}
