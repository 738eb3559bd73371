//! `weir group`: consumer groups, how far they got, and where they go on.
//!
//! Reading order: `args`, `standing` (how far a group is behind), then the commands: `list`, `describe`, `lag`, `reset` (with
//! `places`, where to), `delete`.

mod args;
mod delete;
mod describe;
mod lag;
mod list;
mod places;
mod reset;
mod run;
mod selection;
mod standing;

pub use args::GroupArgs;
pub use run::run;
