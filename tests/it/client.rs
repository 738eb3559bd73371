//! The client against a broker in memory that breaks off, refuses and damages on demand.

mod fake;
pub(crate) mod proxy;

use std::time::Duration;

use fake::{Fake, PARTITIONS, TOPIC, Trouble};
use proxy::Proxy;
use weir::base::{Error, ErrorKind, Outcome};
use weir::client::{Acks, At, Client, Codec, Durability, Event, Producer, Record, Start};

const CALM: Trouble = Trouble {
    lost_before: 0,
    lost_after: 0,
    disk_full: 0,
    disk_always_full: false,
    tail_lost: 0,
    tail_damaged: 0,
    slow: false,
};

fn numbered(number: u32) -> Record {
    Record::to(TOPIC).partition((number % PARTITIONS as u32) as i32).value(format!("record {number:05}"))
}

/// Sends numbered records and checks that each delivery tells the truth about where its record is.
async fn send_and_check(producer: &Producer, fake: &Fake, count: u32) {
    let mut deliveries = Vec::new();
    for number in 0..count {
        deliveries.push(producer.send(numbered(number)).await.unwrap());
        if number % 7 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let mut stored = Vec::new();
    for delivery in deliveries {
        stored.push(delivery.await.unwrap());
    }
    for (number, place) in stored.iter().enumerate() {
        let value = format!("record {number:05}");
        assert_eq!(place.durability, Some(Durability::Flushed));
        assert_eq!(fake.values(place.partition)[place.offset as usize], value);
    }
}

/// Each partition holds its numbered records, in order, once.
fn assert_complete(fake: &Fake, count: u32) {
    for partition in 0..PARTITIONS as u32 {
        let expected: Vec<String> = (partition..count)
            .step_by(PARTITIONS as usize)
            .map(|number| format!("record {number:05}"))
            .collect();
        assert_eq!(fake.values(partition as i32), expected, "partition {partition}");
    }
}

#[tokio::test]
async fn lost_streams_neither_double_nor_reorder_nor_lose() {
    let trouble = Trouble { lost_before: 5, lost_after: 5, disk_full: 10, ..CALM };
    let (fake, address) = Fake::start(trouble).await;
    let client = Client::connect(&format!("weir://{address}")).await.unwrap();
    let producer = client.producer().batch_bytes(150).compression(Codec::Lz4).build().await.unwrap();
    send_and_check(&producer, &fake, 400).await;
    assert!(fake.streams() > 3, "{} streams: the test shows nothing", fake.streams());
    assert_complete(&fake, 400);
    let report = producer.close().await;
    assert_eq!((report.delivered, report.failed), (400, 0));
}

#[tokio::test]
async fn cut_connections_neither_double_nor_reorder_nor_lose() {
    let (fake, address) = Fake::start(Trouble { slow: true, ..CALM }).await;
    let proxy = Proxy::start(address).await;
    let client = Client::connect(&proxy.address.to_string()).await.unwrap();
    let producer = client.producer().batch_bytes(150).build().await.unwrap();
    let cutter = tokio::spawn(async move {
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(80)).await;
            proxy.cut();
        }
        proxy
    });
    send_and_check(&producer, &fake, 600).await;
    assert_complete(&fake, 600);
    assert!(fake.streams() > 2, "{} streams: the test shows nothing", fake.streams());
    cutter.abort();
}

#[tokio::test]
async fn one_by_one_keeps_order_without_producer_id() {
    let (fake, address) = Fake::start(Trouble { disk_full: 20, lost_before: 5, ..CALM }).await;
    let client = Client::connect(&address.to_string()).await.unwrap();
    let producer =
        client.producer().idempotent(false).acks(Acks::Leader).batch_bytes(300).build().await.unwrap();
    send_and_check(&producer, &fake, 300).await;
    assert_complete(&fake, 300);
}

#[tokio::test]
async fn without_acks_everything_handed_over_arrives_before_close_ends() {
    let (fake, address) = Fake::start(Trouble { slow: true, ..CALM }).await;
    let client = Client::connect(&address.to_string()).await.unwrap();
    let producer = client.producer().acks(Acks::None).batch_bytes(200).build().await.unwrap();
    let mut last = None;
    for number in 0..200 {
        last = Some(producer.send(numbered(number)).await.unwrap());
    }
    let stored = last.unwrap().await.unwrap();
    assert_eq!((stored.offset, stored.durability), (-1, None));
    assert_eq!(producer.close().await.delivered, 200);
    assert_complete(&fake, 200);
}

