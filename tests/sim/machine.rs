//! The group machine as the simulator runs it: with a rule taken out, if the run says so.

use std::cell::Cell;

use weir::base::Offset;
use weir::coordinator::group::rules::GroupRule;
use weir::coordinator::group::{GroupCommand, GroupError, GroupReply, GroupShard, GroupSignal, GroupTimer};
use weir::coordinator::{Effects, Now, Shard, StoredRecord};

thread_local! {
    static OUT: Cell<Option<GroupRule>> = const { Cell::new(None) };
}

/// Machines that are made on this thread from here on do without the rule.
pub(super) fn take_out(rule: Option<GroupRule>) {
    OUT.set(rule);
}

/// The machine of the coordinator in a world.
pub(super) struct Machine(pub(super) GroupShard);

impl Default for Machine {
    fn default() -> Self {
        #[cfg(feature = "fault")]
        if let Some(rule) = OUT.get() {
            return Self(GroupShard::without(rule));
        }
        assert!(OUT.get().is_none(), "a rule is taken out in builds with the feature `fault` only");
        Self(GroupShard::new())
    }
}

fn inner(out: &mut Effects<Machine>, work: impl FnOnce(&mut Effects<GroupShard>) -> bool) {
    let mut effects = Effects::new();
    if work(&mut effects) {
        out.records.extend(effects.records);
        out.timers.extend(effects.timers);
        out.signals.extend(effects.signals);
    }
}

impl Shard for Machine {
    type Command = GroupCommand;
    type Reply = GroupReply;
    type Error = GroupError;
    type Timer = GroupTimer;
    type Signal = GroupSignal;

    fn handle(
        &self,
        command: GroupCommand,
        now: Now,
        out: &mut Effects<Self>,
    ) -> Result<GroupReply, GroupError> {
        let mut reply = None;
        inner(out, |out| reply.insert(self.0.handle(command, now, out)).is_ok());
        reply.expect("it was asked")
    }

    fn expire(&self, timer: GroupTimer, now: Now, out: &mut Effects<Self>) {
        inner(out, |out| {
            self.0.expire(timer, now, out);
            true
        });
    }

    fn replay(&mut self, offset: Offset, record: &StoredRecord) {
        self.0.replay(offset, record);
    }

    fn memory_bytes(&self) -> u64 {
        self.0.memory_bytes()
    }

    fn adds(&self, command: &GroupCommand) -> bool {
        self.0.adds(command)
    }

    fn loaded(&self, now: Now, out: &mut Effects<Self>) {
        inner(out, |out| {
            self.0.loaded(now, out);
            true
        });
    }
}
