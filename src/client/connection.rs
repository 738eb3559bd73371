//! The channel to a broker. Only this file knows the gRPC library; the others see requests, replies and [`Error`]s.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;
use tower::service_fn;

use super::dial::{Patience, dial};
use super::fault::error_with_facts;
use crate::base::limits::{
    GRPC_MESSAGE_BYTES_MAX, HTTP2_CONNECTION_WINDOW_BYTES, HTTP2_FRAME_BYTES, HTTP2_STREAM_WINDOW_BYTES,
};
use crate::base::{Error, ErrorKind};
use crate::env::Clock;
use crate::proto::grpc::cluster_service_client::ClusterServiceClient;
use crate::proto::grpc::consumer_service_client::ConsumerServiceClient;
use crate::proto::grpc::group_service_client::GroupServiceClient;
use crate::proto::grpc::producer_service_client::ProducerServiceClient;
use crate::proto::grpc::storage_service_client::StorageServiceClient;
use crate::proto::grpc::topic_service_client::TopicServiceClient;
use crate::proto::grpc::*;

/// Port of a broker when an address names none.
const PORT_DEFAULT: u16 = 7070;
/// A ping is sent after this long without any frame.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// The connection is given up when a ping has no answer for this long.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time limits of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Timeouts {
    pub(super) connect: Duration,
    pub(super) request: Duration,
}

/// A channel to one broker, opened at the first request and again after it is lost. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connection {
    channel: Channel,
    address: Arc<str>,
    timeouts: Timeouts,
    clock: Arc<dyn Clock>,
}

/// One method for each unary call: `name: stub.method(Request) -> Response`.
macro_rules! unary {
    ($($name:ident: $stub:ident($request:ty) -> $response:ty;)*) => {
        $(pub(super) async fn $name(&self, request: $request) -> Result<$response, Error> {
            let mut stub = self.$stub();
            self.bounded(async { Ok(stub.$name(request).await?.into_inner()) }).await
        })*
    };
}

/// One stub for each service, with the message limits of the broker.
macro_rules! stubs {
    ($($name:ident: $stub:ident;)*) => {
        $(fn $name(&self) -> $stub<Channel> {
            $stub::new(self.channel.clone())
                .max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX)
                .max_encoding_message_size(GRPC_MESSAGE_BYTES_MAX)
        })*
    };
}

impl Connection {
    /// Prepares a channel to `weir://host:port`, `http://host:port` or `host:port`, or to the first of several that takes it,
    /// with commas between them; nothing is sent yet. Needs a tokio runtime around it.
    ///
    /// Errors: INVALID_REQUEST when an address can't be read.
    pub(super) fn new(address: &str, timeouts: Timeouts, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let brokers: Arc<[String]> = read_addresses(address)?.into();
        let endpoint = Endpoint::from_shared(format!("http://{}", brokers[0]))
            .map_err(|error| invalid_address(address).caused_by(error))?
            .connect_timeout(timeouts.connect)
            .initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
            .initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
            .max_frame_size(HTTP2_FRAME_BYTES)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
        let address = brokers.join(",").into();
        let patience = Patience { each: timeouts.connect / brokers.len() as u32, clock: clock.clone() };
        let dial = move |_| dial(brokers.clone(), patience.clone());
        let channel = endpoint.connect_with_connector_lazy(service_fn(dial));
        Ok(Self { channel, address, timeouts, clock })
    }

