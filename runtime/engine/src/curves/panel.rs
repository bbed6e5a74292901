//! One panel: a frame with axes, and in it a figure's values, pale, under their smoothed line.
use super::axis::Axis;
use super::scene::{Anchor, Color, Scene};
use super::series::{Point, Series, smoothed};

/// What is written.
pub(super) const INK: Color = [0x1f, 0x29, 0x37];
/// What is written beside it.
pub(super) const GREY: Color = [0x6b, 0x72, 0x80];
const RULE: Color = [0xe5, 0xe7, 0xeb];
const EDGE: Color = [0x9c, 0xa3, 0xaf];
const BLUE: Color = [0x25, 0x63, 0xeb];
const ORANGE: Color = [0xea, 0x58, 0x0c];
const GREEN: Color = [0x15, 0x80, 0x3d];
const RED: Color = [0xdc, 0x26, 0x26];

/// Room for the numbers to the left of a panel, for its title, and for the numbers and the word below.
const LEFT: f64 = 52.0;
const TOP: f64 = 24.0;
const BELOW: f64 = 36.0;
const TITLE: f64 = 14.0;
const NUMBER: f64 = 12.0;
/// From this factor between its values on, a figure stands on an axis of factors.
const FACTORS: f64 = 30.0;
/// The part of the steps in which a loss may stand out of its panel.
const EARLY: f64 = 0.05;

/// Where a panel is.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// What is known of a figure before it is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    /// It falls steeply and then hardly; on the large panel, with a legend.
    Loss,
    /// Its values are set, not measured: there is nothing to smooth.
    Exact,
    /// It lives on an axis of factors.
    Factors,
    /// It is as good as it is far from nothing.
    FromZero,
    /// Nothing.
    Any,
}

/// What a panel shows.
pub(super) struct Panel<'a> {
    pub(super) title: &'a str,
    pub(super) shape: Shape,
    pub(super) line: Option<&'a Series>,
    pub(super) validation: Option<&'a Series>,
}

/// The inside of a frame with its axes.
struct Plot {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    steps: Axis,
    values: Axis,
}

