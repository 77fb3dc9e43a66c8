//! Bugs that other servers had, each by the name under which it is known: none of them is one here.
//!
//! | known as | what it was | its test, elsewhere where a file is named |
//! |---|---|---|
//! | CVE-2018-12453 | XGROUP on another type of key | `cve_2018_12453_..` |
//! | CVE-2021-21309, -41099 | `proto-max-bulk-len` overflows | `cve_2021_21309_..`, `cve_2021_41099_..` |
//! | CVE-2021-32627 | an entry too great for its encoding | `cve_2021_32627_..` |
//! | CVE-2021-32675 | memory for what is only announced | `cve_2021_32675_..` |
//! | CVE-2022-31144, -35951 | XAUTOCLAIM of deleted entries; its COUNT overflows | `cve_2022_31144_..`, `cve_2022_35951_..` |
//! | CVE-2022-36021, CVE-2024-31228 | patterns take exponential time; the stack | `cve_2022_36021_..`, `cve_2024_31228_..` |
//! | CVE-2023-36824 | keys looked for beyond the arguments | `cve_2023_36824_..` |
//! | CVE-2023-41053 | one command forgot to ask who may | `cve_2023_41053_..` |
//! | CVE-2023-41056 | wrong sums when a buffer grows | `cve_2023_41056_..` |
//! | CVE-2024-31227, -51741 | malformed users | `cve_2024_31227_..`, `cve_2024_51741_..` |
//! | CVE-2025-21605 | output grows for strangers | `connection.rs`: `cve_2025_21605_..` |
//! | CVE-2025-30215 | administration without asking who may | `cve_2025_30215_..` |
//! | CVE-2025-48367 | an error of accept ends the port | `descriptors.rs`: `cve_2025_48367_..` |
//! | CVE-2025-62507 | XACKDEL with many ids | `cve_2025_62507_..` |
//! | CVE-2025-67733 | what was sent becomes a reply | `hostile.rs`: `cve_2025_67733_..` |
//! | CVE-2026-23479 | a client goes while it is unblocked | `cve_2026_23479_..` |
//! | CVE-2026-27623 | an empty request leaves something behind | `cve_2026_27623_..`, and `resp`'s fuzz targets |
//! | CVE-2026-27889 | one frame of a stranger ends the process | `cve_2026_27889_..` |
//! | CVE-2026-44283 | a transaction forgot to ask who may | `cve_2026_44283_..` |
//! | GHSA-9983-vrx2-fg9c | a copy restored over another stream | `ghsa_9983_vrx2_fg9c_..` |
//! | redis 5109, 5111, 5570, 6703, 6930, 10306, 10968, 13338, 13958 | streams and groups | `redis_5109_..` and so on |
//! | redis 5433, 7105 | acknowledged entries, the last id delivered, after a failover or a restart | `tests/known_bugs.rs` |
//!
//! They can't be bugs of this port, and have no test here:
//!
//! * CVE-2023-45145: Weir has no Unix socket.
//! * CVE-2020-15115, CVE-2018-16886: nobody sets a password or is known by a certificate at this port.
//! * etcd 14571: nothing about who may do what stands in the log.
//! * CVE-2020-15106, CVE-2020-15112: what is read from the disk is the journal's (`journal/tests`).
//! * NATS 2026-16, CVE-2023-44487 and its kin of HTTP/2: other ports, other protocols.

use crate::client::{Client, request};
use crate::door::{Door, ENTRY_BYTES_MAX};

/// Two entries, read by one consumer of a group.
async fn read_by_group(client: &mut Client) {
    for asked in ["XADD s 1-1 a 1", "XADD s 2-1 b 2", "XGROUP CREATE s g 0"] {
        client.ask(asked).await;
    }
    client.ask("XREADGROUP GROUP g c STREAMS s >").await;
}

#[tokio::test]
async fn cve_2021_32675_a_stranger_that_announces_much_is_refused_at_once() {
    let door = Door::open_with_password("secret");
    for announced in ["*1000000\r\n", "*10\r\n$1000000\r\n"] {
        let mut client = door.client().await;
        client.send(announced).await;
        assert!(client.said().await.starts_with("-ERR Protocol error: unauthenticated"));
        assert_eq!(client.said().await, "closed");
    }
}

#[tokio::test]
async fn cve_2021_21309_the_length_of_an_argument_is_not_the_clients_to_set() {
    let door = Door::open();
    let mut client = door.client().await;
    for length in ["9223372036854775807", "4294967296", "1gb", "-1"] {
        let refused = client.ask(&format!("CONFIG SET proto-max-bulk-len {length}")).await;
        assert!(refused.starts_with("-ERR CONFIG SET failed"), "{length}: {refused}");
    }
}

