//! Writing records.
//!
//! Reading order: [`mod@submit`] (items become appends, appends become answers), [`encode`] (what a topic makes of what was
//! sent), [`spread`] (which partition), then what streams need: [`stream_state`] and [`answer_order`].

pub mod answer_order;
pub mod encode;
pub mod spread;
pub mod stream_state;
pub mod submit;

pub use answer_order::AnswerOrder;
pub use spread::Spread;
pub use submit::{StreamState, Submitted, produce, submit};
