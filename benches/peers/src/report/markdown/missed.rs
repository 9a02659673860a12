//! Targets that are missed, and why.

use crate::report::row::Row;

/// Every row that misses its target in this run, those of one reason together.
pub fn section(rows: &[Row]) -> String {
    let missed: Vec<&Row> = rows.iter().filter(|row| row.misses()).collect();
    if missed.is_empty() {
        return "None is, in this run.".into();
    }
    let mut reasons: Vec<Option<&str>> = Vec::new();
    for row in &missed {
        if !reasons.contains(&row.because) {
            reasons.push(row.because);
        }
    }
    // What is not explained comes last.
    reasons.sort_by_key(Option::is_none);
    let mut text = String::new();
    for reason in reasons {
        for row in missed.iter().filter(|row| row.because == reason) {
            text += &line(row);
        }
        text += &format!("\n{}\n\n", reason.unwrap_or("Not explained."));
    }
    text
}

fn line(row: &Row) -> String {
    let most = row.target.unwrap_or(f64::NAN);
    let Row {
        row: name,
        beside,
        ratio,
        ..
    } = row;
    format!("* **{name}**, beside {beside}: {ratio:.3}, at most {most} wanted\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::row::tests::{aimed, row};

    #[test]
    fn rows_of_one_reason_share_it_and_the_unexplained_come_last() {
        let rows = [
            aimed(row("a", "peer", [2.0, 1.0]), 1.2, None),
            aimed(row("b", "peer", [2.0, 1.0]), 1.2, Some("It waits.")),
            aimed(row("c", "peer", [1.0, 1.0]), 1.2, Some("It waits.")),
            aimed(row("d", "peer", [3.0, 1.0]), 1.2, Some("It waits.")),
        ];
        assert_eq!(
            section(&rows),
            "* **b**, beside peer: 2.000, at most 1.2 wanted\n\
             * **d**, beside peer: 3.000, at most 1.2 wanted\n\
             \nIt waits.\n\n\
             * **a**, beside peer: 2.000, at most 1.2 wanted\n\
             \nNot explained.\n\n"
        );
    }

    #[test]
    fn a_run_that_misses_nothing_says_so() {
        assert_eq!(section(&[]), "None is, in this run.");
    }
}
