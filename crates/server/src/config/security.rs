//! Who may reach a node: loopback only, unless there is authentication or `insecure = true` says
//! that there is none. Keys of what is not built yet are refused, never ignored.

use std::fmt;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::document::{ConfigError, Document, Found};
use super::{Keys, Listen};

/// Room for any sane password; more is a wrong file.
const PASSWORD_BYTES_MAX: usize = 4096;

const TLS_KEYS: Keys =
    &["client_cert", "client_key", "client_ca", "peer_ca", "peer_cert", "peer_key"];

pub(super) const KEYS: Keys = &[
    "insecure",
    "password_file",
    "client_cert",
    "client_key",
    "client_ca",
    "peer_ca",
    "peer_cert",
    "peer_key",
];

/// `[security]`.
#[derive(Clone, Debug)]
pub struct Security {
    /// Listening off loopback without authentication is wanted.
    pub insecure: bool,
    /// For RESP and gRPC; none: whoever reaches a listener may read and write.
    pub password: Option<Password>,
}

/// A password. Never shown by `Debug`, never logged.
#[derive(Clone)]
pub struct Password(Vec<u8>);

impl Password {
    /// A password of these bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// Whether `given` is it; takes as long for a near miss as for a far one.
    pub fn matches(&self, given: &[u8]) -> bool {
        use subtle::ConstantTimeEq;
        self.0.ct_eq(given).into()
    }

    /// Its bytes, for whoever must hand it on.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

pub(super) fn read(
    document: &Document<'_>,
    listen: &Listen,
    base: &Path,
) -> Result<Security, ConfigError> {
    let section = document.section("security", KEYS)?;
    for key in TLS_KEYS {
        if let Some(found) = section.get(key) {
            return Err(found.refuse("TLS is not built yet; leave the key out"));
        }
    }
    let insecure = section.get("insecure").map_or(Ok(false), |found| found.flag())?;
    let password = match section.get("password_file") {
        None => None,
        Some(found) => Some(password(&found, &found.path(base)?)?),
    };
    let security = Security { insecure, password };
    check_listeners(document, listen, &security)?;
    Ok(security)
}

/// The password covers what clients use. Peers and HTTP have no authentication before TLS is
/// built, so off loopback only `insecure = true` opens them.
fn check_listeners(
    document: &Document<'_>,
    listen: &Listen,
    security: &Security,
) -> Result<(), ConfigError> {
    let with_password: [(&str, SocketAddr); 3] =
        [("resp", listen.resp), ("resp_cluster", listen.resp_cluster), ("grpc", listen.grpc)];
    let without = [("peer", listen.peer), ("http", listen.http)];
    let listeners = with_password
        .into_iter()
        .map(|listener| (listener, security.password.is_some()))
        .chain(without.into_iter().map(|listener| (listener, false)));
    for ((name, address), authenticated) in listeners {
        if address.ip().is_loopback() || authenticated || security.insecure {
            continue;
        }
        let instead = match name {
            "peer" | "http" => "it has no authentication yet: set security.insecure = true",
            _ => "set security.password_file, or security.insecure = true",
        };
        return Err(document.error(format!(
            "listen.{name}: {address} is reachable from other machines; {instead} \
             if everybody who can reach it may use it, or listen on 127.0.0.1"
        )));
    }
    Ok(())
}

fn password(found: &Found, path: &Path) -> Result<Password, ConfigError> {
    let cannot =
        |error: std::io::Error| found.refuse(format!("{} cannot be read: {error}", path.display()));
    let mode = std::fs::metadata(path).map_err(cannot)?.permissions().mode();
    if mode & 0o077 != 0 {
        let path = path.display();
        return Err(found.refuse(format!("others may read {path}: run `chmod 600 {path}`")));
    }
    let bytes = std::fs::read(path).map_err(cannot)?;
    let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    match text.len() {
        0 => Err(found.refuse(format!("{} is empty", path.display()))),
        1..=PASSWORD_BYTES_MAX => Ok(Password(text.to_vec())),
        _ => Err(found.refuse(format!("at most {PASSWORD_BYTES_MAX} bytes"))),
    }
}
