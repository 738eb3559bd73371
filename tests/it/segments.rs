//! The segments that a broker tells of are those on its disk; telling them makes nothing anew.

use std::fs;
use std::path::Path;
use std::time::Duration;

use weir::base::ErrorKind;
use weir::client::{Client, PartitionSegments, Record, Segment, SegmentState};
use weir::proto::grpc::ListSegmentsRequest;
use weir::proto::grpc::storage_service_client::StorageServiceClient;

use crate::served::Served;
use crate::whole::Whole;

/// Longer than any sealing takes.
const LONG: Duration = Duration::from_secs(60);

/// Two partitions, of which the first one has several small segments and the other one none but the first.
async fn fill(client: &Client) {
    let create = client.admin().create_topic("t").partitions(2);
    create.config("segment.bytes", "1KiB").config("retention.ms", "-1").await.unwrap();
    let producer = client.producer().build().await.unwrap();
    for number in 0..9 {
        let record = Record::to("t").partition(0).timestamp(1_000 + number).value("x".repeat(300));
        producer.send(record).await.unwrap().await.unwrap();
    }
    producer.close().await;
}

async fn list(client: &Client) -> Vec<PartitionSegments> {
    client.admin().list_segments("t").await.unwrap()
}

/// What is told once every segment that is written to no more has its footer.
async fn list_when_sealed(client: &Client) -> Vec<PartitionSegments> {
    let sealed = async {
        loop {
            let found = list(client).await;
            let mut segments = found.iter().flat_map(|partition| &partition.segments);
            if segments.all(|segment| segment.state != SegmentState::Rolled) {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, sealed).await.expect("the committer seals what was rolled")
}

fn log_path(folder: &Path, segment: &Segment) -> std::path::PathBuf {
    folder.join("t-0").join(format!("{:020}.log", segment.base_offset))
}

fn segments_of(found: &[PartitionSegments]) -> Vec<Segment> {
    found.iter().flat_map(|partition| partition.segments.iter().copied()).collect()
}

/// What a restart does not change: when the active segment was written to is told by its files from then on.
fn durable(found: &[PartitionSegments]) -> Vec<Segment> {
    let mut segments = segments_of(found);
    for active in segments.iter_mut().filter(|segment| segment.state == SegmentState::Active) {
        (active.first_append, active.last_append) = (None, None);
    }
    segments
}

/// All pages of so many entries, put together, and how many they were.
async fn pages(broker: &Whole, page_size: i32) -> (Vec<(i32, i64)>, usize) {
    let mut storage = StorageServiceClient::connect(broker.url()).await.unwrap();
    let (mut found, mut count, mut page_token) = (Vec::new(), 0, String::new());
    loop {
        let request =
            ListSegmentsRequest { topic: "t".to_owned(), page_size, page_token, ..Default::default() };
        let page = storage.list_segments(request).await.unwrap().into_inner();
        for partition in &page.partitions {
            found.extend(partition.segments.iter().map(|segment| (partition.partition, segment.base_offset)));
            assert!(partition.segments.len() as i32 <= page_size);
        }
        count += 1;
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return (found, count);
        }
    }
}

#[tokio::test]
async fn segments_are_told_as_they_are_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Whole::start(folder.path()).await;
    let client = broker.client().await;
    fill(&client).await;
    let found = list_when_sealed(&client).await;
    assert_eq!(found.iter().map(|one| one.partition).collect::<Vec<_>>(), [0, 1]);
    let (first, second) = (&found[0], &found[1]);
    assert!(first.segments.len() >= 3, "{first:?}");
    assert_eq!((first.log_start_offset, first.flushed_offset), (0, 9));
    for (segment, next) in first.segments.iter().zip(&first.segments[1..]) {
        assert_eq!((segment.state, segment.end_offset), (SegmentState::Sealed, next.base_offset));
        assert_eq!(segment.max_timestamp, Some(1_000 + segment.end_offset - 1));
        assert!(segment.first_append <= segment.last_append && segment.last_append <= next.first_append);
    }
    let last = first.segments.last().unwrap();
    assert_eq!((last.state, last.end_offset, last.max_timestamp), (SegmentState::Active, 9, Some(1_008)));
    for segment in &first.segments {
        let stored = fs::metadata(log_path(folder.path(), segment)).unwrap().len();
        assert_eq!(segment.size_bytes.unsigned_abs(), stored);
    }
    let empty = second.segments[0];
    assert_eq!((second.segments.len(), empty.end_offset, empty.size_bytes), (1, 0, 0));
    assert_eq!((empty.first_append, empty.last_append, empty.max_timestamp), (None, None, None));
    let whole: Vec<(i32, i64)> =
        segments_of(&found[..1]).iter().map(|one| (0, one.base_offset)).chain([(1, 0)]).collect();
    for page_size in 1..=whole.len() as i32 + 1 {
        let expected_pages = whole.len().div_ceil(page_size as usize);
        assert_eq!(pages(&broker, page_size).await, (whole.clone(), expected_pages), "pages of {page_size}");
    }
    drop(client);
    broker.stop().await;
}

