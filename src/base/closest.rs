//! "Did you mean": the known name that is nearest to a mistyped one.

/// Longer names get no suggestion, so that a hostile name costs nothing.
const NAME_BYTES_MAX: usize = 256;

/// The candidate that needs the fewest edits (insert, delete, replace, swap of neighbours) to become `name`, the first
/// one among equals; upper and lower case are the same. `None` when even that one differs in more than a third of the
/// letters of `name`, one edit being always allowed.
///
/// Cost: `name.len() * candidate.len()` steps for each candidate of about the same length.
pub fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let wanted = letters(name);
    let edits_max = (wanted.len() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (letters(candidate), candidate))
        .filter(|(letters, _)| letters.len().abs_diff(wanted.len()) <= edits_max)
        .map(|(letters, candidate)| (edits_between(&wanted, &letters), candidate))
        .filter(|(edits, _)| *edits <= edits_max)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// The suggestion as the end of a sentence: ` Did you mean 'orders'?`, or nothing.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    closest(name, candidates).map_or_else(String::new, |found| format!(" Did you mean '{found}'?"))
}

fn letters(text: &str) -> Vec<char> {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Edit distance in its "optimal string alignment" form, three rows of the table at a time.
fn edits_between(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (i, from) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in right.iter().enumerate() {
            let replaced = above[j] + usize::from(from != to);
            let mut best = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            let swapped = i > 0 && j > 0 && *from == right[j - 1] && left[i - 1] == *to;
            if swapped {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        let edits = |left, right| edits_between(&letters(left), &letters(right));
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("orders", "orders"), 0);
        assert_eq!(edits("ordres", "orders"), 1);
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("ORDERS", "orders"), 0);
    }

    #[test]
    fn the_nearest_name_is_found_and_far_ones_are_not() {
        let names = ["orders", "prices", "retention.ms", "retention.bytes"];
        assert_eq!(closest("ordres", names), Some("orders"));
        assert_eq!(closest("retention_ms", names), Some("retention.ms"));
        assert_eq!(closest("price", names), Some("prices"));
        assert_eq!(closest("zebra", names), None);
        assert_eq!(closest("", names), None);
        assert_eq!(closest(&"o".repeat(1_000_000), names), None);
        assert_eq!(did_you_mean("ordres", names), " Did you mean 'orders'?");
        assert_eq!(did_you_mean("zebra", names), "");
    }
}
