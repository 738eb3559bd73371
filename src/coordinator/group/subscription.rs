//! What a member wants to read: topics by name, or all whose name matches a pattern.

use std::collections::BTreeSet;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::errors::InvalidSubscription;
use crate::base::limits::{
    PATTERN_BYTES_MAX, PATTERN_MEMORY_BYTES_MAX, SUBSCRIPTION_TOPICS_MAX, TOPIC_NAME_BYTES_MAX,
};

/// Names of topics, a pattern, or both. Topics need not exist: they are picked up when they do.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Subscription {
    /// Topics by name.
    pub names: BTreeSet<Arc<str>>,
    /// A regular expression that has to match the whole name of a topic.
    pub pattern: Option<Arc<str>>,
}

impl Subscription {
    /// Holds it against the limits.
    ///
    /// Errors: the first thing that is wrong with it. Cost: compiles the pattern.
    pub fn check(&self) -> Result<(), InvalidSubscription> {
        if self.names.is_empty() && self.pattern.is_none() {
            return Err(InvalidSubscription::Empty);
        }
        if self.names.len() > SUBSCRIPTION_TOPICS_MAX {
            return Err(InvalidSubscription::TooMany { names: self.names.len() });
        }
        let fits = |name: &Arc<str>| (1..=TOPIC_NAME_BYTES_MAX).contains(&name.len());
        if let Some(name) = self.names.iter().find(|name| !fits(name)) {
            return Err(InvalidSubscription::Name { name: name.clone() });
        }
        self.pattern.as_deref().map_or(Ok(()), |pattern| Pattern::new(pattern).map(|_| ()))
    }
}

/// A compiled pattern of topic names.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
}

impl Pattern {
    /// Compiles it; it has to match whole names.
    ///
    /// Errors: it is too long, would take too much memory, or is no regular expression.
    pub fn new(text: &str) -> Result<Self, InvalidSubscription> {
        if text.is_empty() || text.len() > PATTERN_BYTES_MAX {
            return Err(InvalidSubscription::PatternLength { bytes: text.len() });
        }
        let build = |text: &str| RegexBuilder::new(text).size_limit(PATTERN_MEMORY_BYTES_MAX).build();
        // WHY alone first: `a)(b` is an error by itself and none between the parentheses below.
        let regex = build(text).and_then(|_| build(&format!("^(?:{text})$")));
        let regex = regex.map_err(|error| InvalidSubscription::Pattern { reason: last_line(&error) })?;
        Ok(Self { regex })
    }

    /// Whether it matches the whole name.
    pub fn matches(&self, name: &str) -> bool {
        self.regex.is_match(name)
    }
}

/// The line of a parse error that says what is wrong; those before it draw the place.
fn last_line(error: &regex::Error) -> String {
    error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Subscription {
        Subscription { names: names.iter().map(|name| Arc::from(*name)).collect(), pattern: None }
    }

    fn pattern(text: &str) -> Subscription {
        Subscription { names: BTreeSet::new(), pattern: Some(text.into()) }
    }

    #[test]
    fn a_pattern_matches_whole_names_only() {
        let orders = Pattern::new("orders|o.*2").expect("a pattern");
        let matched = ["orders", "orders-2", "old-orders", "o2", "orders-3"].map(|name| orders.matches(name));
        assert_eq!(matched, [true, true, false, true, false]);
    }

    #[test]
    fn what_is_wrong_with_a_subscription_is_said() {
        assert_eq!(names(&[]).check(), Err(InvalidSubscription::Empty));
        assert_eq!(names(&["a", ""]).check(), Err(InvalidSubscription::Name { name: "".into() }));
        let many: Vec<String> = (0..=SUBSCRIPTION_TOPICS_MAX).map(|index| index.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(names(&many).check(), Err(InvalidSubscription::TooMany { names: 1_001 }));
        assert_eq!(names(&many[1..]).check(), Ok(()));
        let long = "a".repeat(PATTERN_BYTES_MAX + 1);
        assert_eq!(pattern(&long).check(), Err(InvalidSubscription::PatternLength { bytes: 1_025 }));
        for wrong in ["(", "a)(b", "[z-a]", "a{1000}{1000}{1000}"] {
            let error = pattern(wrong).check();
            assert!(matches!(error, Err(InvalidSubscription::Pattern { .. })), "{wrong}: {error:?}");
        }
        let error = pattern("(").check().expect_err("no pattern").to_string();
        assert_eq!(error, "the pattern is no regular expression: unclosed group");
    }
}