#[tokio::test]
async fn cve_2021_41099_no_length_of_an_argument_overflows() {
    let door = Door::open();
    for length in ["9223372036854775807", "4294967296", "18446744073709551616", "-2"] {
        let mut client = door.client().await;
        client.send(format!("*2\r\n$4\r\nECHO\r\n${length}\r\n")).await;
        assert_eq!(client.said().await, "-ERR Protocol error: invalid bulk length");
        assert_eq!(client.said().await, "closed");
    }
}

#[tokio::test]
async fn cve_2021_32627_an_entry_of_the_greatest_size_is_kept_whole() {
    let door = Door::open();
    let mut client = door.client().await;
    let value = "x".repeat(ENTRY_BYTES_MAX - 1);
    assert_eq!(client.ask(&format!("XADD s 1-1 f {value}")).await, "'1-1'");
    assert_eq!(client.ask("XRANGE s - +").await, format!("*1[*2['1-1', *2['f', '{value}']]]"));
    let many = "f v ".repeat(ENTRY_BYTES_MAX / 2);
    assert_eq!(client.ask(&format!("XADD s 2-1 {}", many.trim_end())).await, "'2-1'");
    assert_eq!(client.ask("XLEN s").await, ":2");
}

#[tokio::test]
async fn cve_2022_31144_xautoclaim_where_every_entry_is_deleted() {
    let door = Door::open();
    let mut client = door.client().await;
    read_by_group(&mut client).await;
    client.ask("XADD s 3-1 c 3").await;
    client.ask("XREADGROUP GROUP g c STREAMS s >").await;
    client.ask("XDEL s 1-1 2-1 3-1").await;
    assert_eq!(client.ask("XAUTOCLAIM s g d 0 0 COUNT 1").await, "*3['2-1', *0[], *1['1-1']]");
    assert_eq!(client.ask("XAUTOCLAIM s g d 0 0").await, "*3['0-0', *0[], *2['2-1', '3-1']]");
    assert_eq!(client.ask("XAUTOCLAIM s g d 0 0").await, "*3['0-0', *0[], *0[]]");
}

#[tokio::test]
async fn cve_2022_35951_xautoclaim_with_any_count() {
    let door = Door::open();
    let mut client = door.client().await;
    read_by_group(&mut client).await;
    client.ask("XDEL s 1-1").await;
    for count in ["9223372036854775807", "4611686018427387904", "0", "-1", "18446744073709551615"] {
        let said = client.ask(&format!("XAUTOCLAIM s g d 0 0 COUNT {count} JUSTID")).await;
        assert!(said.starts_with("*3[") || said == "-ERR COUNT must be > 0", "{count}: {said}");
    }
    let said = client.ask("XAUTOCLAIM s g d 0 0 COUNT 1000 JUSTID").await;
    assert_eq!(said, "*3['0-0', *1['2-1'], *1['1-1']]");
    assert_eq!(client.ask("XPENDING s g").await, "*4[:1, '2-1', '2-1', *1[*2['d', '1']]]");
}

/// A pattern took exponential time: each star tried every length of those behind it.
#[tokio::test]
async fn cve_2022_36021_patterns_of_keys_take_no_time() {
    let door = Door::open();
    let mut client = door.client().await;
    for number in 0..20 {
        client.ask(&format!("XADD {}{number} 1-1 f v", "a".repeat(500))).await;
    }
    let evil = format!("{}b", "*a".repeat(400));
    assert_eq!(client.ask(&format!("KEYS {evil}")).await, "*0[]");
    let mut cursor = "0".to_owned();
    loop {
        client.send(request(&format!("SCAN {cursor} MATCH {evil} COUNT 100"))).await;
        let reply = client.reply().await.unwrap();
        let reply = reply.as_items().unwrap();
        assert_eq!(reply[1].to_string(), "*0[]");
        cursor = reply[0].as_text().unwrap().to_owned();
        if cursor == "0" {
            break;
        }
    }
}

