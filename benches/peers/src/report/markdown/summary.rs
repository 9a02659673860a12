//! The whole in a few lines.

use super::rows::factor;
use crate::report::{
    beside::Beside,
    row::{Ahead, Row, ahead, groups},
    unit::Unit,
};

/// How often ours is ahead of the best peer, where it is not, and how many targets hold.
pub fn of(rows: &[Row]) -> String {
    let between_processes = best(rows, |beside| matches!(beside, Beside::Processes(_)));
    let between_threads = best(rows, |beside| matches!(beside, Beside::Threads(_)));
    let count = |who| {
        let of_these = between_processes
            .iter()
            .filter(|row| ahead(row.ratio) == who);
        of_these.count()
    };
    let aims = rows.iter().filter(|row| row.target.is_some()).count();
    let missed = rows.iter().filter(|row| row.misses()).count();
    let mut text = format!(
        "Of {} kinds of work that a peer does between processes, too, ours is ahead of the best one in {}, even with it \
         (within 5 %) in {}, and behind it in {}. Of {aims} targets, {missed} are missed in this run.\n",
        between_processes.len(),
        count(Ahead::Ours),
        count(Ahead::Neither),
        count(Ahead::Peer),
    );
    let kinds = [
        ("A peer between processes is ahead in", between_processes),
        (
            "A peer between threads, which need share nothing, is ahead in",
            between_threads,
        ),
    ];
    for (says, best) in kinds {
        let behind = behind(best);
        if !behind.is_empty() {
            text += &format!("\n{says}: {}.\n", behind.join("; "));
        }
    }
    text + "\n![Ours beside the best peer, a bar for each row](plots/summary.svg)\n"
}

/// Of each row that is a duration, the best one of a kind.
fn best(rows: &[Row], kind: fn(Beside) -> bool) -> Vec<&Row> {
    let best = groups(rows).filter_map(|group| group.best(kind));
    best.filter(|row| row.unit == Unit::Nanoseconds).collect()
}

/// Those that are ahead, by how much, the most first.
fn behind(mut best: Vec<&Row>) -> Vec<String> {
    best.retain(|row| ahead(row.ratio) == Ahead::Peer);
    best.sort_by(|a, b| b.ratio.total_cmp(&a.ratio));
    let says = |row: &Row| format!("{} ({}, {} ×)", row.row, row.beside, factor(row.ratio));
    best.into_iter().map(says).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        beside::{limit, threads},
        row::tests::{aimed, row},
    };

    #[test]
    fn counts_each_row_once_by_its_best_peer() {
        let rows = [
            row("a", limit("bare"), [10.0, 1.0]),
            row("a", threads("std"), [10.0, 5.0]),
            aimed(row("a", "glibc", [10.0, 20.0]), 0.4, None),
            row("b", "glibc", [10.0, 20.0]),
            row("c", limit("bare"), [10.0, 1.0]),
        ];
        let text = of(&rows);
        assert!(text.starts_with("Of 2 kinds of work"));
        assert!(text.contains("ahead of the best one in 2,"));
        assert!(text.contains("Of 1 targets, 1 are missed"));
        assert!(text.contains(
            "between threads, which need share nothing, is ahead in: a (std (threads), 2.0 ×).\n"
        ));
        assert!(!text.contains("A peer between processes is ahead"));
    }
}
