//! The Rust files of the project, parsed, with their tests cut off. Never their meaning.

use std::path::{Path, PathBuf};

/// A source file.
pub(crate) struct File {
    /// From the top of the project, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) syntax: syn::File,
}

impl File {
    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let mut syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        syntax.items.retain(|item| !is_test(item));
        Self { path: path.to_owned(), text: text.to_owned(), syntax }
    }

    /// Whether the whole file is a test, an example or a tool of the tests.
    pub(crate) fn is_test(&self) -> bool {
        let folders = ["tests/", "/tests/", "/tests.rs", "/examples/", "/benches/"];
        self.path.starts_with(folders[0])
            || folders[1..].iter().any(|part| self.path.contains(part))
    }

    /// Lines without the inline test modules.
    pub(crate) fn lines_count(&self) -> usize {
        let all = syn::parse_file(&self.text).expect("it was parsed before");
        let tests = all.items.iter().filter(|item| is_test(item)).map(lines_of).sum::<usize>();
        self.text.lines().count() - tests
    }
}

fn lines_of(item: &syn::Item) -> usize {
    let span = syn::spanned::Spanned::span(item);
    span.end().line - span.start().line + 1
}

fn is_test(item: &syn::Item) -> bool {
    let attributes = match item {
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => return false,
    };
    attributes.iter().any(|attribute| {
        let tokens = match &attribute.meta {
            syn::Meta::List(list) => list.tokens.to_string(),
            _ => String::new(),
        };
        attribute.path().is_ident("cfg") && tokens.starts_with("test")
    })
}

/// The top of the project.
pub(crate) fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("tests/ is in the project").to_owned()
}

/// Every Rust file of the project.
pub(crate) fn rust_files() -> Vec<File> {
    let root = root();
    let parse = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).expect("a readable file");
        File::parse(&relative(path, &root), &text)
    };
    let files: Vec<File> = files(&root, "rs").iter().map(parse).collect();
    assert!(files.len() > 20, "only {} source files found", files.len());
    files
}

/// Every file below `crates`, `tests` and the like whose name ends so, sorted.
pub(crate) fn files(root: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["crates", "tests", "proto", "scripts", "cluster-config", ".ci"] {
        walk(&root.join(folder), &mut found);
    }
    found.retain(|path| extension.is_empty() || path.extension().is_some_and(|it| it == extension));
    found.sort();
    found
}

/// A path as it is named in messages.
pub(crate) fn relative(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).expect("below the root").to_string_lossy().replace('\\', "/")
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.ends_with("-data") {
            walk(&path, found);
        } else if path.is_file() {
            found.push(path);
        }
    }
}
