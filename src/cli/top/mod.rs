//! `weir top`: topics with their rates, and groups with their lag, live.
//!
//! Reading order: [`args`], [`rates`] (what two samples tell), [`groups`], [`view`] (how it is shown), [`screen`] (the terminal), [`keys`], [`run`].

mod args;
mod groups;
mod keys;
mod rates;
mod run;
mod screen;
mod view;

pub use args::TopArgs;
pub use run::run;
