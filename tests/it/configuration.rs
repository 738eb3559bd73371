//! `docs/CONFIGURATION.md` says what the tables of keys say. `WEIR_BLESS=1` writes it anew.

use weir::config::broker::BROKER_KEYS;
use weir::config::def::Key;
use weir::config::load::variable_of;
use weir::config::topic::TOPIC_KEYS;

use crate::pages;

const HEAD: &str = "\
# Configuration

Made from the tables in `src/config` by `WEIR_BLESS=1 cargo test --test it configuration`; a test compares them. Change the tables,
not this page.

Sizes may be written in words (`64MiB`), durations too (`7d`, `500ms`); `-1` is no limit where the range says so. An unknown key or a
value out of range is refused, with the nearest key that exists.

";

const BROKER_HEAD: &str = "\
## Broker

Each key can be set in the config file (`weir serve -c weir.toml`: TOML with dotted keys or tables), as an environment variable, and
on the command line (`-X key=value`). The command line wins over the environment, the environment over the file. Settings are
read at the start; `ClusterService.GetCluster` tells each with its source.

";

const TOPIC_HEAD: &str = "\
## Topics

Set by `weir topic create NAME -c key=value`, changed by `weir topic alter NAME -c key=value`, put back to the default by `weir topic
alter NAME -d key`; a change holds at once. Keys that Kafka has mean what they mean there. `weir topic describe NAME` tells each with its
source.

";

/// The default for people: with words where the plain number reads badly.
fn default_of(key: &Key) -> String {
    let text = key.default_text();
    key.in_words(text).map_or_else(|| text.to_owned(), |words| format!("{text} ({words})"))
}

fn section(key: &Key, variable: Option<String>) -> String {
    let variable = variable.map_or_else(String::new, |name| format!(" · variable `{name}`"));
    format!(
        "### `{}`\n\n{}\n\n{} · default: {} · values: {}{variable}\n\n",
        key.name,
        key.doc,
        key.type_name(),
        default_of(key),
        key.range_text(),
    )
}

fn page() -> String {
    let broker = BROKER_KEYS.iter().map(|row| section(&row.key, Some(variable_of(row.key.name))));
    let topic = TOPIC_KEYS.iter().map(|row| section(&row.key, None));
    let parts = [HEAD.to_owned(), BROKER_HEAD.to_owned()].into_iter().chain(broker);
    let page: String = parts.chain([TOPIC_HEAD.to_owned()]).chain(topic).collect();
    page.trim_end().to_owned() + "\n"
}

#[test]
fn the_configuration_page_is_true() {
    pages::assert_is("docs/CONFIGURATION.md", &page(), "src/config");
}
