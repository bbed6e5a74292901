//! A drawing as shapes, which become an SVG or a PNG of the same look.

/// Red, green, blue.
pub(super) type Color = [u8; 3];

/// Which point of a text stands at its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// One thing that is drawn. Lengths are pixels; y grows downwards.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    /// Straight lines from point to point.
    Line { points: Vec<(f64, f64)>, color: Color, width: f64, opacity: f64 },
    /// What such lines enclose.
    Area { points: Vec<(f64, f64)>, color: Color, opacity: f64 },
    /// A disc, with a white edge so that it stands out.
    Dot { at: (f64, f64), radius: f64, color: Color },
    /// Letters; `at` is on their base line.
    Text { at: (f64, f64), size: f64, color: Color, anchor: Anchor, text: String },
}

/// All that is drawn, in this order.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) shapes: Vec<Shape>,
}

impl Scene {
    pub(super) fn line(&mut self, points: Vec<(f64, f64)>, color: Color, width: f64, opacity: f64) {
        if points.len() > 1 {
            self.shapes.push(Shape::Line { points, color, width, opacity });
        }
    }

    pub(super) fn area(&mut self, points: Vec<(f64, f64)>, color: Color, opacity: f64) {
        self.shapes.push(Shape::Area { points, color, opacity });
    }

    pub(super) fn dot(&mut self, at: (f64, f64), radius: f64, color: Color) {
        self.shapes.push(Shape::Dot { at, radius, color });
    }

    pub(super) fn text(
        &mut self,
        at: (f64, f64),
        size: f64,
        color: Color,
        anchor: Anchor,
        text: impl Into<String>,
    ) {
        self.shapes.push(Shape::Text { at, size, color, anchor, text: text.into() });
    }
}
