//! A table of rows.

use crate::report::row::{Ahead, Row, ahead, groups};

/// The rows of a theme. The name and the figure of ours are given once, and then all who stand beside it.
pub fn table(rows: &[Row], theme: &str) -> String {
    let rows: Vec<Row> = rows
        .iter()
        .filter(|row| row.theme == theme)
        .cloned()
        .collect();
    if rows.is_empty() {
        return "Not measured in this run.".into();
    }
    let mut text = "| what | ours | beside | theirs | ratio | ahead | target |\n\
                    |---|---:|---|---:|---:|---|---|\n"
        .to_owned();
    for group in groups(&rows) {
        for (index, row) in group.rows().iter().enumerate() {
            let (name, ours) = match index {
                0 => (group.name(), row.unit.write(row.ours)),
                _ => ("", String::new()),
            };
            text += &line(name, &ours, row);
        }
    }
    text
}

fn line(name: &str, ours: &str, row: &Row) -> String {
    let peer = row.unit.write(row.peer);
    let Row { beside, ratio, .. } = row;
    let (ahead, target) = (who_is_ahead(row), target(row));
    format!("| {name} | {ours} | {beside} | {peer} | {ratio:.3} | {ahead} | {target} |\n")
}

/// Of limits, figures and other ways of ours, nothing: one cannot use them instead.
fn who_is_ahead(row: &Row) -> String {
    match ahead(row.ratio) {
        _ if !row.beside.is_peer() => String::new(),
        Ahead::Ours => format!("ours, {} ×", factor(1.0 / row.ratio)),
        Ahead::Peer => format!("**peer**, {} ×", factor(row.ratio)),
        Ahead::Neither => "even".into(),
    }
}

/// How many times, to two digits or three.
pub fn factor(factor: f64) -> String {
    match factor {
        factor if factor < 9.95 => format!("{factor:.1}"),
        factor => format!("{factor:.0}"),
    }
}

fn target(row: &Row) -> String {
    match (row.target, row.holds) {
        (Some(most), Some(true)) => format!("≤ {most}: yes"),
        (Some(most), _) => format!("≤ {most}: **no**"),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        beside::limit,
        row::tests::{aimed, row},
    };

    #[test]
    fn a_peer_that_is_ahead_is_shown_as_such() {
        let rows = [
            row("lock", limit("bare"), [30.0, 10.0]),
            row("lock", "glibc", [30.0, 20.0]),
            row("lock", "raw_sync", [30.0, 600.0]),
            row("lock", "even", [30.0, 30.5]),
        ];
        let text = table(&rows, "Locks");
        let lines: Vec<_> = text.lines().skip(2).collect();
        assert_eq!(
            lines[0],
            "| lock | 30.0 ns | bare (limit) | 10.0 ns | 3.000 |  |  |"
        );
        assert_eq!(
            lines[1],
            "|  |  | glibc | 20.0 ns | 1.500 | **peer**, 1.5 × |  |"
        );
        assert_eq!(
            lines[2],
            "|  |  | raw_sync | 600 ns | 0.050 | ours, 20 × |  |"
        );
        assert_eq!(lines[3], "|  |  | even | 30.5 ns | 0.984 | even |  |");
    }

    #[test]
    fn a_target_says_whether_it_holds() {
        let rows = [
            aimed(row("lock", "glibc", [30.0, 20.0]), 1.2, None),
            aimed(row("lock", "glibc", [20.0, 20.0]), 1.2, None),
        ];
        let text = table(&rows, "Locks");
        assert!(text.contains("≤ 1.2: **no**"));
        assert!(text.contains("≤ 1.2: yes"));
    }

    #[test]
    fn rows_of_other_themes_are_not_there() {
        let rows = [row("lock", "glibc", [1.0, 1.0])];
        assert_eq!(
            table(&rows, "Queues and pipes"),
            "Not measured in this run."
        );
    }
}
