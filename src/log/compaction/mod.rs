//! Compaction: of the records with one key the newest stays.
//!
//! A pass over a log reads what is dirty ([`dirtiness`]) for the newest offset of each key ([`gather`], [`offset_map`]), writes the
//! segments up to there anew without what is older ([`keep`], [`rewrite`]), several small ones as one ([`groups`]), and puts the new
//! ones in the place of the old ones ([`swap`]). Offsets, order, producers and leader epochs stay. One thread does this for all logs
//! ([`compactor`]); what a crash leaves behind is put right when the log is opened ([`leftovers`]).
//!
//! Only sealed segments are touched, below the flushed offset and the high watermark. Readers are undisturbed. A pass that fails
//! harms nothing: the log goes on as it is. Source: Kafka `LogCleaner`, `Cleaner`.

pub(in crate::log) mod compactor;
mod dirtiness;
mod errors;
mod gather;
mod groups;
mod keep;
pub(in crate::log) mod leftovers;
mod offset_map;
mod pass;
mod rewrite;
mod source;
pub(in crate::log) mod state;
mod swap;

#[cfg(test)]
mod tests;
