//! Words of other tools, and what stands for them here.

/// Commands of other tools, with the command below which they were looked for.
pub(super) const COMMANDS: &[(&str, &[&str], &str)] = &[
    ("weir", &["topics", "list", "ls"], "`weir topic list` lists topics"),
    (
        "weir",
        &["create", "describe", "alter", "delete", "rm", "trim"],
        "topics have commands of their own: `weir topic --help`",
    ),
    (
        "weir",
        &["cat", "read", "tail", "get", "sub", "subscribe", "consumer"],
        "`weir consume TOPIC` reads records",
    ),
    ("weir", &["write", "send", "put", "pub", "publish", "producer"], "`weir produce TOPIC` writes records"),
    ("weir", &["server", "broker", "start", "run"], "`weir serve --dev` runs a broker"),
    (
        "weir",
        &["status", "info", "brokers", "health", "ping", "metadata"],
        "`weir cluster status` and `weir cluster health` tell how the broker fares",
    ),
    (
        "weir",
        &["inspect", "verify", "segments", "dump", "dump-log"],
        "`weir log --help` shows what looks at stored logs",
    ),
    (
        "weir",
        &["config", "configs"],
        "`weir topic config-keys` lists settings of topics, `weir serve --print-config` those of the broker",
    ),
    ("weir", &["profile", "ctx", "use"], "`weir context --help` shows how brokers get names"),
    (
        "weir",
        &["groups", "lag", "consumer-group", "consumer-groups", "offsets"],
        "`weir group list` lists groups, `weir group lag GROUP` tells how far one is behind",
    ),
    (
        "cluster",
        &["info", "show", "describe", "list", "ls", "brokers", "nodes"],
        "`weir cluster status` shows the brokers",
    ),
    ("cluster", &["check", "ping", "watch"], "`weir cluster health` checks, `--watch` goes on with it"),
    (
        "weir",
        &["queue", "kv", "txn", "user", "token", "acl"],
        "this version does not have it yet; `weir --help` lists what there is",
    ),
    ("topic", &["produce", "write", "put"], "`weir produce TOPIC` writes records"),
    ("topic", &["consume", "read", "cat", "tail"], "`weir consume TOPIC` reads records"),
    ("group", &["show", "get", "info"], "`weir group describe GROUP` shows one"),
    (
        "group",
        &["reset", "seek", "set-offsets", "commit"],
        "`weir group reset-offsets GROUP --to start` sets where it goes on",
    ),
    (
        "group",
        &["offset-delete", "delete-offset"],
        "`weir group delete-offsets GROUP -t TOPIC` forgets offsets",
    ),
    ("group", &["remove", "drop"], "`weir group delete GROUP` deletes one"),
    ("topic", &["show", "get", "info"], "`weir topic describe NAME` shows one"),
    ("topic", &["add", "new", "make"], "`weir topic create NAME` makes one"),
    ("topic", &["remove", "drop"], "`weir topic delete NAME` deletes one"),
    (
        "topic",
        &["update", "set", "edit", "add-partitions", "alter-config", "set-config"],
        "`weir topic alter NAME` changes settings and partitions",
    ),
    (
        "topic",
        &["config", "configs", "options", "describe-config"],
        "`weir topic config-keys` lists the settings, `weir topic alter NAME -c KEY=VALUE` sets one",
    ),
    (
        "topic",
        &["purge", "truncate", "empty", "trim-prefix"],
        "`weir topic trim NAME --to end` removes what is there",
    ),
    ("log", &["dump", "show"], "`weir log inspect PATH` shows what log files hold"),
];

