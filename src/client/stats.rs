//! How a broker fares, as it tells.

use crate::proto::grpc;

/// How a broker fares at one moment.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// let stats = client.admin().stats().await?;
/// println!("{} connections, {} of {} bytes free", stats.connections, stats.disk_free_bytes, stats.disk_size_bytes);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Number of the broker that answered.
    pub broker_id: i32,
    /// Time since its start in ms: the time between two answers.
    pub uptime_ms: i64,
    /// What is wrong, the worst first; empty when all is well.
    pub problems: Vec<Problem>,
    /// Records and bytes of all topics.
    pub traffic: Traffic,
    /// Requests answered since the start.
    pub requests: i64,
    /// Errors told since the start.
    pub errors: i64,
    /// Open connections, this one among them.
    pub connections: i32,
    /// Open streaming calls.
    pub open_streams: i32,
    /// Topics.
    pub topics: i32,
    /// Partitions of all topics.
    pub partitions: i32,
    /// Partitions that take no appends.
    pub partitions_offline: i32,
    /// Bytes of all log files.
    pub size_bytes: i64,
    /// Segments of all logs.
    pub segments: i64,
    /// Bytes written and not yet synced.
    pub unsynced_bytes: i64,
    /// The memory budget.
    pub memory_limit_bytes: i64,
    /// What is taken of it.
    pub memory_used_bytes: i64,
    /// Resident memory of the process's own.
    pub rss_anon_bytes: i64,
    /// Size of the disk.
    pub disk_size_bytes: i64,
    /// Free space.
    pub disk_free_bytes: i64,
    /// Free space that producers can't use.
    pub disk_reserve_bytes: i64,
    /// Whether appends are refused because free space is below the reserve.
    pub disk_full: bool,
    /// The topics by name; beyond a thousand, one entry `(others)` for the rest.
    pub topic_stats: Vec<TopicStats>,
}

/// What is wrong with a broker.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// for problem in client.admin().stats().await?.problems {
///     println!("{}: {}", if problem.is_critical { "critical" } else { "warning" }, problem.message);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Whether requests fail; otherwise they may soon.
    pub is_critical: bool,
    /// What, and what to do.
    pub message: String,
}

/// Records and bytes since the start of the broker.
///
/// ```
/// use weir::client::Stats;
///
/// /// Records written per second between two answers of `Admin::stats`.
/// fn rate(before: &Stats, now: &Stats) -> f64 {
///     let records = now.traffic.records_in - before.traffic.records_in;
///     records as f64 * 1_000.0 / (now.uptime_ms - before.uptime_ms) as f64
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Records written.
    pub records_in: i64,
    /// Bytes of their batches.
    pub bytes_in: i64,
    /// Records given to readers.
    pub records_out: i64,
    /// Bytes of them.
    pub bytes_out: i64,
}

/// One topic.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// for topic in client.admin().stats().await?.topic_stats {
///     println!("{}: {} records written, {} read", topic.name, topic.traffic.records_in, topic.traffic.records_out);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TopicStats {
    /// Its name.
    pub name: String,
    /// Partitions.
    pub partitions: i32,
    /// Partitions that take no appends.
    pub partitions_offline: i32,
    /// Bytes of its log files.
    pub size_bytes: i64,
    /// Its segments.
    pub segments: i64,
    /// What was written and read.
    pub traffic: Traffic,
}

pub(super) fn read_stats(reply: grpc::GetStatsResponse) -> Stats {
    Stats {
        broker_id: reply.broker_id,
        uptime_ms: reply.uptime_ms,
        problems: reply.problems.into_iter().map(read_problem).collect(),
        traffic: read_traffic(reply.traffic),
        requests: reply.requests,
        errors: reply.errors,
        connections: reply.connections,
        open_streams: reply.open_streams,
        topics: reply.topics,
        partitions: reply.partitions,
        partitions_offline: reply.partitions_offline,
        size_bytes: reply.size_bytes,
        segments: reply.segments,
        unsynced_bytes: reply.unsynced_bytes,
        memory_limit_bytes: reply.memory_limit_bytes,
        memory_used_bytes: reply.memory_used_bytes,
        rss_anon_bytes: reply.rss_anon_bytes,
        disk_size_bytes: reply.disk_size_bytes,
        disk_free_bytes: reply.disk_free_bytes,
        disk_reserve_bytes: reply.disk_reserve_bytes,
        disk_full: reply.disk_full,
        topic_stats: reply.topic_stats.into_iter().map(read_topic).collect(),
    }
}

/// A severity of a later version counts as a warning: nothing that this one knows fails.
fn read_problem(problem: grpc::Problem) -> Problem {
    let is_critical = problem.severity() == grpc::ProblemSeverity::Critical;
    Problem { is_critical, message: problem.message }
}

fn read_traffic(traffic: Option<grpc::Traffic>) -> Traffic {
    let grpc::Traffic { records_in, bytes_in, records_out, bytes_out } = traffic.unwrap_or_default();
    Traffic { records_in, bytes_in, records_out, bytes_out }
}

fn read_topic(topic: grpc::TopicStats) -> TopicStats {
    TopicStats {
        name: topic.name,
        partitions: topic.partitions,
        partitions_offline: topic.partitions_offline,
        size_bytes: topic.size_bytes,
        segments: topic.segments,
        traffic: read_traffic(topic.traffic),
    }
}
