//! Compaction on the in-memory disk: whatever the history, the newest record of each key is there.

mod golden;
mod history;
mod passes;
mod readers;
mod world;
