//! What is answered to a request of HTTP/1.1.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};

use crate::api::door::Door;
use crate::base::budget::Debit;
use crate::metrics::export;

const TEXT: &str = "text/plain; charset=utf-8";

const NOT_THERE: &str = "\
nothing is served under this path; there is
  GET /metrics   metrics in Prometheus' text form
  GET /healthz   200 when all is well, else 503 with what is wrong
gRPC is served on the same port, over HTTP/2: services of weir.v1, health and reflection
";

const NO_GRPC: &str = "\
gRPC needs HTTP/2, and this request came over HTTP/1.1: use a gRPC client, or HTTP/2 with prior knowledge
";

/// Answers one request. Its body is not read.
pub async fn answer<B>(door: &Door, request: &Request<B>) -> Response<Page> {
    let path = request.uri().path();
    let (is_page, is_grpc) = (matches!(path, "/metrics" | "/healthz"), path.starts_with("/weir.v1."));
    match path {
        _ if is_grpc => page(door, StatusCode::HTTP_VERSION_NOT_SUPPORTED, TEXT, NO_GRPC),
        _ if !is_page => page(door, StatusCode::NOT_FOUND, TEXT, NOT_THERE),
        _ if !matches!(*request.method(), Method::GET | Method::HEAD) => {
            let text = format!("{path} is only read: use GET or HEAD\n");
            let mut refused = page(door, StatusCode::METHOD_NOT_ALLOWED, TEXT, text);
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            refused
        }
        "/metrics" => {
            let stats = door.broker.stats().await;
            page(door, StatusCode::OK, export::CONTENT_TYPE, stats.metrics_text(&door.broker))
        }
        _ => health(door).await,
    }
}

/// 200 while requests are served, else 503 with a line for each reason.
async fn health(door: &Door) -> Response<Page> {
    // WHY asked of the door too: it stops before the broker does.
    let is_stopping = *door.stopping.borrow();
    let problems = door.broker.stats().await.problems;
    let critical = problems.iter().filter(|problem| problem.is_critical()).map(ToString::to_string);
    let stopping = is_stopping.then(|| "the broker is stopping".to_owned());
    let mut lines: Vec<String> = stopping.into_iter().chain(critical).collect();
    lines.dedup();
    match lines.is_empty() {
        true => page(door, StatusCode::OK, TEXT, "ok\n"),
        false => page(door, StatusCode::SERVICE_UNAVAILABLE, TEXT, lines.join("\n") + "\n"),
    }
}

fn page(
    door: &Door,
    status: StatusCode,
    content_type: &'static str,
    text: impl Into<String>,
) -> Response<Page> {
    let text = text.into();
    // WHY not refused: metrics are wanted most when memory is short. One answer at a time is on its way on a connection.
    let debit = door.broker.budget().debit_up_to(text.len() as u64);
    let mut response = Response::new(Page { text: Bytes::from(text), _debit: debit });
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The text of an answer; the memory that it takes goes back when it is sent.
pub struct Page {
    text: Bytes,
    _debit: Debit,
}

impl http_body::Body for Page {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let text = std::mem::take(&mut self.text);
        std::task::Poll::Ready((!text.is_empty()).then(|| Ok(Frame::data(text))))
    }

    fn is_end_stream(&self) -> bool {
        self.text.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.text.len() as u64)
    }
}
