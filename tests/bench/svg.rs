//! How the cost grows with the state, as a small plot: size of the stack across, time upwards, both by powers of ten.

use std::fmt::Write;
use std::time::Duration;

use super::figures::Figures;

/// One line of the plot.
pub struct Curve {
    /// What stands beside its end.
    pub label: String,
    /// A color.
    pub color: &'static str,
    /// Whether it is another server's.
    pub is_dashed: bool,
    /// Resources in the stack, and the median time.
    pub points: Vec<(usize, Duration)>,
}

impl Curve {
    /// Without points yet.
    pub fn new(label: impl Into<String>, color: &'static str, is_dashed: bool) -> Curve {
        Curve { label: label.into(), color, is_dashed, points: Vec::new() }
    }

    /// Adds the median of what was measured at this size.
    pub fn push(&mut self, n_resources: usize, figures: &Figures) {
        self.points.extend(figures.percentile(0.5).map(|p50| (n_resources, p50)));
    }
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 210.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 50.0;
/// 100 to 100,000 resources.
const DECADES_X: (f64, f64) = (2.0, 5.0);
/// 0.1 ms to 100 s.
const DECADES_Y: (f64, f64) = (-1.0, 5.0);

/// The plot as an SVG document; readable on light and dark pages.
pub fn plot(curves: &[Curve]) -> String {
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>
"#
    );
    grid(&mut svg);
    curves.iter().for_each(|curve| draw(&mut svg, curve));
    svg.push_str("</svg>\n");
    svg
}

fn x(n_resources: f64) -> f64 {
    let (low, high) = DECADES_X;
    LEFT + (n_resources.log10() - low) / (high - low) * (WIDTH - LEFT - RIGHT)
}

fn y(millis: f64) -> f64 {
    let (low, high) = DECADES_Y;
    HEIGHT - BOTTOM - (millis.log10() - low) / (high - low) * (HEIGHT - TOP - BOTTOM)
}

fn grid(svg: &mut String) {
    let (left, right, bottom) = (LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM);
    for (millis, label) in [
        (0.1, "0.1 ms"),
        (1.0, "1 ms"),
        (10.0, "10 ms"),
        (100.0, "100 ms"),
        (1e3, "1 s"),
        (1e4, "10 s"),
        (1e5, "100 s"),
    ] {
        let at = y(millis);
        writeln!(svg, r##"<path d="M{left} {at:.1}H{right}" stroke="#ddd"/><text x="{:.1}" y="{:.1}" text-anchor="end" fill="#333">{label}</text>"##, left - 8.0, at + 4.0)
            .expect("write to a string");
    }
    for (n, label) in [(1e2, "100"), (1e3, "1,000"), (1e4, "10,000"), (1e5, "100,000")] {
        let at = x(n);
        writeln!(svg, r##"<path d="M{at:.1} {TOP}V{bottom}" stroke="#ddd"/><text x="{at:.1}" y="{:.1}" text-anchor="middle" fill="#333">{label}</text>"##, bottom + 18.0)
            .expect("write to a string");
    }
    writeln!(svg, r##"<text x="{:.1}" y="{:.1}" text-anchor="middle" fill="#333">resources of 1 KB in the stack</text>"##, (left + right) / 2.0, bottom + 38.0)
        .expect("write to a string");
}

fn draw(svg: &mut String, curve: &Curve) {
    let Some(&(last_n, last)) = curve.points.last() else { return };
    let place =
        |&(n, time): &(usize, Duration)| format!("{:.1},{:.1}", x(n as f64), y(time.as_secs_f64() * 1e3));
    let points: Vec<String> = curve.points.iter().map(place).collect();
    let (color, dashes) = (curve.color, if curve.is_dashed { r#" stroke-dasharray="5 4""# } else { "" });
    let (end_x, end_y) = (x(last_n as f64) + 8.0, y(last.as_secs_f64() * 1e3) + 4.0);
    writeln!(
        svg,
        r#"<polyline points="{}" fill="none" stroke="{color}" stroke-width="2"{dashes}/><text x="{end_x:.1}" y="{end_y:.1}" fill="{color}">{}</text>"#,
        points.join(" "),
        curve.label
    )
    .expect("write to a string");
}
