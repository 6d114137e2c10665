//! Medians, and tables of them.

use std::time::Duration;

/// Measured times of one thing.
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) median: Duration,
}

impl Sample {
    /// The median of some runs.
    pub(crate) fn new(name: impl Into<String>, mut runs: Vec<Duration>) -> Self {
        runs.sort();
        Self { name: name.into(), median: runs[runs.len() / 2] }
    }
}

/// Prints medians and their ratio to the first, which is the baseline.
pub(crate) fn print(title: &str, samples: &[Sample]) {
    println!("{title}\n");
    println!("| what | median | ratio |");
    println!("|---|---:|---:|");
    let base = samples[0].median.as_secs_f64();
    for Sample { name, median } in samples {
        let seconds = median.as_secs_f64();
        println!("| {name} | {:.1} ms | {:.2} |", seconds * 1e3, seconds / base);
    }
}
