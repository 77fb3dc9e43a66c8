//! Which connections CLIENT LIST and CLIENT KILL are about. Never what is done with them.

use bytes::Bytes;

use super::is_word;
use crate::resp::{Client, Echo, Kind, SyntaxError};

/// What a connection must be, as far as anything is said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    ids: Option<Vec<u64>>,
    /// None within: a kind that no connection here has.
    kind: Option<Option<Kind>>,
    address: Option<Bytes>,
    local_address: Option<Bytes>,
    /// Seconds that it has been connected at least.
    age_min: Option<u64>,
}

impl Filter {
    /// The options of LIST.
    pub(super) fn of_list(options: &[Bytes]) -> Result<Self, SyntaxError> {
        match options {
            [] => Ok(Self::default()),
            [option, name] if is_word(option, "TYPE") => {
                Ok(Self { kind: Some(kind(name)?), ..Self::default() })
            }
            [option, ids @ ..] if is_word(option, "ID") && !ids.is_empty() => {
                let id = |given: &Bytes| positive(given).ok_or(SyntaxError::ClientId);
                let ids = ids.iter().map(id).collect::<Result<_, _>>()?;
                Ok(Self { ids: Some(ids), ..Self::default() })
            }
            _ => Err(SyntaxError::Syntax),
        }
    }

    /// KILL with an address alone.
    pub(super) fn of_address(address: &Bytes) -> Self {
        Self { address: Some(address.clone()), ..Self::default() }
    }

    /// The options of KILL, and whether the connection that asks is left out.
    pub(super) fn of_kill(options: &[Bytes]) -> Result<(Self, bool), SyntaxError> {
        let mut filter = Self::default();
        let mut skip_me = true;
        let (pairs, rest) = options.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(SyntaxError::Syntax);
        }
        for [option, value] in pairs {
            match option {
                it if is_word(it, "ID") => {
                    filter.ids = Some(vec![positive(value).ok_or(SyntaxError::KillId)?]);
                }
                it if is_word(it, "TYPE") => filter.kind = Some(kind(value)?),
                it if is_word(it, "ADDR") => filter.address = Some(value.clone()),
                it if is_word(it, "LADDR") => filter.local_address = Some(value.clone()),
                it if is_word(it, "USER") && value == "default" => {}
                it if is_word(it, "USER") => {
                    return Err(SyntaxError::NoSuchUser(Echo::new(value)));
                }
                it if is_word(it, "MAXAGE") => {
                    let age = resp::signed(value).ok_or(SyntaxError::MaxAgeNotInteger)?;
                    let age = u64::try_from(age).ok().filter(|age| *age > 0);
                    filter.age_min = Some(age.ok_or(SyntaxError::MaxAgeNotPositive)?);
                }
                it if is_word(it, "SKIPME") && is_word(value, "YES") => skip_me = true,
                it if is_word(it, "SKIPME") && is_word(value, "NO") => skip_me = false,
                _ => return Err(SyntaxError::Syntax),
            }
        }
        Ok((filter, skip_me))
    }

    pub(super) fn covers(&self, client: &Client, now_ms: u64) -> bool {
        let is = |wanted: &Option<Bytes>, address: std::net::SocketAddr| {
            wanted.as_ref().is_none_or(|wanted| *wanted == address.to_string())
        };
        self.ids.as_ref().is_none_or(|ids| ids.contains(&client.id))
            && self.kind.is_none_or(|kind| kind == Some(client.kind()))
            && is(&self.address, client.address)
            && is(&self.local_address, client.local_address)
            && self.age_min.is_none_or(|age| client.age(now_ms) >= age)
    }
}

fn positive(given: &Bytes) -> Option<u64> {
    resp::signed(given).and_then(|id| u64::try_from(id).ok()).filter(|id| *id > 0)
}

/// Replicas and such are known, and there are none.
fn kind(name: &Bytes) -> Result<Option<Kind>, SyntaxError> {
    match name {
        it if is_word(it, "NORMAL") => Ok(Some(Kind::Normal)),
        it if is_word(it, "PUBSUB") => Ok(Some(Kind::PubSub)),
        it if ["MASTER", "REPLICA", "SLAVE"].iter().any(|known| is_word(it, known)) => Ok(None),
        it => Err(SyntaxError::ClientType(Echo::new(it))),
    }
}