#[tokio::test]
async fn a_broker_that_has_just_started_tells_the_same_and_makes_nothing_anew() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Whole::start(folder.path()).await;
    let client = broker.client().await;
    fill(&client).await;
    let before = durable(&list_when_sealed(&client).await);
    drop(client);
    broker.stop().await;
    let again = Whole::start(folder.path()).await;
    let client = again.client().await;
    assert_eq!(durable(&list(&client).await), before);
    drop(client);
    again.stop().await;
    let index = folder.path().join("t-0/00000000000000000000.index");
    fs::write(&index, b"no index").unwrap();
    let third = Whole::start(folder.path()).await;
    let client = third.client().await;
    let after = durable(&list(&client).await);
    assert_eq!((after[0].state, after[0].last_append), (SegmentState::Rolled, None));
    assert_eq!((after[0].end_offset, after[0].size_bytes), (before[0].end_offset, before[0].size_bytes));
    assert_eq!(after[1..], before[1..]);
    assert_eq!(fs::read(&index).unwrap(), b"no index", "a look makes nothing anew");
    drop(client);
    third.stop().await;
}

#[tokio::test]
async fn what_can_not_be_told_is_an_error_of_its_partition() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Whole::start(folder.path()).await;
    let client = broker.client().await;
    fill(&client).await;
    drop(client);
    broker.stop().await;
    fs::remove_file(folder.path().join("t-0/partition.meta")).unwrap();
    let again = Whole::start(folder.path()).await;
    let client = again.client().await;
    let admin = client.admin();
    let found = admin.list_segments("t").partitions([1, 0, 7, -1]).await.unwrap();
    let kinds = |one: &PartitionSegments| (one.partition, one.error.as_ref().map(|error| error.kind));
    assert_eq!(
        found.iter().map(kinds).collect::<Vec<_>>(),
        [
            (-1, Some(ErrorKind::PartitionNotFound)),
            (0, Some(ErrorKind::StorageError)),
            (1, None),
            (7, Some(ErrorKind::PartitionNotFound))
        ]
    );
    assert_eq!(admin.list_segments("none").await.unwrap_err().kind, ErrorKind::TopicNotFound);
    let mut storage = StorageServiceClient::connect(again.url()).await.unwrap();
    let t = || ListSegmentsRequest { topic: "t".to_owned(), ..Default::default() };
    for (wrong, field) in [
        (ListSegmentsRequest { page_size: -1, ..t() }, "page size -1"),
        (ListSegmentsRequest { page_token: "x".to_owned(), ..t() }, "'page_token'"),
        (ListSegmentsRequest { partitions: vec![0; 10_001], ..t() }, "'partitions' has 10001 items"),
    ] {
        let status = storage.list_segments(wrong).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        assert!(status.message().contains(field), "{}", status.message());
    }
    drop((client, storage));
    again.stop().await;
}

#[test]
fn the_command_line_shows_them() {
    let served = Served::start();
    served.prints(&["topic", "create", "t", "-p", "2", "-c", "segment.bytes=1KiB"]);
    for _ in 0..3 {
        served.prints(&["produce", "t", "-p", "0", &"x".repeat(700)]);
    }
    let bases = |arguments: &[&str]| -> Vec<String> {
        let printed = served.prints(&[&["log", "segments", "--output", "plain"], arguments].concat());
        let cells = printed.lines().map(|line| line.split('\t').take(3).collect::<Vec<_>>().join(" "));
        cells.collect()
    };
    assert_eq!(bases(&["t"]), ["0 0 1", "0 1 2", "0 2 3", "1 0 0"]);
    assert_eq!(bases(&["t:1"]), ["1 0 0"]);
    assert_eq!(bases(&["t", "-p", "1"]), ["1 0 0"]);
    assert_eq!(bases(&["t:0", "-p", "1"]).len(), 4);
    let missing = served.run(&["log", "segments", "t", "-p", "0,9", "-J"]);
    assert_eq!(missing.code, 1);
    assert!(
        missing.err.contains("has no partition 9; it has partitions 0 to 1   [PARTITION_NOT_FOUND]"),
        "{}",
        missing.err
    );
    let alone = served.run(&["log", "segments", "t:9"]);
    assert_eq!((alone.code, alone.out.as_str()), (1, ""));
}
