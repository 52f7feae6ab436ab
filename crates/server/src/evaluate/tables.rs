//! The outcome as tables that can be pasted into a document.

use std::io::Write as _;

use simulate::city::{FLOODER, INJECTOR, NETWORKS};

use super::{
    DEFAULTS, EvaluateOptions,
    score::{Row, Score},
    town::Town,
};

/// A table in Markdown: a line of names, then rows.
fn table<const N: usize>(names: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(&names.map(ToOwned::to_owned));
    text.push_str(&line(&["---"; N].map(ToOwned::to_owned)));
    text.extend(rows.into_iter().map(|row| line(&row)));
    text
}

/// Where there is nothing to tell.
const NONE: &str = "–";

/// A share in percent.
fn share(part: usize, of: usize) -> String {
    if of == 0 {
        return NONE.to_owned();
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of installs")]
    let percent = 100.0 * part as f64 / of as f64;
    format!("{percent:.1} %")
}

/// Prints everything.
pub fn print(
    options: &EvaluateOptions,
    honest: &Town,
    with_fraud: &Town,
    modes: &[(&str, Score)],
    rules: &[(&str, Score)],
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "Seed {}, {} people. Without fraud: {} calls, {} installs. With fraud: {} calls, {} installs.\n",
        options.seed,
        options.people,
        honest.inputs(),
        honest.installs(),
        with_fraud.inputs(),
        with_fraud.installs()
    )?;
    if let Some((_, score)) = modes.iter().find(|(name, _)| *name == DEFAULTS) {
        writeln!(out, "What each match class is worth (defaults, no fraud)\n\n{}", classes(score))?;
    }
    writeln!(out, "Modes of modeled matching (no fraud)\n\n{}", modeled(modes))?;
    writeln!(out, "What fraud gains under each rule, set to reject\n\n{}", spoils(rules))?;
    Ok(())
}

/// Precision: of the installs of a class, those credited to their very ad. Recall: of the installs that could be
/// found so, because click or impression and install have that in common, those credited to their very ad.
fn classes(score: &Score) -> String {
    let names = [
        "class",
        "installs",
        "precision",
        "right network",
        "wrong network",
        "was organic",
        "other person's ad",
        "ambiguous",
        "to be found",
        "recall",
    ];
    table(
        names,
        score.classes.iter().map(|(row, class)| {
            let truth = score.truth(*row);
            let of_ads =
                |part| if *row == Row::ORGANIC { NONE.to_owned() } else { share(part, class.credited) };
            [
                row.name(),
                class.credited.to_string(),
                share(class.right, class.credited),
                of_ads(class.right + class.right_network),
                of_ads(class.wrong_network),
                of_ads(class.was_organic),
                of_ads(class.strangers),
                of_ads(class.ambiguous),
                truth.map_or_else(|| NONE.to_owned(), |truth| truth.installs.to_string()),
                truth.map_or_else(|| NONE.to_owned(), |truth| share(truth.found, truth.installs)),
            ]
        }),
    )
}

fn modeled(modes: &[(&str, Score)]) -> String {
    let names = ["setting", "modeled", "precision", "right network", "recall of guesses", "ambiguous"];
    table(
        names,
        modes.iter().map(|(name, score)| {
            let (class, guesses) = (score.class("modeled"), score.guesses());
            [
                format!("`{name}`"),
                class.credited.to_string(),
                share(class.right, class.credited),
                share(class.right + class.right_network, class.credited),
                share(guesses.found, guesses.installs),
                share(class.ambiguous, class.credited),
            ]
        }),
    )
}

fn spoils(rules: &[(&str, Score)]) -> String {
    let names = [
        "rule",
        "gained by fraud",
        NETWORKS[FLOODER].name,
        NETWORKS[INJECTOR].name,
        "of organic people",
        "of other networks",
        "made up",
        "earned by honest networks",
    ];
    table(
        names,
        rules.iter().map(|(name, score)| {
            let all = score.all_spoils();
            let of = |network| score.spoils.get(&network).map_or(0, super::score::Spoils::all).to_string();
            [
                format!("`{name}`"),
                all.all().to_string(),
                of(FLOODER),
                of(INJECTOR),
                all.organic.to_string(),
                all.stolen.to_string(),
                all.fake.to_string(),
                score.earned.to_string(),
            ]
        }),
    )
}
