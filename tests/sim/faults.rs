//! What goes wrong: one table, each row with its weight. A world draws which rows it knows at all.

use std::path::Path;
use std::time::Duration;

use weir::env::sim_disk::{Effect, Fault, OpKind};

use crate::event::Event;
use crate::world::{Stepped, World};

/// One thing that goes wrong.
type Trouble = fn(&mut World) -> Stepped;

/// What may go wrong: its name and how often.
const FAULTS: [(&str, usize, Trouble); 15] = [
    ("kill", 3, World::kill_broker),
    ("kill in the middle", 3, World::kill_in_the_middle),
    ("power cut", 3, World::cut_power),
    ("clean stop", 2, World::stop_broker),
    ("failed write", 3, World::fail_write),
    ("failed sync", 2, World::fail_sync),
    ("lost sync", 2, World::lose_sync),
    ("full disk", 2, World::fill_disk),
    ("slow disk", 4, World::slow_disk),
    ("clock jump", 3, World::jump_clock),
    ("stall", 2, World::stall),
    ("lost connection", 8, World::lose_connection),
    ("member killed", 6, World::kill_member),
    ("mute member", 4, World::mute_member),
    ("slow member", 4, World::slow_member),
];

/// The faults that a world knows, as indices into the table.
pub(super) type Known = Vec<usize>;

/// Names of all faults.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FAULTS.iter().map(|(name, ..)| *name)
}

impl World {
    /// Draws which faults there are: worlds with few of them go far, worlds with many go astray.
    pub(super) fn draw_faults(&mut self) -> Known {
        let of_three = 1 + self.below(3);
        (0..FAULTS.len()).filter(|_| self.below(3) < of_three).collect()
    }

    /// Something goes wrong.
    pub(super) fn fail(&mut self, known: &Known) -> Stepped {
        let total: usize = known.iter().map(|index| FAULTS[*index].1).sum();
        let mut drawn = self.below(total);
        for index in known {
            let (name, weight, trouble) = FAULTS[*index];
            if drawn < weight {
                *self.faults.entry(name).or_default() += 1;
                self.note(format_args!("fault: {name}"));
                return trouble(self);
            }
            drawn -= weight;
        }
        Ok(())
    }

    fn kill_broker(&mut self) -> Stepped {
        self.kill();
        Ok(())
    }

    fn kill_in_the_middle(&mut self) -> Stepped {
        if self.broker.is_some() {
            let at = self.disk.op_count() + self.below(25) as u64;
            self.disk.stop_at(at);
            self.dies_at = Some(at);
        }
        Ok(())
    }

    fn cut_power(&mut self) -> Stepped {
        let pending = self.disk.pending();
        let kept = if self.one_in(2) {
            let len = self.below(pending + 1);
            (0..pending).map(|unit| unit < len).collect()
        } else {
            (0..pending).map(|_| self.rng.bool()).collect::<Vec<bool>>()
        };
        let torn = self.rng.bool().then(|| self.rng.usize(..4));
        self.disk = self.disk.crash(|unit| kept[unit], torn);
        self.end_broker();
        Ok(())
    }

    fn stop_broker(&mut self) -> Stepped {
        if let Some(broker) = &self.broker {
            broker.store.stop();
        }
        self.notice_death();
        // What the stop has flushed is heard of before the process is gone.
        self.hear_of_log()?;
        self.kill();
        Ok(())
    }

    fn fail_write(&mut self) -> Stepped {
        let effect = match self.below(3) {
            0 => Effect::Io,
            1 => Effect::Full,
            _ => Effect::ShortWrite(self.below(90)),
        };
        self.plan(OpKind::Write, effect);
        Ok(())
    }

    fn fail_sync(&mut self) -> Stepped {
        self.plan(OpKind::SyncData, Effect::Io);
        Ok(())
    }

    fn lose_sync(&mut self) -> Stepped {
        self.plan(OpKind::SyncData, Effect::LoseSync);
        Ok(())
    }

    fn plan(&mut self, kind: OpKind, effect: Effect) {
        let skipped = self.below(10) as u32;
        self.disk.fail(Fault::on(kind, |_: &Path| true, effect).skipping(skipped));
    }

    /// Full, or with space again.
    fn fill_disk(&mut self) -> Stepped {
        let capacity = self.one_in(2).then(|| 5_000 + self.below(120_000) as u64);
        self.disk.set_capacity(capacity);
        Ok(())
    }

    fn slow_disk(&mut self) -> Stepped {
        let ms = 100 + self.below(4_000) as u64;
        self.slow_until = self.now() + Duration::from_millis(ms);
        Ok(())
    }

    fn jump_clock(&mut self) -> Stepped {
        let hours = self.below(2_000) as i64 - 1_000;
        self.clock.set_jump_ms(hours * 3_600_000);
        Ok(())
    }

    fn stall(&mut self) -> Stepped {
        let seconds = 2 + self.below(40) as u64;
        self.pass(Duration::from_secs(seconds))
    }

    fn lose_connection(&mut self) -> Stepped {
        let index = self.below(self.members.len());
        self.lose_stream(index);
        self.members[index].lose_connection();
        Ok(())
    }

    /// `kill -9` of a member: it forgets everything, and may come back as somebody else, or under its instance id.
    fn kill_member(&mut self) -> Stepped {
        let index = self.below(self.members.len());
        self.lose_stream(index);
        self.members[index].forget();
        Ok(())
    }

    /// The broker will notice a while later that a client is gone.
    fn lose_stream(&mut self, index: usize) {
        let ms = self.below(2_000) as u64;
        let at = self.now() + Duration::from_millis(ms);
        let stream = self.members[index].stream.and_then(|key| self.streams.get_mut(&key));
        if let Some(stream) = stream {
            stream.lost_at = Some(at);
        }
    }

    fn mute_member(&mut self) -> Stepped {
        let (index, ms) = (self.below(self.members.len()), self.below(60_000) as u64);
        self.members[index].mute_until = self.now() + Duration::from_millis(ms);
        Ok(())
    }

    fn slow_member(&mut self) -> Stepped {
        let (index, ms) = (self.below(self.members.len()), self.below(60_000) as u64);
        self.members[index].slow_until = self.now() + Duration::from_millis(ms);
        Ok(())
    }

    /// No fault is left: what is broken is mended, and whoever was away comes back.
    pub(super) fn end_faults(&mut self) -> Stepped {
        self.disk.clear_faults();
        self.disk.set_capacity(None);
        self.clock.set_jump_ms(0);
        (self.slow_until, self.dies_at) = (Duration::ZERO, None);
        // WHY one stays mute: nothing but the broker's patience, which ends, takes from it what others are to have.
        let (now, mut stays) = (self.now(), 1);
        for member in &mut self.members {
            let is_mute = member.mute_until > now && std::mem::take(&mut stays) > 0;
            member.mute_until = if is_mute { Duration::MAX } else { Duration::ZERO };
            member.slow_until = Duration::ZERO;
        }
        // The process may have been about to die.
        self.disk.stop_at(u64::MAX);
        self.kill();
        self.disk.clear_faults();
        self.start_broker()?;
        match self.broker {
            Some(_) => Ok(()),
            None => self
                .tell(Event::Compared { live: "no start on a sound disk".into(), history: "a start".into() }),
        }
    }
}
