//! Tests of loading.

use super::*;

const MACHINE: Machine = Machine { memory_bytes: 4 << 30, cores: 2, descriptors_max: 1024 };

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn file(text: &str) -> Option<ConfigFile<'_>> {
    Some(ConfigFile { name: "weir.toml", text })
}

fn errors(inputs: &Inputs<'_>) -> Vec<String> {
    load(inputs, &MACHINE).expect_err("a mistake").iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_given_is_all_defaults() {
    assert_eq!(load(&Inputs::default(), &MACHINE), Ok(BrokerSettings::defaults(&MACHINE)));
    let empty = Inputs { file: file("# only a comment\n"), ..Inputs::default() };
    assert_eq!(load(&empty, &MACHINE), Ok(BrokerSettings::defaults(&MACHINE)));
}

#[test]
fn the_stronger_source_wins_and_is_remembered() {
    let inputs = Inputs {
        file: file("node.id = 2\nshards = 2\nlog.level = \"warn\"\n"),
        environment: pairs(&[("WEIR_SHARDS", "3"), ("WEIR_LOG_LEVEL", "error"), ("HOME", "x")]),
        flags: pairs(&[("log.level", "debug")]),
    };
    let settings = load(&inputs, &MACHINE).expect("all right");
    assert_eq!((settings.node_id, settings.shards, settings.log_level.word()), (2, 3, "debug"));
    let sources = ["node.id", "shards", "log.level", "listen"].map(|key| settings.source(key));
    assert_eq!(sources, [Source::File, Source::Environment, Source::Flag, Source::Default]);
}

#[test]
fn dotted_keys_and_nested_tables_are_the_same() {
    let dotted = "memory.bytes = \"64MiB\"\nlog.retention.check.interval.ms = 0x64\nlog.level = \"off\"\n";
    let nested = "[memory]\nbytes = 67_108_864\n[log]\nlevel = \"off\"\n[log.retention]\ncheck = { interval.ms = \"100ms\" }\n";
    let quoted = "\"memory.bytes\" = \"65536 KiB\"\n\"log.retention.check.interval.ms\" = \"100\"\nlog.level = 'OFF'\n";
    for text in [dotted, nested, quoted] {
        let settings = load(&Inputs { file: file(text), ..Inputs::default() }, &MACHINE).expect(text);
        assert_eq!((settings.memory_bytes, settings.retention_check_ms), (64 << 20, 100));
        assert_eq!(settings.log_level.word(), "off");
    }
}

#[test]
fn all_mistakes_of_all_sources_come_at_once_with_their_places() {
    let inputs = Inputs {
        file: file(
            "node.id = \"one\"\n\n[log]\nlevle = \"info\"\nlevel = 1.5\n[shutdown]\ntimeout.ms = [1]\n",
        ),
        environment: pairs(&[("WEIR_SHARDS", "0"), ("WEIR_SHARD", "1")]),
        flags: pairs(&[("node.id", "-4"), ("listen", "0.0.0.0:7070"), ("lisen", "x")]),
    };
    let errors = errors(&inputs);
    let expected = [
        "weir.toml line 1: node.id: 'one' is not a whole number",
        "weir.toml line 4: log.levle: there is no such config key. Did you mean 'log.level'? `weir serve --print-config` lists them",
        "weir.toml line 5: log.level: takes text in quotes, a whole number, true or false",
        "weir.toml line 7: shutdown.timeout.ms: takes text in quotes",
        "environment variable WEIR_SHARD: shard: there is no such config key. Did you mean 'WEIR_SHARDS'? `weir serve --print-config` lists them",
        "environment variable WEIR_SHARDS: shards: 0 is out of range: 1 to 256",
        "command line: node.id: -4 is out of range",
        "command line: lisen: there is no such config key. Did you mean 'listen'? `weir serve --print-config` lists them",
        "command line: listen: 0.0.0.0:7070 can be reached from other machines",
    ];
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for (error, expected) in errors.iter().zip(expected) {
        assert!(error.starts_with(expected), "{error}\nnot\n{expected}");
    }
}

#[test]
fn a_weak_mistake_counts_under_a_stronger_value() {
    let inputs =
        Inputs { file: file("shards = \"many\""), flags: pairs(&[("shards", "2")]), ..Inputs::default() };
    assert_eq!(errors(&inputs), ["weir.toml line 1: shards: 'many' is not a whole number"]);
}

#[test]
fn the_same_key_twice_is_a_mistake() {
    let flags = Inputs { flags: pairs(&[("shards", "2"), ("shards", "3")]), ..Inputs::default() };
    assert_eq!(errors(&flags), ["command line: shards: is given twice"]);
    let two_spellings = "\"node.id\" = 1\n[node]\nid = 2\n";
    let inputs = Inputs { file: file(two_spellings), ..Inputs::default() };
    assert_eq!(
        errors(&inputs),
        ["weir.toml line 3: node.id: is given twice: line 1 has it as well; keep one of them"]
    );
}

#[test]
fn two_names_of_one_key_name_each_others_lines() {
    let text = "node.id=2\n# c\nbroker.id=1\n";
    let file = Some(ConfigFile { name: "server.properties", text });
    let told = "server.properties line 3: node.id: is given twice: line 1 has it as well; keep one of them";
    assert_eq!(errors(&Inputs { file, ..Inputs::default() }), [told]);
}

#[test]
fn a_line_that_is_no_toml_is_told_once() {
    let errors = errors(&Inputs { file: file("listen = \nshards = 0\n"), ..Inputs::default() });
    assert!(errors.len() == 2 && errors[0].starts_with("weir.toml line 1: not TOML: "), "{errors:#?}");
    assert_eq!(errors[1], "weir.toml line 2: shards: 0 is out of range: 1 to 256");
}

#[test]
fn broken_toml_names_its_line_and_what_was_read_is_still_checked() {
    let inputs = Inputs { file: file("shards = 0\nnode.id 7\n"), ..Inputs::default() };
    let errors = errors(&inputs);
    assert_eq!(errors[0], "weir.toml line 1: shards: 0 is out of range: 1 to 256");
    assert!(errors.len() == 2 && errors[1].starts_with("weir.toml line 2: not TOML: "), "{errors:#?}");
}

#[test]
fn any_file_gives_settings_or_errors_but_no_panic() {
    let deep = format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_keys = format!("{}z = 1", "a.".repeat(50_000));
    for text in [
        "\0",
        "=",
        "[",
        "[[a]]",
        "a.b.c=1\na.b=2",
        "é = 1979-05-27",
        "node.id = 99999999999999999999",
        &deep,
        &deep_keys,
    ] {
        assert!(load(&Inputs { file: file(text), ..Inputs::default() }, &MACHINE).is_err());
    }
}

#[test]
fn variables_of_others_are_left_alone() {
    let names = [
        "WEIR_BOOTSTRAP",
        "WEIR_PORT",
        "WEIR_PORT_7070_TCP",
        "WEIR_SERVICE_HOST",
        "WEIR_SERVICE_PORT_GRPC",
        "WEIRD",
    ];
    let environment = names.map(|name| (name.to_owned(), "tcp://10.0.0.1:7070".to_owned())).to_vec();
    assert!(load(&Inputs { environment, ..Inputs::default() }, &MACHINE).is_ok());
    for key in key_names() {
        assert!(!is_for_others(&variable_of(key)), "{key}");
    }
}

#[test]
fn open_addresses_need_the_word_from_any_source() {
    let inputs = Inputs {
        file: file("listen = \"0.0.0.0:7070\""),
        environment: pairs(&[("WEIR_INSECURE_NO_AUTH", "true")]),
        ..Inputs::default()
    };
    assert!(load(&inputs, &MACHINE).is_ok());
    let closed = Inputs { environment: Vec::new(), ..inputs };
    assert!(errors(&closed)[0].starts_with("weir.toml line 1: listen: 0.0.0.0:7070 can be reached"));
}
