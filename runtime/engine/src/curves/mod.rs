//! The curves of a stage as a picture: loss and validation large, every other figure small below them.
//!
//! Takes figures in as they are told, in memory that does not grow with the steps, and draws what it has. Knows
//! nothing of runs and folders: `run/figures` feeds it.
mod axis;
mod panel;
mod png;
mod scene;
mod series;
mod svg;

use panel::{Frame, Panel, Shape};
use scene::{Anchor, Scene};
use series::Series;
use std::collections::BTreeMap;

/// Columns of the picture, in pixels.
const WIDTH: f64 = 1200.0;
/// Around everything, and between panels.
const MARGIN: f64 = 24.0;
/// The line of words above the panels.
const HEAD: f64 = 46.0;
/// Height of the large panel.
const LARGE: f64 = 430.0;
/// Height of the small ones.
const SMALL: f64 = 220.0;
/// Small panels side by side.
const BESIDE: usize = 3;
/// Small panels at most.
const PANELS: usize = 9;
/// Steps that are marked because something went wrong there, at most: the last ones.
const MARKS: usize = 200;

/// What the large panel shows.
const LOSS: &str = "loss";
const VALIDATION: &str = "val_loss";
/// Figures that have the first small panels, in this order, and what is written above.
const KNOWN: [(&str, &str, Shape); 3] = [
    ("lr", "learning rate", Shape::Exact),
    ("grad_norm", "gradient norm", Shape::Factors),
    ("tokens_per_second", "tokens per second", Shape::FromZero),
];
/// Figures that other panels tell as well, or that hardly change.
const LEFT_OUT: [&str; 3] = ["best_val_loss", "mfu", "memory"];

/// A step was skipped, because its loss or its gradient was not finite.
const SKIPPED: &str = "skipped";
/// The work went back to the step that is this figure's value.
pub(crate) const ROLLED_BACK: &str = "rolled_back";

/// The figures of one stage.
#[derive(Clone, Debug)]
pub(crate) struct Curves {
    title: String,
    series: BTreeMap<String, Series>,
    skipped: Vec<u64>,
    rolled_back: Vec<u64>,
    /// The last step told of.
    step: u64,
}

