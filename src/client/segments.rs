//! The segments that partitions consist of.

use std::future::IntoFuture;

use super::connection::Connection;
use super::fault::from_item;
use super::reply::{Reply, has_next};
use crate::base::{Error, Offset, Timestamp};
use crate::proto::grpc;

/// Whether a segment is appended to.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// use weir::client::SegmentState;
///
/// let partitions = client.admin().list_segments("orders").await?;
/// let segments = partitions.iter().flat_map(|partition| &partition.segments);
/// println!("{} are written to", segments.filter(|segment| segment.state == SegmentState::Active).count());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SegmentState {
    /// It is.
    Active,
    /// It is not any more, and the broker has yet to write down what it holds.
    Rolled,
    /// It is not any more.
    Sealed,
    /// A state that this version does not know.
    Unknown,
}

/// One segment of a partition: a file of records, and its indexes.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// for segment in client.admin().list_segments("orders").partitions([0]).await?.iter().flat_map(|all| &all.segments) {
///     println!("{:020}.log: {} bytes, up to {}", segment.base_offset, segment.size_bytes, segment.end_offset);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// First offset that it may hold; its files are named by it.
    pub base_offset: Offset,
    /// One past its last offset.
    pub end_offset: Offset,
    /// Bytes of its log file.
    pub size_bytes: i64,
    /// Whether it is appended to.
    pub state: SegmentState,
    /// When its first batch was appended, ms since 1970; `None` when it is empty, or the broker would have to read it. Of the segment
    /// that is appended to, after a restart of the broker, the time at which it was begun.
    pub first_append: Option<Timestamp>,
    /// The same of its last batch.
    pub last_append: Option<Timestamp>,
    /// Greatest timestamp of its records; `None` when it has none, or the broker would have to read it.
    pub max_timestamp: Option<Timestamp>,
}

/// The segments of one partition.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// for partition in client.admin().list_segments("orders").await? {
///     match partition.error {
///         Some(error) => println!("{}: {error}", partition.partition),
///         None => println!("{}: {} segments", partition.partition, partition.segments.len()),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PartitionSegments {
    /// Its number.
    pub partition: i32,
    /// First offset that can be read: the first segment may begin below it.
    pub log_start_offset: Offset,
    /// Records below it are on stable storage.
    pub flushed_offset: Offset,
    /// By offset.
    pub segments: Vec<Segment>,
    /// Why they can't be told, if so.
    pub error: Option<Error>,
}

/// Lists segments; see [`Admin::list_segments`](super::Admin::list_segments).
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// for partition in client.admin().list_segments("orders").partitions([0, 3]).await? {
///     let bytes: i64 = partition.segments.iter().map(|segment| segment.size_bytes).sum();
///     println!("{}: {} segments, {bytes} bytes", partition.partition, partition.segments.len());
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is sent before it is awaited"]
pub struct ListSegments {
    connection: Connection,
    request: grpc::ListSegmentsRequest,
}

impl ListSegments {
    pub(super) fn new(connection: Connection, topic: String) -> Self {
        Self { connection, request: grpc::ListSegmentsRequest { topic, ..Default::default() } }
    }

    /// Only these partitions.
    pub fn partitions(mut self, partitions: impl IntoIterator<Item = i32>) -> Self {
        self.request.partitions.extend(partitions);
        self
    }
}

impl IntoFuture for ListSegments {
    type Output = Result<Vec<PartitionSegments>, Error>;
    type IntoFuture = Reply<Vec<PartitionSegments>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { connection, mut request } = self;
            let mut partitions: Vec<PartitionSegments> = Vec::new();
            loop {
                let reply = connection.list_segments(request.clone()).await?;
                reply.partitions.into_iter().for_each(|partition| add(&mut partitions, partition));
                if !has_next(&mut request.page_token, reply.next_page_token) {
                    return Ok(partitions);
                }
            }
        })
    }
}

/// Adds a partition of a page: one that the page before began goes on.
fn add(partitions: &mut Vec<PartitionSegments>, reply: grpc::PartitionSegments) {
    let segments = reply.segments.into_iter().map(read_segment);
    match partitions.last_mut().filter(|last| last.partition == reply.partition && reply.error.is_none()) {
        Some(last) => {
            last.segments.extend(segments);
            last.flushed_offset = reply.flushed_offset;
        }
        None => partitions.push(PartitionSegments {
            partition: reply.partition,
            log_start_offset: reply.log_start_offset,
            flushed_offset: reply.flushed_offset,
            segments: segments.collect(),
            error: reply.error.map(from_item),
        }),
    }
}

fn read_segment(segment: grpc::Segment) -> Segment {
    let state = match segment.state() {
        grpc::SegmentState::Active => SegmentState::Active,
        grpc::SegmentState::Rolled => SegmentState::Rolled,
        grpc::SegmentState::Sealed => SegmentState::Sealed,
        grpc::SegmentState::Unspecified => SegmentState::Unknown,
    };
    Segment {
        base_offset: segment.base_offset,
        end_offset: segment.end_offset,
        size_bytes: segment.size_bytes,
        state,
        first_append: segment.first_append_ms,
        last_append: segment.last_append_ms,
        max_timestamp: segment.max_timestamp_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_goes_on_over_pages() {
        let page = |partition, bases: &[i64]| grpc::PartitionSegments {
            partition,
            segments: bases
                .iter()
                .map(|base| grpc::Segment { base_offset: *base, ..Default::default() })
                .collect(),
            ..Default::default()
        };
        let mut all = Vec::new();
        for reply in [page(0, &[0, 10]), page(0, &[20]), page(1, &[0])] {
            add(&mut all, reply);
        }
        let bases =
            |at: usize| all[at].segments.iter().map(|segment| segment.base_offset).collect::<Vec<_>>();
        assert_eq!((all.len(), bases(0), bases(1)), (2, vec![0, 10, 20], vec![0]));
    }
}
