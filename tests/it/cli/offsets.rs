//! Every form of the offset grammar, through `weir consume` against a topic whose offsets and times are known.

use crate::served::{Ran, Served};

/// Ten records with the offsets 0 to 9; 0 to 2 are trimmed away. Record n has the time n seconds after this day began,
/// in ms since 1970.
const DAY_MS: i64 = 1_768_435_200_000;

fn served() -> Served {
    let served = Served::start();
    served.prints(&["topic", "create", "t", "-c", "retention.ms=-1"]);
    let line = |n: i64| format!("{{\"timestamp\":{},\"value\":\"{n}\"}}\n", DAY_MS + n * 1_000);
    let lines: String = (0..10).map(line).collect();
    assert_eq!(served.pipe(&["produce", "t", "-J"], lines.as_bytes()).code, 0);
    served.prints(&["topic", "trim", "t", "--to", "3"]);
    served
}

/// The values of the records read, without blanks.
fn read(served: &Served, words: &[&str], flags: &[&str]) -> Ran {
    let mut arguments = vec!["consume", "t", "-f", "%v"];
    words.iter().for_each(|word| arguments.extend(["-o", word]));
    arguments.extend(flags);
    served.run(&arguments)
}

/// Forms without an end of their own, and what there is from there on.
const OPEN: &[(&[&str], &str)] = &[
    (&["start"], "3456789"),
    (&["beginning"], "3456789"),
    (&["earliest"], "3456789"),
    (&["end"], ""),
    (&["latest"], ""),
    (&["5"], "56789"),
    (&["10"], ""),
    (&["-2"], "89"),
    (&["end-2"], "89"),
    (&["-100"], "3456789"),
    (&["+2"], "56789"),
    (&["start+2"], "56789"),
    (&["+100"], ""),
    (&["4:"], "456789"),
    (&["@1768435207000"], "789"),
    (&["@2026-01-15"], "3456789"),
    (&["@2026-01-15T00:00:06"], "6789"),
    (&["@2026-01-15T00:00:06Z"], "6789"),
    (&["@2026-01-15T02:00:06+02:00"], "6789"),
    (&["@now"], ""),
    (&["@-1h"], ""),
    (&["s@1768435208000"], "89"),
];

/// Forms that say where to stop.
const CLOSED: &[(&[&str], &str)] = &[
    (&["4:6"], "45"),
    (&[":5"], "34"),
    (&[":end"], "3456789"),
    (&["-4:-2"], "67"),
    (&["+1:+3"], "45"),
    (&["7:7"], ""),
    (&["@2026-01-15T00:00:05:@2026-01-15T00:00:07"], "56"),
    (&["@1768435205000:1768435207000"], "56"),
    (&["@2026-01-15:now"], "3456789"),
    (&["@-1h:@now"], ""),
    (&["@2026-01-15:@-1h"], "3456789"),
    (&["e@1768435205000"], "34"),
    (&["s@1768435204000", "e@1768435206000"], "45"),
    (&["e@1768435206000", "s@1768435204000"], "45"),
];

#[test]
fn every_form_begins_and_ends_where_it_says() {
    let served = served();
    let expect = |words: &[&str], flags: &[&str], expected: &str| {
        let ran = read(&served, words, flags);
        assert_eq!((ran.code, ran.out.as_str()), (0, expected), "-o {words:?} {flags:?}: {}", ran.err);
    };
    for (words, expected) in OPEN {
        expect(words, &["-e"], expected);
        if !expected.is_empty() {
            expect(words, &["-n", &expected.len().to_string()], expected);
        }
    }
    for (words, expected) in CLOSED {
        expect(words, &["-e"], expected);
        expect(words, &[], expected);
    }
    let tail = served.prints(&["consume", "t", "-e", "--tail", "2", "-f", "%v"]);
    assert_eq!(tail, "89");
    let kafka = served.prints(&["consume", "t", "--from-beginning", "--max-messages", "2", "-f", "%v"]);
    assert_eq!(kafka, "34");
}

#[test]
fn a_wrong_word_is_a_usage_error_that_quotes_it_and_lists_the_forms() {
    let served = Served::start();
    for word in [
        "strat",
        "12x",
        "1.5",
        "@yesterday",
        "@-5",
        "@",
        "s@",
        "e@x",
        "committed",
        "x:3",
        "3:x",
        ":",
        "end+1",
        "start-1",
        "99999999999999999999",
        "",
    ] {
        let ran = read(&served, &[word], &[]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "-o {word}: {}", ran.err);
        assert!(ran.err.starts_with(&format!("error: -o: '{word}' is not an offset: ")), "{}", ran.err);
        assert!(ran.err.contains("the forms are: start, end"), "-o {word}: {}", ran.err);
    }
    for (words, begins) in [
        (&["5:3"][..], "'5:3' ends before it begins; write the earlier place first"),
        (&["@-1h:@-2h"], "'@-1h:@-2h' ends before it begins"),
        (&["s@2", "e@1"], "'s@2 -o e@1' ends before it begins"),
        (&["start", "end"], "'start' and 'end' do not go together: two -o are s@TIME and e@TIME"),
        (&["s@1", "e@2", "s@3"], "3 words, 's@1' 'e@2' 's@3', are too many: give one"),
    ] {
        let ran = read(&served, words, &[]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "-o {words:?}: {}", ran.err);
        assert!(ran.err.starts_with(&format!("error: -o: {begins}")), "-o {words:?}: {}", ran.err);
    }
    for (word, begins) in
        [("3:9", "'3:9' is a range"), ("strat", "'strat' is not an offset: did you mean 'start'?")]
    {
        let ran = served.run(&["topic", "trim", "t", "--to", word]);
        assert_eq!(ran.code, 2, "--to {word}: {}", ran.err);
        assert!(ran.err.contains(begins), "--to {word}: {}", ran.err);
    }
}

#[test]
fn an_offset_that_is_not_there_is_an_error_also_with_e() {
    let served = served();
    for word in ["2", "11", "101", "0:5"] {
        for exit in [&["-e"][..], &[]] {
            let ran = served.run(&[&["consume", "t", "-o", word, "--idle-timeout", "5s"], exit].concat());
            assert_eq!((ran.code, ran.out.as_str()), (1, ""), "-o {word} {exit:?}: {}", ran.err);
            assert!(ran.err.contains("it begins at 3 and ends at 10"), "{}", ran.err);
            assert!(ran.err.contains("[OFFSET_OUT_OF_RANGE]"), "{}", ran.err);
        }
    }
    assert_eq!(served.run(&["consume", "t", "-e", "-o", "10"]).code, 0, "the end itself is there");
}
