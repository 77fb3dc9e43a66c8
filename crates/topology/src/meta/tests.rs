//! Replacing a node, round trips, golden bytes, bytes cut short anywhere.

use super::*;

fn addresses(name: &str) -> Addresses {
    let at = |port: u16| format!("{name}:{port}");
    Addresses { peer: at(4), resp: at(1), resp_cluster: at(2), grpc: at(3) }
}

fn made() -> Meta {
    let mut meta = Meta::default();
    let nodes = (1..=3).map(|id| (NodeId(id), addresses(&format!("n{id}")))).collect();
    assert_eq!(meta.apply(MetaCommand::Make { shards: 8, nodes }), MetaReply::Done);
    meta
}

#[test]
fn a_cluster_is_made_once() {
    let mut meta = made();
    let before = meta.clone();
    let nodes = BTreeMap::from([(NodeId(9), addresses("other"))]);
    assert_eq!(meta.apply(MetaCommand::Make { shards: 2, nodes }), MetaReply::Done);
    assert_eq!(meta, before);
    assert_eq!(meta.map().unwrap().len(), 8);
    assert_eq!(meta.node_next(), NodeId(4));
}

#[test]
fn a_lost_node_is_replaced_under_a_new_id_and_its_own_is_never_used_again() {
    let mut meta = made();
    let replace = MetaCommand::Replace { lost: NodeId(2), addresses: addresses("n4") };
    assert_eq!(meta.apply(replace.clone()), MetaReply::Node(NodeId(4)));
    assert_eq!(meta.apply(replace.clone()), MetaReply::Node(NodeId(4)), "asked again");
    assert_eq!(meta.replacements().collect::<Vec<_>>(), [(NodeId(2), NodeId(4))]);
    for refused in [(2, "n5"), (3, "n5"), (4, "n5"), (9, "n5")] {
        let command =
            MetaCommand::Replace { lost: NodeId(refused.0), addresses: addresses(refused.1) };
        assert!(matches!(meta.apply(command), MetaReply::Refused(_)), "{refused:?}");
    }
    assert_eq!(meta.apply(MetaCommand::Replaced { lost: NodeId(2) }), MetaReply::Done);
    assert_eq!(meta.nodes()[&NodeId(2)].state, NodeState::Gone);
    assert_eq!(meta.nodes()[&NodeId(4)].state, NodeState::Active);
    assert!(matches!(meta.apply(replace), MetaReply::Refused(_)));
    assert_eq!(meta.node_next(), NodeId(5));
}

fn numbers(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
    of.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
}

#[test]
fn what_is_chosen_has_a_revision_that_grows_with_each_change() {
    let mut meta = made();
    let long = "x".repeat(65);
    let mut choose = |of: &[(&str, u64)]| meta.apply(MetaCommand::Choose { numbers: numbers(of) });
    assert_eq!(choose(&[("a", 1), ("b", 2)]), MetaReply::Chosen(1));
    assert_eq!(choose(&[("b", 2)]), MetaReply::Chosen(1), "nothing new");
    assert_eq!(choose(&[("b", 3)]), MetaReply::Chosen(2));
    assert!(matches!(choose(&[(long.as_str(), 1)]), MetaReply::Refused(_)));
    let many: Vec<String> = (0..63).map(|number| format!("n{number}")).collect();
    let many: Vec<(&str, u64)> = many.iter().map(|name| (name.as_str(), 1)).collect();
    assert!(matches!(choose(&many), MetaReply::Refused(_)));
    assert_eq!(choose(&many[..62]), MetaReply::Chosen(3));
    let Settings { revision, numbers } = meta.settings();
    assert_eq!((*revision, numbers.len(), numbers["a"], numbers["b"]), (3, 64, 1, 3));
}

#[test]
fn everything_comes_back_and_short_bytes_are_refused() {
    let mut meta = made();
    meta.apply(MetaCommand::Replace { lost: NodeId(1), addresses: addresses("n4") });
    let bytes = meta.encode();
    assert_eq!(Meta::decode(&bytes), Ok(meta.clone()));
    (0..bytes.len()).for_each(|cut| assert!(Meta::decode(&bytes[..cut]).is_err(), "{cut}"));
    meta.apply(MetaCommand::Choose { numbers: numbers(&[("a", 1)]) });
    let bytes = meta.encode();
    assert_eq!(Meta::decode(&bytes), Ok(meta.clone()));
    (0..bytes.len()).for_each(|cut| assert!(Meta::decode(&bytes[..cut]).is_err(), "{cut}"));
    let nodes = BTreeMap::from([(NodeId(1), addresses("n1"))]);
    for command in [
        MetaCommand::Choose { numbers: numbers(&[("a", 1), ("b", u64::MAX)]) },
        MetaCommand::Make { shards: 4, nodes },
        MetaCommand::Replace { lost: NodeId(1), addresses: addresses("x") },
        MetaCommand::Replaced { lost: NodeId(7) },
    ] {
        let bytes = command.encode();
        assert_eq!(MetaCommand::decode(&bytes), Ok(command));
        (0..bytes.len()).for_each(|cut| assert!(MetaCommand::decode(&bytes[..cut]).is_err()));
    }
    let refused = MetaReply::Refused("no".into());
    for reply in [MetaReply::Done, MetaReply::Node(NodeId(3)), refused, MetaReply::Chosen(7)] {
        assert_eq!(MetaReply::decode(&reply.encode()), Ok(reply));
    }
}

#[test]
fn what_is_on_disk_stays_as_it_is() {
    let command = MetaCommand::Replaced { lost: NodeId(0x0102) };
    assert_eq!(command.encode(), [1, 3, 2, 1, 0, 0, 0, 0, 0, 0]);
    let mut meta = Meta::default();
    let nodes =
        BTreeMap::from([(NodeId(1), Addresses { peer: "p".into(), ..Addresses::default() })]);
    meta.apply(MetaCommand::Make { shards: 3, nodes });
    let golden = [
        &[1, 3, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0][..],
        &[1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, b'p', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ];
    assert_eq!(meta.encode(), golden.concat());
    meta.apply(MetaCommand::Choose { numbers: numbers(&[("ab", 0x0102)]) });
    let mut golden = golden.concat();
    golden[0] = 2;
    golden.extend([1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, b'a', b'b', 2, 1]);
    golden.extend([0; 6]);
    assert_eq!(meta.encode(), golden);
}
