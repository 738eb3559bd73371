//! The table at the end: each figure beside its ceiling, both measured in turns, so that a change of the machine's mood
//! meets both.

use std::time::Duration;

use crate::case::{Case, Work};

/// Turns of each; odd, so that there is a median.
const TURNS: usize = 9;
/// How long a turn takes at least.
const TURN: Duration = Duration::from_millis(200);
const QUICK_TURN: Duration = Duration::from_millis(30);
const MIB: f64 = (1u64 << 20) as f64;

/// One measured case.
pub(crate) struct Row {
    name: &'static str,
    ceiling_name: &'static str,
    bytes: u64,
    /// Medians of one operation in seconds.
    figure: f64,
    ceiling: f64,
    /// Ceiling's time by the figure's, of each turn, ascending.
    ratios: Vec<f64>,
}

/// Measures figure and ceiling in turns.
pub(crate) fn measure(case: &mut Case, is_quick: bool) -> Row {
    let turn = if is_quick { QUICK_TURN } else { TURN };
    let (figure_count, ceiling_count) =
        (count_for(&mut case.figure, turn), count_for(&mut case.ceiling, turn));
    let mut turns = Vec::new();
    for _ in 0..TURNS {
        turns.push((
            seconds_each(&mut case.figure, figure_count),
            seconds_each(&mut case.ceiling, ceiling_count),
        ));
    }
    let column = |of: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = turns.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    Row {
        name: case.name,
        ceiling_name: case.ceiling_name,
        bytes: case.bytes,
        figure: column(|turn| turn.0)[TURNS / 2],
        ceiling: column(|turn| turn.1)[TURNS / 2],
        ratios: column(|turn| turn.1 / turn.0),
    }
}

/// How many operations fill a turn.
fn count_for(work: &mut Work, turn: Duration) -> u64 {
    let mut count = 1;
    loop {
        let took = work(count);
        if took * 4 > turn {
            return (count as f64 * turn.as_secs_f64() / took.as_secs_f64()).ceil() as u64;
        }
        count *= 2;
    }
}

fn seconds_each(work: &mut Work, count: u64) -> f64 {
    work(count).as_secs_f64() / count as f64
}

/// Prints the table as Markdown.
pub(crate) fn print(rows: &[Row]) {
    println!("| case | figure | µs each | ceiling | | µs each | figure / ceiling |");
    println!("|---|---:|---:|---|---:|---:|---:|");
    for row in rows {
        let rate = |seconds: f64| format!("{:.0} MiB/s", row.bytes as f64 / MIB / seconds);
        println!(
            "| {} | {} | {:.1} | {} | {} | {:.1} | {:.0} % ({:.0}–{:.0}) |",
            row.name,
            rate(row.figure),
            row.figure * 1e6,
            row.ceiling_name,
            rate(row.ceiling),
            row.ceiling * 1e6,
            row.ratios[TURNS / 2] * 100.0,
            row.ratios[0] * 100.0,
            row.ratios[TURNS - 1] * 100.0,
        );
    }
}
