//! Lists the segments of a topic, page by page.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::base::limits::REQUEST_ITEMS_MAX;
use crate::base::{Error, ErrorKind, Offset};
use crate::broker::Broker;
use crate::broker::errors::Place;
use crate::broker::lookup::{find_partition, find_topic};
use crate::cluster::Image;
use crate::env::threads::off_shard;
use crate::log::LogOffsets;
pub use crate::log::{SegmentFacts, SegmentState};

/// Most segments and errors of a page. WHY: each may cost two reads and an open, and an error may have a kilobyte.
const PAGE_SIZE_MAX: usize = 1_000;

/// Lists segments.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListSegments {
    /// The topic's name.
    pub topic: String,
    /// Empty: all partitions.
    pub partitions: Vec<i32>,
    /// Segments and errors on a page; 0 and more than 1,000 mean 1,000.
    pub page_size: i32,
    /// Empty for the first page, else from the page before.
    pub page_token: String,
}

/// One page of segments.
#[derive(Debug)]
pub struct SegmentPage {
    /// By number.
    pub partitions: Vec<PartitionSegments>,
    /// For the next page; empty after the last one.
    pub next_page_token: String,
}

/// A partition on a page.
#[derive(Debug)]
pub struct PartitionSegments {
    /// Its number.
    pub partition: i32,
    /// What it consists of, or why that can't be told.
    pub found: Result<SegmentsOf, Error>,
}

/// What a partition consists of, as far as the page reaches.
#[derive(Debug)]
pub struct SegmentsOf {
    /// Its marks.
    pub offsets: LogOffsets,
    /// By offset.
    pub segments: Vec<SegmentFacts>,
}

/// Where a page begins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
struct PageStart {
    partition: i32,
    base_offset: Offset,
}

impl Broker {
    /// Lists segments. Logs are opened for that, off the shard; a partition that can't be has its own error.
    ///
    /// Errors of the whole: TOPIC_NOT_FOUND; INVALID_REQUEST for a page that makes no sense, or too many partitions.
    pub async fn list_segments(self: &Arc<Self>, request: ListSegments) -> Result<SegmentPage, Error> {
        self.refuse_when_stopping()?;
        let (size, start) = (page_size(&request)?, page_start(&request.page_token)?);
        let numbers = numbers(&self.image(), &request)?;
        let broker = self.clone();
        off_shard(move || Ok(broker.segment_page(&request.topic, numbers, size, start))).await
    }

    /// May block.
    fn segment_page(
        &self,
        topic: &str,
        numbers: BTreeSet<i32>,
        size: usize,
        start: PageStart,
    ) -> SegmentPage {
        let mut page = SegmentPage { partitions: Vec::new(), next_page_token: String::new() };
        let mut room = size;
        for partition in numbers.range(start.partition..).copied() {
            if room == 0 {
                page.next_page_token = PageStart { partition, base_offset: 0 }.token();
                break;
            }
            let from = if partition == start.partition { start.base_offset } else { 0 };
            let mut found = self.segments_of(topic, partition, from, room + 1);
            let beyond = found.as_ref().ok().and_then(|found| found.segments.get(room));
            let beyond = beyond.map(|segment| PageStart { partition, base_offset: segment.base_offset });
            if let Ok(found) = &mut found {
                found.segments.truncate(room);
            }
            room = room.saturating_sub(found.as_ref().map_or(1, |found| found.segments.len()));
            page.partitions.push(PartitionSegments { partition, found });
            if let Some(beyond) = beyond {
                page.next_page_token = beyond.token();
                break;
            }
        }
        page
    }

    fn segments_of(&self, topic: &str, number: i32, from: Offset, max: usize) -> Result<SegmentsOf, Error> {
        let (_, id) = find_partition(&self.image(), topic, None, number)?;
        let partition = self.partitions.open(id)?;
        let stopping = self.refuse_when_stopping().is_err();
        let place = Place { topic, partition: number, stopping };
        let segments = partition.segment_facts(from, max).map_err(|error| place.read_error(error))?;
        Ok(SegmentsOf { offsets: partition.offsets(), segments })
    }
}

/// The partitions that are asked for.
fn numbers(image: &Image, request: &ListSegments) -> Result<BTreeSet<i32>, Error> {
    let topic = find_topic(image, &request.topic)?;
    let count = request.partitions.len();
    if count > REQUEST_ITEMS_MAX {
        let message = format!("the field 'partitions' has {count} items: give at most {REQUEST_ITEMS_MAX}");
        return Err(Error::new(ErrorKind::InvalidRequest, message).with("field", "partitions"));
    }
    match request.partitions.is_empty() {
        true => Ok((0..topic.ready_count).collect()),
        false => Ok(request.partitions.iter().copied().collect()),
    }
}

fn page_size(request: &ListSegments) -> Result<usize, Error> {
    match usize::try_from(request.page_size) {
        Ok(0) => Ok(PAGE_SIZE_MAX),
        Ok(size) => Ok(size.min(PAGE_SIZE_MAX)),
        Err(_) => {
            let message = format!("page size {} is negative; use 0 for the default", request.page_size);
            Err(Error::new(ErrorKind::InvalidRequest, message).with("field", "page_size"))
        }
    }
}

impl PageStart {
    fn token(self) -> String {
        format!("{}:{}", self.partition, self.base_offset)
    }
}

fn page_start(token: &str) -> Result<PageStart, Error> {
    if token.is_empty() {
        return Ok(PageStart { partition: i32::MIN, base_offset: 0 });
    }
    let read = |(partition, offset): (&str, &str)| {
        Some(PageStart { partition: partition.parse().ok()?, base_offset: offset.parse().ok()? })
    };
    token.split_once(':').and_then(read).ok_or_else(|| {
        let message = "the field 'page_token' is none that a page gave: leave it out for the first page";
        Error::new(ErrorKind::InvalidRequest, message).with("field", "page_token")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_any_other_word_refused() {
        for start in [PageStart::default(), PageStart { partition: 7, base_offset: 1 << 40 }] {
            assert_eq!(page_start(&start.token()).expect("own words"), start);
        }
        assert!(page_start("").expect("the first page") < PageStart { partition: -1, base_offset: 0 });
        for wrong in ["x", "1", "1:", ":1", "1:2:3", "1:99999999999999999999", "99999999999:0"] {
            assert_eq!(page_start(wrong).expect_err(wrong).kind, ErrorKind::InvalidRequest, "{wrong}");
        }
    }

    #[test]
    fn a_page_has_at_most_a_thousand() {
        let size = |page_size| page_size_of(page_size).ok();
        assert_eq!((size(0), size(7), size(1_000_000)), (Some(1_000), Some(7), Some(1_000)));
        assert_eq!(size(-1), None);
    }

    fn page_size_of(number: i32) -> Result<usize, Error> {
        page_size(&ListSegments { page_size: number, ..ListSegments::default() })
    }
}
