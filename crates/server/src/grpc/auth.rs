//! `authorization: Bearer <password>`. Never logs what was sent.

use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq;
use tonic::service::Interceptor;
use tonic::{Code, Request, Status};

use super::error::Failure;
use super::limits::PASSWORD_BYTES_MAX;

/// Lets a call pass when it has the password, or none is set.
#[derive(Clone)]
pub(super) struct Auth(Option<Arc<str>>);

impl Auth {
    pub(super) fn new(password: Option<&str>) -> Self {
        Self(password.map(Arc::from))
    }

    fn allows(&self, sent: Option<&[u8]>) -> bool {
        let Some(password) = &self.0 else { return true };
        let Some(sent) = sent else { return false };
        sent.len() <= PASSWORD_BYTES_MAX && bool::from(password.as_bytes().ct_eq(sent))
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Auth({})", if self.0.is_some() { "a password" } else { "none" })
    }
}

impl Interceptor for Auth {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let sent =
            request.metadata().get("authorization").and_then(|value| bearer(value.as_bytes()));
        if self.allows(sent) {
            return Ok(request);
        }
        let message =
            "send the metadata `authorization: Bearer <password>` with this node's password";
        Err(Failure::new(Code::Unauthenticated, "UNAUTHENTICATED", message).into())
    }
}

/// The scheme's name in any case (RFC 9110, 11.1), the rest as it is.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let (scheme, rest) = value.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(rest)
}