/// A pattern took the stack: each star called itself.
#[tokio::test]
async fn cve_2024_31228_patterns_take_no_stack() {
    let door = Door::open();
    let mut client = door.client().await;
    client.ask("HELLO 3").await;
    let evil = format!("{}b", "*a".repeat(10_000));
    client.ask(&format!("PSUBSCRIBE {evil}")).await;
    assert_eq!(client.ask(&format!("PUBLISH {} m", "a".repeat(1000))).await, ":0");
    assert_eq!(client.ask(&format!("CONFIG GET {evil}")).await, "%0{}");
    assert_eq!(client.ask(&format!("COMMAND LIST FILTERBY PATTERN {evil}")).await, "*0[]");
    assert_eq!(client.ask(&format!("PUBSUB CHANNELS {evil}")).await, "*0[]");
    assert_eq!(client.ask(&format!("KEYS {evil}")).await, "*0[]");
}

#[tokio::test]
async fn cve_2023_36824_keys_are_found_in_no_request_that_has_none() {
    let door = Door::open();
    let mut client = door.client().await;
    for asked in [
        "XREAD STREAMS",
        "XREAD COUNT 1 STREAMS a",
        "XREADGROUP GROUP g c STREAMS",
        "XREADGROUP STREAMS STREAMS STREAMS STREAMS STREAMS STREAMS",
        "DEL",
        "XGROUP CREATE",
    ] {
        let said = client.ask(&format!("COMMAND GETKEYS {asked}")).await;
        assert!(said.starts_with('-') || said.starts_with('*'), "{asked}: {said}");
    }
    assert_eq!(client.ask("PING").await, "+PONG");
}

#[tokio::test]
async fn cve_2023_41056_arguments_of_every_size_come_back_as_they_were() {
    let door = Door::open();
    let mut client = door.client().await;
    for size in (0..20).flat_map(|power| [(1usize << power) - 1, 1 << power, (1 << power) + 1]) {
        let value = "x".repeat(size);
        let mut bytes = bytes::BytesMut::new();
        resp::write_request(&mut bytes, &["ECHO", &value]);
        client.send(&bytes).await;
        assert_eq!(client.said().await, format!("'{value}'"));
    }
}

/// Each is refused, and the port goes on.
async fn check_users_are_refused(asked: &[&str]) {
    let door = Door::open();
    let mut client = door.client().await;
    for asked in asked {
        assert!(client.ask(&format!("ACL {asked}")).await.starts_with("-ERR unknown subcommand"));
    }
    assert_eq!(client.ask("PING").await, "+PONG");
    assert_eq!(client.ask("ACL USERS").await, "*1['default']");
}

#[tokio::test]
async fn cve_2024_31227_users_with_malformed_permissions_are_refused() {
    check_users_are_refused(&["SETUSER a %R~", "SETUSER a %~", "SETUSER a %RW", "LOAD"]).await;
}

#[tokio::test]
async fn cve_2024_51741_users_with_malformed_selectors_are_refused() {
    check_users_are_refused(&[
        "SETUSER a (",
        "SETUSER a ((+@all)",
        "SETUSER a ()(",
        "DRYRUN a GET",
    ])
    .await;
}

#[tokio::test]
async fn cve_2025_62507_many_ids_are_acknowledged_and_deleted_at_once() {
    let door = Door::open();
    let mut client = door.client().await;
    read_by_group(&mut client).await;
    let ids: Vec<String> = (1..=5000).map(|ms| format!("{ms}-1")).collect();
    let said = client.ask(&format!("XACKDEL s g IDS {} {}", ids.len(), ids.join(" "))).await;
    assert!(said.starts_with("*5000[:1, :1, :-1"), "{}", &said[..100]);
    assert_eq!(client.ask("XLEN s").await, ":0");
}

/// The client that waits goes away while it is woken, unblocked and killed.
#[tokio::test]
async fn cve_2026_23479_a_client_that_waits_may_go_away_at_any_moment() {
    let door = Door::open();
    let mut other = door.client().await;
    other.ask("XGROUP CREATE s g 0 MKSTREAM").await;
    for round in 1..=60 {
        let mut waiting = door.client().await;
        let id = waiting.ask("CLIENT ID").await.replace(':', "");
        waiting.send(request("XREADGROUP GROUP g c BLOCK 0 STREAMS s >")).await;
        let ends = [format!("CLIENT UNBLOCK {id} ERROR"), format!("CLIENT KILL ID {id}")];
        match round % 4 {
            0 => drop(waiting),
            1 => drop((other.ask(&ends[0]).await, waiting)),
            2 => drop((other.ask(&ends[1]).await, waiting)),
            _ => drop((other.ask(&format!("XADD s {round}-1 a 1")).await, waiting)),
        }
        assert_eq!(other.ask("PING").await, "+PONG");
    }
    door.until(|stats| stats.clients == 1).await;
    assert!(other.ask("INFO clients").await.contains("blocked_clients:0"));
}

