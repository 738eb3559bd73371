//! Every scenario is stopped after every operation, and opened again from every disk that a crash may leave there.
//!
//! What must hold: no record acknowledged at `flush=ack` is lost; no (epoch, offset) names two records; nothing that was answered
//! `not written` appears; no retry stores anything twice; what was removed stays away and nothing else goes; a crash never leaves
//! damage; recovery of a recovery finds the same. The short form runs by default; `WEIR_CRASH_UNITS=12 WEIR_CRASH_RANDOM=256`
//! enumerates all subsets of up to 12 un-synced blocks.

mod check;
mod compaction;
mod faults;
mod harness;
mod life;
mod log;
mod producers;
mod removal;
mod rules;
mod told;
mod topics;
