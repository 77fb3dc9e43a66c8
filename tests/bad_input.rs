//! Malformed, truncated, split and huge requests on a real socket: an error in Redis's words, the
//! connection kept or closed as Redis does, and the node goes on.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tests::cluster::{Cluster, Options};

fn cluster() -> Cluster {
    let extra = "[limits]\nentry_bytes_max = \"64KiB\"\n".to_owned();
    Cluster::start(&Options { nodes: 1, forming: 1, shards: 2, extra }).unwrap()
}

fn connect(cluster: &Cluster) -> TcpStream {
    let stream = TcpStream::connect(cluster.nodes[0].resp()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// What comes back until the server closes, or until `lines` lines are there.
fn answer(stream: &mut TcpStream, lines: usize) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while text.matches("\r\n").count() < lines {
        match stream.read(&mut buffer) {
            Ok(0) => return text + "(closed)",
            Ok(read) => text += &String::from_utf8_lossy(&buffer[..read]),
            Err(error) => return text + &format!("({error})"),
        }
    }
    text
}

#[test]
fn bad_bytes_get_an_error_and_the_node_goes_on() {
    let cluster = cluster();
    let cases: &[(&[u8], &str)] = &[
        (b"*1\r\n:5\r\n", "-ERR Protocol error: expected '$', got ':'"),
        (b"*1\r\n$-5\r\n", "-ERR Protocol error: invalid bulk length"),
        (b"*9999999\r\n", "-ERR Protocol error: invalid multibulk length"),
        (b"*2\r\n$4\r\nXLEN\r\n$999999999\r\n", "-ERR Protocol error: invalid bulk length"),
        (b"XADD \"unbalanced\r\n", "-ERR Protocol error: unbalanced quotes in request"),
    ];
    for (bytes, expected) in cases {
        let mut stream = connect(&cluster);
        stream.write_all(bytes).unwrap();
        let text = answer(&mut stream, 1);
        assert!(text.starts_with(expected), "{:?} gave {text}", bytes.escape_ascii().to_string());
        assert_eq!(answer(&mut stream, usize::MAX), "(closed)", "Redis closes");
    }
    // Truncated: the client goes away in the middle.
    for bytes in [&b"*3\r\n$4\r\nXA"[..], b"*", b"*3\r\n$4\r\nXADD\r\n$1\r\n"] {
        connect(&cluster).write_all(bytes).unwrap();
    }
    let mut stream = connect(&cluster);
    stream.write_all(b"PING\r\n").unwrap();
    assert_eq!(answer(&mut stream, 1), "+PONG\r\n");
}

#[test]
fn wrong_requests_get_an_error_and_the_connection_stays() {
    let cluster = cluster();
    let mut stream = connect(&cluster);
    let cases = [
        ("NOSUCH a b\r\n", "-ERR unknown command 'NOSUCH'"),
        ("XADD s\r\n", "-ERR wrong number of arguments for 'xadd' command\r\n"),
        ("XADD s 5 f\r\n", "-ERR wrong number of arguments for 'xadd' command\r\n"),
        (
            "XADD s nonsense f v\r\n",
            "-ERR Invalid stream ID specified as stream command argument\r\n",
        ),
        ("XADD s 0-0 f v\r\n", "-ERR The ID specified in XADD must be greater than 0-0\r\n"),
        ("XRANGE s - + COUNT many\r\n", "-ERR value is not an integer or out of range\r\n"),
        ("XGROUP NOSUCH s g\r\n", "-ERR unknown subcommand 'NOSUCH'"),
        ("SELECT 1\r\n", "-ERR"),
    ];
    for (request, expected) in cases {
        stream.write_all(request.as_bytes()).unwrap();
        let text = answer(&mut stream, 1);
        assert!(text.starts_with(expected), "{request:?} gave {text}");
    }
    // Split at every byte.
    for byte in b"*5\r\n$4\r\nXADD\r\n$5\r\nsplit\r\n$3\r\n5-1\r\n$1\r\nf\r\n$1\r\nv\r\n" {
        stream.write_all(&[*byte]).unwrap();
        stream.flush().unwrap();
    }
    assert_eq!(answer(&mut stream, 2), "$3\r\n5-1\r\n");
}

#[test]
fn an_entry_above_the_limit_is_refused_and_stores_nothing() {
    let cluster = cluster();
    let mut client = cluster.nodes[0].client().unwrap();
    let reply = client.call(&["XADD", "big", "*", "f", &"x".repeat(65 * 1024)]).unwrap();
    assert!(reply.as_error().is_some(), "{reply}");
    assert_eq!(client.call(&["XLEN", "big"]).unwrap().as_integer(), Some(0));
    let reply = client.call(&["XADD", "big", "*", "f", &"x".repeat(60 * 1024)]).unwrap();
    assert!(reply.as_error().is_none(), "{reply}");
}