#[tokio::test]
async fn a_delivery_fails_when_its_time_is_over_and_later_ones_go_on() {
    let (fake, address) = Fake::start(Trouble { disk_always_full: true, ..CALM }).await;
    let client = Client::connect(&address.to_string()).await.unwrap();
    let timeout = Duration::from_millis(300);
    let producer = client.producer().delivery_timeout(timeout).build().await.unwrap();
    let error = producer.send(numbered(0)).await.unwrap().await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::TimedOut, Outcome::NotWritten));
    assert!(error.message.contains(TOPIC) && error.message.contains("DISK_FULL"), "{error}");
    assert_eq!(reason(&error), Some(ErrorKind::DiskFull));
    fake.set_trouble(CALM);
    let stored = producer.send(numbered(0)).await.unwrap().await.unwrap();
    assert_eq!(stored.offset, 0);
    let report = producer.close().await;
    assert_eq!((report.delivered, report.failed), (1, 1));
}

/// The kind of the error underneath.
fn reason(error: &Error) -> Option<ErrorKind> {
    error.source.as_ref()?.downcast_ref::<Error>().map(|source| source.kind)
}

#[tokio::test]
async fn every_record_of_a_batch_keeps_its_last_refusal_when_the_line_is_lost_later() {
    let (fake, address) = Fake::start(Trouble { disk_always_full: true, ..CALM }).await;
    let client = Client::connect(&address.to_string()).await.unwrap();
    let builder = client.producer().linger(Duration::from_millis(50));
    let producer = builder.delivery_timeout(Duration::from_secs(2)).build().await.unwrap();
    let first = producer.send(numbered(0).partition(0)).await.unwrap();
    let second = producer.send(numbered(1).partition(0)).await.unwrap();
    while fake.refused() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fake.set_trouble(Trouble { lost_before: 100, ..CALM });
    for delivery in [first, second] {
        let error = delivery.await.unwrap_err();
        assert_eq!((error.kind, reason(&error)), (ErrorKind::TimedOut, Some(ErrorKind::DiskFull)));
    }
}

#[tokio::test]
async fn send_waits_for_memory() {
    let (_fake, address) = Fake::start(Trouble { disk_always_full: true, ..CALM }).await;
    let client = Client::connect(&address.to_string()).await.unwrap();
    let builder = client.producer().batch_bytes(1000).buffer_memory(2000);
    let producer = builder.delivery_timeout(Duration::from_millis(400)).build().await.unwrap();
    let big = || Record::to(TOPIC).value(vec![0u8; 900]);
    let first = producer.send(big()).await.unwrap();
    let second = producer.send(big()).await.unwrap();
    let third = tokio::time::timeout(Duration::from_millis(50), producer.send(big())).await;
    assert!(third.is_err(), "there was memory for a third one");
    assert!(first.await.is_err() && second.await.is_err());
    let third = producer.send(big()).await.expect("their memory is free again");
    assert_eq!(third.topic().as_ref(), TOPIC);
}

#[tokio::test]
async fn records_that_can_not_be_stored_are_refused_at_once() {
    let (_fake, address) = Fake::start(CALM).await;
    let client = Client::connect(&address.to_string()).await.unwrap();
    let producer = client.producer().build().await.unwrap();
    let refused = [
        (Record::to(TOPIC).value(vec![0u8; 10_000]), ErrorKind::RecordTooLarge),
        (Record::to("order").value("x"), ErrorKind::TopicNotFound),
        (Record::to(TOPIC).partition(2), ErrorKind::PartitionNotFound),
        (Record::to(TOPIC).header("", "x"), ErrorKind::InvalidRecord),
        (Record::to(TOPIC).timestamp(-2), ErrorKind::InvalidTimestamp),
    ];
    for (record, kind) in refused {
        let error = producer.send(record.clone()).await.unwrap_err();
        assert_eq!((error.kind, error.outcome), (kind, Outcome::NotWritten));
        assert!(error.message.contains(&format!("'{}'", record.topic)), "{error}");
    }
    let stored = producer.send(Record::to(TOPIC).partition(0).value(vec![0u8; 9_900])).await.unwrap().await;
    assert_eq!(stored.unwrap().offset, 0, "nothing was stored before, and this one fits");
}

#[tokio::test]
async fn nobody_there_is_unavailable_and_names_the_address() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let client = Client::connect(&address).await.unwrap();
    let error = client.admin().cluster().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains(&address), "{error}");
    assert!(error.message.to_lowercase().contains("refused"), "{error}");
}

