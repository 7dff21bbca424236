//! Small plots as SVG: some lines over axes that may be logarithmic, one panel beside the other.
//!
//! Text and lines have colours that can be read on white, which the picture brings along.

use std::fmt::Write as _;

/// One panel.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    /// What the vertical axis shows, with its unit; stands above the panel.
    pub(super) title: String,
    /// What the horizontal axis shows, with its unit.
    pub(super) across: String,
    /// How both axes are divided.
    pub(super) axes: Axes,
    /// The lines.
    pub(super) lines: Vec<Line>,
}

/// Points that belong together, from left to right.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// What it is called, if there is more than one.
    pub(super) name: String,
    /// Where it goes.
    pub(super) points: Vec<(f64, f64)>,
}

/// How the axes are divided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Axes {
    /// Both by powers of ten: a straight line of slope one is proportional growth.
    Logarithmic,
    /// By powers of ten across, evenly upwards from zero.
    LogarithmicAcross,
    /// Both evenly, from zero.
    Even,
}

/// One panel alone has room for the names of its lines.
const PANEL_WIDTHS: [f64; 3] = [640.0, 440.0, 360.0];
const HEIGHT: f64 = 300.0;
/// Around the part in which lines are drawn.
const LEFT: f64 = 58.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 62.0;
const BOTTOM: f64 = 48.0;
const COLOURS: [&str; 4] = ["#1f5fa8", "#c2571a", "#3a7d34", "#7b3f98"];

/// Draws panels side by side.
pub(super) fn draw(title: &str, panels: &[Panel]) -> String {
    let each = PANEL_WIDTHS[panels.len().clamp(1, PANEL_WIDTHS.len()) - 1];
    let width = each * panels.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {HEIGHT}\" width=\"{width}\" \
         height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"11\" fill=\"#222\">\n\
         <rect width=\"{width}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <text x=\"12\" y=\"20\" font-size=\"14\" font-weight=\"bold\">{}</text>\n",
        escape(title)
    );
    for (number, panel) in panels.iter().enumerate() {
        panel.draw((each * number as f64, each), &mut svg);
    }
    svg.push_str("</svg>\n");
    svg
}

impl Panel {
    fn draw(&self, (from, width): (f64, f64), svg: &mut String) {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let across = Axis::new(points().map(|point| point.0), self.axes != Axes::Even);
        let upwards = Axis::new(points().map(|point| point.1), self.axes == Axes::Logarithmic);
        let x = |value: f64| from + LEFT + across.place(value) * (width - LEFT - RIGHT);
        let y = |value: f64| HEIGHT - BOTTOM - upwards.place(value) * (HEIGHT - TOP - BOTTOM);
        let (left, right) = (from + LEFT, from + width - RIGHT);
        let (top, bottom) = (TOP, HEIGHT - BOTTOM);
        let _ = writeln!(svg, "<text x=\"{left}\" y=\"{}\">{}</text>", TOP - 22.0, escape(&self.title));
        for value in upwards.ticks() {
            let _ = writeln!(
                svg,
                "<line x1=\"{left}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 6.0,
                y(value) + 4.0,
                number(value),
                y = y(value)
            );
        }
        for value in across.ticks() {
            let _ = writeln!(
                svg,
                "<line x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#eee\"/>\
                 <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                bottom + 16.0,
                number(value),
                x = x(value)
            );
        }
        let _ = writeln!(
            svg,
            "<path d=\"M{left} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"#555\"/>\
             <text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            f64::midpoint(left, right),
            bottom + 36.0,
            escape(&self.across)
        );
        let mut legend = left;
        for (line, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let path: Vec<String> =
                line.points.iter().map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1))).collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                path.join(" ")
            );
            for (px, py) in &line.points {
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
                    x(*px),
                    y(*py)
                );
            }
            if self.lines.len() > 1 {
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{}\" cy=\"{}\" r=\"3\" fill=\"{colour}\"/><text x=\"{}\" y=\"{}\">{}</text>",
                    legend + 4.0,
                    TOP - 10.0,
                    legend + 11.0,
                    TOP - 6.0,
                    escape(&line.name)
                );
                // About the width of a letter of this size.
                legend += 24.0 + 6.0 * line.name.chars().count() as f64;
            }
        }
    }
}

/// From where to where an axis goes.
struct Axis {
    least: f64,
    most: f64,
    logarithmic: bool,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64>, logarithmic: bool) -> Self {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| !logarithmic || *value > 0.0) {
            (least, most) = (least.min(value), most.max(value));
        }
        if !least.is_finite() {
            return Self { least: 1.0, most: 10.0, logarithmic };
        }
        if logarithmic {
            // Whole powers of ten, one at least.
            let (low, high) = (least.log10().floor(), most.log10().ceil());
            return Self { least: 10_f64.powf(low), most: 10_f64.powf(high.max(low + 1.0)), logarithmic };
        }
        Self { least: 0.0, most: if most > 0.0 { most * 1.1 } else { 1.0 }, logarithmic }
    }

    /// From zero to one.
    fn place(&self, value: f64) -> f64 {
        if self.logarithmic {
            return (value.max(self.least) / self.least).log10() / (self.most / self.least).log10();
        }
        (value - self.least) / (self.most - self.least)
    }

    fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            let decades = (self.most / self.least).log10().round() as i32;
            return (0..=decades).map(|decade| self.least * 10_f64.powi(decade)).collect();
        }
        // Four to ten steps of 1, 2 or 5 times a power of ten.
        let rough = self.most / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|of| of * power).find(|step| *step >= rough);
        let step = step.unwrap_or(rough);
        (0..=(self.most / step) as u32).map(|count| f64::from(count) * step).collect()
    }
}

/// A number for an axis: 10k, 1M, 0.01.
fn number(value: f64) -> String {
    let (scaled, unit) = match value {
        value if value >= 1e6 => (value / 1e6, "M"),
        value if value >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    // Not 0.30000000000000004.
    let text = format!("{scaled:.6}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithmic_axes_end_at_powers_of_ten_and_even_ones_begin_at_zero() {
        let axis = Axis::new([20.0, 3000.0].into_iter(), true);
        assert_eq!(
            axis.ticks().iter().map(|tick| number(*tick)).collect::<Vec<_>>(),
            ["10", "100", "1k", "10k"]
        );
        assert!((axis.place(100.0) - 1.0 / 3.0).abs() < 1e-9);
        let axis = Axis::new([20.0, 300.0].into_iter(), false);
        assert_eq!(axis.ticks(), [0.0, 100.0, 200.0, 300.0]);
    }

    #[test]
    fn a_panel_without_points_is_drawn_all_the_same() {
        let panel =
            Panel { title: "a < b".into(), across: "x".into(), axes: Axes::Logarithmic, lines: Vec::new() };
        let svg = draw("none", &[panel]);
        assert!(svg.starts_with("<svg") && svg.contains("a &lt; b") && !svg.contains("NaN"), "{svg}");
    }
}
