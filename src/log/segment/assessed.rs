//! What was found out about the damaged intervals of a segment, kept so that who reads one again is told without another search.

use std::collections::VecDeque;

use super::scan::DamagedSpan;

/// Damaged intervals of one segment that are kept.
const INTERVALS_KEPT: usize = 16;

/// An interval with the bytes that were seen in it. Other bytes are another matter: a disk may give them right the next time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Number of the interval.
    pub interval: u64,
    /// How many bytes.
    pub len: usize,
    /// Their CRC-32.
    pub crc: u32,
}

/// The damaged intervals that were looked at last. Memory: 16 of them, each with at most as many spans as it has batches, so some
/// 50 KiB.
#[derive(Default)]
pub struct Assessed(VecDeque<(Seen, Vec<DamagedSpan>)>);

impl Assessed {
    /// What is damaged of an interval, if that is known.
    pub fn get(&self, seen: &Seen) -> Option<Vec<DamagedSpan>> {
        self.0.iter().find(|known| known.0 == *seen).map(|known| known.1.clone())
    }

    /// Keeps what is damaged of an interval, in place of what was known of it.
    pub fn put(&mut self, seen: Seen, spans: Vec<DamagedSpan>) {
        self.0.retain(|known| known.0.interval != seen.interval);
        if self.0.len() == INTERVALS_KEPT {
            self.0.pop_front();
        }
        self.0.push_back((seen, spans));
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_intervals_are_kept_each_once() {
        let span = |first_offset| {
            vec![DamagedSpan { start: 0, end: 1, first_offset, end_offset: Some(first_offset + 1) }]
        };
        let seen = |interval, crc| Seen { interval, len: 9, crc };
        let mut assessed = Assessed::default();
        for interval in 0..=INTERVALS_KEPT as u64 {
            assessed.put(seen(interval, 1), span(interval as i64));
        }
        assert_eq!(assessed.get(&seen(0, 1)), None, "the oldest made room");
        assert_eq!(assessed.get(&seen(1, 1)), Some(span(1)));
        assessed.put(seen(1, 2), span(7));
        assert_eq!((assessed.get(&seen(1, 1)), assessed.get(&seen(1, 2))), (None, Some(span(7))));
        assert_eq!(assessed.0.len(), INTERVALS_KEPT);
    }
}
