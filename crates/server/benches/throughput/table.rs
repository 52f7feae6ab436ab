//! What was measured, as a table.

use std::time::Duration;

use crate::load::Measured;

/// A row of the server or of a baseline.
pub struct Row {
    /// What was sent.
    pub name: String,
    /// How it was answered.
    pub measured: Measured,
    /// Rates of the baselines right before and after it: nothing, parsing, redirecting. Not a number for
    /// the baselines themselves.
    pub baselines: [f64; 3],
    /// Processor time that the program took meanwhile.
    pub cpu: Option<Duration>,
    /// Memory of the program afterwards, in MiB.
    pub resident_mib: Option<u64>,
    /// Whether it is an installs row: those are held against the first of them.
    pub installs: bool,
}

impl Row {
    fn to_baseline(&self, place: usize) -> f64 {
        self.measured.rate() / self.baselines[place]
    }

    /// Processor time of the program for one request, in microseconds.
    fn cpu_us(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 requests")]
        let requests = self.measured.requests as f64;
        self.cpu.map_or(f64::NAN, |cpu| cpu.as_secs_f64() * 1e6 / requests)
    }
}

/// Prints the rows in their order. Installs are held against the first row of installs by their ratios to the
/// parsing handler next to them, because minutes lie between such rows.
pub fn print(rows: &[Row]) {
    let first = rows.iter().find(|row| row.installs).map_or(f64::NAN, |row| row.to_baseline(1));
    println!();
    println!(
        "{:<36} {:>9} {:>7} {:>7} {:>7}   {:>10} {:>10} {:>12} {:>12}   {:>8}",
        "",
        "a second",
        "p50 ms",
        "p99 ms",
        "cpu us",
        "to nothing",
        "to parsing",
        "to redirects",
        "to 1st inst.",
        "MiB"
    );
    for row in rows {
        let ms = |percent| row.measured.percentile(percent).as_secs_f64() * 1_000.0;
        let to_first = if row.installs { row.to_baseline(1) / first } else { f64::NAN };
        let line = format!(
            "{:<36} {:>9.0} {:>7.2} {:>7.2} {:>7}   {:>10} {:>10} {:>12} {:>12}   {:>8}",
            row.name,
            row.measured.rate(),
            ms(50),
            ms(99),
            known(row.cpu_us(), 1),
            known(row.to_baseline(0), 2),
            known(row.to_baseline(1), 2),
            known(row.to_baseline(2), 2),
            known(to_first, 2),
            row.resident_mib.map_or_else(String::new, |mib| mib.to_string()),
        );
        println!("{}", line.trim_end());
    }
    println!();
}

/// A figure with some decimals; nothing for what is not a number.
fn known(figure: f64, decimals: usize) -> String {
    if figure.is_nan() { String::new() } else { format!("{figure:.decimals$}") }
}
