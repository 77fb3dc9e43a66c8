//! A crate uses lower layers only. Never a judgement on what it uses them for.

use std::path::Path;
use std::process::Command;

/// The crates by layer, lowest first; those of one layer don't use each other.
const LAYERS: &[&[&str]] = &[
    &["base"],
    &["streams", "topology", "resp", "journal", "store", "fuzz"],
    &["rpc", "checker"],
    &["raft"],
    &["server", "client"],
    &["weir", "sim"],
    &["tests"],
];

/// Crates that must never reach something lower either: they are pure.
const NEVER: &[(&str, &[&str])] =
    &[("rpc", &["journal", "store", "resp"]), ("client", &["raft", "journal", "store", "streams"])];

/// Libraries with a fence, and who is inside.
const FENCED: &[(&str, &[&str])] = &[
    ("sled", &["store"]),
    ("openraft", &["raft"]),
    ("tonic", &["rpc", "raft", "server", "client", "sim"]),
    ("prost", &["rpc"]),
    ("tokio", &["raft", "server", "client", "weir", "sim", "tests"]),
    ("clap", &["weir", "sim", "tests"]),
];

/// A crate of the workspace and what it uses outside its tests.
#[derive(Debug)]
pub(crate) struct Crate {
    name: String,
    uses: Vec<String>,
    libraries: Vec<String>,
}

impl Crate {
    pub(crate) fn new(name: &str, uses: &[&str], libraries: &[&str]) -> Self {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Self { name: name.to_owned(), uses: owned(uses), libraries: owned(libraries) }
    }
}

/// The crates as `cargo metadata` knows them.
pub(crate) fn of_workspace(root: &Path) -> Vec<Crate> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root)
        .output()
        .expect("cargo metadata runs");
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    packages.iter().map(of_package).collect()
}

fn of_package(package: &serde_json::Value) -> Crate {
    let text = |value: &serde_json::Value| value.as_str().expect("a string").to_owned();
    let mut found = Crate { name: text(&package["name"]), uses: vec![], libraries: vec![] };
    for dependency in package["dependencies"].as_array().expect("a list of dependencies") {
        if dependency["kind"] == "dev" {
            continue;
        }
        let list =
            if dependency["path"].is_null() { &mut found.libraries } else { &mut found.uses };
        list.push(text(&dependency["name"]));
    }
    found
}

/// What breaks a rule, in words.
pub(crate) fn broken(crates: &[Crate]) -> Vec<String> {
    crates.iter().flat_map(broken_by).collect()
}

fn broken_by(it: &Crate) -> Vec<String> {
    let name = &it.name;
    let Some(layer) = layer_of(name) else {
        return vec![format!("{name} stands in no layer: name it in tests/tidy/arrows.rs")];
    };
    let lower = |used: &String| layer_of(used).is_some_and(|of_used| of_used < layer);
    let never = NEVER.iter().find(|(who, _)| who == name).map_or(&[][..], |(_, never)| never);
    let upward = it.uses.iter().filter(|used| !lower(used) || never.contains(&used.as_str()));
    let fenced = it.libraries.iter().filter(|library| {
        FENCED.iter().any(|(fence, inside)| fence == library && !inside.contains(&name.as_str()))
    });
    upward
        .map(|used| format!("{name} must not use {used}"))
        .chain(fenced.map(|library| format!("{name} must not use the library {library}")))
        .collect()
}

fn layer_of(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}
