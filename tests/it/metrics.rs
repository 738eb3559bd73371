//! `docs/reference/metrics.md` says what the table of metrics says. `WEIR_BLESS=1` writes it anew.

use weir::metrics::counter::BOUNDS_MICROS;
use weir::metrics::names::{METRICS, Metric};
use weir::metrics::registry::{OTHER_TOPICS, TOPICS_MAX};

use crate::pages;

const HEAD: &str = "\
# Metrics

Made from the table in `src/metrics/names.rs` by `WEIR_BLESS=1 cargo test --test it metrics`; a test compares them. Change the table, not
this page.

`GET /metrics` on the port of gRPC gives them in Prometheus' text form (0.0.4), over HTTP/1.1. Counters begin at 0 when the broker starts.
How to scrape them and what to be woken by: [Monitor a broker](../how-to/monitor.md).

| metric | kind | labels | unit | meaning |
|---|---|---|---|---|
";

fn row(metric: &Metric) -> String {
    let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
    format!(
        "| `{}` | {} | {} | {} | {} |\n",
        metric.name,
        metric.kind.word(),
        labels.join(", "),
        metric.unit,
        metric.help
    )
}

fn page() -> String {
    let rows: String = METRICS.iter().map(row).collect();
    let bounds: Vec<String> = BOUNDS_MICROS.iter().map(|bound| (*bound as f64 / 1e6).to_string()).collect();
    format!(
        "{HEAD}{rows}
`method` is a method of gRPC, `reason` one of [Errors](errors.md) (of refused connections: `max_connections`, `memory`), `protocol` is `grpc`
or `http`. Histograms have buckets up to {} seconds.

`topic` is a topic's name. {TOPICS_MAX} topics have series of their own: those that are seen first, each until it is deleted. All others
share the series `{OTHER_TOPICS}`, which is there when there are more topics. So a broker with many topics has at most six times {} series of
them, and no counter ever goes back.
",
        bounds.join(", "),
        TOPICS_MAX + 1,
    )
}

#[test]
fn the_page_of_metrics_is_true() {
    pages::assert_is("docs/reference/metrics.md", &page(), "src/metrics/names.rs");
}

#[test]
fn a_topic_has_six_series() {
    assert_eq!(METRICS.iter().filter(|metric| metric.labels == ["topic"]).count(), 6);
}