/// An empty request left something in the parser that the next one fell over.
#[tokio::test]
async fn cve_2026_27623_empty_requests_leave_nothing_behind() {
    let door = Door::open();
    for empty in ["*0\r\n", "*-1\r\n", "\r\n", "   \r\n", "*0\r\n*0\r\n\r\n*-1\r\n"] {
        let mut client = door.client().await;
        client.send([empty, "PING\r\n", empty, "*1\r\n$4\r\nPING\r\n"].concat()).await;
        assert_eq!((client.said().await, client.said().await), ("+PONG".into(), "+PONG".into()));
    }
}

/// One frame of a stranger ended the process of another server.
#[tokio::test]
async fn cve_2026_27889_no_single_frame_of_a_stranger_ends_anything() {
    let door = Door::open_with_password("secret");
    for frame in [
        &b"*1\r\n$0\r\n\r\n"[..],
        b"*2\r\n$4\r\nAUTH\r\n$0\r\n\r\n",
        b"*3\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n",
        b"HELLO 3 AUTH\r\n",
        b"HELLO 99999999999999999999\r\n",
        b"*\r\n",
        b"$\r\n",
        b"%1\r\n+a\r\n+b\r\n",
    ] {
        let mut client = door.client().await;
        client.send(frame).await;
        let said = client.said().await;
        assert!(said.starts_with('-'), "{}: {said}", frame.escape_ascii());
    }
    assert_eq!(door.client().await.ask("AUTH secret").await, "+OK");
}

#[tokio::test]
async fn redis_5109_noack_while_blocked_leaves_nothing_pending() {
    let door = Door::open();
    let (mut reader, mut writer) = (door.client().await, door.client().await);
    writer.ask("XGROUP CREATE s g 0 MKSTREAM").await;
    reader.send(request("XREADGROUP GROUP g c BLOCK 0 NOACK STREAMS s >")).await;
    while !writer.ask("INFO clients").await.contains("blocked_clients:1") {}
    writer.ask("XADD s 1-1 a 1").await;
    assert_eq!(reader.said().await, "*1[*2['s', *1[*2['1-1', *2['a', '1']]]]]");
    assert_eq!(writer.ask("XPENDING s g").await, "*4[:0, nil, nil, nil-array]");
}

#[tokio::test]
async fn redis_5111_a_group_that_was_moved_back_delivers_again() {
    let door = Door::open();
    let mut client = door.client().await;
    read_by_group(&mut client).await;
    client.ask("XGROUP SETID s g 0").await;
    let again = "*1[*2['s', *2[*2['1-1', *2['a', '1']], *2['2-1', *2['b', '2']]]]]";
    assert_eq!(client.ask("XREADGROUP GROUP g d STREAMS s >").await, again);
    assert_eq!(client.ask("XPENDING s g").await, "*4[:2, '1-1', '2-1', *1[*2['d', '2']]]");
}

#[tokio::test]
async fn redis_5570_nothing_is_read_twice_after_trimming() {
    let door = Door::open();
    let mut client = door.client().await;
    read_by_group(&mut client).await;
    client.ask("XADD s MAXLEN 1 3-1 c 3").await;
    let read = "XREADGROUP GROUP g c STREAMS s >";
    assert_eq!(client.ask(read).await, "*1[*2['s', *1[*2['3-1', *2['c', '3']]]]]");
    assert_eq!(client.ask(read).await, "nil-array");
}

#[tokio::test]
async fn redis_6703_a_blocked_reader_never_gets_nothing() {
    let door = Door::open();
    let (mut reader, mut writer) = (door.client().await, door.client().await);
    writer.ask("XADD s 1-1 a 1").await;
    reader.send(request("XREAD BLOCK 0 STREAMS s $")).await;
    while !writer.ask("INFO clients").await.contains("blocked_clients:1") {}
    writer.ask("XDEL s 1-1").await;
    writer.ask("XTRIM s MAXLEN 0").await;
    writer.ask("XADD s 2-1 b 2").await;
    assert_eq!(reader.said().await, "*1[*2['s', *1[*2['2-1', *2['b', '2']]]]]");
}

