//! What a run comes to, and the table.

use std::collections::BTreeSet;
use std::time::Duration;

use super::members::Seen;

/// The figures of one run.
pub(crate) struct Figures {
    /// 99.9 of 100 gaps between deliveries of a partition that stayed are no longer.
    gap_p999: Duration,
    gap_max: Duration,
    /// Longest time from due to delivered, those of partitions that moved included.
    delay_max: Duration,
    delay_p999: Duration,
    moves: usize,
    records: usize,
    again: usize,
}

impl Figures {
    /// Of what all members saw, where partitions hold so many records. Panics where one of these was not delivered.
    pub(crate) fn of(stored: &[i64], seen: Vec<Seen>) -> Self {
        let delivered: usize = seen.iter().map(|each| each.offsets.len()).sum();
        let read: BTreeSet<(i32, i64)> = seen.iter().flat_map(|each| each.offsets.iter().copied()).collect();
        let mut records = 0;
        for (partition, count) in (0..).zip(stored) {
            let missing = (0..*count).find(|offset| !read.contains(&(partition, *offset)));
            assert!(
                missing.is_none(),
                "record {} of partition {partition} was not delivered",
                missing.unwrap_or(0)
            );
            records += *count as usize;
        }
        let gaps = sorted(seen.iter().flat_map(|each| each.gaps.iter().copied()).collect());
        let delays = sorted(seen.iter().flat_map(|each| each.delays.iter().copied()).collect());
        Self {
            gap_p999: permille(&gaps, 999),
            gap_max: permille(&gaps, 1000),
            delay_p999: permille(&delays, 999),
            delay_max: permille(&delays, 1000),
            moves: seen.iter().map(|each| each.given_up).sum(),
            records,
            again: delivered - records,
        }
    }

    /// One row.
    pub(crate) fn print(&self, name: &str) {
        println!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} |",
            ms(self.gap_p999),
            ms(self.gap_max),
            ms(self.delay_p999),
            ms(self.delay_max),
            self.moves,
            self.records,
            self.again,
        );
    }
}

fn sorted(mut times: Vec<Duration>) -> Vec<Duration> {
    assert!(!times.is_empty(), "nothing was delivered");
    times.sort_unstable();
    times
}

/// The time that so many of a thousand do not go beyond.
fn permille(sorted: &[Duration], share: usize) -> Duration {
    sorted[(sorted.len() * share).div_ceil(1000).saturating_sub(1)]
}

fn ms(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

/// The head of the table, times in ms.
pub(crate) fn print_head() {
    println!(
        "| run | kept partitions: gap p99.9, ms | largest | due to delivered: p99.9, ms | largest | given up by members that stay | records | delivered again |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
}

/// Medians over the runs, and how the gaps with joins and leaves compare with those without.
pub(crate) fn print_medians(quiet: &[Figures], churn: &[Figures]) {
    let median = |runs: &[Figures], of: fn(&Figures) -> Duration| {
        let times = sorted(runs.iter().map(of).collect());
        times[times.len() / 2]
    };
    let gap = |runs| median(runs, |run| run.gap_p999);
    let delay = |runs| median(runs, |run| run.delay_max);
    println!(
        "\nmedians of {} pairs: gap p99.9 of kept partitions {} ms with joins and leaves, {} ms without: {:.2} times; largest delay {} ms, {} ms without",
        quiet.len(),
        ms(gap(churn)),
        ms(gap(quiet)),
        gap(churn).as_secs_f64() / gap(quiet).as_secs_f64(),
        ms(delay(churn)),
        ms(delay(quiet)),
    );
}
