//! What a run came to, as a table and as a document.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::host::host;
use crate::base::size::print_bytes;
use crate::base::time::{as_ms, print_ms};
use crate::bench::run::{Depth, Interval, Outcome, Plan, Spent};
use crate::bench::{Latencies, Rate};
use crate::cli::output::{Cell, Column, Table, thousands};

/// Shares of all records, with their names in tables and documents.
const QUANTILES: [(f64, &str, &str); 6] = [
    (0.5, "P50 MS", "p50_us"),
    (0.9, "P90 MS", "p90_us"),
    (0.99, "P99 MS", "p99_us"),
    (0.999, "P99.9 MS", "p999_us"),
    (0.9999, "P99.99 MS", "p9999_us"),
    (1.0, "MAX MS", "max_us"),
];
/// Busy processors of others above which a figure is doubtful.
const OTHER_CORES_MAX: f64 = 0.05;

/// What was measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Produce,
    Consume { fill_bytes: u64 },
    Latency,
    EndToEnd,
}

impl Kind {
    /// As the command is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Produce => "produce",
            Self::Consume { .. } => "consume",
            Self::Latency => "latency",
            Self::EndToEnd => "e2e",
        }
    }

    fn writes(self) -> bool {
        !matches!(self, Self::Consume { .. })
    }
}

/// A run that ended well, with all that is told of it.
pub(super) struct Told {
    pub(super) kind: Kind,
    /// Name and version of what was measured.
    pub(super) system: (String, String),
    pub(super) plan: Plan,
    pub(super) outcome: Outcome,
}

/// Something that was measured: records, and their times where they have any.
struct Row<'a> {
    name: &'static str,
    records: u64,
    latencies: &'a Latencies,
}

impl Told {
    /// What people read: the plan, the table, what it took.
    pub(super) fn text(&self) -> String {
        let mut columns = vec![Column::Left(""), Column::Right("RECORDS/S"), Column::Right("MIB/S")];
        columns.extend(QUANTILES.iter().map(|(_, name, _)| Column::Right(name)));
        let mut table = Table::new(&columns).after([self.kind.name()]);
        for row in self.rows() {
            let rate = self.rate(row.records);
            let mut cells =
                vec![Cell::Text(row.name.to_owned()), Cell::Rate(rate), Cell::Rate(self.mib(rate))];
            cells.extend(QUANTILES.iter().map(|(share, ..)| Cell::Text(millis(row.latencies, *share))));
            table.row(cells);
        }
        format!("{}\n{}\n\n{}\n{}\n", self.head(), self.verified(), table.print().trim_end(), self.costs())
    }

