//! What the members of a group want together, and what that means at the moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::subscription::{Pattern, Subscription};
use super::topics::{TopicFacts, Topics};
use crate::base::TopicId;

/// Names and patterns of all subscriptions of a group, each with the number of members that have it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Wanted {
    names: BTreeMap<Arc<str>, usize>,
    patterns: BTreeMap<Arc<str>, PatternUse>,
}

#[derive(Clone, Debug)]
struct PatternUse {
    members: usize,
    /// `None` where the stored text is no pattern any more: it matches nothing.
    pattern: Option<Pattern>,
}

impl PartialEq for PatternUse {
    fn eq(&self, other: &Self) -> bool {
        self.members == other.members
    }
}

impl Eq for PatternUse {}

impl Wanted {
    /// One more member has this subscription. Cost: compiles a pattern that is new.
    pub(super) fn add(&mut self, subscription: &Subscription) {
        for name in &subscription.names {
            *self.names.entry(name.clone()).or_default() += 1;
        }
        if let Some(text) = &subscription.pattern {
            let compiled = || PatternUse { members: 0, pattern: Pattern::new(text).ok() };
            self.patterns.entry(text.clone()).or_insert_with(compiled).members += 1;
        }
    }

    /// One member less has this subscription.
    pub(super) fn remove(&mut self, subscription: &Subscription) {
        for name in &subscription.names {
            if let Some(members) = self.names.get_mut(name) {
                *members -= 1;
                if *members == 0 {
                    self.names.remove(name);
                }
            }
        }
        let Some(text) = &subscription.pattern else { return };
        if let Some(used) = self.patterns.get_mut(text) {
            used.members -= 1;
            if used.members == 0 {
                self.patterns.remove(text);
            }
        }
    }

    /// The same with one member's subscription replaced.
    pub(super) fn with(&self, old: Option<&Subscription>, new: Option<&Subscription>) -> Self {
        let mut wanted = self.clone();
        new.iter().for_each(|subscription| wanted.add(subscription));
        old.iter().for_each(|subscription| wanted.remove(subscription));
        wanted
    }

    /// Whether nobody wants anything.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.patterns.is_empty()
    }

    /// Whether this has a name or a pattern that the other has not.
    pub(super) fn has_more_than(&self, other: &Self) -> bool {
        self.names.keys().any(|name| !other.names.contains_key(name))
            || self.patterns.keys().any(|text| !other.patterns.contains_key(text))
    }

    /// Whether somebody wants this topic.
    pub(super) fn has(&self, name: &str) -> bool {
        let matches = |used: &PatternUse| used.pattern.as_ref().is_some_and(|pattern| pattern.matches(name));
        self.names.contains_key(name) || self.patterns.values().any(matches)
    }

    /// A number that tells one set of names and patterns from another.
    pub(super) fn hash(&self) -> i64 {
        let mut hash = Hash::new();
        self.names.keys().for_each(|name| hash.text(name));
        hash.text("");
        self.patterns.keys().for_each(|text| hash.text(text));
        hash.finish()
    }

    /// The topics that it means. Cost: one look for each name, one match for each pattern and topic.
    pub(super) fn resolve(&self, topics: &dyn Topics) -> BTreeMap<TopicId, TopicFacts> {
        let named = self.names.keys().filter_map(|name| topics.by_name(name));
        let mut found: BTreeMap<TopicId, TopicFacts> = named.map(|facts| (facts.id, facts)).collect();
        let patterns: Vec<&Pattern> =
            self.patterns.values().filter_map(|used| used.pattern.as_ref()).collect();
        if !patterns.is_empty() {
            topics.each(&mut |facts| {
                if patterns.iter().any(|pattern| pattern.matches(&facts.name)) {
                    found.insert(facts.id, facts.clone());
                }
            });
        }
        found
    }

    /// Those of the resolved topics that one subscription means.
    pub(super) fn of_member(
        &self,
        subscription: &Subscription,
        resolved: &BTreeMap<TopicId, TopicFacts>,
    ) -> impl Iterator<Item = TopicId> {
        let used = subscription.pattern.as_ref().and_then(|text| self.patterns.get(text));
        let pattern = used.and_then(|used| used.pattern.as_ref());
        let wants = move |name: &Arc<str>| {
            subscription.names.contains(name) || pattern.is_some_and(|pattern| pattern.matches(name))
        };
        resolved.values().filter(move |facts| wants(&facts.name)).map(|facts| facts.id)
    }
}

/// A number that changes when a topic comes, goes, or gets partitions.
pub(super) fn topics_hash(resolved: &BTreeMap<TopicId, TopicFacts>) -> i64 {
    let mut hash = Hash::new();
    for facts in resolved.values() {
        hash.bytes(&facts.id.0);
        hash.bytes(&facts.partition_count.to_be_bytes());
    }
    hash.finish()
}

/// FNV-1a with 64 bits. It is stored, so it never changes.
struct Hash(u64);

impl Hash {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// A text and its end; no text has the byte 0xff.
    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
        self.bytes(&[0xff]);
    }

    fn finish(&self) -> i64 {
        self.0 as i64
    }
}
