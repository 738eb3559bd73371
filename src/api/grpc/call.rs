//! Each call of gRPC: counted, timed, and given an id by which its log lines and its answer are found.

use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, sync::Arc};

use futures_util::FutureExt;
use futures_util::future::{Join, Map, Ready, join, ready};
use http::{Extensions, HeaderValue, Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use tower::{Layer, Service};
use tracing::Instrument;
use tracing::instrument::Instrumented;

use crate::base::{Error, ErrorKind};
use crate::broker::Broker;
use crate::metrics::{Counters, Method};

/// Metadata that holds the id, both ways.
pub const REQUEST_ID: &str = "x-request-id";

/// Longest id that a client may give.
const ID_BYTES_MAX: usize = 64;

/// Identity of a call: the client's where it sent one of 1 to 64 letters, digits, `.`, `_`, `-` and `:`, else ours.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    fn new<B>(request: &Request<B>, broker: &Broker) -> Self {
        let is_sane = |value: &&HeaderValue| {
            let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-:".contains(byte);
            (1..=ID_BYTES_MAX).contains(&value.len()) && value.as_bytes().iter().all(is_letter)
        };
        let given = request.headers().get(REQUEST_ID).filter(is_sane).cloned();
        Self(given.unwrap_or_else(|| {
            let mut number = [0; 8];
            broker.env().rng.fill(&mut number);
            let text = format!("{:016x}", u64::from_le_bytes(number));
            HeaderValue::try_from(text).expect("hexadecimal digits are right in a header")
        }))
    }

    /// The id of the call that has these extensions.
    pub fn of(request: &Extensions) -> Self {
        request.get::<Self>().cloned().unwrap_or(Self(HeaderValue::from_static("-")))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_str().unwrap_or_default())
    }
}

/// Counts an error that a client is told. What is the broker's own fault is logged as a warning: the first, second, fourth, eighth
/// and so on of its kind, because a broken disk breaks every request.
pub fn note_error(broker: &Broker, id: &RequestId, kind: ErrorKind, message: &str) {
    let count = broker.counters().errors(kind).increment();
    let reason = kind.row().reason;
    let is_ours = matches!(
        kind,
        ErrorKind::Internal | ErrorKind::StorageError | ErrorKind::DamagedRange | ErrorKind::DiskFull
    );
    match is_ours && count.is_power_of_two() {
        true => tracing::warn!(request_id = %id, reason, count, "a request failed: {message}"),
        false => tracing::debug!(request_id = %id, reason, count, "a request failed: {message}"),
    }
}

/// The same for items of a reply.
pub fn note_items<'a>(broker: &Broker, id: &RequestId, errors: impl IntoIterator<Item = &'a Error>) {
    errors.into_iter().for_each(|error| note_error(broker, id, error.kind, &error.message));
}

/// The same for a status that ends a call.
pub fn note_status(broker: &Broker, id: &RequestId, status: &Status) {
    let details = status.get_error_details();
    let reason = details.error_info().and_then(|found| ErrorKind::from_reason(&found.reason));
    note_error(broker, id, reason.unwrap_or(ErrorKind::Internal), status.message());
}

/// A streaming call, counted as open until it drops.
pub struct OpenStream {
    counters: Arc<Counters>,
    method: Method,
}

impl OpenStream {
    /// One that has just begun.
    pub fn new(broker: &Broker, method: Method) -> Self {
        let counters = broker.counters().clone();
        counters.open_streams(method).enter();
        Self { counters, method }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.counters.open_streams(self.method).leave();
    }
}

/// Puts [`Calls`] around services.
#[derive(Clone)]
pub struct CallLayer(pub Arc<Broker>);

impl<S> Layer<S> for CallLayer {
    type Service = Calls<S>;

    fn layer(&self, inner: S) -> Calls<S> {
        Calls { inner, broker: self.0.clone() }
    }
}

/// Services of which each call is looked after. Cost of a call: an id, two looks at the clock, a few relaxed atomics.
#[derive(Clone)]
pub struct Calls<S> {
    inner: S,
    broker: Arc<Broker>,
}

/// What is known of a call until it is answered.
pub struct Call {
    broker: Arc<Broker>,
    id: RequestId,
    method: Method,
    begun: Duration,
}

type Answered<E> = fn((Result<Response<Body>, E>, Call)) -> Result<Response<Body>, E>;

impl<S> Service<Request<Body>> for Calls<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    // WHY no box: this is on the way of every request.
    type Future = Map<Join<Instrumented<S::Future>, Ready<Call>>, Answered<S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let id = RequestId::new(&request, &self.broker);
        let method = Method::of_path(request.uri().path());
        let span = tracing::debug_span!("call", request_id = %id, method = method.word());
        request.extensions_mut().insert(id.clone());
        let begun = self.broker.env().clock.monotonic();
        let call = Call { broker: self.broker.clone(), id, method, begun };
        let answered: Answered<S::Error> = |(reply, call)| reply.map(|reply| call.answered(reply));
        join(self.inner.call(request).instrument(span), ready(call)).map(answered)
    }
}

impl Call {
    fn answered(self, mut reply: Response<Body>) -> Response<Body> {
        if !self.method.is_stream() {
            let took = self.broker.env().clock.monotonic().saturating_sub(self.begun);
            note_answer(&self.broker, self.method, took);
        }
        if let Some(status) =
            Status::from_header_map(reply.headers()).filter(|found| found.code() != Code::Ok)
        {
            note_status(&self.broker, &self.id, &status);
        }
        reply.headers_mut().insert(REQUEST_ID, self.id.0);
        reply
    }
}

/// Counts a request that was answered, after the time that it took.
pub fn note_answer(broker: &Broker, method: Method, took: Duration) {
    broker.counters().requests(method).increment();
    broker.counters().durations(method).record(took);
}
