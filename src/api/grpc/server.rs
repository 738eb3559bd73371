//! Puts the services together and serves connections with them.

use std::convert::Infallible;

use futures_util::future::join;
use futures_util::{FutureExt, StreamExt};
use http::header::DATE;
use http::{HeaderValue, Request, Response};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::util::{MapRequestLayer, MapResponseLayer};

use super::call::CallLayer;
use super::cluster::Cluster;
use super::consume::Consuming;
use super::groups::Grouping;
use super::limits;
use super::produce::Producing;
use super::reply_body::watched;
use super::request_body::RequestBody;
use super::status::complete_reply;
use super::storage::Storage;
use super::topics::Topics;
use crate::api::arrival::Arrived;
use crate::api::connection::Connection;
use crate::api::door::Door;
use crate::api::shard::Connections;
use crate::api::windows::{NARROW, WIDE, Windows};
use crate::base::Timestamp;
use crate::base::limits::GRPC_MESSAGE_BYTES_MAX;
use crate::proto::grpc::DESCRIPTORS;
use crate::proto::grpc::cluster_service_server::ClusterServiceServer;
use crate::proto::grpc::consumer_service_server::ConsumerServiceServer;
use crate::proto::grpc::group_service_server::GroupServiceServer;
use crate::proto::grpc::producer_service_server::ProducerServiceServer;
use crate::proto::grpc::storage_service_server::StorageServiceServer;
use crate::proto::grpc::topic_service_server::TopicServiceServer;

/// Names under which health is told; empty stands for the whole broker.
const HEALTH_NAMES: [&str; 7] = [
    "",
    <ProducerServiceServer<Producing> as NamedService>::NAME,
    <ConsumerServiceServer<Consuming> as NamedService>::NAME,
    <GroupServiceServer<Grouping> as NamedService>::NAME,
    <TopicServiceServer<Topics> as NamedService>::NAME,
    <ClusterServiceServer<Cluster> as NamedService>::NAME,
    <StorageServiceServer<Storage> as NamedService>::NAME,
];

/// Serves connections until the door stops and all of them are drained. Requests that began are answered.
///
/// Cost of a stop: as long as the slowest client takes to read its answers; bound it from outside.
pub async fn serve(door: Door, connections: Connections) {
    let (health, health_service) = tonic_health::server::health_reporter();
    for name in HEALTH_NAMES {
        health.set_service_status(name, ServingStatus::Serving).await;
    }
    let health_service = health_service
        .max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(GRPC_MESSAGE_BYTES_MAX);
    let routes = routes(&door).add_service(health_service);
    let stopped = stop(door.clone(), health).shared();
    let Connections { wide, narrow } = connections;
    join(
        serve_with(WIDE, wide, (&door, routes.clone()), stopped.clone()),
        serve_with(NARROW, narrow, (&door, routes), stopped),
    )
    .await;
}

async fn serve_with(
    windows: Windows,
    connections: mpsc::Receiver<Arrived>,
    (door, routes): (&Door, Routes),
    stopped: impl Future<Output = ()>,
) {
    let incoming =
        ReceiverStream::new(connections).map(|arrived| Ok::<_, Infallible>(Connection::new(arrived, door)));
    let (share, budget) = (door.broker.unfinished().clone(), door.broker.budget().clone());
    let clock = door.broker.env().clock.clone();
    let now = clock.clone();
    let counted = move |request: Request<Body>| {
        request.map(|body| Body::new(RequestBody::new(body, share.clone(), budget.clone(), clock.clone())))
    };
    let served = limits::server(windows)
        .layer(CallLayer(door.broker.clone()))
        .layer(MapResponseLayer::new(move |reply| watched(dated(complete_reply(reply), now.now_ms()))))
        .layer(MapRequestLayer::new(counted))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, stopped)
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "serving gRPC ended with an error");
    }
}

/// Dates a reply while the clock stands at or before 1970. WHY: the layer below dates what has no date, and ends the
/// process when the year is before 1970.
fn dated(mut reply: Response<Body>, now_ms: Timestamp) -> Response<Body> {
    if now_ms <= 0 {
        reply.headers_mut().insert(DATE, HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"));
    }
    reply
}

fn routes(door: &Door) -> Routes {
    macro_rules! limited {
        ($server:expr) => {
            $server
                .max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX)
                .max_encoding_message_size(GRPC_MESSAGE_BYTES_MAX)
        };
    }
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let why = "the descriptors were made by the build";
    Routes::new(limited!(ProducerServiceServer::new(Producing(door.clone()))))
        .add_service(limited!(ConsumerServiceServer::new(Consuming(door.clone()))))
        .add_service(limited!(GroupServiceServer::new(Grouping(door.clone()))))
        .add_service(limited!(TopicServiceServer::new(Topics(door.clone()))))
        .add_service(limited!(ClusterServiceServer::new(Cluster(door.clone()))))
        .add_service(limited!(StorageServiceServer::new(Storage(door.clone()))))
        .add_service(limited!(reflection().build_v1().expect(why)))
        // Older tools, such as grpcurl, ask for v1alpha.
        .add_service(limited!(reflection().build_v1alpha().expect(why)))
}

/// Resolves when the door stops, after health has told so and has let its watchers go.
async fn stop(mut door: Door, mut health: HealthReporter) {
    // A sender that is gone has stopped.
    let _ = door.stopping.wait_for(|stopping| *stopping).await;
    for name in HEALTH_NAMES {
        health.set_service_status(name, ServingStatus::NotServing).await;
    }
    // Watchers see the last word first, then their streams end.
    tokio::task::yield_now().await;
    for name in HEALTH_NAMES {
        health.clear_service_status(name).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_replies_from_before_1970_are_dated_here() {
        let date = |now_ms| dated(Response::default(), now_ms).headers().get(DATE).cloned();
        assert_eq!(date(1), None);
        // What the clock says of every time before.
        assert_eq!(date(0).expect("dated"), "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
