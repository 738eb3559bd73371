//! `weir top`: topics with their rates, live.
//!
//! Reading order: [`args`], [`rates`] (what two samples tell), [`view`] (how it is shown), [`screen`] (the terminal), [`run`].

mod args;
mod rates;
mod run;
mod screen;
mod view;

pub use args::TopArgs;
pub use run::run;
