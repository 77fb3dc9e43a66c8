//! Binding, and who has a port that is taken. Linux's `/proc` is read, nothing is changed.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use crate::failure::Failure;

/// Connections that may wait to be taken: a whole fleet that reconnects after a failover.
const BACKLOG: i32 = 4096;

/// Binds `name`'s address at once, so that a taken port is known before any data is opened.
pub fn bind(name: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    listen(address).map_err(|error| refused(name, address, &error))
}

/// Why `name`'s address could not be bound, in one line.
pub fn refused(name: &str, address: SocketAddr, error: &std::io::Error) -> Failure {
    let why = match error.kind() {
        ErrorKind::AddrInUse => in_use(address.port()),
        ErrorKind::PermissionDenied => "not permitted; use a port from 1024 on".to_owned(),
        ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        _ => error.to_string(),
    };
    Failure::Machine(format!("listen.{name}: {address}: {why}"))
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// `in use by redis-server (pid 12)`, or without the holder where it cannot be seen.
pub fn in_use(port: u16) -> String {
    match holder(port) {
        Some(holder) => format!("in use by {holder}"),
        None => "in use by another process".to_owned(),
    }
}

/// The process that listens on a port, as `name (pid N)`; none where it belongs to another user.
fn holder(port: u16) -> Option<String> {
    let inodes = listening_inodes(port);
    let links: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        has_open(&process.path(), &links).then(|| {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            format!("{} (pid {pid})", name.trim())
        })
    })
}

fn has_open(process: &Path, links: &[String]) -> bool {
    let Ok(open) = std::fs::read_dir(process.join("fd")) else { return false };
    open.flatten().any(|file| {
        std::fs::read_link(file.path())
            .is_ok_and(|target| links.iter().any(|link| target.as_os_str() == link.as_str()))
    })
}

fn listening_inodes(port: u16) -> Vec<u64> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let texts = tables.iter().filter_map(|table| std::fs::read_to_string(table).ok());
    texts.flat_map(|text| inodes_in(&text, port)).collect()
}

/// Columns of the kernel's table: 1 is `ADDRESS:PORT` in hexadecimal, 3 the state (0A listens),
/// 9 the inode.
fn inodes_in(table: &str, port: u16) -> Vec<u64> {
    let suffix = format!(":{port:04X}");
    let lines = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines
        .filter(|columns| {
            columns.get(1).is_some_and(|local| local.ends_with(&suffix))
                && columns.get(3) == Some(&"0A")
        })
        .filter_map(|columns| columns.get(9)?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_taken_port_is_named() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        let error = bind("resp", address).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        let text = error.to_string();
        let pid = format!("(pid {})", std::process::id());
        assert!(text.starts_with(&format!("listen.resp: {address}: in use by ")), "{text}");
        assert!(text.ends_with(&pid), "{text}");
    }

    #[test]
    fn only_listeners_of_that_port_are_found() {
        let table = "  sl  local_address rem_address   st tx rx tr tm retrnsmt uid timeout inode\n\
             0: 0100007F:18EB 00000000:0000 0A 0:0 00:0 00000000 0 0 77 1\n\
             1: 0100007F:18EB 0100007F:0050 01 0:0 00:0 00000000 0 0 78 1\n\
             2: 0100007F:18EC 00000000:0000 0A 0:0 00:0 00000000 0 0 79 1\n";
        assert_eq!(inodes_in(table, 0x18eb), [77]);
    }
}
