//! Programs of real client libraries against a cluster of real processes, unchanged.
//! `scripts/test tools` installs what they need and says where in `WEIR_TEST_PYTHON`.

use std::path::Path;
use std::process::Command;

use tests::cluster::{Cluster, Options};

#[test]
fn redis_py_works_unchanged_through_every_node() {
    let mut cluster = Cluster::start(&Options::default()).unwrap();
    let ports = cluster.nodes.iter().map(|node| {
        let address = node.resp();
        address.rsplit(':').next().unwrap().to_owned()
    });
    let python = std::env::var_os("WEIR_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/redis_py.py");
    let output = Command::new(&python).arg(program).args(ports).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{python:?} failed (is redis-py missing? `scripts/test tools` installs it):\n{said}{errors}"
    );
    assert!(said.contains("as expected"), "{said}");
    cluster.stop().unwrap();
}
