//! "Did you mean": the known name that is nearest to a mistyped one.

/// Longer names get no suggestion, so that a hostile name costs nothing.
const NAME_BYTES_MAX: usize = 64;

/// Letters that one search compares, some 20 µs: a request may hold 10,000 wrong names, each costly to compare with
/// every topic, and a hint is not worth that others wait. Enough for 500 names of 30 letters, unless many look alike.
const STEPS_MAX: usize = 1 << 14;

/// Buckets of [`Bag`].
const BAG_LETTERS: usize = 64;

/// How often each letter occurs, whatever its place.
type Bag = [i32; BAG_LETTERS];

/// The candidate that needs the fewest edits (insert, delete, replace, swap of neighbours) to become `name`, the first
/// one among equals; upper and lower case are the same. `None` when even that one differs in more than a third of the
/// letters of `name`, one edit being always allowed, or in more than half of the letters of the shorter word.
///
/// Cost: at most [`STEPS_MAX`] steps and one comparison; candidates beyond are not looked at.
pub fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let wanted = letters(name);
    let wanted_bag = bag(&wanted);
    let edits_max = (wanted.len() / 3).max(1);
    let mut steps = 0;
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let letters = letters(candidate);
        steps += 1 + letters.len();
        let may_fit = letters.len().abs_diff(wanted.len()) <= edits_max
            && edits_at_least(&wanted_bag, &bag(&letters)) <= edits_max;
        if may_fit {
            steps += wanted.len() * letters.len();
            let edits = edits_between(&wanted, &letters);
            let alike = 2 * edits <= wanted.len().min(letters.len());
            if edits <= edits_max && alike && best.is_none_or(|(least, _)| edits < least) {
                best = Some((edits, candidate));
            }
        }
        if steps > STEPS_MAX {
            break;
        }
    }
    best.map(|(_, candidate)| candidate)
}

fn bag(letters: &[char]) -> Bag {
    let mut bag = [0; BAG_LETTERS];
    for letter in letters {
        bag[*letter as usize % BAG_LETTERS] += 1;
    }
    bag
}

/// A bound from below for [`edits_between`]: an edit changes each side of the difference by one at most, and a swap none.
fn edits_at_least(left: &Bag, right: &Bag) -> usize {
    let more = |one: &Bag, other: &Bag| -> i32 { one.iter().zip(other).map(|(a, b)| (a - b).max(0)).sum() };
    more(left, right).max(more(right, left)) as usize
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
        for (name, other) in [("x", "r"), ("rs", "r"), ("r", "rs"), ("xyz", "x")] {
            assert_eq!(closest(name, [other]), None, "{name}: one letter is no likeness");
        }
        assert_eq!(closest("t1", ["t2"]), Some("t2"));
        assert_eq!(closest(&"o".repeat(1_000_000), names), None);
        assert_eq!(closest("ab", ["ba", "ab"]), Some("ab"), "fewer edits win");
        assert_eq!(did_you_mean("ordres", names), " Did you mean 'orders'?");
        assert_eq!(did_you_mean("zebra", names), "");
    }

    #[test]
    fn a_search_ends_however_many_costly_names_there_are() {
        let names: Vec<String> = (0..1_000).map(|number| format!("{}{number:06}", "n".repeat(50))).collect();
        let looked_at = std::cell::Cell::new(0);
        let candidates = names.iter().map(|name| {
            looked_at.set(looked_at.get() + 1);
            name.as_str()
        });
        assert!(closest(&"n".repeat(56), candidates).is_some());
        assert!(looked_at.get() < 10, "{} names of 56 letters were compared", looked_at.get());
    }

    #[test]
    fn the_bound_from_below_is_one() {
        let words = ["", "a", "ab", "ba", "orders", "ordres", "kitten", "sitting", "retention.ms", "żółw"];
        for (left, right) in words.iter().flat_map(|left| words.iter().map(move |right| (left, right))) {
            let (left, right) = (letters(left), letters(right));
            assert!(edits_at_least(&bag(&left), &bag(&right)) <= edits_between(&left, &right));
        }
    }
}
