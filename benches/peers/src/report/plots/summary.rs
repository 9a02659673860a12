//! All rows as bars: how many times as fast as the best peer ours is.

use std::error::Error;

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{FONT, GREY, OURS, PEERS};
use crate::report::{
    beside::Beside,
    row::{Ahead, Group, Row, ahead, groups},
    unit::Unit,
};

const WIDTH: u32 = 900;
/// The height of a row.
const ROW: i32 = 22;
/// Where the rows begin.
const TOP: i32 = 92;
/// Where the least and the greatest factor are.
const BARS: [i32; 2] = [330, 660];
/// What is further is drawn here.
const FACTORS: [f64; 2] = [0.1, 1000.0];
const MARKS: [f64; 5] = [0.1, 1.0, 10.0, 100.0, 1000.0];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// What stands in a line of the picture.
enum Line<'a> {
    Heading(&'static str),
    Bar(Group<'a>),
}

/// A bar for the best peer between processes, a diamond for the best between threads.
pub fn summary(rows: &[Row]) -> Result<String, Box<dyn Error>> {
    let lines = lines(rows);
    let bottom = TOP + ROW * lines.len() as i32;
    let mut picture = String::new();
    let size = (WIDTH, bottom as u32 + 20);
    let area = SVGBackend::with_string(&mut picture, size).into_drawing_area();
    area.fill(&WHITE)?;
    let title = "Ours: how many times as fast as the best peer";
    text(&area, title, (BARS[0], 22), HPos::Left, 20)?;
    legend(&area)?;
    for mark in MARKS {
        let x = across(mark);
        let grey = if mark == 1.0 { 90 } else { 215 };
        let line = PathElement::new([(x, TOP - 8), (x, bottom)], RGBColor(grey, grey, grey));
        area.draw(&line)?;
        text(&area, &format!("{mark} ×"), (x, TOP - 16), HPos::Center, 14)?;
    }
    for (index, line) in lines.into_iter().enumerate() {
        let y = TOP + ROW * index as i32 + ROW / 2;
        match line {
            Line::Heading(theme) => text(&area, theme, (12, y), HPos::Left, 16)?,
            Line::Bar(group) => bar(&area, group, y)?,
        }
    }
    area.present()?;
    drop(area);
    Ok(picture)
}

/// The durations that have a peer, under their themes.
fn lines(rows: &[Row]) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut heading = None;
    for group in groups(rows) {
        let Some(best) = group.best(Beside::is_peer) else {
            continue;
        };
        if best.unit != Unit::Nanoseconds {
            continue;
        }
        if heading != Some(best.theme) {
            heading = Some(best.theme);
            lines.push(Line::Heading(best.theme));
        }
        lines.push(Line::Bar(group));
    }
    lines
}

fn legend(area: &Area) -> Result<(), Box<dyn Error>> {
    let entries = [
        (Ahead::Ours, "ours is ahead"),
        (Ahead::Neither, "even"),
        (Ahead::Peer, "the peer is ahead"),
    ];
    let mut x = BARS[0];
    for (who, says) in entries {
        area.draw(&Rectangle::new(
            [(x, 44), (x + 14, 56)],
            colour(who).filled(),
        ))?;
        text(area, says, (x + 20, 50), HPos::Left, 14)?;
        x += 40 + 7 * says.len() as i32;
    }
    diamond(area, (x + 7, 50))?;
    text(area, "best between threads", (x + 20, 50), HPos::Left, 14)
}

fn bar(area: &Area, group: Group, y: i32) -> Result<(), Box<dyn Error>> {
    let name = group.name().replace('`', "");
    text(area, &name, (BARS[0] - 14, y), HPos::Right, 14)?;
    let between_processes = group.best(|beside| matches!(beside, Beside::Processes(_)));
    let between_threads = group.best(|beside| matches!(beside, Beside::Threads(_)));
    if let Some(row) = between_processes {
        let end = across(1.0 / row.ratio);
        let corners = [(across(1.0).min(end), y - 7), (across(1.0).max(end), y + 7)];
        area.draw(&Rectangle::new(corners, colour(ahead(row.ratio)).filled()))?;
    }
    if let Some(row) = between_threads {
        diamond(area, (across(1.0 / row.ratio), y))?;
    }
    if let Some(row) = between_processes.or(between_threads) {
        let beside = row.beside.to_string().replace('`', "");
        let says = format!("{} × {beside}", short(1.0 / row.ratio));
        text(area, &says, (BARS[1] + 14, y), HPos::Left, 13)?;
    }
    Ok(())
}

fn diamond(area: &Area, (x, y): (i32, i32)) -> Result<(), Box<dyn Error>> {
    let corners = [(x - 6, y), (x, y - 6), (x + 6, y), (x, y + 6)];
    area.draw(&Polygon::new(corners, BLACK.filled()))?;
    Ok(())
}

fn colour(who: Ahead) -> RGBColor {
    match who {
        Ahead::Ours => OURS[0],
        Ahead::Peer => PEERS[0],
        Ahead::Neither => GREY,
    }
}

fn text(
    area: &Area,
    says: &str,
    at: (i32, i32),
    side: HPos,
    size: i32,
) -> Result<(), Box<dyn Error>> {
    let style = (FONT, size).into_font().into_text_style(area);
    let style = style.pos(Pos::new(side, VPos::Center));
    Ok(area.draw_text(says, &style, at)?)
}

/// How far to the right a factor is, in pixels.
fn across(factor: f64) -> i32 {
    let [least, greatest] = FACTORS.map(f64::log10);
    let share = (factor.log10() - least) / (greatest - least);
    let [left, right] = BARS.map(f64::from);
    (left + share.clamp(0.0, 1.0) * (right - left)) as i32
}

/// A factor to two digits or so.
fn short(factor: f64) -> String {
    match factor {
        factor if factor < 0.095 => format!("{factor:.2}"),
        factor if factor < 9.95 => format!("{factor:.1}"),
        factor => format!("{factor:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{beside::threads, row::tests::row};

    #[test]
    fn what_is_beyond_the_edge_is_drawn_at_the_edge() {
        assert_eq!(across(1e9), BARS[1]);
        assert_eq!(across(1e-9), BARS[0]);
    }

    #[test]
    fn a_row_shows_the_best_peer_of_each_kind() {
        let rows = [
            row("`Mutex`", threads("std"), [10.0, 5.0]),
            row("`Mutex`", "glibc", [10.0, 34.0]),
            row("`Mutex`", "raw_sync", [10.0, 90.0]),
        ];
        let picture = summary(&rows).unwrap();
        assert!(picture.contains("3.4 × glibc"));
        assert!(!picture.contains("raw_sync"));
        assert_eq!(picture.matches("<polygon").count(), 2);
    }
}
