//! A scene as SVG.
use super::scene::{Anchor, Color, Scene, Shape};
use std::fmt::Write as _;

/// The file's text.
pub(super) fn svg(scene: &Scene) -> String {
    let (width, height) = (scene.width, scene.height);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" style=\"max-width:100%;height:auto\" stroke-linejoin=\"round\" \
         font-family=\"Roboto,ui-sans-serif,system-ui,'DejaVu Sans',sans-serif\">\n\
         <rect width=\"{width:.0}\" height=\"{height:.0}\" fill=\"#fff\"/>\n"
    );
    for shape in &scene.shapes {
        // Writing to a string cannot fail.
        let _ = match shape {
            Shape::Line { points, color, width, opacity } => writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\" opacity=\"{opacity}\"/>",
                listed(points),
                hex(*color)
            ),
            Shape::Area { points, color, opacity } => writeln!(
                svg,
                "<polygon points=\"{}\" fill=\"{}\" opacity=\"{opacity}\"/>",
                listed(points),
                hex(*color)
            ),
            Shape::Dot { at: (x, y), radius, color } => writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{}\" stroke=\"#fff\"/>",
                hex(*color)
            ),
            Shape::Text { at: (x, y), size, color, anchor, text } => {
                let anchor = match anchor {
                    Anchor::Start => "start",
                    Anchor::Middle => "middle",
                    Anchor::End => "end",
                };
                let color = hex(*color);
                writeln!(
                    svg,
                    "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{color}\" text-anchor=\"{anchor}\">{}</text>",
                    escaped(text)
                )
            }
        };
    }
    svg + "</svg>\n"
}

fn listed(points: &[(f64, f64)]) -> String {
    let mut list = String::with_capacity(points.len() * 12);
    for (x, y) in points {
        let _ = write!(list, "{x:.1},{y:.1} ");
    }
    list.pop();
    list
}

fn hex([red, green, blue]: Color) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    // What XML cannot hold at all.
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
