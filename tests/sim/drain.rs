//! The end of a run: faults are over, everybody gets the time that it needs, and what is there is held against what was told.

use std::time::Duration;

use weir::log::ReadError;
use weir::record::RecordBatch;
use weir::replica::Wait;

use crate::actions::records_of;
use crate::event::Event;
use crate::member::Member;
use crate::stream::Stream;
use crate::topics::COMPACTED;
use crate::world::{Stepped, World};

/// Rounds in which all must be settled: a member that was killed is missed after its session timeout, a tenth of a second a round.
const ROUNDS: u32 = 600;

/// How often streams do what they can do next, until they have nothing more to do: a view, what came, and its opening.
const SERVED: u32 = 4;

impl World {
    /// Lets everything come to rest, then looks.
    pub(super) fn drain(&mut self) -> Stepped {
        self.end_faults()?;
        for _ in 0..ROUNDS {
            self.round()?;
            if self.is_at_rest() {
                break;
            }
        }
        self.compare()?;
        self.tell_lags()?;
        self.compact()?;
        self.compare()?;
        self.tell_stored()?;
        self.tell(Event::End)
    }

    fn round(&mut self) -> Stepped {
        self.pass(Duration::from_millis(100))?;
        self.care_for_broker()?;
        self.produce_open()?;
        self.sync()?;
        while !self.asked.is_empty() || !self.at_work.is_empty() {
            self.assign_some()?;
            self.sync()?;
        }
        for index in 0..self.members.len() {
            if !self.has_rival(index) {
                self.join(index)?;
            }
            self.resume(index);
            self.serve_out()?;
            self.hear(index)?;
            self.serve_out()?;
            self.read_by(index).into_iter().try_for_each(|place| self.work_on(index, place, usize::MAX))?;
            self.commit(index)?;
            self.serve_out()?;
            self.hear(index)?;
            if self.members[index].mute_until.is_zero() {
                self.finish_revoking(index)?;
            }
            self.serve_out()?;
        }
        Ok(())
    }

    /// Streams do what they have to do, as far as nobody says anything.
    fn serve_out(&mut self) -> Stepped {
        for _ in 0..SERVED {
            self.serve_all()?;
            self.sync()?;
        }
        Ok(())
    }

    /// Whether another client speaks under the same instance id: two that both insist would fence each other for ever.
    fn has_rival(&self, index: usize) -> bool {
        let me = &self.members[index];
        let is_rival = |(at, other): (usize, &Member)| {
            let is_other = at != index && me.instance.is_some();
            is_other && other.instance == me.instance && (other.stream.is_some() || other.is_joining)
        };
        self.members.iter().enumerate().any(is_rival)
    }

    fn is_at_rest(&self) -> bool {
        let Some(broker) = &self.broker else { return false };
        let is_read = |index: usize| {
            let group = &self.members[index].group;
            self.places_of(index).into_iter().all(|id| {
                let end = broker.partition(&id).map(|partition| partition.offsets().high_watermark);
                let mut readers = self.members.iter().filter(|member| member.group == *group);
                self.oracle.owners_of(&(group.clone(), id)) == 1
                    && readers.any(|member| {
                        let held = member.held.get(&id);
                        held.is_some_and(|held| Some(held.at) == end && held.committed == held.at)
                    })
            })
        };
        self.calls.is_empty()
            && !self.untold_topics
            && self.streams.values().all(Stream::is_at_rest)
            && self.producers.iter().all(crate::producer::Producer::is_settled)
            && [0, 4].into_iter().all(is_read)
    }

    fn tell_lags(&mut self) -> Stepped {
        for index in [0, 4] {
            let group = self.members[index].group.clone();
            for id in self.places_of(index) {
                let end = self
                    .broker
                    .as_ref()
                    .and_then(|broker| broker.partition(&id))
                    .map(|partition| partition.offsets().high_watermark);
                let mut readers = self.members.iter().filter(|member| member.group == group);
                let at = readers.find_map(|member| member.held.get(&id)).map_or(-1, |held| held.at);
                let place = (group.clone(), id);
                let owners = self.oracle.owners_of(&place);
                self.tell(Event::Drained { place, owners, lag: end.unwrap_or(0) - at })?;
            }
        }
        Ok(())
    }

    fn tell_stored(&mut self) -> Stepped {
        for (name, place) in self.topics.places() {
            let Some(partition) = self.broker.as_ref().and_then(|broker| broker.partition(&place)).cloned()
            else {
                continue;
            };
            let is_compacted = &*name == COMPACTED;
            let offsets = partition.offsets();
            let mut from = offsets.log_start;
            self.tell(Event::Removed { place, below: from })?;
            while from < offsets.high_watermark {
                let mut slice = match partition.read(from, 1 << 20, Wait::Allowed) {
                    Ok(slice) => slice,
                    // A sync that was lost, and the power: readers are told of the range, and go on behind it.
                    Err(ReadError::Damaged { end, .. }) => {
                        from = end;
                        continue;
                    }
                    Err(_) => break,
                };
                while let Ok(Some(batch)) = RecordBatch::take_first(&mut slice.bytes) {
                    for (offset, key, value) in
                        records_of(&batch).into_iter().filter(|(offset, ..)| *offset >= from)
                    {
                        self.tell(Event::Stored { place, offset, key, value, is_compacted })?;
                    }
                }
                from = slice.next_offset;
            }
        }
        Ok(())
    }
}
