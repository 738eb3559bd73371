//! A member is taken for dead only after its session timeout without a stream, or when it did not let go in time; slow work
//! never ends a member.
//!
//! Source: KIP-848, `group.consumer.session.timeout.ms`; Kafka's mutant X48 measures sessions by the wall clock.

use super::{Checked, Invariant, ensure};
use crate::event::Event;

#[derive(Default)]
pub(super) struct Sessions;

impl Invariant for Sessions {
    fn see(&mut self, event: &Event) -> Checked {
        let Event::Expired {
            member,
            was_connected,
            silent_ms,
            session_timeout_ms,
            revoking_ms,
            rebalance_timeout_ms,
        } = event
        else {
            return Ok(());
        };
        let was_silent = !was_connected && silent_ms >= session_timeout_ms;
        let was_slow = revoking_ms >= rebalance_timeout_ms;
        ensure!(
            was_silent || was_slow,
            "{member} was removed: connected {was_connected}, silent for {silent_ms} of {session_timeout_ms} ms, \
             letting go for {revoking_ms} of {rebalance_timeout_ms} ms"
        );
        Ok(())
    }
}
