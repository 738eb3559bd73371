//! A server that keeps nothing: it answers each message with an empty one, or sends the same bytes for ever.
//!
//! It speaks HTTP/2 with the broker's settings on one thread, in a process of its own, as the broker does. Paths: `/raw/in` and
//! `/raw/out` read and send bodies as they are; `/codec/in`, `/codec/out` and `/codec/one` are gRPC calls whose messages are
//! `google.protobuf.BytesValue`. In a raw body a message is [`LARGE_BYTES`] bytes, and its answer is one byte.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

use super::LARGE_BYTES;
use crate::base::limits::{
    GRPC_MESSAGE_BYTES_MAX, HTTP2_CONNECTION_WINDOW_BYTES, HTTP2_FRAME_BYTES, HTTP2_STREAM_WINDOW_BYTES,
};
use crate::env::frame_follower::FrameFollower;
use crate::env::socket::FrameSocket;

type Messages = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// Serves whoever comes, for ever. Needs a tokio runtime of one thread.
pub async fn serve(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => drop(tokio::spawn(attend(socket))),
            Err(error) => tracing::warn!(%error, "a connection could not be taken"),
        }
    }
}

async fn attend(socket: TcpStream) {
    // Without it small answers wait for others; they are measured slower then, not wrong.
    let _ = socket.set_nodelay(true);
    let socket = TokioIo::new(FrameSocket::new(socket, FrameFollower::of_client()));
    let served = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
        .max_frame_size(HTTP2_FRAME_BYTES)
        .serve_connection(socket, service_fn(answer));
    // The client goes when it has seen enough.
    let _ = served.await;
}

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let codec = || ProstCodec::<Bytes, Bytes>::default();
    let mut grpc = Grpc::new(codec())
        .max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(GRPC_MESSAGE_BYTES_MAX);
    Ok(match request.uri().path() {
        "/raw/in" => Response::new(Body::new(Answers { messages: request.into_body(), left: LARGE_BYTES })),
        "/raw/out" => Response::new(Body::new(Endless(large()))),
        "/codec/in" => grpc.streaming(tower::service_fn(echo), request).await,
        "/codec/out" => grpc.server_streaming(tower::service_fn(endless), request).await,
        "/codec/one" => grpc.unary(tower::service_fn(one), request).await,
        path => Status::unimplemented(format!("there is no {path} here")).into_http(),
    })
}

fn large() -> Bytes {
    vec![0xa5; LARGE_BYTES].into()
}

async fn echo(request: tonic::Request<Streaming<Bytes>>) -> Result<tonic::Response<Messages>, Status> {
    let answers = request.into_inner().map(|message| message.map(|_| Bytes::new()));
    Ok(tonic::Response::new(Box::pin(answers)))
}

async fn endless(_: tonic::Request<Bytes>) -> Result<tonic::Response<Messages>, Status> {
    // With its framing it is one frame.
    let message = large().slice(..LARGE_BYTES - 16);
    let messages = futures_util::stream::repeat_with(move || Ok(message.clone()));
    Ok(tonic::Response::new(Box::pin(messages)))
}

async fn one(_: tonic::Request<Bytes>) -> Result<tonic::Response<Bytes>, Status> {
    Ok(tonic::Response::new(Bytes::new()))
}

/// One byte for each message of a raw body.
struct Answers {
    messages: Incoming,
    /// Bytes that the message under way still lacks.
    left: usize,
}

impl HttpBody for Answers {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        const ANSWERS: &[u8] = &[0; 64];
        loop {
            let frame = match ready!(Pin::new(&mut self.messages).poll_frame(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => frame,
            };
            let mut bytes = frame.data_ref().map_or(0, Bytes::len);
            let mut whole = 0;
            while bytes >= self.left {
                bytes -= self.left;
                self.left = LARGE_BYTES;
                whole += 1;
            }
            self.left -= bytes;
            if whole > 0 {
                let answers = Bytes::from_static(&ANSWERS[..whole.min(ANSWERS.len())]);
                return Poll::Ready(Some(Ok(Frame::data(answers))));
            }
        }
    }
}

/// The same bytes for ever.
struct Endless(Bytes);

impl HttpBody for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(self.0.clone()))))
    }
}
