//! Bugs of HTTP/2 and gRPC servers, each as a test with its name: what one peer sends as fast as it can, in
//! frames that no library would send, ends its own connection, and nobody else's.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::Instant;

use super::{Door, append, soon};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
/// A flood has been ended by then. For half a second a door reads on from whom it parts from.
const ENDED_WITHIN: Duration = Duration::from_secs(10);

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The headers of an `Append`, in HPACK without its tables.
fn headers() -> Vec<u8> {
    let literal = |name: &[u8], value: &str| {
        [name, &[u8::try_from(value.len()).unwrap()], value.as_bytes()].concat()
    };
    let parts = [
        // POST, http
        vec![0x83, 0x86],
        literal(&[0x04], "/weir.v1.Streams/Append"),
        literal(&[0x01], "localhost"),
        literal(&[0x0f, 0x10], "application/grpc"),
        literal(b"\x00\x02te", "trailers"),
    ];
    parts.concat()
}

/// A connection that has greeted. What the door says to it is read and forgotten.
async fn stranger(door: &Door) -> OwnedWriteHalf {
    let stream = TcpStream::connect(&door.address).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    tokio::spawn(async move {
        let mut bytes = vec![0; 1 << 16];
        while reader.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
    });
    writer.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    writer.write_all(&frame(SETTINGS, 0, 0, b"")).await.unwrap();
    writer
}

/// Sends what `next` makes until the door ends the connection, while another client is answered.
async fn flood(door: &Door, next: impl Fn(u32) -> Vec<u8>) {
    let mut writer = stranger(door).await;
    let mut good = door.streams().await;
    let began = Instant::now();
    for number in 0.. {
        let bytes: Vec<u8> = (0..64).flat_map(|at| next(number * 64 + at)).collect();
        let written: io::Result<()> = soon(writer.write_all(&bytes)).await;
        if written.is_err() {
            break;
        }
        assert!(began.elapsed() < ENDED_WITHIN, "the flood goes on");
        if number % 64 == 0 {
            soon(good.append(append("s", "v"))).await.unwrap();
        }
    }
    soon(good.append(append("s", "v"))).await.unwrap();
}

/// Calls that were given up at once cost the server work without end.
#[tokio::test]
async fn cve_2023_44487_a_peer_that_resets_its_calls_rapidly_is_parted_from() {
    let door = Door::open().await;
    let ended = flood(&door, |number| {
        let stream = 2 * number + 1;
        let cancel = 8u32.to_be_bytes();
        let call = frame(HEADERS, END_HEADERS, stream, &headers());
        [call, frame(RST_STREAM, 0, stream, &cancel)].concat()
    });
    ended.await;
}

/// Headers that never end took memory without end.
#[tokio::test]
async fn rustsec_2024_0332_headers_without_an_end_are_cut_off() {
    let door = Door::open().await;
    let ended = flood(&door, |number| match number {
        0 => frame(HEADERS, 0, 1, &headers()),
        _ => {
            frame(CONTINUATION, 0, 1, &[b"\x00\x01a\x7f\x80\x01".as_slice(), &[b'a'; 255]].concat())
        }
    });
    ended.await;
}

/// Frames without data were kept without end.
#[tokio::test]
async fn rustsec_2026_0258_data_without_bytes_is_not_kept_without_end() {
    let door = Door::open().await;
    let ended = flood(&door, |number| match number {
        0 => frame(HEADERS, END_HEADERS, 1, &headers()),
        _ => frame(DATA, 0, 1, b""),
    });
    ended.await;
}

/// A connection that was gone before it was taken ended the loop that takes connections.
#[tokio::test]
async fn rustsec_2024_0376_connections_that_break_at_once_end_nobody_elses() {
    let door = Door::open().await;
    for number in 0..200 {
        let stream = TcpStream::connect(&door.address).await.unwrap();
        if number % 2 == 0 {
            // Gone with a reset, perhaps before anybody took it.
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        } else {
            drop(stream.try_write(b"\x16\x03\x01 no HTTP/2 at all\r\n\r\n"));
        }
    }
    let mut good = door.streams().await;
    soon(good.append(append("s", "v"))).await.unwrap();
    assert!(!door.served.is_finished(), "nobody is served any more");
}
