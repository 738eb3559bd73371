//! The house rules that no compiler checks: layers, sizes, names, whole files.
//!
//! Each rule is a function from source text to a list of findings, and has a test that it finds something in a bad
//! example. The limits are those of docs/STYLE.md where that exists; exceptions are listed beside their rule, with the
//! reason, and a list entry that is no longer needed is a finding itself.
#![allow(clippy::disallowed_methods)]

mod documents;
mod examples;
mod files;
mod functions;
mod layers;
mod links;
mod names;
mod sizes;
mod source;

use source::Source;

/// Fails with all findings of a rule at once.
fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

/// Every Rust file under `src`.
fn all_sources() -> Vec<Source> {
    let sources = source::read_all("src");
    assert!(sources.len() > 10, "the sources are found");
    sources
}
