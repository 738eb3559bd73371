//! T and R, and what small messages cost: a client of the [`super::sink`].

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use http::Request;
use http::uri::PathAndQuery;
use http_body::{Body as HttpBody, Frame};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;
use tower::{Service, ServiceExt};

use super::super::latency::Latencies;
use super::LARGE_BYTES;
use crate::base::limits::{
    GRPC_MESSAGE_BYTES_MAX, HTTP2_CONNECTION_WINDOW_BYTES, HTTP2_FRAME_BYTES, HTTP2_STREAM_WINDOW_BYTES,
};
use crate::base::{Error, ErrorKind};
use crate::env::Clock;
use crate::env::frame_follower::FrameFollower;
use crate::env::socket::FrameSocket;

/// Large messages that are sent and not answered yet.
const LARGE_IN_FLIGHT: usize = 8;
/// Small messages that are sent and not answered yet.
const SMALL_IN_FLIGHT: usize = 1_024;
/// Bytes of a small message.
pub const SMALL_BYTES: usize = 100;

/// How a body is read and written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// As it comes.
    Raw,
    /// By the codec that clients of generated code have.
    Codec,
}

/// A client of a sink.
pub struct Transport {
    channel: Channel,
    clock: Arc<dyn Clock>,
}

impl Transport {
    /// Connects to the sink at this port of this machine.
    ///
    /// Errors: nobody listens there.
    pub async fn connect(port: u16, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let dial = move |_| async move {
            let socket = TcpStream::connect(("127.0.0.1", port)).await?;
            socket.set_nodelay(true)?;
            Ok::<_, std::io::Error>(TokioIo::new(FrameSocket::new(socket, FrameFollower::of_server())))
        };
        let endpoint = Endpoint::from_static("http://127.0.0.1")
            .initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
            .initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
            .max_frame_size(HTTP2_FRAME_BYTES);
        let channel = endpoint.connect_with_connector(tower::service_fn(dial)).await.map_err(broken)?;
        Ok(Self { channel, clock })
    }

    /// Bytes a second into the sink, in messages of 1 MiB: T.
    pub async fn rate_in(&self, form: Form, duration: Duration) -> Result<f64, Error> {
        let took = match form {
            Form::Raw => self.raw_in(duration).await?,
            Form::Codec => self.codec_in(LARGE_BYTES - 16, LARGE_IN_FLIGHT, duration).await?,
        };
        Ok(took * LARGE_BYTES as f64)
    }

    /// Messages of 100 B a second into the sink, each answered.
    pub async fn small_rate(&self, duration: Duration) -> Result<f64, Error> {
        self.codec_in(SMALL_BYTES, SMALL_IN_FLIGHT, duration).await
    }

    /// Bytes a second out of the sink, in messages of 1 MiB: R.
    pub async fn rate_out(&self, form: Form, duration: Duration) -> Result<f64, Error> {
        let mut meter = Meter::new(&*self.clock, duration);
        match form {
            Form::Raw => {
                let mut body = self.call("/raw/out", Body::empty()).await?;
                while let Some(bytes) = next_bytes(&mut body).await? {
                    if meter.add(bytes as f64) {
                        break;
                    }
                }
            }
            Form::Codec => {
                let mut grpc = self.grpc().await?;
                let path = PathAndQuery::from_static("/codec/out");
                let request = tonic::Request::new(Bytes::new());
                let answered = grpc.server_streaming(request, path, codec()).await.map_err(broken)?;
                let mut messages = answered.into_inner();
                while let Some(message) = messages.next().await {
                    if meter.add(message.map_err(broken)?.len() as f64) {
                        break;
                    }
                }
            }
        }
        Ok(meter.rate())
    }

    /// Times messages of 100 B on a stream, one at a time, by a thread that spins.
    pub async fn stream_times(&self, duration: Duration) -> Result<Latencies, Error> {
        let (send, mut answers) = self.stream().await?;
        let mut latencies = Latencies::default();
        let end = self.clock.monotonic() + duration;
        loop {
            let sent_at = self.clock.monotonic();
            if sent_at >= end {
                return Ok(latencies);
            }
            hand_over(&send, small())?;
            let answer = spinning(answers.next()).await;
            answer.ok_or_else(ended)?.map_err(broken)?;
            latencies.add(self.clock.monotonic() - sent_at);
        }
    }

    /// Times messages of 100 B on a stream that are due at a steady rate, by a thread that spins.
    pub async fn open_times(&self, rate: f64, duration: Duration) -> Result<Latencies, Error> {
        let (send, mut answers) = self.stream().await?;
        let mut latencies = Latencies::default();
        let mut waiting = VecDeque::new();
        let begun = self.clock.monotonic();
        for number in 0.. {
            let due = begun + super::super::Rate::Steady(rate).due(number, 1, duration);
            if due - begun >= duration {
                break;
            }
            while self.clock.monotonic() < due {
                while let Some(answer) = answers.next().now_or_never() {
                    answer.ok_or_else(ended)?.map_err(broken)?;
                    let due = waiting.pop_front().ok_or_else(ended)?;
                    latencies.add(self.clock.monotonic() - due);
                }
                tokio::task::yield_now().await;
            }
            hand_over(&send, small())?;
            waiting.push_back(due);
        }
        Ok(latencies)
    }

