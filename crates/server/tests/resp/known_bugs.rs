//! Bugs that other servers had, each by the name under which it is known: none of them is one here.

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

/// CVE-2021-21309, CVE-2021-41099: a limit that could be set too high overflowed.
#[tokio::test]
async fn cve_2021_41099_the_length_of_an_argument_is_not_the_clients_to_set() {
    let door = Door::open();
    let mut client = door.client().await;
    let refused = client.ask("CONFIG SET proto-max-bulk-len 9223372036854775807").await;
    assert!(refused.starts_with("-ERR CONFIG SET failed"), "{refused}");
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

/// CVE-2022-31144, CVE-2022-35951: deleted entries and a COUNT too great.
#[tokio::test]
async fn cve_2022_35951_xautoclaim_of_deleted_entries_with_any_count() {
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

/// CVE-2022-36021, CVE-2024-31228: a pattern took exponential time, or the stack.
#[tokio::test]
async fn cve_2024_31228_patterns_take_no_time() {
    let door = Door::open();
    let mut client = door.client().await;
    client.ask("HELLO 3").await;
    let evil = format!("{}b", "*a".repeat(10_000));
    client.ask(&format!("PSUBSCRIBE {evil}")).await;
    assert_eq!(client.ask(&format!("PUBLISH {} m", "a".repeat(1000))).await, ":0");
    assert_eq!(client.ask(&format!("CONFIG GET {evil}")).await, "%0{}");
    assert_eq!(client.ask(&format!("COMMAND LIST FILTERBY PATTERN {evil}")).await, "*0[]");
    assert_eq!(client.ask(&format!("PUBSUB CHANNELS {evil}")).await, "*0[]");
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

/// CVE-2024-31227, CVE-2024-51741: malformed selectors ended the process.
#[tokio::test]
async fn cve_2024_31227_malformed_users_are_refused_and_nothing_ends() {
    let door = Door::open();
    let mut client = door.client().await;
    for asked in ["SETUSER a (", "SETUSER a ((+@all)", "SETUSER a %R~", "LOAD", "DRYRUN a GET"] {
        assert!(client.ask(&format!("ACL {asked}")).await.starts_with("-ERR unknown subcommand"));
    }
    assert_eq!(client.ask("PING").await, "+PONG");
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

/// redis #13338, #13958: the lag was wrong after deletions and trims.
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
