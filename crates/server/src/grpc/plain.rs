//! Failures that tonic makes itself, in the codes that `types.proto` promises. Never touches one
//! that Weir made: those have details.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;
use tonic::{Code, Status};

use super::error::Failure;

/// A service whose requests are told in plain codes what is wrong with them.
#[derive(Clone, Debug)]
pub(super) struct Plain<S>(pub(super) S);

impl<S: NamedService> NamedService for Plain<S> {
    const NAME: &'static str = S::NAME;
}

type Answer = Result<http::Response<Body>, Infallible>;

impl<S> Service<http::Request<Body>> for Plain<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move { answer.await.map(rewritten) })
    }
}

/// A failure before the first message is in the headers.
fn rewritten(response: http::Response<Body>) -> http::Response<Body> {
    match Status::from_header_map(response.headers()).and_then(|status| of(&status)) {
        Some(failure) => Status::from(failure).into_http(),
        None => response,
    }
}

/// What Weir says instead, if it says anything else.
pub(super) fn of(status: &Status) -> Option<Failure> {
    if !status.details().is_empty() {
        return None;
    }
    let reason = match status.code() {
        Code::OutOfRange => "MESSAGE_TOO_BIG",
        Code::Internal => "MALFORMED",
        _ => return None,
    };
    Some(Failure::new(Code::InvalidArgument, reason, status.message()))
}