impl Panel<'_> {
    pub(super) fn draw(
        &self,
        scene: &mut Scene,
        frame: Frame,
        last: u64,
        skipped: &[u64],
        rolled_back: &[u64],
    ) {
        let columns = frame.width as usize;
        let line = self.line.map(|series| series.points(columns)).unwrap_or_default();
        let smooth = match self.shape {
            Shape::Exact => line.iter().map(Point::mean).collect(),
            _ => smoothed(&line),
        };
        let large = self.shape == Shape::Loss;
        let validation = self.validation.map(|series| series.points(columns / 4)).unwrap_or_default();
        let first = line.first().into_iter().chain(validation.first()).map(|point| point.first).min();
        let (first, last) = (first.unwrap_or(0) as f64, last as f64);
        let plot = Plot {
            left: frame.x + LEFT,
            right: frame.x + frame.width,
            top: frame.y + TOP,
            bottom: frame.y + frame.height - BELOW,
            // A curve that begins near nothing is shown from nothing on.
            steps: Axis::linear(if first < last * 0.1 { 0.0 } else { first }, last),
            values: self.values(&line, &smooth, &validation, last),
        };
        let log = if plot.values.log { " (log)" } else { "" };
        let title = format!("{}{log}", self.title);
        scene.text((plot.left, frame.y + 14.0), TITLE, INK, Anchor::Start, title);
        plot.axes(scene, if large { 10 } else { 5 }, if large { 8 } else { 4 });
        for step in rolled_back {
            let x = plot.x(*step as f64);
            scene.line(vec![(x, plot.top), (x, plot.bottom)], RED, 1.0, 0.5);
        }
        plot.values_of(scene, &line);
        let means = line.iter().zip(&smooth).map(|(point, smooth)| (point.step(), *smooth));
        plot.curve(scene, means, BLUE, if large { 2.2 } else { 1.6 }, 1.0);
        for step in skipped {
            let (x, y) = (plot.x(*step as f64), plot.bottom);
            scene.area(vec![(x, y - 8.0), (x - 4.0, y), (x + 4.0, y)], RED, 1.0);
        }
        let best = validation.iter().min_by(|a, b| a.low.total_cmp(&b.low));
        plot.validation(scene, &validation, best);
        if large {
            self.legend(scene, &plot, best, !skipped.is_empty(), !rolled_back.is_empty());
        }
    }

    /// What the values' axis shows. The first steps and outliers may stand out of it, so that they flatten nothing.
    fn values(&self, line: &[Point], smooth: &[f64], validation: &[Point], last: f64) -> Axis {
        let all = || line.iter().chain(validation);
        let low = all().map(|point| point.low).fold(f64::INFINITY, f64::min);
        let high = all().map(|point| point.high).fold(f64::NEG_INFINITY, f64::max);
        let most = |share: f64| quantile(all().map(Point::mean), share);
        let least = quantile(all().map(|point| point.low), 0.02);
        match self.shape {
            Shape::Loss => {
                let late = validation.iter().filter(|point| point.step() >= last * EARLY).map(Point::mean);
                let later = smooth.iter().skip((smooth.len() as f64 * EARLY) as usize).copied();
                let top = late.chain(later).fold(most(1.0 - EARLY), f64::max);
                let cut = top - least < (high - low) * 0.7;
                if cut { Axis::linear(least, top).roomy() } else { Axis::linear(low, high).roomy() }
            }
            Shape::Factors if least > 0.0 && high / least > FACTORS => Axis::log(least, high).roomy(),
            Shape::Any if low < 0.0 || least > high / 2.0 => Axis::linear(least, most(0.98)).roomy(),
            _ => Axis::linear(low.min(0.0), if high > most(0.98) * 2.0 { most(0.98) * 1.5 } else { high })
                .roomy(),
        }
    }

    /// What the marks mean, at the top right, where a loss that falls leaves room.
    fn legend(&self, scene: &mut Scene, plot: &Plot, best: Option<&Point>, skipped: bool, rolled_back: bool) {
        let mut rows: Vec<(Color, f64, String)> = Vec::new();
        if self.line.is_some() {
            rows.push((BLUE, 2.2, "training, smoothed".into()));
        }
        if let Some(best) = best {
            rows.push((ORANGE, 1.4, "validation".into()));
            let step = exact(best.first);
            rows.push((GREEN, 0.0, format!("best {:.4} at step {step}", best.low)));
        }
        if skipped {
            rows.push((RED, -1.0, "skipped: not finite".into()));
        }
        if rolled_back {
            rows.push((RED, 1.0, "rolled back".into()));
        }
        // An SVG is shown in whatever font there is: room for a wide one.
        let letters = rows.iter().map(|(_, _, text)| text.chars().count()).max().unwrap_or(0);
        let (width, height) = (50.0 + letters as f64 * 7.3, rows.len() as f64 * 20.0 + 12.0);
        let (x, y) = (plot.right - width - 8.0, plot.top + 8.0);
        let corners = vec![(x, y), (x + width, y), (x + width, y + height), (x, y + height)];
        scene.area(corners.clone(), [255; 3], 0.88);
        scene.line(corners.into_iter().chain([(x, y)]).collect(), RULE, 1.0, 1.0);
        for (at, (color, line, text)) in rows.into_iter().enumerate() {
            let y = y + 16.0 + at as f64 * 20.0;
            let mark = (x + 20.0, y);
            match line {
                ..0.0 => scene.area(
                    vec![(mark.0, y - 4.0), (mark.0 - 4.0, y + 4.0), (mark.0 + 4.0, y + 4.0)],
                    color,
                    1.0,
                ),
                0.0 => scene.dot(mark, 5.5, color),
                _ => scene.line(vec![(x + 10.0, y), (x + 30.0, y)], color, line, 1.0),
            }
            scene.text((x + 40.0, y + 4.5), 13.0, INK, Anchor::Start, text);
        }
    }
}

impl Plot {
    fn x(&self, step: f64) -> f64 {
        self.left + self.steps.place(step) * (self.right - self.left)
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom - self.values.place(value) * (self.bottom - self.top)
    }

