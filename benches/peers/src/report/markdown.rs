//! The document: its template, filled with what was measured.
//!
//! A line of the template that is wholly `{{what}}` is replaced by it; `{{what: which}}` says which of them.

mod curves;
mod missed;
mod rows;
mod summary;

use std::error::Error;

use super::Results;

const TEMPLATE: &str = include_str!("../../benchmarks.md.in");

/// All of `benchmarks.md`.
pub fn document(results: &Results) -> Result<String, Box<dyn Error>> {
    fill(TEMPLATE, results)
}

fn fill(template: &str, results: &Results) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    for line in template.lines() {
        let asked = line.strip_prefix("{{").and_then(|l| l.strip_suffix("}}"));
        match asked {
            Some(what) => text += part(what, results)?.trim_end(),
            None => text += line,
        }
        text.push('\n');
    }
    Ok(text)
}

fn part(what: &str, results: &Results) -> Result<String, Box<dyn Error>> {
    let (what, which) = what.split_once(": ").unwrap_or((what, ""));
    Ok(match what {
        "machine" => machine(results),
        "summary" => summary::of(&results.rows),
        "rows" => rows::table(&results.rows, which),
        "curve" => curves::section(&results.curves, which),
        "missed" => missed::section(&results.rows),
        "failures" => failures(&results.failures),
        _ => return Err(format!("the template asks for {what}, which nobody knows").into()),
    })
}

fn machine(results: &Results) -> String {
    let mut text = results.machine.to_string();
    if results.quick {
        text += "\n\n**A smoke run: everything was done once or a few times, and no figure means anything.**";
    }
    text
}

fn failures(failures: &[String]) -> String {
    if failures.is_empty() {
        return String::new();
    }
    let mut text = "Not measured in this run, because it failed:\n".to_owned();
    for failure in failures {
        text += &format!("\n* {}", failure.trim().replace('\n', " "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        report::{machine::Machine, row::tests::row},
        rows::THEMES,
    };

    fn results() -> Results {
        Results {
            machine: Machine::default(),
            quick: false,
            rows: vec![row("lock", "glibc", [10.0, 20.0])],
            curves: Vec::new(),
            failures: vec!["it\nbroke".into()],
        }
    }

    #[test]
    fn the_template_asks_for_every_theme_once_and_for_nothing_unknown() {
        for theme in THEMES {
            let asks = format!("{{{{rows: {}}}}}\n", theme.title);
            assert_eq!(TEMPLATE.matches(&asks).count(), 1, "{asks}");
        }
        let text = document(&results()).unwrap();
        assert!(!text.contains("{{"));
    }

    #[test]
    fn a_template_that_asks_for_what_nobody_knows_is_an_error() {
        assert!(fill("{{whatever}}\n", &results()).is_err());
    }

    #[test]
    fn what_failed_is_named_on_a_line_of_its_own() {
        let text = fill("before\n\n{{failures}}\n", &results()).unwrap();
        assert!(text.ends_with("\n* it broke\n"));
    }
}
