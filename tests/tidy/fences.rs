//! Words that stay in one place: sled, openraft, tonic, Redis's command names, clocks, randomness.
//! Comments may say anything; only code counts.

use syn::visit::{self, Visit};

use super::source::File;

/// A library's name and the folders or files that may say it.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("sled", &["crates/store/"]),
    ("openraft", &["crates/raft/"]),
    ("openraft_rt", &["crates/raft/"]),
    (
        "tonic",
        &[
            "crates/rpc/",
            "crates/raft/src/network",
            "crates/server/src/grpc",
            "crates/client/",
            "crates/sim/src/line.rs",
        ],
    ),
    (
        "prost",
        &["crates/rpc/", "crates/raft/src/network", "crates/server/src/grpc", "crates/client/"],
    ),
    ("rand", &["crates/base/"]),
    ("getrandom", &["crates/base/"]),
    ("fastrand", &["crates/base/"]),
];

const COMMANDS: &[&str] = &[
    "crates/server/src/resp",
    "crates/server/src/commands",
    "crates/weir/src/bench",
    "crates/sim/src/work.rs",
];

const CLOCKS: &[&str] = &["SystemTime", "Instant"];

/// What breaks a fence in a file, in words.
pub(crate) fn broken(file: &File) -> Vec<String> {
    if file.is_test() {
        return Vec::new();
    }
    let mut found = Found { path: &file.path, tokio_instant: false, broken: Vec::new() };
    found.visit_file(&file.syntax);
    found.broken
}

struct Found<'a> {
    path: &'a str,
    /// Whether `Instant` is tokio's here, which runs on simulated time.
    tokio_instant: bool,
    broken: Vec<String>,
}

impl Found<'_> {
    fn library(&mut self, ident: &syn::Ident) {
        let fence = LIBRARIES.iter().find(|(name, _)| ident == name);
        if let Some((name, inside)) = fence
            && !inside.iter().any(|prefix| self.path.starts_with(prefix))
        {
            self.report(ident.span(), &format!("{name} is behind a fence"));
        }
    }

    fn text(&mut self, span: proc_macro2::Span, text: &str) {
        let command = text.len() > 3 && is_command(text);
        if command && !COMMANDS.iter().any(|prefix| self.path.starts_with(prefix)) {
            self.report(span, &format!("{text} is a command name of Redis"));
        }
    }

    fn report(&mut self, span: proc_macro2::Span, what: &str) {
        self.broken.push(format!("{}:{}: {what}", self.path, span.start().line));
    }
}

fn is_command(text: &str) -> bool {
    const NAMES: &[&str] = &[
        "XADD",
        "XLEN",
        "XRANGE",
        "XREVRANGE",
        "XREAD",
        "XREADGROUP",
        "XDEL",
        "XTRIM",
        "XSETID",
        "XGROUP",
        "XACK",
        "XPENDING",
        "XCLAIM",
        "XAUTOCLAIM",
        "XINFO",
        "HELLO",
        "UNLINK",
        "EXISTS",
        "DBSIZE",
        "SELECT",
        "CONFIG",
        "COMMAND",
        "CLIENT",
    ];
    NAMES.contains(&text)
}

impl<'ast> Visit<'ast> for Found<'_> {
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    fn visit_use_tree(&mut self, tree: &'ast syn::UseTree) {
        if let syn::UseTree::Path(path) = tree {
            if path.ident == "tokio" && quote_has(&path.tree, "Instant") {
                self.tokio_instant = true;
            }
            self.library(&path.ident);
        }
        // What stands deeper in a tree is no crate.
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let idents: Vec<&syn::Ident> = path.segments.iter().map(|segment| &segment.ident).collect();
        if idents.len() > 1 {
            self.library(idents[0]);
        }
        let clock = idents
            .windows(2)
            .any(|pair| pair[1] == "now" && CLOCKS.iter().any(|clock| pair[0] == clock));
        let tokio = self.tokio_instant || idents[0] == "tokio";
        if clock && !tokio && !self.path.starts_with("crates/base/") {
            self.report(idents[0].span(), "time is handed in: use base::Clock");
        }
        visit::visit_path(self, path);
    }

    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        self.text(literal.span(), &literal.value());
    }

    fn visit_lit_byte_str(&mut self, literal: &'ast syn::LitByteStr) {
        self.text(literal.span(), &String::from_utf8_lossy(&literal.value()));
    }
}

fn quote_has(tree: &syn::UseTree, name: &str) -> bool {
    match tree {
        syn::UseTree::Path(path) => quote_has(&path.tree, name),
        syn::UseTree::Name(it) => it.ident == name,
        syn::UseTree::Group(group) => group.items.iter().any(|tree| quote_has(tree, name)),
        syn::UseTree::Rename(_) | syn::UseTree::Glob(_) => false,
    }
}
