//! Each call is counted, timed and given an id; health tells of a stop.

use prost::Message;
use tonic::Request;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::*;
use crate::api::grpc::call::REQUEST_ID;
use crate::base::ErrorKind;
use crate::metrics::Method;
use crate::proto::grpc::DESCRIPTORS;

#[test]
fn every_method_of_the_proto_files_has_its_word() {
    let files = prost_types::FileDescriptorSet::decode(DESCRIPTORS).expect("made by the build").file;
    let own = files.iter().filter(|file| file.package() == "weir.v1");
    let methods: Vec<_> = own.flat_map(|file| &file.service).flat_map(|service| &service.method).collect();
    assert_eq!(methods.len(), Method::ALL.len() - 1);
    for method in methods {
        let found = Method::of_path(&format!("/weir.v1.X/{}", method.name()));
        assert_eq!(found.word(), method.name());
        assert_eq!(found.is_stream(), method.server_streaming(), "{}", method.name());
    }
}

/// The id in the answer of a call that was made with `given`, and whether the call was well.
async fn request_id(world: &World, topic: &str, given: Option<&str>) -> (String, bool) {
    let mut request = Request::new(pb::GetTopicRequest { name: topic.to_owned() });
    if let Some(given) = given {
        request.metadata_mut().insert(REQUEST_ID, given.parse().unwrap());
    }
    let answer = TopicServiceClient::new(world.channel.clone()).get_topic(request).await;
    let is_well = answer.is_ok();
    let metadata = answer.map_or_else(|status| status.metadata().clone(), |reply| reply.metadata().clone());
    (metadata.get(REQUEST_ID).expect("every answer has one").to_str().unwrap().to_owned(), is_well)
}

#[tokio::test]
async fn an_answer_tells_the_id_of_its_request() {
    let world = World::with_topic(1).await;
    assert_eq!(request_id(&world, "t", Some("a-b_c.D:9")).await, ("a-b_c.D:9".to_owned(), true));
    assert_eq!(request_id(&world, "no", Some("42")).await, ("42".to_owned(), false));
    let mut seen = std::collections::HashSet::new();
    for given in [None, None, Some(""), Some("two words"), Some("a\"b"), Some(&*"x".repeat(65))] {
        let (made, _) = request_id(&world, "t", given).await;
        assert!(made.len() == 16 && made.bytes().all(|byte| byte.is_ascii_hexdigit()), "{given:?}: {made}");
        assert!(seen.insert(made), "made twice");
    }
    world.end().await;
}

#[tokio::test]
async fn requests_errors_and_open_streams_are_counted() {
    let world = World::with_topic(1).await;
    let counters = world.broker.counters().clone();
    world.produce(vec![records("t", Some(0), vec![record(None, "a")]), records("no", Some(0), vec![])]).await;
    request_id(&world, "no", None).await;
    assert_eq!(counters.requests(Method::Produce).get(), 1);
    assert_eq!(counters.durations(Method::Produce).count(), 1);
    assert_eq!(counters.requests(Method::GetTopic).get(), 1);
    assert_eq!(counters.errors(ErrorKind::TopicNotFound).get(), 2, "an item and a whole call");
    assert_eq!((counters.traffic.records_in.get(), counters.traffic.records_out.get()), (1, 0));
    let request = pb::TailRequest { partitions: vec![place(0, 0)], ..Default::default() };
    let mut tail = world.consumer().tail(request).await.unwrap().into_inner();
    tail.message().await.unwrap().expect("an answer");
    assert_eq!(counters.open_streams(Method::Tail).get(), 1);
    assert_eq!(counters.traffic.records_out.get(), 1);
    drop(tail);
    while counters.open_streams(Method::Tail).get() > 0 {
        tokio::task::yield_now().await;
    }
    world.end().await;
}

#[tokio::test]
async fn health_says_that_the_broker_stops() {
    let world = World::start(1).await;
    let mut health = HealthClient::new(world.channel.clone());
    let request = || HealthCheckRequest { service: "weir.v1.ProducerService".to_owned() };
    let status = health.check(request()).await.unwrap().into_inner().status();
    assert_eq!(status, ServingStatus::Serving);
    let mut watched = health.watch(request()).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().expect("at once").status(), ServingStatus::Serving);
    let World { stop, served, broker, .. } = world;
    stop.send(()).unwrap();
    assert_eq!(watched.message().await.unwrap().expect("its last word").status(), ServingStatus::NotServing);
    drop((watched, health));
    served.await.unwrap().unwrap();
    assert!(broker.stop(Duration::from_secs(20)).await);
}