    /// Host and port of the broker.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    stubs! {
        producers: ProducerServiceClient;
        consumers: ConsumerServiceClient;
        topics: TopicServiceClient;
        clusters: ClusterServiceClient;
        storage: StorageServiceClient;
        groups: GroupServiceClient;
    }

    unary! {
        init_producer: producers(InitProducerRequest) -> InitProducerResponse;
        list_offsets: consumers(ListOffsetsRequest) -> ListOffsetsResponse;
        create_topic: topics(CreateTopicRequest) -> CreateTopicResponse;
        get_topic: topics(GetTopicRequest) -> GetTopicResponse;
        list_topics: topics(ListTopicsRequest) -> ListTopicsResponse;
        update_topic: topics(UpdateTopicRequest) -> UpdateTopicResponse;
        delete_topic: topics(DeleteTopicRequest) -> DeleteTopicResponse;
        trim_topic: topics(TrimTopicRequest) -> TrimTopicResponse;
        list_config_keys: topics(ListConfigKeysRequest) -> ListConfigKeysResponse;
        get_cluster: clusters(GetClusterRequest) -> GetClusterResponse;
        get_metadata: clusters(GetMetadataRequest) -> GetMetadataResponse;
        get_stats: clusters(GetStatsRequest) -> GetStatsResponse;
        get_offsets: groups(GetOffsetsRequest) -> GetOffsetsResponse;
        list_groups: groups(ListGroupsRequest) -> ListGroupsResponse;
        get_group: groups(GetGroupRequest) -> GetGroupResponse;
        reset_offsets: groups(ResetOffsetsRequest) -> ResetOffsetsResponse;
        delete_group: groups(DeleteGroupRequest) -> DeleteGroupResponse;
        delete_offsets: groups(DeleteOffsetsRequest) -> DeleteOffsetsResponse;
        list_segments: storage(ListSegmentsRequest) -> ListSegmentsResponse;
    }

    /// Opens a stream of produce requests; its responses come in any order but that of a partition.
    pub(super) async fn produce_stream<S>(
        &self,
        requests: S,
    ) -> Result<Incoming<ProduceStreamResponse>, Error>
    where
        S: Stream<Item = ProduceStreamRequest> + Send + 'static,
    {
        let mut stub = self.producers();
        self.bounded(async { Ok(self.incoming(stub.produce_stream(requests).await?.into_inner())) }).await
    }

    /// Opens the stream of a member of a group.
    pub(super) async fn consume<S>(&self, requests: S) -> Result<Incoming<ConsumeResponse>, Error>
    where
        S: Stream<Item = ConsumeRequest> + Send + 'static,
    {
        let mut stub = self.consumers();
        self.bounded(async { Ok(self.incoming(stub.consume(requests).await?.into_inner())) }).await
    }

    /// Opens a stream that follows partitions.
    pub(super) async fn tail(&self, request: TailRequest) -> Result<Incoming<TailResponse>, Error> {
        let mut stub = self.consumers();
        self.bounded(async { Ok(self.incoming(stub.tail(request).await?.into_inner())) }).await
    }

    fn incoming<T>(&self, stream: Streaming<T>) -> Incoming<T> {
        Incoming { stream, address: self.address.clone() }
    }

    /// Waits for `call` at most the request timeout.
    async fn bounded<T>(&self, call: impl Future<Output = Result<T, Status>>) -> Result<T, Error> {
        tokio::select! {
            result = call => result.map_err(|status| from_status(&self.address, status)),
            () = self.clock.sleep(self.timeouts.request) => Err(self.timed_out()),
        }
    }

    fn timed_out(&self) -> Error {
        let ms = crate::base::time::as_ms(self.timeouts.request);
        let wait = crate::base::time::print_ms(ms);
        Error::new(
            ErrorKind::TimedOut,
            format!(
                "the broker at {} did not answer within {wait}; try again, or give more time",
                self.address
            ),
        )
    }
}

/// A stream of responses.
pub(super) struct Incoming<T> {
    stream: Streaming<T>,
    address: Arc<str>,
}

impl<T> Stream for Incoming<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(Pin::new(&mut self.stream).poll_next(context));
        Poll::Ready(item.map(|result| result.map_err(|status| from_status(&self.address, status))))
    }
}

/// Host and port of each address in a list with commas: at least one.
///
/// Errors: INVALID_REQUEST, with the address that can't be read.
pub(crate) fn read_addresses(list: &str) -> Result<Vec<String>, Error> {
    let read = |address: &str| {
        let authority = authority_of(address)?;
        match authority.parse::<http::uri::Authority>() {
            Ok(_) => Ok(authority),
            Err(error) => Err(invalid_address(address).caused_by(error)),
        }
    };
    list.split(',').map(|address| read(address.trim())).collect()
}

/// Host and port of an address.
fn authority_of(address: &str) -> Result<String, Error> {
    let rest = address.strip_prefix("weir://").or_else(|| address.strip_prefix("http://")).unwrap_or(address);
    let rest = rest.trim_end_matches('/');
    let wrong = rest.is_empty()
        || rest.starts_with(':')
        || rest.contains(|c: char| c == '/' || c == '@' || c.is_whitespace());
    if wrong {
        return Err(invalid_address(address));
    }
    // A colon within brackets belongs to an IPv6 address.
    let behind_host = rest.rfind(']').map_or(rest, |end| &rest[end..]);
    match behind_host.split_once(':') {
        None => Ok(format!("{rest}:{PORT_DEFAULT}")),
        Some((_, port)) if port.parse::<u16>().is_ok_and(|port| port > 0) => Ok(rest.to_owned()),
        Some(_) => Err(invalid_address(address)),
    }
}

fn invalid_address(address: &str) -> Error {
    let message =
        format!("'{address}' is not a broker address; give host:port such as 127.0.0.1:{PORT_DEFAULT}");
    Error::new(ErrorKind::InvalidRequest, message)
}

