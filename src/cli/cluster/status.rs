//! `weir cluster status`: a line for the cluster, a table of its brokers.

use serde_json::{Map, Value, json};

use super::health::Health;
use crate::base::Error;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{
    Cell, Column, Form, Table, count, duration_in_words, flowing, form, print, print_document,
};
use crate::cli::progress::with_progress;
use crate::client::{Admin, Cluster, Problem, Stats};

/// Prints what there is. What is wrong goes into it as well; the exit code tells only whether it could be asked.
pub(super) async fn run(context: &Context, admin: &Admin) -> Result<Exit, Failure> {
    let asked = async { Ok::<_, Error>((admin.cluster().await?, admin.stats().await?)) };
    let (cluster, stats) = with_progress(context, asked).await?;
    match form() {
        Form::Json | Form::Yaml => print_document("cluster status", fields(&cluster, &stats))?,
        Form::Plain | Form::Name => print(table(&cluster, &stats).print())?,
        Form::Table | Form::Wide => print(text(&cluster, &stats))?,
    }
    Ok(Exit::Done)
}

fn table(cluster: &Cluster, stats: &Stats) -> Table {
    let mut table = Table::new(&[
        Column::Right("BROKER"),
        Column::Left("ADDRESS"),
        Column::Left("VERSION"),
        Column::Right("UPTIME"),
        Column::Right("CONNECTIONS"),
        Column::Right("MEMORY"),
        Column::Right("LOGS"),
        Column::Right("DISK-FREE"),
        Column::Left("HEALTH"),
    ]);
    table.row([
        Cell::Text(cluster.broker_id.to_string()),
        address(cluster).to_owned().into(),
        cluster.version.clone().into(),
        Cell::Both(duration_in_words(stats.uptime_ms), stats.uptime_ms.to_string()),
        Cell::count(stats.connections),
        Cell::Bytes(stats.rss_anon_bytes.unsigned_abs()),
        Cell::Bytes(stats.size_bytes.unsigned_abs()),
        Cell::Bytes(stats.disk_free_bytes.unsigned_abs()),
        Health::of(stats).word().to_owned().into(),
    ]);
    table
}

fn text(cluster: &Cluster, stats: &Stats) -> String {
    let head = [
        format!("cluster {}", cluster.cluster_id),
        count(cluster.brokers.len() as i64, "broker"),
        count(stats.topics, "topic"),
        count(stats.partitions, "partition"),
        format!("{} offline", stats.partitions_offline),
    ];
    let problems: String = stats.problems.iter().map(|problem| format!("  {}\n", problem.message)).collect();
    format!("{}{}{problems}", flowing(&head), table(cluster, stats).print())
}

fn address(cluster: &Cluster) -> &str {
    let own = cluster.brokers.iter().find(|broker| broker.broker_id == cluster.broker_id);
    own.map_or("-", |broker| &broker.address)
}

fn fields(cluster: &Cluster, stats: &Stats) -> Map<String, Value> {
    let problem = |problem: &Problem| json!({ "critical": problem.is_critical, "message": problem.message });
    let broker = json!({
        "broker_id": cluster.broker_id,
        "address": address(cluster),
        "version": cluster.version,
        "uptime_ms": stats.uptime_ms,
        "starts": cluster.broker_epoch,
        "health": Health::of(stats).word(),
        "problems": stats.problems.iter().map(problem).collect::<Vec<_>>(),
        "connections": stats.connections,
        "open_streams": stats.open_streams,
        "size_bytes": stats.size_bytes,
        "segments": stats.segments,
        "unsynced_bytes": stats.unsynced_bytes,
        "memory_limit_bytes": stats.memory_limit_bytes,
        "memory_used_bytes": stats.memory_used_bytes,
        "rss_anon_bytes": stats.rss_anon_bytes,
        "disk_size_bytes": stats.disk_size_bytes,
        "disk_free_bytes": stats.disk_free_bytes,
        "disk_reserve_bytes": stats.disk_reserve_bytes,
        "disk_full": stats.disk_full,
    });
    let fields = [
        ("cluster_id", json!(cluster.cluster_id)),
        ("topics", json!(stats.topics)),
        ("partitions", json!(stats.partitions)),
        ("partitions_offline", json!(stats.partitions_offline)),
        ("brokers", json!([broker])),
    ];
    fields.map(|(key, value)| (key.to_owned(), value)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Broker;

    fn sample() -> (Cluster, Stats) {
        let cluster = Cluster {
            cluster_id: "c7".to_owned(),
            version: "0.1.0".to_owned(),
            broker_id: 1,
            broker_epoch: 3,
            brokers: vec![Broker { broker_id: 1, address: "127.0.0.1:7070".to_owned() }],
            settings: Vec::new(),
            uptime_ms: 0,
            rss_anon_bytes: 0,
            rss_file_bytes: 0,
        };
        let stats = Stats {
            uptime_ms: 273_840_000,
            connections: 1_234,
            topics: 2,
            partitions: 7,
            partitions_offline: 1,
            size_bytes: 25_900_000,
            rss_anon_bytes: 12 << 20,
            disk_free_bytes: 40 << 30,
            problems: vec![Problem { is_critical: true, message: "1 partition offline: a[0]".to_owned() }],
            ..Stats::default()
        };
        (cluster, stats)
    }

    #[test]
    fn a_line_a_table_and_what_is_wrong() {
        let (cluster, stats) = sample();
        assert_eq!(
            text(&cluster, &stats),
            "\
cluster c7  1 broker  2 topics  7 partitions  1 offline
BROKER  ADDRESS         VERSION  UPTIME  CONNECTIONS    MEMORY      LOGS  DISK-FREE  HEALTH
     1  127.0.0.1:7070  0.1.0     3d 4h        1,234  12.0 MiB  24.7 MiB   40.0 GiB  CRITICAL
  1 partition offline: a[0]
"
        );
        let fields = fields(&cluster, &stats);
        assert_eq!(fields["brokers"][0]["problems"][0]["critical"], true);
    }
}
