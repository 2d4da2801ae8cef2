//! Finds the names of the routines of the simulated kernel: those that code enters.

use std::collections::BTreeSet;

use syn::visit::{self, Visit};
use syn::{Expr, Lit};

#[derive(Default)]
struct Reader(BTreeSet<String>);

/// The names that code of a file gives to routines: `cpu.enter("NAME")`, `cpu.enter(Routine::helper("NAME"))`.
pub(crate) fn routines(file: &syn::File) -> BTreeSet<String> {
    let mut reader = Reader::default();
    reader.visit_file(file);
    reader.0
}

/// The text of a literal, or of the literal that a constructor of `Routine` gets.
fn name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        Expr::Call(call) => match &*call.func {
            Expr::Path(path) if path.path.segments.iter().any(|segment| segment.ident == "Routine") => {
                name(call.args.first()?)
            }
            _ => None,
        },
        _ => None,
    }
}

impl<'a> Visit<'a> for Reader {
    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        if call.method == "enter" {
            self.0.extend(call.args.first().and_then(name));
        }
        visit::visit_expr_method_call(self, call);
    }
}