/// The broker's own words where the status carries them, else what the transport's failure means.
fn from_status(address: &str, status: Status) -> Error {
    if let Some(told) = status.get_details_error_info()
        && let Some(kind) = ErrorKind::from_reason(&told.reason)
    {
        return error_with_facts(kind, status.message().to_owned(), told.metadata);
    }
    let detail = deepest_cause(&status).unwrap_or_else(|| status.message().to_owned());
    // WHY these words: the answer of a server of HTTP/1, mail or the like, read as a frame, is longer than any frame.
    if detail.contains("frame with invalid size") {
        return Error::new(ErrorKind::Unavailable, other_server(address)).caused_by(status);
    }
    let from_transport = std::error::Error::source(&status).is_some();
    let (kind, message) = match status.code() {
        Code::Unavailable => (ErrorKind::Unavailable, unreachable(address, &detail)),
        Code::DeadlineExceeded => {
            (ErrorKind::TimedOut, format!("the broker at {address} did not answer in time: {detail}"))
        }
        Code::Unimplemented => (
            ErrorKind::InvalidRequest,
            format!(
                "the server at {address} does not know this call; check that a Weir broker of this version runs there"
            ),
        ),
        Code::ResourceExhausted => (
            ErrorKind::Throttled,
            format!("the broker at {address} refused the request for its size or load: {detail}"),
        ),
        Code::InvalidArgument => (ErrorKind::InvalidRequest, detail),
        _ if from_transport => (ErrorKind::Unavailable, unreachable(address, &detail)),
        Code::Cancelled | Code::Aborted => (ErrorKind::Unavailable, unreachable(address, &detail)),
        code => (ErrorKind::Internal, format!("the server at {address} answered {code:?}: {detail}")),
    };
    Error::new(kind, message).caused_by(status)
}

fn other_server(address: &str) -> String {
    format!(
        "the server at {address} does not answer in HTTP/2, so it is no Weir broker; check the address and the port \
         ({PORT_DEFAULT} unless the broker's --listen says otherwise)"
    )
}

fn unreachable(address: &str, detail: &str) -> String {
    // A broker that was killed ends like this, and a server of something else that has no use for a greeting in HTTP/2.
    if detail.contains("stream closed because of a broken pipe") {
        return format!(
            "the server at {address} closed the connection without an answer; check the address, and that a Weir \
             broker runs there"
        );
    }
    let is_here = ["127.0.0.1:", "localhost:", "[::1]:"].iter().any(|host| address.starts_with(host));
    let start = if is_here { " (`weir serve --dev` starts one here)" } else { "" };
    format!(
        "can't reach the broker at {address}: {detail}; check the address and that the broker runs{start}"
    )
}

/// The innermost cause says most: "connection refused", not "transport error".
fn deepest_cause(error: &dyn std::error::Error) -> Option<String> {
    let mut cause = error.source()?;
    while let Some(next) = cause.source() {
        cause = next;
    }
    Some(cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    #[test]
    fn addresses_are_read_in_their_three_forms() {
        for (address, authority) in [
            ("weir://127.0.0.1:7070", "127.0.0.1:7070"),
            ("http://broker:80/", "broker:80"),
            ("localhost", "localhost:7070"),
            ("[::1]", "[::1]:7070"),
            ("[::1]:9", "[::1]:9"),
        ] {
            assert_eq!(authority_of(address).expect(address), authority);
        }
    }

    #[test]
    fn several_addresses_have_commas_between_them() {
        assert_eq!(read_addresses("a, weir://b:1").expect("both"), ["a:7070", "b:1"]);
        for list in ["a,", ",a", "a,b:0", "a\x1b"] {
            let error = read_addresses(list).expect_err(list);
            assert_eq!(error.kind, ErrorKind::InvalidRequest);
        }
    }

    #[test]
    fn wrong_addresses_are_named() {
        for address in
            ["", "weir://", "host:", "host:0", "host:99999", "a b", "host:1/path", "user@host", "::1:2"]
        {
            let error = authority_of(address).expect_err(address);
            assert_eq!(error.kind, ErrorKind::InvalidRequest);
            assert!(error.message.contains(&format!("'{address}'")), "{error}");
        }
    }

    #[test]
    fn a_status_with_error_info_keeps_the_brokers_words() {
        let facts = [("closest".to_owned(), "orders".to_owned())];
        let details = ErrorDetails::with_error_info("TOPIC_NOT_FOUND", "weir", facts);
        let status = Status::with_error_details(Code::NotFound, "topic 'ordesr' does not exist", details);
        let error = from_status("h:1", status);
        assert_eq!(error.kind, ErrorKind::TopicNotFound);
        assert_eq!(error.message, "topic 'ordesr' does not exist");
        assert_eq!(error.metadata["closest"], "orders");
    }

    #[test]
    fn a_status_of_the_transport_names_the_address() {
        let error = from_status("h:1", Status::unavailable("tcp connect error"));
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert!(error.message.contains("h:1") && error.message.contains("check the address"), "{error}");
        assert_eq!(from_status("h:1", Status::unimplemented("")).kind, ErrorKind::InvalidRequest);
        assert_eq!(from_status("h:1", Status::unknown("?")).kind, ErrorKind::Internal);
    }
}