impl Curves {
    /// Those of a stage of which nothing is known yet.
    pub(crate) fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            series: BTreeMap::new(),
            skipped: Vec::new(),
            rolled_back: Vec::new(),
            step: 0,
        }
    }

    /// A figure.
    pub(crate) fn take(&mut self, step: u64, name: &str, value: f64) {
        self.step = step;
        let marks = match name {
            SKIPPED => &mut self.skipped,
            ROLLED_BACK => &mut self.rolled_back,
            _ => {
                self.series.entry(name.to_owned()).or_default().push(step, value);
                return;
            }
        };
        if marks.len() == MARKS {
            marks.remove(0);
        }
        marks.push(step);
    }

    /// The work went back: what was told from `step` on is done again.
    pub(crate) fn back_to(&mut self, step: u64) {
        self.series.values_mut().for_each(|series| series.cut(step));
    }

    /// Some figure was told at two steps at least.
    pub(crate) fn drawable(&self) -> bool {
        self.series.values().any(Series::is_line)
    }

    /// The picture as the text of an SVG.
    pub(crate) fn svg(&self) -> String {
        svg::svg(&self.scene())
    }

    /// The picture as the bytes of a PNG, 1200 pixels wide.
    pub(crate) fn png(&self) -> Option<Vec<u8>> {
        png::png(&self.scene())
    }

    fn scene(&self) -> Scene {
        let told = |name: &str| self.series.get(name).filter(|series| !series.is_empty());
        let has_large = told(LOSS).or(told(VALIDATION)).is_some();
        let small = self.small();
        let rows = small.len().div_ceil(BESIDE) as f64;
        let above = HEAD + if has_large { LARGE + MARGIN } else { 0.0 };
        let mut scene = Scene { width: WIDTH, height: above + rows * (SMALL + MARGIN), shapes: Vec::new() };
        self.head(&mut scene);
        if has_large {
            let frame = Frame { x: MARGIN, y: HEAD, width: WIDTH - 2.0 * MARGIN, height: LARGE };
            let (line, validation) = (told(LOSS), told(VALIDATION));
            let panel = Panel { title: "loss", shape: Shape::Loss, line, validation };
            panel.draw(&mut scene, frame, self.step, &self.skipped, &self.rolled_back);
        }
        let width = (WIDTH - MARGIN) / BESIDE as f64 - MARGIN;
        for (at, (title, shape, series)) in small.into_iter().enumerate() {
            let (row, column) = ((at / BESIDE) as f64, (at % BESIDE) as f64);
            let (x, y) = (MARGIN + column * (width + MARGIN), above + row * (SMALL + MARGIN));
            let frame = Frame { x, y, width, height: SMALL };
            let panel = Panel { title, shape, line: Some(series), validation: None };
            panel.draw(&mut scene, frame, self.step, &[], &[]);
        }
        scene
    }

    /// What is drawn small: the known figures first, then the rest by name.
    fn small(&self) -> Vec<(&str, Shape, &Series)> {
        let known =
            KNOWN.iter().filter_map(|(name, title, shape)| Some((*title, *shape, self.series.get(*name)?)));
        let elsewhere = |name: &str| {
            KNOWN.iter().any(|known| known.0 == name)
                || [LOSS, VALIDATION].contains(&name)
                || LEFT_OUT.contains(&name)
        };
        let rest = self.series.iter().filter(|(name, _)| !elsewhere(name));
        let all = known.chain(rest.map(|(name, series)| (name.as_str(), Shape::Any, series)));
        all.filter(|(_, _, series)| series.is_line()).take(PANELS).collect()
    }

    /// What it is of, and where it stands.
    fn head(&self, scene: &mut Scene) {
        let mut parts = vec![format!("step {}", panel::exact(self.step))];
        let counted = [(self.skipped.len(), "skipped"), (self.rolled_back.len(), "rolled back")];
        for (count, word) in counted.into_iter().filter(|(count, _)| *count > 0) {
            parts.push(format!("{count} {word}"));
        }
        scene.text((MARGIN, 30.0), 17.0, panel::INK, Anchor::Start, &*self.title);
        scene.text((WIDTH - MARGIN, 30.0), 13.0, panel::GREY, Anchor::End, parts.join("  ·  "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Read;

    /// A short training with all that may happen in one.
    fn curves() -> Curves {
        let mut curves = Curves::new("tiny:base<1>");
        curves.take(0, "val_loss", 8.0);
        for step in 1..=40u64 {
            curves.take(step, "loss", 2.0 + 6.0 / step as f64 + 0.2 * (step % 3) as f64);
            curves.take(step, "lr", 0.001 * (step.min(10) as f64 / 10.0));
            curves.take(step, "grad_norm", if step == 20 { 300.0 } else { 1.5 });
            curves.take(step, "tokens_per_second", 36_000.0);
            curves.take(step, "best_val_loss", 1.0);
            curves.take(step, "reward", step as f64);
            if step % 10 == 0 {
                curves.take(step, "val_loss", 2.5 + (step as f64 - 20.0).abs() / 40.0);
            }
        }
        curves.take(20, "skipped", 1.0);
        curves.take(30, "rolled_back", 20.0);
        curves.take(40, "loss", f64::NAN);
        curves
    }

    #[test]
    fn the_picture_says_what_it_shows() {
        let svg = curves().svg();
        let texts = svg.lines().filter(|line| line.starts_with("<text"));
        let texts: Vec<&str> = texts.filter_map(|line| line.split(['>', '<']).nth(2)).collect();
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn nothing_is_drawn_outside_of_its_panel() {
        let mut curves = curves();
        // Far above all else, and early: it must not flatten the rest.
        curves.back_to(0);
        for step in 1..=100 {
            curves.take(step, "loss", if step < 3 { 1e6 } else { 2.0 + 1.0 / step as f64 });
        }
        let scene = curves.scene();
        let (top, bottom) = (HEAD, HEAD + LARGE);
        let lines = scene.shapes.iter().filter_map(|shape| match shape {
            scene::Shape::Line { points, width, .. } if *width > 2.0 => Some(points),
            _ => None,
        });
        let points: Vec<(f64, f64)> = lines.flatten().copied().collect();
        assert!(points.len() > 90);
        assert!(points.iter().all(|(x, y)| (0.0..=WIDTH).contains(x) && (top..=bottom).contains(y)));
        let spread = points.iter().map(|point| point.1);
        let spread = spread.clone().fold(0.0, f64::max) - spread.fold(f64::MAX, f64::min);
        assert!(spread > LARGE / 2.0, "{spread}");
    }

    #[test]
    fn the_png_is_whole_and_shows_the_curves() {
        let png = curves().png().unwrap();
        let size = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap()) as usize;
        let (width, height) = (size(16), size(20));
        assert_eq!(width, 1200);
        // The pixels stand in one chunk behind the header, which takes 33 bytes.
        let mut pixels = Vec::new();
        let packed = &png[41..41 + size(33)];
        flate2::read::ZlibDecoder::new(packed).read_to_end(&mut pixels).unwrap();
        assert_eq!(pixels.len(), height * (1 + width * 3));
        let count = |color: [u8; 3]| {
            let rows = pixels.chunks(1 + width * 3);
            rows.flat_map(|row| row[1..].chunks(3)).filter(|pixel| **pixel == color).count()
        };
        assert!(count([255; 3]) > width * height * 3 / 4, "it is mostly white");
        let drawn =
            [[0x25, 0x63, 0xeb], [0xea, 0x58, 0x0c], [0x15, 0x80, 0x3d], [0xdc, 0x26, 0x26]].map(count);
        assert!(drawn.iter().all(|pixels| *pixels > 20), "blue, orange, green, red: {drawn:?}");
        assert_eq!(&png[png.len() - 8..], b"IEND\xae\x42\x60\x82");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Whatever a stage tells, in whatever order: a picture of finite places.
        #[test]
        fn any_figures_can_be_drawn(
            told in prop::collection::vec((any::<u64>(), 0..8usize, prop::num::f64::ANY), 0..200),
            back in any::<u64>(),
        ) {
            let names = ["loss", "val_loss", "lr", "grad_norm", "tokens_per_second", "x", SKIPPED, ROLLED_BACK];
            let mut curves = Curves::new("any");
            for (at, (step, name, value)) in told.into_iter().enumerate() {
                let step = if at % 2 == 0 { step } else { step % 1000 };
                curves.take(step, names[name], value);
                if at == 100 {
                    curves.back_to(back);
                }
            }
            let svg = curves.svg();
            prop_assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn without_losses_there_are_small_panels_alone_and_of_one_step_nothing() {
        let mut curves = Curves::new("a");
        curves.take(1, "words", 1.0);
        assert!(!curves.drawable());
        curves.take(2, "words", f64::INFINITY);
        assert!(!curves.drawable());
        curves.take(3, "words", 1.0);
        assert!(curves.drawable());
        assert!(curves.svg().contains(">words<") && !curves.svg().contains(">loss<"));
        assert!(curves.png().is_some());
    }
}