    /// Times unary calls of 100 B, one at a time, by a thread that spins.
    pub async fn unary_times(&self, duration: Duration) -> Result<Latencies, Error> {
        let mut latencies = Latencies::default();
        let mut grpc = self.grpc().await?;
        let end = self.clock.monotonic() + duration;
        loop {
            let sent_at = self.clock.monotonic();
            if sent_at >= end {
                return Ok(latencies);
            }
            grpc.ready().await.map_err(broken)?;
            let path = PathAndQuery::from_static("/codec/one");
            let call = grpc.unary::<Bytes, Bytes, _>(tonic::Request::new(small()), path, codec());
            spinning(call).await.map_err(broken)?;
            latencies.add(self.clock.monotonic() - sent_at);
        }
    }

    async fn raw_in(&self, duration: Duration) -> Result<f64, Error> {
        let (send, body) = unbounded_channel();
        let message = Bytes::from(vec![0xa5; LARGE_BYTES]);
        (0..LARGE_IN_FLIGHT).try_for_each(|_| hand_over(&send, message.clone()))?;
        let mut answers = self.call("/raw/in", Body::new(Sent(body))).await?;
        let mut meter = Meter::new(&*self.clock, duration);
        while let Some(count) = next_bytes(&mut answers).await? {
            if meter.add(count as f64) {
                break;
            }
            (0..count).try_for_each(|_| hand_over(&send, message.clone()))?;
        }
        Ok(meter.rate())
    }

    /// Messages a second that were answered.
    async fn codec_in(&self, bytes: usize, in_flight: usize, duration: Duration) -> Result<f64, Error> {
        let (send, mut answers) = self.stream().await?;
        let message = Bytes::from(vec![0xa5; bytes]);
        (0..in_flight).try_for_each(|_| hand_over(&send, message.clone()))?;
        let mut meter = Meter::new(&*self.clock, duration);
        while let Some(answer) = answers.next().await {
            answer.map_err(broken)?;
            if meter.add(1.0) {
                break;
            }
            hand_over(&send, message.clone())?;
        }
        Ok(meter.rate())
    }

    async fn stream(&self) -> Result<(UnboundedSender<Bytes>, tonic::Streaming<Bytes>), Error> {
        let (send, requests) = unbounded_channel();
        let requests = tokio_stream::wrappers::UnboundedReceiverStream::new(requests);
        let path = PathAndQuery::from_static("/codec/in");
        let mut grpc = self.grpc().await?;
        let answered = grpc.streaming(tonic::Request::new(requests), path, codec()).await.map_err(broken)?;
        Ok((send, answered.into_inner()))
    }

    async fn grpc(&self) -> Result<Grpc<Channel>, Error> {
        let mut grpc = Grpc::new(self.channel.clone())
            .max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(GRPC_MESSAGE_BYTES_MAX);
        grpc.ready().await.map_err(broken)?;
        Ok(grpc)
    }

    async fn call(&self, path: &str, body: Body) -> Result<Body, Error> {
        let mut channel = self.channel.clone();
        let request = Request::post(format!("http://127.0.0.1{path}")).body(body);
        let request = request.map_err(broken)?;
        let answered = channel.ready().await.map_err(broken)?.call(request).await.map_err(broken)?;
        Ok(answered.into_body())
    }
}

fn codec() -> ProstCodec<Bytes, Bytes> {
    ProstCodec::default()
}

fn small() -> Bytes {
    Bytes::from_static(&[0xa5; SMALL_BYTES])
}

fn hand_over(send: &UnboundedSender<Bytes>, message: Bytes) -> Result<(), Error> {
    send.send(message).map_err(|_| ended())
}

/// Waits by looking again and again.
async fn spinning<F: Future>(work: F) -> F::Output {
    let mut work = std::pin::pin!(work);
    loop {
        if let Some(done) = work.as_mut().now_or_never() {
            return done;
        }
        tokio::task::yield_now().await;
    }
}

/// The length of the next data of a body; `None` at its end.
async fn next_bytes(body: &mut Body) -> Result<Option<usize>, Error> {
    loop {
        match std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
            None => return Ok(None),
            Some(frame) => {
                if let Some(bytes) = frame.map_err(broken)?.data_ref() {
                    return Ok(Some(bytes.len()));
                }
            }
        }
    }
}

fn broken(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the bare server: {error}")).caused_by(error)
}

fn ended() -> Error {
    Error::new(ErrorKind::Unavailable, "the bare server ended the stream")
}

/// What is handed over, as a body.
struct Sent(UnboundedReceiver<Bytes>);

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Counts from the end of a first quarter on, which warms up.
struct Meter<'a> {
    clock: &'a dyn Clock,
    begin: Duration,
    end: Duration,
    sum: f64,
    counted: Duration,
}

impl<'a> Meter<'a> {
    fn new(clock: &'a dyn Clock, duration: Duration) -> Self {
        let now = clock.monotonic();
        Self { clock, begin: now + duration / 4, end: now + duration, sum: 0.0, counted: Duration::ZERO }
    }

    /// Adds what has come; true when the time is over.
    fn add(&mut self, amount: f64) -> bool {
        let now = self.clock.monotonic();
        if now >= self.begin {
            self.sum += amount;
            self.counted = now - self.begin;
        }
        now >= self.end
    }

    fn rate(&self) -> f64 {
        self.sum / self.counted.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}
