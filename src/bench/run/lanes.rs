//! Lanes: what one writer writes to one partition, in order. Pure.
//!
//! Each partition has one writer while there are no more writers than partitions; else each writer has one partition. So there
//! are as many lanes as the larger of the two, and lane `n` goes to partition `n % partitions` by writer `n % writers`.

use super::super::workload::{Chain, Stamp};
use crate::base::{Error, ErrorKind, Offset};

/// What is asked of each value that is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Depth {
    /// That it is the next one of its writer.
    Order,
    /// That as well, and that no byte of it has changed.
    Bytes,
}

/// The chains of all lanes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chains {
    partitions: i32,
    lanes: Vec<Chain>,
}

impl Chains {
    /// Of nothing yet.
    pub fn new(partitions: i32, writers: usize) -> Self {
        let lanes = writers.max(partitions.unsigned_abs() as usize);
        Self { partitions, lanes: vec![Chain::default(); lanes] }
    }

    /// As many lanes, with nothing in them.
    pub(super) fn emptied(&self) -> Self {
        Self { partitions: self.partitions, lanes: vec![Chain::default(); self.lanes.len()] }
    }

    /// The lanes of one of `writers`, with their partitions.
    pub(super) fn of_writer(&self, writer: usize, writers: usize) -> Vec<(usize, i32)> {
        (writer..self.lanes.len()).step_by(writers).map(|lane| (lane, self.partition(lane))).collect()
    }

    fn partition(&self, lane: usize) -> i32 {
        (lane % self.partitions.unsigned_abs() as usize) as i32
    }

    /// How many values a lane has.
    pub(super) fn count_of(&self, lane: usize) -> u64 {
        self.lanes[lane].count
    }

    /// Values of all lanes.
    pub fn count(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.count).sum()
    }

    /// Adds the next value of a lane.
    pub(super) fn add(&mut self, lane: usize, value: &[u8]) {
        self.lanes[lane].add(value);
    }

    /// Adds a value that was read, which must be the next one of its lane; how it began. `depth` says what is held against
    /// what was written later on.
    ///
    /// Errors: it is not: lost, doubled, out of order, in another partition, or none of ours.
    pub(super) fn add_read(
        &mut self,
        (partition, offset): (i32, Offset),
        value: &[u8],
        depth: Depth,
    ) -> Result<Stamp, Error> {
        let wrong = |what: String| {
            let message = format!("the record at offset {offset} of partition {partition} {what}");
            Error::new(ErrorKind::DamagedRange, message)
        };
        let stamp = Stamp::read(value).filter(|stamp| stamp.lane < self.lanes.len());
        let stamp = stamp.ok_or_else(|| wrong("was not written by this run".to_owned()))?;
        let expected = self.lanes[stamp.lane].count;
        if self.partition(stamp.lane) != partition {
            return Err(wrong(format!("was written to partition {}", self.partition(stamp.lane))));
        }
        if stamp.number != expected {
            let what =
                if stamp.number < expected { "came twice or out of order" } else { "follows a lost one" };
            return Err(wrong(format!(
                "is number {} of its writer, not {expected}: it {what}",
                stamp.number
            )));
        }
        match depth {
            Depth::Bytes => self.lanes[stamp.lane].add(value),
            Depth::Order => self.lanes[stamp.lane].count += 1,
        }
        Ok(stamp)
    }

    /// Whether these are the values that were written, as deep as they were read.
    ///
    /// Errors: they differ in number or content.
    pub(super) fn check(&self, written: &Self, depth: Depth) -> Result<(), Error> {
        let equal = |(read, written): (&Chain, &Chain)| match depth {
            Depth::Bytes => read == written,
            Depth::Order => read.count == written.count,
        };
        let differs = self.lanes.iter().zip(&written.lanes).position(|both| !equal(both));
        let Some(lane) = differs else { return Ok(()) };
        let (read, written, partition) = (self.lanes[lane], written.lanes[lane], self.partition(lane));
        let message = if read.count == written.count {
            format!("partition {partition} gave other bytes than were written")
        } else {
            format!("partition {partition} gave {} records where {} were written", read.count, written.count)
        };
        Err(Error::new(ErrorKind::DamagedRange, message))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::workload::Values;
    use super::*;

    #[test]
    fn every_partition_has_a_writer_and_every_writer_a_partition() {
        for (partitions, writers) in [(1, 1), (6, 1), (6, 4), (1, 16), (4, 10)] {
            let chains = Chains::new(partitions, writers);
            let each: Vec<_> = (0..writers).map(|writer| chains.of_writer(writer, writers)).collect();
            assert!(each.iter().all(|lanes| !lanes.is_empty()), "{partitions} {writers}");
            let mut all: Vec<(usize, i32)> = each.concat();
            all.sort_unstable();
            assert_eq!(all.len(), chains.lanes.len());
            let mut reached: Vec<i32> = all.iter().map(|(_, partition)| *partition).collect();
            reached.sort_unstable();
            reached.dedup();
            assert_eq!(reached, (0..partitions).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_was_read_otherwise_than_written_is_found() {
        let mut values = Values::new(1, 32);
        let mut written = Chains::new(2, 1);
        let made: Vec<_> = (0..3).map(|number| values.make(1, number, Duration::ZERO)).collect();
        made.iter().for_each(|value| written.add(1, value));
        let read = |order: &[usize], partition: i32| {
            let mut read = Chains::new(2, 1);
            for (offset, at) in (0..).zip(order) {
                read.add_read((partition, offset), &made[*at], Depth::Bytes)?;
            }
            read.check(&written, Depth::Bytes)
        };
        let words = |order: &[usize], partition| read(order, partition).expect_err("it is wrong").message;
        assert!(read(&[0, 1, 2], 1).is_ok());
        assert!(words(&[0, 1], 1).contains("gave 2 records where 3 were written"));
        assert!(words(&[0, 2], 1).contains("follows a lost one"));
        assert!(words(&[0, 1, 1], 1).contains("came twice"));
        assert!(words(&[0], 0).contains("was written to partition 1"));
        let mut changed = Chains::new(2, 1);
        let mut value = made[0].to_vec();
        assert!(changed.add_read((1, 0), b"short", Depth::Bytes).is_err());
        value[31] ^= 1;
        for (offset, value) in [(0, &value[..]), (1, &made[1]), (2, &made[2])] {
            changed.add_read((1, offset), value, Depth::Bytes).expect("its number is right");
        }
        assert!(changed.check(&written, Depth::Order).is_ok());
        let error = changed.check(&written, Depth::Bytes).expect_err("a bit");
        assert!(error.message.contains("other bytes"));
    }
}
