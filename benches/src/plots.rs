//! Bars as SVG: one picture for each load, and two for the README.

use std::fs;
use std::io;
use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::loads::Load;
use crate::peers::Peer;
use crate::report::on_file;
use crate::results::{Record, Results};
use crate::units::{show, show_ratio};

const WIDTH: u32 = 760;
const BAR: i32 = 22;
/// From the left to where the bars begin, and from where the longest may end to the right.
const LEFT: i32 = 126;
const RIGHT: i32 = 600;
/// How long a figure is that is written behind a bar.
const LABEL: i32 = 110;
/// A bar that would be longer than so many times the floor is cut off, so that the others can be told
/// from each other.
const MOST: f64 = 4.0;

const EKIO: RGBColor = RGBColor(0xd9, 0x53, 0x19);
const PEER: RGBColor = RGBColor(0x9a, 0xa5, 0xb1);
const FLOOR: RGBColor = RGBColor(0x3b, 0x47, 0x54);
const INK: RGBColor = RGBColor(0x24, 0x29, 0x2e);

/// Pictures of several loads: the name of the file, what stands above, and the loads.
const CHOSEN: [(&str, &str, &[&str]); 2] = [
    (
        "chosen-echo",
        "TCP echo of 64 bytes: CPU time of the server for a round trip, as a multiple of the floor's",
        &["echo-1", "echo-64", "echo-1000"],
    ),
    (
        "chosen-executor",
        "Tasks on one thread: CPU time of one operation, as a multiple of the floor's",
        &["spawn-join", "yield-1", "yield-1000", "ping-pong"],
    ),
];

/// One load in a picture.
struct Group {
    title: String,
    bars: Vec<Bar>,
    /// Whether the lengths are multiples of the floor's.
    has_floor: bool,
}

struct Bar {
    peer: &'static str,
    length: f64,
    label: String,
}

/// Draws all that is on file into `folder`, and removes what is there of loads that are not.
pub fn write(results: &Results, loads: &[&Load], peers: &[&Peer], folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let groups: Vec<(&str, Group)> = on_file(results, loads)
        .map(|(load, record)| (load.name, Group::new(load, record, peers)))
        .collect();
    for (name, group) in &groups {
        let path = folder.join(format!("{name}.svg"));
        draw(&path, "", &[group]).map_err(io::Error::other)?;
    }
    for (name, title, members) in CHOSEN {
        let is_member = |name: &str| members.contains(&name);
        let found = groups.iter().filter(|(name, _)| is_member(name));
        let found: Vec<&Group> = found.map(|(_, group)| group).collect();
        if !found.is_empty() {
            let path = folder.join(format!("{name}.svg"));
            draw(&path, title, &found).map_err(io::Error::other)?;
        }
    }
    Ok(())
}

impl Group {
    /// The figure that decides, of each peer that has it.
    fn new(load: &Load, record: &Record, peers: &[&Peer]) -> Group {
        let figure = &load.figures[0];
        let has_floor = record.summary("floor", figure.name).is_some();
        let bar = |peer: &&Peer| {
            let median = record.summary(peer.name, figure.name)?.median;
            let shown = show(median, figure.unit);
            let (length, label) = match record.ratio(peer.name, "floor", figure.name) {
                Some(ratio) => (ratio, format!("{} ({shown})", show_ratio(ratio))),
                None => (median, shown),
            };
            Some(Bar {
                peer: peer.name,
                length,
                label,
            })
        };
        Group {
            title: format!("{} ({}): {}", load.name, figure.name, load.title),
            bars: peers.iter().filter_map(bar).collect(),
            has_floor,
        }
    }

    fn height(&self) -> i32 {
        30 + BAR * i32::try_from(self.bars.len()).unwrap_or(0) + 14
    }

    /// The length that reaches to `RIGHT`.
    fn longest(&self) -> f64 {
        let longest = self.bars.iter().map(|bar| bar.length).fold(0.0, f64::max);
        let longest = longest.max(f64::MIN_POSITIVE);
        if self.has_floor {
            longest.clamp(1.25, MOST)
        } else {
            longest
        }
    }
}

type Drawn = Result<(), Box<dyn std::error::Error + Send + Sync>>;
type Canvas<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw(path: &Path, title: &str, groups: &[&Group]) -> Drawn {
    let top = if title.is_empty() { 6 } else { 34 };
    let height = top + groups.iter().map(|group| group.height()).sum::<i32>();
    let canvas = SVGBackend::new(path, (WIDTH, height.unsigned_abs())).into_drawing_area();
    // White, because a picture in a README may be shown on a dark page.
    canvas.fill(&WHITE)?;
    write_text(&canvas, title, (10, 18), (18, HPos::Left))?;
    let mut y = top;
    for group in groups {
        draw_group(&canvas, group, y)?;
        y += group.height();
    }
    canvas.present()?;
    Ok(())
}

fn draw_group(canvas: &Canvas, group: &Group, top: i32) -> Drawn {
    write_text(canvas, &group.title, (10, top + 14), (16, HPos::Left))?;
    let first = top + 30;
    let longest = group.longest();
    let x = |length: f64| LEFT + (f64::from(RIGHT - LEFT) * length.min(longest) / longest) as i32;
    for (index, bar) in group.bars.iter().enumerate() {
        let y = first + BAR * i32::try_from(index)?;
        let colour = match bar.peer {
            "ekio" => EKIO,
            "floor" => FLOOR,
            _ => PEER,
        };
        let end = x(bar.length);
        canvas.draw(&Rectangle::new(
            [(LEFT, y + 2), (end, y + BAR - 2)],
            colour.filled(),
        ))?;
        let is_cut = bar.length > longest;
        let label = format!("{}{}", if is_cut { "… " } else { "" }, bar.label);
        write_text(canvas, bar.peer, (LEFT - 8, y + BAR / 2), (15, HPos::Right))?;
        // A line that goes through the figure would make it hard to read.
        let line = x(1.0);
        let is_crossed = group.has_floor && (line - LABEL..line).contains(&end);
        let start = if is_crossed { line } else { end };
        write_text(canvas, &label, (start + 6, y + BAR / 2), (15, HPos::Left))?;
    }
    if group.has_floor {
        let bottom = first + BAR * i32::try_from(group.bars.len())?;
        let line = [(x(1.0), first - 2), (x(1.0), bottom + 2)];
        canvas.draw(&PathElement::new(line, FLOOR.stroke_width(1)))?;
    }
    Ok(())
}

/// `at` is the middle of its height, and its left or right end.
fn write_text(canvas: &Canvas, text: &str, at: (i32, i32), (size, end): (u32, HPos)) -> Drawn {
    let style = ("sans-serif", size).into_text_style(canvas).color(&INK);
    let style = style.pos(Pos::new(end, VPos::Center));
    canvas.draw(&Text::new(text.to_owned(), at, style))?;
    Ok(())
}
