//! The rules of a machine, of which a test takes one out to show that it would notice.
//!
//! Only in unit tests and with the cargo feature `fault`, which no build for users has. Else every rule holds, and asking costs nothing.

/// The rules that hold: all, but for one that was taken out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules<R> {
    out: Option<R>,
}

impl<R> Default for Rules<R> {
    fn default() -> Self {
        Self { out: None }
    }
}

impl<R: Copy + PartialEq> Rules<R> {
    /// All but this one.
    pub fn without(out: Option<R>) -> Self {
        Self { out }
    }

    /// Whether the rule holds.
    pub fn hold(self, rule: R) -> bool {
        !cfg!(any(test, feature = "fault")) || self.out != Some(rule)
    }
}