#[tokio::test]
async fn redis_6930_a_deleted_entry_is_not_taken_for_the_next_one() {
    let door = Door::open();
    let mut client = door.client().await;
    read_by_group(&mut client).await;
    client.ask("XDEL s 1-1").await;
    let history = "*1[*2['s', *2[*2['1-1', nil-array], *2['2-1', *2['b', '2']]]]]";
    assert_eq!(client.ask("XREADGROUP GROUP g c STREAMS s 0").await, history);
    assert_eq!(client.ask("XCLAIM s g d 0 1-1").await, "*0[]");
}

#[tokio::test]
async fn redis_10306_a_blocked_group_reader_hears_that_its_key_is_gone() {
    let door = Door::open();
    let (mut reader, mut writer) = (door.client().await, door.client().await);
    for gone in ["DEL s", "XGROUP DESTROY s g"] {
        writer.ask("XGROUP CREATE s g 0 MKSTREAM").await;
        reader.send(request("XREADGROUP GROUP g c BLOCK 0 STREAMS s >")).await;
        while !writer.ask("INFO clients").await.contains("blocked_clients:1") {}
        writer.ask(gone).await;
        assert!(reader.said().await.starts_with("-NOGROUP"), "{gone}");
    }
}

#[tokio::test]
async fn redis_10968_xautoclaim_after_a_trim_tells_what_is_gone() {
    let door = Door::open();
    let mut client = door.client().await;
    read_by_group(&mut client).await;
    client.ask("XTRIM s MAXLEN 0").await;
    assert_eq!(client.ask("XAUTOCLAIM s g d 0 0").await, "*3['0-0', *0[], *2['1-1', '2-1']]");
    assert_eq!(client.ask("XPENDING s g").await, "*4[:0, nil, nil, nil-array]");
}

/// An entry was deleted behind the last one delivered, and the lag counted it.
#[tokio::test]
async fn redis_13338_the_lag_counts_no_entry_that_was_deleted_ahead_of_the_group() {
    let door = Door::open();
    let mut client = door.client().await;
    read_by_group(&mut client).await;
    for ms in 3..=6 {
        client.ask(&format!("XADD s {ms}-1 a 1")).await;
    }
    client.ask("XDEL s 4-1").await;
    let groups = client.ask("XINFO GROUPS s").await;
    // Not known is true, too.
    let is = |lag: &str| groups.contains(&format!("'lag', {lag}]"));
    assert!(is(":3") || is("nil"), "{groups}");
    client.ask("XREADGROUP GROUP g c STREAMS s >").await;
    let groups = client.ask("XINFO GROUPS s").await;
    assert!(groups.contains("'lag', :0]"), "{groups}");
}

/// The lag was wrong after a trim.
#[tokio::test]
async fn redis_13958_the_lag_is_right_after_a_trim() {
    let door = Door::open();
    let mut client = door.client().await;
    read_by_group(&mut client).await;
    for ms in 3..=6 {
        client.ask(&format!("XADD s {ms}-1 a 1")).await;
    }
    client.ask("XTRIM s MAXLEN 2").await;
    let groups = client.ask("XINFO GROUPS s").await;
    assert!(groups.contains("'lag', :2"), "{groups}");
    client.ask("XTRIM s MAXLEN 0").await;
    let groups = client.ask("XINFO GROUPS s").await;
    assert!(groups.contains("'lag', :0"), "{groups}");
}

/// XGROUP took a key of another type for a stream. Here a key is a stream, or it isn't there.
#[tokio::test]
async fn cve_2018_12453_a_group_needs_a_stream_and_nothing_else_can_be_a_key() {
    let door = Door::open();
    let mut client = door.client().await;
    for asked in ["SET s v", "LPUSH s v", "HSET s f v", "SADD s v", "ZADD s 1 v", "PFADD s v"] {
        let refused = client.ask(asked).await;
        assert!(refused.starts_with("-ERR unknown command"), "{asked}: {refused}");
    }
    assert_eq!(client.ask("EXISTS s").await, ":0");
    for asked in ["CREATE s g 0", "SETID s g 0", "DESTROY s g", "CREATECONSUMER s g c"] {
        let refused = client.ask(&format!("XGROUP {asked}")).await;
        assert!(refused.starts_with("-ERR The XGROUP subcommand requires the key"), "{refused}");
    }
    assert_eq!(client.ask("EXISTS s").await, ":0");
    assert_eq!(client.ask("XGROUP CREATE s g 0 MKSTREAM").await, "+OK");
    assert_eq!(client.ask("TYPE s").await, "+stream");
}