/// Flags of other tools, with the command below which they were given; `""` is any. The first that fits is told.
pub(super) const FLAGS: &[(&str, &[&str], &str)] = &[
    ("group", &["-g", "-G", "--group"], "the group stands alone, as in `weir group lag billing`"),
    ("group", &["--all-groups"], "name the groups; `weir group list` lists them"),
    (
        "group reset-offsets",
        &[
            "--to-earliest",
            "--to-latest",
            "--to-offset",
            "--to-datetime",
            "--to-current",
            "--by-duration",
            "--shift-by",
        ],
        "--to says where: start, end, an offset, -N before the end, +N behind the start, @2026-01-15 or @-1h",
    ),
    ("group reset-offsets", &["--from-file"], "--to-file FILE takes lines of topic,partition,offset"),
    ("group reset-offsets", &["--all-topics"], "without -t it is all topics that the source has"),
    ("group", &["--offsets"], "`weir group describe GROUP` shows the offsets by itself"),
    (
        "group",
        &["--state"],
        "the first line of `weir group describe GROUP` tells its state, `weir group list --state` picks by it",
    ),
    (
        "group",
        &["-t", "--topic", "--topics"],
        "all topics of a group are shown; `weir group reset-offsets` and `delete-offsets` take -t",
    ),
    (
        "consume",
        &["--property", "--formatter", "--formatter-property", "--key-deserializer", "--value-deserializer"],
        "-f '%k %v\\n' prints key and value (`weir cheat formats` has more), -J all there is",
    ),
    (
        "consume",
        &["--consumer-property", "--consumer.config", "--command-property"],
        "-g names the group, -o the place; -X KEY=VALUE sets what the client has, such as fetch.max.bytes",
    ),
    ("consume", &["--timeout-ms"], "--idle-timeout 10s ends when nothing came for that long"),
    (
        "consume",
        &["--include", "--whitelist", "--regex"],
        "name the topics, or give a pattern such as 'orders-*'",
    ),
    (
        "produce",
        &["--property", "--reader-property", "--line-reader"],
        "-K : splits each line into key and value, -J reads JSON, -f any other form",
    ),
    (
        "produce",
        &["--producer-property", "--producer.config", "--command-property"],
        "-a sets the acks, -z the compression; -X KEY=VALUE sets what the client has, such as linger.ms or batch.bytes",
    ),
    (
        "produce",
        &["--batch-size"],
        "-X batch.bytes=1MiB sets the size of batches, -X linger.ms=5 how long one waits",
    ),
    ("produce", &["--sync", "--request-required-acks"], "-a all|1|0 says what is waited for"),
    ("produce", &["-l"], "-F FILE reads a record from each line of a file"),
    ("", &["-s"], "-f says how keys and values are shown or read (`weir cheat formats`)"),
    ("produce", &["--compression-codec"], "-z CODEC compresses"),
    ("produce", &["-t", "--topic"], "the topic stands alone, as in `weir produce orders 'a value'`"),
    ("topic", &["-t", "--topic"], "the topic stands alone, as in `weir topic describe orders`"),
    ("topic describe", &["-p", "--partitions"], "--section partitions shows the partitions"),
    ("topic", &["--add-config", "--set"], "`weir topic alter NAME -c KEY=VALUE` sets one"),
    ("topic list", &["--exclude-internal"], "topics of the broker's own are listed with --internal only"),
    ("", &["--num"], "-n N ends after N records"),
    (
        "",
        &["-Q"],
        "`weir consume TOPIC -o @TIME` reads from a time on, `weir topic describe TOPIC --section partitions` shows offsets",
    ),
    (
        "",
        &["--command-config"],
        "nobody is asked who they are in this version; -b HOST:PORT names the broker",
    ),
    ("", &["--isolation-level"], "this version has no transactions: every record that is read is committed"),
    ("", &["-t", "--topic"], "the topic stands alone, as in `weir consume orders`"),
    ("", &["-g", "-G", "--group"], "`weir consume TOPIC -g GROUP` reads as a member of a group"),
    ("", &["-P"], "`weir produce TOPIC` writes records"),
    ("", &["-L"], "`weir topic list` lists topics, `weir cluster status` shows the broker"),
    (
        "",
        &["--bootstrap-server", "--brokers", "--broker-list"],
        "-b HOST:PORT names the broker, as does the variable WEIR_BOOTSTRAP",
    ),
    (
        "",
        &["--where", "--filter"],
        "there is no language of conditions yet; --grep k:RE, v:RE or h:NAME=RE picks records by key, value or header",
    ),
    (
        "",
        &["--repair"],
        "nothing is to be done by hand: the next start of the broker sets a torn end aside, and never touches what stands before it",
    ),
    (
        "",
        &["--idempotent", "--enable-idempotence"],
        "produce is idempotent by itself: a retry neither doubles nor reorders",
    ),
    ("", &["--txn", "--transactional-id", "--read-uncommitted"], "this version has no transactions"),
    (
        "",
        &["--dry-run"],
        "topic create, alter, delete and trim take it; `weir group reset-offsets` shows a plan until --execute is given",
    ),
    (
        "",
        &["--execute"],
        "this command does at once what it says; `weir group reset-offsets` is the one that waits for --execute",
    ),
    (
        "",
        &["--commit"],
        "`weir consume TOPIC -g GROUP` commits what it printed; `weir group reset-offsets GROUP --to end` sets it by hand",
    ),
    ("", &["--follow"], "consume follows by itself; -e ends at the end"),
    (
        "",
        &["--create", "--list", "--describe", "--alter", "--delete"],
        "`weir topic --help` shows the commands of topics",
    ),
];

/// What stands here for the command `word` of another tool.
pub(super) fn of_command(below: &str, word: &str) -> Option<&'static str> {
    let fits = |(parent, words, _): &&(&str, &[&str], &str)| *parent == below && words.contains(&word);
    COMMANDS.iter().find(fits).map(|(_, _, advice)| *advice)
}

/// What is meant by a flag of other tools that takes no value there: `arg` is what it is called here.
pub(super) fn of_value_missing(arg: &str) -> Option<&'static str> {
    arg.starts_with("--context ").then_some("-C names a context here; `weir consume TOPIC` reads records")
}

/// What stands for the flag `word`, which the command at `path` does not have.
pub(super) fn of_flag(path: &str, word: &str) -> Option<&'static str> {
    let fits = |(below, words, _): &&(&str, &[&str], &str)| {
        let behind = path.strip_prefix(below);
        words.contains(&word)
            && behind.is_some_and(|rest| below.is_empty() || rest.is_empty() || rest.starts_with(' '))
    };
    FLAGS.iter().find(fits).map(|(_, _, advice)| *advice)
}