    fn axes(&self, scene: &mut Scene, across: usize, up: usize) {
        for (value, text) in self.values.ticks(up) {
            let y = self.y(value);
            scene.line(vec![(self.left, y), (self.right, y)], RULE, 1.0, 1.0);
            scene.text((self.left - 7.0, y + 4.0), NUMBER, GREY, Anchor::End, text);
        }
        for (step, text) in self.steps.ticks(across) {
            let x = self.x(step);
            scene.line(vec![(x, self.top), (x, self.bottom)], RULE, 1.0, 1.0);
            // A number at the edge stays inside.
            let anchor = if self.right - x < 14.0 { Anchor::End } else { Anchor::Middle };
            scene.text((x, self.bottom + 16.0), NUMBER, GREY, anchor, text);
        }
        let corner = (self.left, self.bottom);
        scene.line(vec![(self.left, self.top), corner, (self.right, self.bottom)], EDGE, 1.0, 1.0);
        scene.text(
            ((self.left + self.right) / 2.0, self.bottom + 32.0),
            NUMBER,
            GREY,
            Anchor::Middle,
            "step",
        );
    }

    /// Every value told: as a line, or as the band from the least to the greatest where a point is many.
    fn values_of(&self, scene: &mut Scene, points: &[Point]) {
        if points.iter().all(|point| point.first == point.last) {
            let values = points.iter().map(|point| (point.step(), point.mean()));
            return self.curve(scene, values, BLUE, 1.0, 0.35);
        }
        let inside = |value: f64| self.y(value).clamp(self.top, self.bottom);
        let above = points.iter().map(|point| (self.x(point.step()), inside(point.high)));
        let below = points.iter().rev().map(|point| (self.x(point.step()), inside(point.low)));
        scene.area(above.chain(below).collect(), BLUE, 0.22);
    }

    fn validation(&self, scene: &mut Scene, points: &[Point], best: Option<&Point>) {
        self.curve(scene, points.iter().map(|point| (point.step(), point.mean())), ORANGE, 1.4, 1.0);
        let inside = |point: &&Point| (self.top..=self.bottom).contains(&self.y(point.mean()));
        // Where there are many, dots would be a thick line.
        if points.len() <= 100 {
            for point in points.iter().filter(inside) {
                scene.dot((self.x(point.step()), self.y(point.mean())), 3.5, ORANGE);
            }
        }
        if let Some(best) = best {
            scene.dot((self.x(best.step()), self.y(best.low)), 5.5, GREEN);
        }
    }

    /// A line through values, cut off where it leaves the panel.
    fn curve(
        &self,
        scene: &mut Scene,
        values: impl Iterator<Item = (f64, f64)>,
        color: Color,
        width: f64,
        opacity: f64,
    ) {
        let points: Vec<(f64, f64)> = values.map(|(step, value)| (self.x(step), self.y(value))).collect();
        for piece in self.inside(&points) {
            scene.line(piece, color, width, opacity);
        }
    }

    /// The pieces of a line that lie between top and bottom.
    fn inside(&self, points: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
        let mut pieces = Vec::new();
        let mut piece: Vec<(f64, f64)> = Vec::new();
        for pair in points.windows(2) {
            let [from, to] = [pair[0], pair[1]];
            // The part of this stretch, from 0 to 1, that is inside.
            let (mut enters, mut leaves) = (0.0f64, 1.0f64);
            for (past_from, past_to) in
                [(self.top - from.1, self.top - to.1), (from.1 - self.bottom, to.1 - self.bottom)]
            {
                let crosses = past_from / (past_from - past_to);
                match (past_from > 0.0, past_to > 0.0) {
                    (true, true) => leaves = -1.0,
                    (true, false) => enters = enters.max(crosses),
                    (false, true) => leaves = leaves.min(crosses),
                    (false, false) => {}
                }
            }
            if enters > leaves {
                pieces.push(std::mem::take(&mut piece));
                continue;
            }
            let at = |part: f64| (from.0 + (to.0 - from.0) * part, from.1 + (to.1 - from.1) * part);
            if piece.is_empty() || enters > 0.0 {
                pieces.push(std::mem::take(&mut piece));
                piece.push(at(enters));
            }
            piece.push(at(leaves));
            if leaves < 1.0 {
                pieces.push(std::mem::take(&mut piece));
            }
        }
        pieces.push(piece);
        pieces.retain(|piece| piece.len() > 1);
        pieces
    }
}

/// The value that this share of all values does not exceed.
fn quantile(values: impl Iterator<Item = f64>, share: f64) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let at = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// A count with its digits in groups: `12,000`.
pub(super) fn exact(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