/// Fills both partitions with numbered records, a few to a batch.
async fn fill(client: &Client, count: u32) {
    let producer = client.producer().batch_bytes(200).build().await.unwrap();
    for number in 0..count {
        drop(producer.send(numbered(number)).await.unwrap());
    }
    assert_eq!(producer.close().await.delivered, u64::from(count));
}

#[tokio::test]
async fn a_reader_loses_nothing_when_streams_break_and_bits_change() {
    let (fake, address) = Fake::start(CALM).await;
    let client = Client::connect(&address.to_string()).await.unwrap();
    fill(&client, 300).await;
    fake.set_trouble(Trouble { tail_lost: 10, tail_damaged: 5, ..CALM });
    let start = Start::Timestamp(0);
    let builder = client.consumer().topic(TOPIC).start(start).start_at(TOPIC, 0, Start::Offset(7));
    let mut consumer = builder.start_at(TOPIC, 1, Start::Beginning).build().await.unwrap();
    let mut read = vec![Vec::new(); PARTITIONS as usize];
    for _ in 0..300 - 7 {
        let record = consumer.next().await.unwrap().unwrap();
        assert_eq!(consumer.position(TOPIC, record.partition), Some(record.offset + 1));
        read[record.partition as usize].push((record.offset, record.value.unwrap()));
    }
    for (partition, first) in [(0, 7), (1, 0)] {
        let values = fake.values(partition);
        let expected: Vec<_> = (first..values.len()).map(|at| (at as i64, values[at].clone())).collect();
        assert_eq!(read[partition as usize], expected);
    }
}

#[tokio::test]
async fn an_offset_out_of_range_stops_its_partition_until_a_seek() {
    let (_fake, address) = Fake::start(CALM).await;
    let client = Client::connect(&address.to_string()).await.unwrap();
    fill(&client, 20).await;
    let builder = client.consumer().topics([TOPIC]).start(Start::Beginning);
    let mut consumer = builder.start_at(TOPIC, 0, Start::Offset(99)).build().await.unwrap();
    let (mut records, mut errors, mut caught_up) = (0, Vec::new(), false);
    while records < 10 || errors.is_empty() || !caught_up {
        match consumer.next_event().await.unwrap() {
            Event::Record(record) => records += i32::from(record.partition == 1),
            Event::Error(error) => errors.push(error),
            Event::CaughtUp { partition, next_offset, .. } => {
                assert_eq!((partition, next_offset), (1, 10));
                caught_up = true;
            }
        }
    }
    assert_eq!(errors[0].kind, ErrorKind::OffsetOutOfRange);
    assert_eq!(
        (errors[0].metadata["topic"].as_str(), errors[0].metadata["partition"].as_str()),
        (TOPIC, "0")
    );
    consumer.seek(TOPIC, 0, 8).unwrap();
    assert_eq!(consumer.next().await.unwrap().unwrap().offset, 8);
    assert_eq!(consumer.next().await.unwrap().unwrap().offset, 9);
    assert!(consumer.seek(TOPIC, 5, 0).is_err());
}

#[tokio::test]
async fn lasting_damage_is_a_typed_item_and_ends_the_stream_when_it_is_everywhere() {
    let (fake, address) = Fake::start(CALM).await;
    let client = Client::connect(&address.to_string()).await.unwrap();
    fill(&client, 20).await;
    fake.set_trouble(Trouble { tail_damaged: 100, ..CALM });
    let builder = client.consumer().topic(TOPIC).partitions([1]).start(Start::Beginning);
    let mut consumer = builder.build().await.unwrap();
    let error = consumer.next().await.unwrap().unwrap_err();
    assert_eq!((error.kind, error.metadata["first"].as_str()), (ErrorKind::DamagedRange, "0"));
    assert!(consumer.next().await.is_none());
    fake.set_trouble(CALM);
    consumer.seek(TOPIC, 1, 0).unwrap();
    assert_eq!(consumer.next().await.unwrap().unwrap().offset, 0);
}

#[tokio::test]
async fn offsets_are_listed_in_the_order_asked() {
    let (_fake, address) = Fake::start(CALM).await;
    let client = Client::connect(&address.to_string()).await.unwrap();
    fill(&client, 20).await;
    let places = [(1, At::End), (0, At::Start), (0, At::Timestamp(5))];
    let listed = client.admin().list_offsets(TOPIC, places).await.unwrap();
    let offsets: Vec<_> = listed.into_iter().map(|listed| listed.unwrap().offset).collect();
    assert_eq!(offsets, [Some(10), Some(0), None]);
}
