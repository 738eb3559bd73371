//! The table at the end: each figure beside its ceiling, both measured in short turns, one after the other.
//!
//! It shows the fastest turn of each: what others do on the machine only ever adds time. The last column shows how far the medians
//! lie above them, so that a noisy run is seen as one.

use std::time::Duration;

use crate::case::{Case, Work};

/// Turns of each; odd, so that there is a median.
const TURNS: usize = 51;
const QUICK_TURNS: usize = 9;
/// How long a turn takes at least. WHY so short: some turns then pass without an interruption.
const TURN: Duration = Duration::from_millis(20);
const MIB: f64 = (1u64 << 20) as f64;

/// One measured case.
pub(crate) struct Row {
    name: &'static str,
    ceiling_name: &'static str,
    bytes: u64,
    figure: Spread,
    ceiling: Spread,
}

/// Seconds of one operation.
struct Spread {
    fastest: f64,
    median: f64,
}

impl Spread {
    fn of(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        Self { fastest: seconds[0], median: seconds[seconds.len() / 2] }
    }
}

/// Measures figure and ceiling in turns.
pub(crate) fn measure(case: &mut Case, is_quick: bool) -> Row {
    let turns = if is_quick { QUICK_TURNS } else { TURNS };
    let figure_count = count_for(&mut case.figure);
    let ceiling_count = count_for(&mut case.ceiling);
    let (mut figures, mut ceilings) = (Vec::new(), Vec::new());
    for _ in 0..turns {
        figures.push(seconds_each(&mut case.figure, figure_count));
        ceilings.push(seconds_each(&mut case.ceiling, ceiling_count));
    }
    let (figure, ceiling) = (Spread::of(figures), Spread::of(ceilings));
    Row { name: case.name, ceiling_name: case.ceiling_name, bytes: case.bytes, figure, ceiling }
}

/// How many operations fill a turn.
fn count_for(work: &mut Work) -> u64 {
    let mut count = 1;
    loop {
        let took = work(count);
        if took * 4 > TURN {
            return (count as f64 * TURN.as_secs_f64() / took.as_secs_f64()).ceil() as u64;
        }
        count *= 2;
    }
}

fn seconds_each(work: &mut Work, count: u64) -> f64 {
    work(count).as_secs_f64() / count as f64
}

/// Prints the table as Markdown.
pub(crate) fn print(rows: &[Row]) {
    println!(
        "| case | figure | µs each | ceiling | rate | µs each | of the ceiling | medians over fastest |"
    );
    println!("|---|---:|---:|---|---:|---:|---:|---:|");
    for Row { name, ceiling_name, bytes, figure, ceiling } in rows {
        let rate = |spread: &Spread| format!("{:.0} MiB/s", *bytes as f64 / MIB / spread.fastest);
        let micros = |spread: &Spread| format!("{:.1}", spread.fastest * 1e6);
        let noise = |spread: &Spread| format!("{:.1}", spread.median / spread.fastest);
        println!(
            "| {name} | {} | {} | {ceiling_name} | {} | {} | {:.0} % | {} and {} |",
            rate(figure),
            micros(figure),
            rate(ceiling),
            micros(ceiling),
            ceiling.fastest / figure.fastest * 100.0,
            noise(figure),
            noise(ceiling),
        );
    }
}
