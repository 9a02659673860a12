//! One row: ours, a peer, the ratio, the target and whether it holds.

use serde::{Serialize, Serializer};

use super::{beside::Beside, unit::Unit};

/// One party beside ours.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The heading under which it is shown.
    pub theme: &'static str,
    pub row: String,
    #[serde(serialize_with = "as_text")]
    pub beside: Beside,
    pub unit: Unit,
    pub ours: f64,
    pub peer: f64,
    /// Ours by the peer's: below 1, ours is ahead.
    pub ratio: f64,
    #[serde(rename = "ratio_at_most")]
    pub target: Option<f64>,
    pub holds: Option<bool>,
    /// Why the target may be missed, when that is known.
    pub because: Option<&'static str>,
}

fn as_text<S: Serializer>(beside: &Beside, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(beside)
}

/// Who of two is ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ahead {
    Ours,
    Peer,
    /// Neither, by more than what figures move from run to run.
    Neither,
}

/// Ratios so near to 1 say nothing.
const EVEN: f64 = 1.05;

/// Who is ahead at this ratio of ours by the peer's.
pub fn ahead(ratio: f64) -> Ahead {
    match ratio {
        ratio if ratio > EVEN => Ahead::Peer,
        ratio if ratio < 1.0 / EVEN => Ahead::Ours,
        _ => Ahead::Neither,
    }
}

impl Row {
    /// Whether it has a target and misses it.
    pub fn misses(&self) -> bool {
        self.holds == Some(false)
    }
}

/// All parties that stand beside ours in one row. Never empty.
#[derive(Clone, Copy)]
pub struct Group<'a>(&'a [Row]);

/// The rows, grouped by name: those of one name follow each other.
pub fn groups(rows: &[Row]) -> impl Iterator<Item = Group<'_>> {
    rows.chunk_by(|a, b| a.row == b.row).map(Group)
}

impl<'a> Group<'a> {
    /// Its name.
    pub fn name(self) -> &'a str {
        &self.0[0].row
    }

    /// Its rows.
    pub fn rows(self) -> &'a [Row] {
        self.0
    }

    /// The fastest of those that `which` picks.
    pub fn best(self, which: impl Fn(Beside) -> bool) -> Option<&'a Row> {
        let picked = self.0.iter().filter(|row| which(row.beside));
        picked.min_by(|a, b| a.peer.total_cmp(&b.peer))
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::report::beside::{limit, own, threads};

    /// A row of durations.
    pub fn row(name: &str, beside: impl Into<Beside>, [ours, peer]: [f64; 2]) -> Row {
        Row {
            theme: "Locks",
            row: name.into(),
            beside: beside.into(),
            unit: Unit::Nanoseconds,
            ours,
            peer,
            ratio: ours / peer,
            target: None,
            holds: None,
            because: None,
        }
    }

    /// The same with a target.
    pub fn aimed(row: Row, at_most: f64, because: Option<&'static str>) -> Row {
        Row {
            target: Some(at_most),
            holds: Some(row.ratio <= at_most),
            because,
            ..row
        }
    }

    #[test]
    fn within_a_twentieth_nobody_is_ahead() {
        assert_eq!(ahead(1.04), Ahead::Neither);
        assert_eq!(ahead(0.96), Ahead::Neither);
        assert_eq!(ahead(1.06), Ahead::Peer);
        assert_eq!(ahead(0.9), Ahead::Ours);
    }

    #[test]
    fn the_best_peer_is_neither_a_limit_nor_ours() {
        let rows = [
            row("a", limit("bare"), [10.0, 1.0]),
            row("a", own("other"), [10.0, 2.0]),
            row("a", threads("std"), [10.0, 5.0]),
            row("a", "glibc", [10.0, 20.0]),
            row("b", "glibc", [1.0, 3.0]),
        ];
        let groups: Vec<_> = groups(&rows).collect();
        assert_eq!(groups.len(), 2);
        let best = groups[0].best(Beside::is_peer).unwrap();
        assert_eq!(best.beside, threads("std"));
        let best = groups[0].best(|beside| matches!(beside, Beside::Processes(_)));
        assert_eq!(best.unwrap().beside, "glibc".into());
    }
}