    fn rows(&self) -> Vec<Row<'_>> {
        let tally = &self.outcome.tally;
        let written = Row { name: "acknowledged", records: tally.acknowledged, latencies: &tally.ack };
        let read = Row { name: "read", records: tally.read, latencies: &tally.end_to_end };
        match self.kind {
            Kind::Consume { .. } => vec![read],
            Kind::EndToEnd => vec![written, read],
            Kind::Produce | Kind::Latency => vec![written],
        }
    }

    fn rate(&self, records: u64) -> f64 {
        records as f64 / self.plan.duration.as_secs_f64()
    }

    fn mib(&self, rate: f64) -> f64 {
        rate * self.plan.size_bytes as f64 / f64::from(1 << 20)
    }

    fn head(&self) -> String {
        let plan = &self.plan;
        let options = &plan.options;
        let mut words = vec![
            format!("{}  {} {}", self.kind.name(), self.system.0, self.system.1),
            format!(
                "p={} flush={} size={}",
                plan.partitions,
                plan.flush.name(),
                print_bytes(plan.size_bytes as u64)
            ),
        ];
        if self.kind.writes() {
            let linger = print_ms(as_ms(options.linger));
            let batch = print_bytes(options.batch_bytes as u64);
            words.push(format!("acks={} batch={batch} linger={linger}", acks(options.acks)));
            words.push(format!("writers={} rate={}", plan.writers, rate(plan.rate)));
        }
        words.push(format!("{} after {}", print_ms(as_ms(plan.duration)), print_ms(as_ms(plan.warm_up))));
        words.join("  ")
    }

    fn verified(&self) -> String {
        let records = thousands(self.outcome.records);
        match self.outcome.verified {
            Depth::Bytes => format!("verified: {records} records read back, order and every byte right"),
            Depth::Order => {
                format!("verified: {records} records there by their number; too many to read back")
            }
        }
    }

    /// From when times count, and who took what.
    fn costs(&self) -> String {
        let from = match self.plan.rate {
            Rate::Lone => "times are of one record at a time (closed loop)",
            Rate::Max => "times are of 1 in 64 records, from sent, in a closed loop",
            Rate::Steady(_) | Rate::Ramp(..) => "times count from when a record was due",
        };
        let waits = if self.plan.spins { ", by a thread that spins" } else { "" };
        let mut lines = vec![format!("{from}{waits}")];
        if !self.kind.writes() {
            lines.clear();
        }
        let delay = &self.outcome.tally.delay;
        if delay.count() > 0 {
            lines.push(format!("sent late by p99 {} max {} ms", millis(delay, 0.99), millis(delay, 1.0)));
        }
        let shares = &self.outcome.shares;
        let each = [("broker", shares.broker), ("client", shares.client)];
        let each =
            each.map(|(name, spent)| format!("{name} {}", spent.map_or_else(|| "unknown".to_owned(), cost)));
        let others =
            shares.other_cores.map_or_else(|| "unknown".to_owned(), |cores| format!("{cores:.2} cores"));
        lines.push(format!("{}  others {others}", each.join("  ")));
        lines.join("\n")
    }

    /// What is to be warned of.
    pub(super) fn doubt(&self) -> Option<String> {
        let others = self.outcome.shares.other_cores.filter(|cores| *cores > OTHER_CORES_MAX)?;
        Some(format!("others kept {others:.2} processors busy meanwhile: measure again on a quiet machine"))
    }

    /// The fields of the document.
    pub(super) fn fields(&self) -> Map<String, Value> {
        let Self { outcome, plan, .. } = self;
        let figures: Vec<Value> = self.rows().iter().map(|row| self.row_json(row)).collect();
        let shares = &outcome.shares;
        let fields = json!({
            "system": { "name": self.system.0, "version": self.system.1 },
            "client_version": env!("CARGO_PKG_VERSION"),
            "host": host(),
            "plan": plan_json(plan),
            "verified": { "records": outcome.records, "bytes": outcome.verified == Depth::Bytes },
            "figures": figures,
            "send_delay": latencies_json(&outcome.tally.delay),
            "broker": shares.broker.map(spent_json),
            "client": shares.client.map(spent_json),
            "other_cores": shares.other_cores,
            "intervals": outcome.tally.intervals.iter().map(interval_json).collect::<Vec<_>>(),
        });
        match fields {
            Value::Object(fields) => fields,
            _ => unreachable!("it is written as one"),
        }
    }

    fn row_json(&self, row: &Row<'_>) -> Value {
        let rate = self.rate(row.records);
        json!({
            "name": row.name,
            "records": row.records,
            "records_per_second": rate,
            "mib_per_second": self.mib(rate),
            "latencies": latencies_json(row.latencies),
        })
    }
}

fn millis(latencies: &Latencies, share: f64) -> String {
    let time = latencies.percentile(share);
    time.map_or_else(|| "-".to_owned(), |time| format!("{:.3}", time.as_secs_f64() * 1e3))
}

fn cost(spent: Spent) -> String {
    format!("{:.2} cores {}", spent.cores, print_bytes(spent.anon_bytes))
}

fn acks(acks: crate::client::Acks) -> &'static str {
    match acks {
        crate::client::Acks::None => "0",
        crate::client::Acks::Leader => "1",
        crate::client::Acks::All => "all",
    }
}

fn rate(rate: Rate) -> String {
    match rate {
        Rate::Max => "max".to_owned(),
        Rate::Lone => "lone".to_owned(),
        Rate::Steady(rate) => format!("{rate}/s"),
        Rate::Ramp(from, to) => format!("{from}..{to}/s"),
    }
}

fn plan_json(plan: &Plan) -> Value {
    let options = &plan.options;
    json!({
        "partitions": plan.partitions,
        "flush": plan.flush.name(),
        "writers": plan.writers,
        "size_bytes": plan.size_bytes,
        "rate": rate(plan.rate),
        "warm_up_ms": as_ms(plan.warm_up),
        "duration_ms": as_ms(plan.duration),
        "acks": acks(options.acks),
        "batch_bytes": options.batch_bytes,
        "linger_ms": as_ms(options.linger),
        "compression": options.codec.name(),
        "seed": plan.seed,
        "spins": plan.spins,
    })
}

fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}

fn latencies_json(latencies: &Latencies) -> Value {
    let quantile = |share| latencies.percentile(share).map(micros);
    let mut fields: Map<String, Value> =
        QUANTILES.iter().map(|(share, _, name)| ((*name).to_owned(), json!(quantile(*share)))).collect();
    fields.insert("count".to_owned(), json!(latencies.count()));
    Value::Object(fields)
}

fn interval_json(interval: &Interval) -> Value {
    let [p50, p99, max] = [0, 1, 2].map(|at| interval.latencies.map(|times| micros(times[at])));
    json!({
        "acknowledged": interval.acknowledged,
        "read": interval.read,
        "p50_us": p50,
        "p99_us": p99,
        "max_us": max,
    })
}

fn spent_json(spent: Spent) -> Value {
    json!({ "cores": spent.cores, "memory_bytes": spent.anon_bytes })
}
