//! The recorded conversation with Valkey 9.1.2, word for word.

use std::path::Path;

use crate::client::Client;
use crate::door::Door;
use crate::script::{Step, complaint, matches, read};

/// Requests of the recording that can't be answered alike yet, each with its reason.
const EXCLUDED: &[(&str, &str)] = &[
    ("SET str x", "other data types are not in Weir"),
    ("XADD str * a 1", "other data types are not in Weir: the key is a new stream"),
    ("XLEN str", "other data types are not in Weir: the key is a stream"),
    ("XREAD STREAMS str 0", "other data types are not in Weir: the key is a stream"),
    ("XGROUP CREATE str g2 0", "other data types are not in Weir: the key is a stream"),
    ("XDELEX s IDS 1 1-1", "Valkey 9.1 doesn't know it yet"),
    ("XNACK s g FAIL IDS 1 1-1", "Valkey 9.1 doesn't know it yet"),
];

#[tokio::test]
async fn replies_are_those_of_valkey_in_both_protocols() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden.txt");
    let steps = read(&path);
    assert!(steps.len() > 130, "only {} requests", steps.len());
    for (request, _) in EXCLUDED {
        assert!(steps.iter().any(|step| step.request == *request), "{request} isn't recorded");
    }
    let mut complaints = String::new();
    for protocol in [2, 3] {
        let door = Door::open();
        let mut client = door.client().await;
        if protocol == 3 {
            client.ask("HELLO 3").await;
        }
        assert_eq!(client.ask("CONFIG SET compat-version 7.2").await, "+OK");
        for step in &steps {
            check(&mut client, protocol, step, &mut complaints).await;
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

async fn check(client: &mut Client, protocol: u8, step: &Step, complaints: &mut String) {
    let expected = &step.replies[usize::from(protocol) - 2];
    let got = client.ask(&step.request).await;
    let excluded = EXCLUDED.iter().any(|(request, _)| *request == step.request);
    match (matches(expected, &got), excluded) {
        (true, false) | (false, true) => {}
        (false, false) => complaint(complaints, step, protocol, expected, &got),
        (true, true) => complaint(complaints, step, protocol, "to be excluded, and not", &got),
    }
}
