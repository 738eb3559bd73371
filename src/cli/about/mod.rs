//! What the command line says of itself: completions, manual pages, examples, its tree, its version.
//!
//! Reading order: `args`, `tree` (the tree of commands as values, pure), then a file for each command.

mod args;
mod candidates;
pub(super) mod cheat;
pub(super) mod completions;
pub(super) mod help;
pub(super) mod man;
mod tree;
pub(super) mod version;

pub use args::{CheatArgs, CompletionsArgs, HelpArgs, ManArgs, VersionArgs};
pub use candidates::{
    all_settings, context_names, group_names, partitions, places, subjects, topic_keys, topic_names,
    topic_settings,
};
pub use tree::{Argument, Command, tree};