/// Every command of the table, each subcommand on its own, with as many arguments as it wants.
async fn every_request(client: &mut Client) -> Vec<(String, String)> {
    client.send(request("COMMAND")).await;
    let reply = client.reply().await.unwrap();
    let mut requests = Vec::new();
    for row in reply.as_items().unwrap() {
        let row = row.as_items().unwrap();
        let subcommands = row[9].as_items().unwrap();
        let one = [resp::Value::Array(row.to_vec())];
        for row in if subcommands.is_empty() { &one[..] } else { subcommands } {
            let row = row.as_items().unwrap();
            let name = row[0].as_text().unwrap().to_owned();
            let mut words: Vec<&str> = name.split('|').collect();
            let wanted = usize::try_from(row[1].as_integer().unwrap().abs()).unwrap();
            words.resize(wanted.max(words.len()), "1");
            requests.push((words.join(" "), name));
        }
    }
    requests
}

#[tokio::test]
async fn cve_2023_41053_no_command_is_done_for_a_stranger() {
    const FOR_STRANGERS: [&str; 4] = ["auth", "hello", "quit", "reset"];
    let door = Door::open_with_password("secret");
    let mut known = door.client().await;
    assert_eq!(known.ask("AUTH secret").await, "+OK");
    let requests = every_request(&mut known).await;
    assert!(requests.len() > 150, "only {} requests", requests.len());
    let mut stranger = door.client().await;
    for (asked, name) in requests.iter().filter(|(_, name)| !FOR_STRANGERS.contains(&&**name)) {
        assert_eq!(stranger.ask(asked).await, "-NOAUTH Authentication required.", "{name}");
    }
    assert_eq!(known.ask("DBSIZE").await, ":0");
}

/// What administers was served to anybody.
#[tokio::test]
async fn cve_2025_30215_nothing_is_administered_by_a_stranger() {
    let door = Door::open_with_password("secret");
    let mut known = door.client().await;
    assert_eq!(known.ask("AUTH secret").await, "+OK");
    let id = known.ask("CLIENT ID").await.replace(':', "");
    let mut stranger = door.client().await;
    for asked in [
        "CONFIG SET slowlog-max-len 7".to_owned(),
        "CLIENT PAUSE 100000".to_owned(),
        "SHUTDOWN NOSAVE".to_owned(),
        "FLUSHALL".to_owned(),
        "MONITOR".to_owned(),
        format!("CLIENT KILL ID {id}"),
    ] {
        assert_eq!(stranger.ask(&asked).await, "-NOAUTH Authentication required.", "{asked}");
    }
    assert_eq!(known.ask("CONFIG GET slowlog-max-len").await, "*2['slowlog-max-len', '128']");
    assert_eq!(known.ask("XADD s 1-1 a 1").await, "'1-1'");
}

/// Who may do it was asked for each request, but not for those of a transaction.
#[tokio::test]
async fn cve_2026_44283_a_transaction_is_begun_and_ended_by_who_may() {
    let door = Door::open_with_password("secret");
    let noauth = "-NOAUTH Authentication required.";
    let mut client = door.client().await;
    for asked in ["MULTI", "XADD s 1-1 a 1", "EXEC"] {
        assert_eq!(client.ask(asked).await, noauth);
    }
    assert_eq!(client.ask("AUTH secret").await, "+OK");
    assert_eq!(client.ask("EXEC").await, "-ERR EXEC without MULTI");
    // A stranger again in the middle: what was queued is nobody's.
    for (asked, said) in [("MULTI", "+OK"), ("XADD s 1-1 a 1", "+QUEUED"), ("RESET", "+RESET")] {
        assert_eq!(client.ask(asked).await, said);
    }
    assert_eq!(client.ask("EXEC").await, noauth);
    assert_eq!(client.ask("AUTH secret").await, "+OK");
    assert_eq!(client.ask("EXEC").await, "-ERR EXEC without MULTI");
    assert_eq!(client.ask("XLEN s").await, ":0");
}

/// A backup was restored over a stream that somebody else owned.
#[tokio::test]
async fn ghsa_9983_vrx2_fg9c_no_stream_is_made_of_raw_bytes() {
    let door = Door::open();
    let mut client = door.client().await;
    client.ask("XADD s 1-1 a 1").await;
    for asked in ["RESTORE s 0 x REPLACE", "RESTORE t 0 x", "DUMP s", "MIGRATE h 1 s 0 1"] {
        let refused = client.ask(asked).await;
        assert!(refused.ends_with("Weir takes and gives no keys as raw bytes"), "{refused}");
    }
    assert_eq!(client.ask("KEYS *").await, "*1['s']");
    assert_eq!(client.ask("XLEN s").await, ":1");
}
