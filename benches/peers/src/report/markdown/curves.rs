//! A curve: its picture, and its figures for whoever cannot see it.

use crate::report::curve::Curve;

/// The curve of this name.
pub fn section(curves: &[Curve], name: &str) -> String {
    let Some(curve) = curves.iter().find(|curve| curve.name == name) else {
        return "Not measured in this run.".into();
    };
    let Curve { x, y, .. } = curve;
    format!(
        "![{}, over {}: {}](plots/{}.svg)\n\n<details><summary>figures</summary>\n\n{}\n</details>\n",
        y.label,
        x.label,
        curve.name,
        curve.file_name(),
        table(curve)
    )
}

fn table(curve: &Curve) -> String {
    let xs = curve.xs();
    let mut text = format!("| {} |", curve.x.label);
    for x in &xs {
        text += &format!(" {} |", curve.x.unit.mark(*x));
    }
    text += &format!("\n|---|{}\n", "---:|".repeat(xs.len()));
    for series in &curve.series {
        text += &format!("| {} |", series.name);
        for x in &xs {
            let y = Curve::at(series, *x).map_or(String::new(), |y| curve.y.unit.write(y));
            text += &format!(" {y} |");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::curve::Axis;

    #[test]
    fn figures_stand_under_the_places_where_they_were_measured() {
        let x = Axis::bytes("payload");
        let mut curve = Curve::new("Payload", x, Axis::nanoseconds("time"));
        curve.add("ours", [8.0, 10.0]);
        curve.add("ours", [4096.0, 20.0]);
        curve.add("queue", [4096.0, 30.0]);
        assert_eq!(
            table(&curve),
            "| payload | 8 B | 4 KiB |\n\
             |---|---:|---:|\n\
             | ours | 10.0 ns | 20.0 ns |\n\
             | queue |  | 30.0 ns |\n"
        );
        assert!(
            section(&[curve], "Payload")
                .starts_with("![time, over payload: Payload](plots/payload.svg)")
        );
    }
}
