//! The samples as a picture: four panels over time, a line for each node, a tick for each fault. SVG as text,
//! so that nothing has to be installed to draw or to see it.

use std::fmt::Write;
use std::time::Duration;

use super::sample::Sample;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 170.0;
const LEFT: f64 = 80.0;
const TOP: f64 = 26.0;
const GAP: f64 = 34.0;
const COLOURS: [&str; 3] = ["#1f77b4", "#d9822b", "#2b8a3e"];

/// A panel: its title and unit, and the value of each line.
struct Panel<'a> {
    title: &'a str,
    lines: Vec<Vec<f64>>,
}

pub(super) fn svg(samples: &[Sample], settled: Duration) -> String {
    let nodes = samples.first().map_or(0, |sample| sample.nodes.len());
    let of_nodes = |value: &dyn Fn(&Sample, usize) -> f64| {
        let line = |node| samples.iter().map(|sample| value(sample, node)).collect();
        (0..nodes).map(line).collect()
    };
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    let panels = [
        Panel {
            title: "resident memory, MiB",
            lines: of_nodes(&|sample, node| mib(sample.nodes[node].resident)),
        },
        Panel {
            title: "open descriptors",
            lines: of_nodes(&|sample, node| sample.nodes[node].descriptors as f64),
        },
        Panel { title: "disk, MiB", lines: of_nodes(&|sample, node| mib(sample.nodes[node].disk)) },
        Panel {
            title: "p99 of appends in 10 s, ms (up to 100)",
            lines: vec![samples.iter().map(|sample| sample.p99_ms.min(100.0)).collect()],
        },
    ];
    let height = TOP + panels.len() as f64 * (HEIGHT + GAP);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        LEFT + WIDTH + 20.0,
    );
    let end = samples.last().map_or(1.0, |sample| sample.at.as_secs_f64());
    for (at, panel) in panels.iter().enumerate() {
        draw(&mut out, panel, samples, settled, end, TOP + at as f64 * (HEIGHT + GAP));
    }
    out + "</svg>\n"
}

fn draw(
    out: &mut String,
    panel: &Panel<'_>,
    samples: &[Sample],
    settled: Duration,
    end: f64,
    top: f64,
) {
    let most = panel.lines.iter().flatten().copied().fold(1.0, f64::max) * 1.1;
    let x = |seconds: f64| LEFT + WIDTH * seconds / end;
    let y = |value: f64| top + HEIGHT * (1.0 - value / most);
    let bottom = top + HEIGHT;
    let from = x(settled.as_secs_f64().min(end));
    let _ = writeln!(
        out,
        "<rect x=\"{from:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{HEIGHT}\" fill=\"#f2f6fa\"/>\n\
         <text x=\"{LEFT}\" y=\"{:.1}\" font-weight=\"bold\">{}</text>",
        LEFT + WIDTH - from,
        top - 6.0,
        panel.title,
    );
    for step in 0..=4 {
        let value = most * f64::from(step) / 4.0;
        let (at, label) = (y(value), LEFT - 6.0);
        let _ = writeln!(
            out,
            "<path d=\"M{LEFT} {at:.1}h{WIDTH}\" stroke=\"#ddd\"/>\
             <text x=\"{label}\" y=\"{:.1}\" text-anchor=\"end\">{value:.0}</text>",
            at + 4.0,
        );
        let minutes = end * f64::from(step) / 4.0 / 60.0;
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{minutes:.0} min</text>",
            x(end * f64::from(step) / 4.0),
            bottom + 14.0,
        );
    }
    let fault = samples.windows(2).filter(|pair| pair[1].faults > pair[0].faults);
    for pair in fault {
        let at = x(pair[1].at.as_secs_f64());
        let _ = writeln!(out, "<path d=\"M{at:.1} {bottom}v-5\" stroke=\"#c00\"/>");
    }
    for (line, colour) in panel.lines.iter().zip(COLOURS) {
        let mut points = String::new();
        for (sample, value) in samples.iter().zip(line) {
            let _ = write!(points, "{:.1},{:.1} ", x(sample.at.as_secs_f64()), y(*value));
        }
        let _ = writeln!(out, "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\"/>");
    }
}
