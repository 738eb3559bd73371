//! Matches names against a pattern with `*` (any letters) and `?` (one letter).

/// Whether the whole of `name` fits `pattern`; an empty pattern fits every name.
///
/// Cost: at most `pattern.len() * name.len()` steps, no allocation.
pub fn matches(pattern: &str, name: &str) -> bool {
    if pattern.is_empty() {
        return true;
    }
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // The last star seen, and how far the name was when it was tried.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&letter) if letter == b'?' || letter == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, tried)) = star else { return false };
                star = Some((at, tried + 1));
                (p, n) = (at + 1, tried + 1);
            }
        }
    }
    pattern[p..].iter().all(|letter| *letter == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name) in
            [("", "x"), ("*", "x"), ("a*", "a"), ("*.b", "a.b"), ("a?c", "abc"), ("a*b*c", "a-b-b-c")]
        {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("a", "ab"), ("?", ""), ("a?c", "ac"), ("*.b", "a.bc"), ("A*", "abc"), ("a*b*c", "a-c-b")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_end_soon() {
        assert!(!matches(&"*a".repeat(120), &"a".repeat(100)));
    }
}
