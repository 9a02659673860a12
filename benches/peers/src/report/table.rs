//! Rows and curves as text on a terminal.

use super::{
    curve::{Axis, Curve, Series},
    row::{Ahead, Row, ahead},
};

/// What stands above the rows.
pub fn heading() -> String {
    columns([
        "row", "beside", "ours", "peer", "ratio", "ahead", "target", "holds",
    ])
}

/// One row.
pub fn line(row: &Row) -> String {
    let ahead = match ahead(row.ratio) {
        _ if !row.beside.is_peer() => "",
        Ahead::Ours => "ours",
        Ahead::Peer => "PEER",
        Ahead::Neither => "even",
    };
    columns([
        &row.row.replace('`', ""),
        &row.beside.to_string().replace('`', ""),
        &row.unit.write(row.ours),
        &row.unit.write(row.peer),
        &format!("{:.3}", row.ratio),
        ahead,
        &row.target.map_or("-".into(), |most| format!("<= {most}")),
        match row.holds {
            None => "-",
            Some(true) => "yes",
            Some(false) => "NO",
        },
    ])
}

fn columns([row, beside, ours, peer, ratio, ahead, target, holds]: [&str; 8]) -> String {
    format!("{row:38} {beside:40} {ours:>9} {peer:>9} {ratio:>8} {ahead:>5} {target:>8}  {holds}")
}

/// A curve as a table: a line for each place, a column for each party.
pub fn of_curve(curve: &Curve) -> String {
    let Axis { label, .. } = curve.y;
    let mut text = format!("\n{}: {label}\n{:>10}", curve.name, curve.x.label);
    for series in &curve.series {
        text += &format!("  {:>w$}", series.name, w = width(series));
    }
    for x in curve.xs() {
        text += &format!("\n{:>10}", curve.x.unit.mark(x));
        for series in &curve.series {
            let y = Curve::at(series, x).map_or("-".into(), |y| curve.y.unit.write(y));
            text += &format!("  {y:>w$}", w = width(series));
        }
    }
    text
}

fn width(series: &Series) -> usize {
    series.name.chars().count().max(9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        beside::limit,
        row::tests::{aimed, row},
    };

    #[test]
    fn who_is_ahead_is_said_of_peers_only() {
        assert!(line(&row("lock", "glibc", [30.0, 20.0])).contains("PEER"));
        assert!(line(&row("lock", "glibc", [10.0, 20.0])).contains("ours"));
        assert!(!line(&row("lock", limit("bare"), [30.0, 20.0])).contains("PEER"));
    }

    #[test]
    fn a_missed_target_stands_out() {
        let row = aimed(row("lock", "glibc", [30.0, 20.0]), 1.2, None);
        assert!(line(&row).ends_with("<= 1.2  NO"));
    }

    #[test]
    fn a_curve_has_a_dash_where_a_party_has_no_point() {
        let axis = Axis::bytes("payload");
        let mut curve = Curve::new("curve", axis, axis);
        curve.add("ours", [8.0, 1.0]);
        curve.add("ours", [64.0, 1.0]);
        curve.add("queue", [8.0, 2.0]);
        let text = of_curve(&curve);
        assert!(text.lines().last().unwrap().trim_end().ends_with('-'));
    }
}
