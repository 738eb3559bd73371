//! A producer made of nothing but the generated stubs, as any language has them: unary calls, structured records, no
//! producer id. It sends again what it does not know to be stored, as users do.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tonic::transport::{Channel, Endpoint};
use weir::proto::grpc as pb;
use weir::proto::grpc::producer_service_client::ProducerServiceClient;

use super::history::{Fate, Origin, value_of};
use super::load::{Feed, PARTITIONS, TOPIC};

/// A call that has no answer after this long is sent again.
const CALL_WAIT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);

/// Sends one record after the other until the feed is over.
pub(crate) async fn produce(feed: Feed) {
    let channel = Endpoint::from_shared(format!("http://{}", feed.address)).unwrap().connect_lazy();
    let mut calls = ProducerServiceClient::new(channel);
    let mut rng = fastrand::Rng::with_seed(u64::from(feed.producer));
    while !feed.is_over() {
        let origin = feed.sent.lock().begin(feed.producer, rng.i32(0..PARTITIONS));
        let fate = send(&mut calls, origin).await;
        feed.sent.lock().set(origin, fate);
    }
}

/// Sends a record until its fate is known. A refusal counts only when no call before it may have stored the record.
async fn send(calls: &mut ProducerServiceClient<Channel>, origin: Origin) -> Fate {
    let mut may_be_there = false;
    loop {
        match timeout(CALL_WAIT, calls.produce(request(origin))).await {
            Ok(Ok(reply)) => match fate_of(&reply.into_inner().results[0]) {
                Fate::NotWritten if may_be_there => {}
                Fate::Open => may_be_there = true,
                fate => return fate,
            },
            Ok(Err(_)) | Err(_) => may_be_there = true,
        }
        sleep(PAUSE).await;
    }
}

/// Sends a record once: what is known of it then, and why it was refused.
pub(crate) async fn ask(address: &str, origin: Origin) -> (Fate, Option<pb::ErrorReason>) {
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    let mut calls = ProducerServiceClient::new(channel);
    match timeout(CALL_WAIT, calls.produce(request(origin))).await {
        Ok(Ok(reply)) => {
            let result = &reply.into_inner().results[0];
            (fate_of(result), result.error.as_ref().map(|error| error.reason()))
        }
        Ok(Err(_)) | Err(_) => (Fate::Open, None),
    }
}

fn request(origin: Origin) -> pb::ProduceRequest {
    let record = pb::Record { value: Some(value_of(origin).into_bytes().into()), ..pb::Record::default() };
    let records = pb::RecordList { records: vec![record] };
    let batch = pb::ProduceBatch {
        topic: TOPIC.to_owned(),
        partition: Some(origin.partition),
        payload: Some(pb::produce_batch::Payload::Records(records)),
        ..pb::ProduceBatch::default()
    };
    let acks = if origin.producer.is_multiple_of(2) { pb::Acks::All } else { pb::Acks::Leader };
    pb::ProduceRequest { acks: acks.into(), batches: vec![batch] }
}

fn fate_of(result: &pb::ProduceResult) -> Fate {
    match &result.error {
        None => Fate::Stored(result.base_offset, result.leader_epoch),
        Some(error) if error.outcome() == pb::Outcome::NotWritten => Fate::NotWritten,
        Some(_) => Fate::Open,
    }
}
