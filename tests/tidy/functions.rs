//! Finds functions in formatted code: rustfmt puts the closing brace of a function under its first letter.

/// One function with a body.
pub(crate) struct Function {
    pub(crate) name: String,
    /// Line of the word `fn`, from 1.
    pub(crate) line: usize,
    /// Lines from there to the closing brace, both counted.
    pub(crate) lines: usize,
    /// Parameters without `self`.
    pub(crate) parameters: usize,
}

/// Every function with a body in blanked code.
pub(crate) fn functions(code: &str) -> Vec<Function> {
    let lines: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(name) = declared_name(line) else { continue };
        let rest = lines[index..].join("\n");
        let Some(after) = rest.split_once(&format!("fn {name}")).map(|(_, after)| after) else { continue };
        let Some(parameters) = parameter_text(after) else { continue };
        let Some(lines) = body_lines(&lines[index..], parameters.end) else { continue };
        let parameters = count_parameters(parameters.text);
        found.push(Function { name, line: index + 1, lines, parameters });
    }
    found
}

/// The name in a line such as `pub(crate) const unsafe fn name<T>(`.
pub(crate) fn declared_name(line: &str) -> Option<String> {
    let (before, after) = line.split_once("fn ")?;
    let is_modifier = |word: &str| {
        matches!(word, "pub" | "const" | "async" | "unsafe" | "extern" | "default")
            || word.starts_with("pub(")
    };
    let modifiers = before.replace("in crate::", "");
    if !modifiers.split_whitespace().all(is_modifier)
        || before.ends_with(|letter: char| letter.is_alphanumeric())
    {
        return None;
    }
    let name: String =
        after.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    (!name.is_empty()).then_some(name)
}

struct Parameters<'a> {
    text: &'a str,
    /// What follows the closing parenthesis.
    end: &'a str,
}

/// The parameters of a function from what follows its name; generics may hold parentheses of their own.
fn parameter_text(after: &str) -> Option<Parameters<'_>> {
    let mut angles = 0;
    let mut rounds = 0;
    let mut open = None;
    let mut previous = ' ';
    for (at, letter) in after.char_indices() {
        match letter {
            '<' if open.is_none() => angles += 1,
            '>' if open.is_none() && previous != '-' => angles -= 1,
            '(' if angles == 0 => {
                rounds += 1;
                open.get_or_insert(at + 1);
            }
            ')' if angles == 0 => {
                rounds -= 1;
                if rounds == 0 {
                    return open.map(|open| Parameters { text: &after[open..at], end: &after[at + 1..] });
                }
            }
            _ => {}
        }
        previous = letter;
    }
    None
}

/// Lines of a function that begins with the first of `lines`, `signature` being what follows its parameters; `None` when
/// it has no body.
fn body_lines(lines: &[&str], signature: &str) -> Option<usize> {
    let mut depth = 0;
    let begin = signature.char_indices().find(|(_, letter)| {
        depth += i32::from(matches!(letter, '(' | '[')) - i32::from(matches!(letter, ')' | ']'));
        depth == 0 && matches!(letter, '{' | ';')
    });
    let (at, letter) = begin?;
    if letter == ';' {
        return None;
    }
    let body = &signature[at..];
    let first = body.lines().next().unwrap_or_default();
    if first.matches('{').count() == first.matches('}').count() {
        return Some(lines.len() - body.lines().count() + 1);
    }
    let indent = lines[0].len() - lines[0].trim_start().len();
    let closes =
        |line: &&str| line.len() - line.trim_start().len() == indent && line.trim_start().starts_with('}');
    // WHY: a signature over several lines closes with `)`, never with a brace, so the first brace there is the last.
    lines.iter().skip(1).position(closes).map(|index| index + 2)
}

/// Parameters of a function or closure type without `self`.
fn count_parameters(text: &str) -> usize {
    let mut depth = 0;
    let mut previous = ' ';
    let mut parts = vec![String::new()];
    for letter in text.chars() {
        match letter {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            '>' if previous != '-' => depth -= 1,
            ',' if depth == 0 => parts.push(String::new()),
            _ => {}
        }
        parts.last_mut().expect("there is always one").push(letter);
        previous = letter;
    }
    let is_self = |part: &str| part.split([':', ' ', '&', ',']).any(|word| word == "self");
    parts.iter().filter(|part| !part.trim_matches([',', ' ', '\n']).is_empty() && !is_self(part)).count()
}

#[test]
fn functions_are_found_with_their_lengths_and_parameters() {
    let code = "\
impl X {
    pub(crate) async fn long<F: Fn(u8, u8) -> u8>(
        &mut self,
        a: (u8, u8),
        b: Map<u8, u8>,
        f: impl Fn(u8, u8) -> u8,
    ) -> Result<[u8; 2], X>
    where
        F: Send,
    {
        if a {
        }
    }
    fn short(self: &Arc<Self>) {}
    fn of_trait(&self, a: u8);
    const fn one(a: u8) -> u8 { a }
}
let f = a_fn (x);
fn last() {
    x
}
";
    let found: Vec<_> =
        functions(code).iter().map(|f| (f.name.clone(), f.line, f.lines, f.parameters)).collect();
    let expected = [("long", 2, 12, 3), ("short", 14, 1, 0), ("one", 16, 1, 1), ("last", 19, 3, 0)];
    assert_eq!(found, expected.map(|(name, line, lines, count)| (name.to_owned(), line, lines, count)));
}
