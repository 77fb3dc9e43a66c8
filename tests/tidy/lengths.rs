//! Functions of at most 70 lines, files of at most 600 without their tests.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::source::File;

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 600;

/// What is too long in a file, in words.
pub(crate) fn broken(file: &File) -> Vec<String> {
    let mut found = Found { path: &file.path, broken: Vec::new() };
    found.visit_file(&file.syntax);
    let lines = file.lines_count();
    if lines > FILE_LINES_MAX && !file.is_test() {
        found.broken.push(format!("{}: {lines} lines, at most {FILE_LINES_MAX}", file.path));
    }
    found.broken
}

struct Found<'a> {
    path: &'a str,
    broken: Vec<String>,
}

impl Found<'_> {
    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let start = signature.span().start().line;
        let lines = block.span().end().line - start + 1;
        if lines > FUNCTION_LINES_MAX {
            let (path, name) = (self.path, &signature.ident);
            self.broken.push(format!("{path}:{start}: {name} has {lines} lines, at most 70"));
        }
    }
}

impl<'ast> Visit<'ast> for Found<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.function(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.function(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }
}
