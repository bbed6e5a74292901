//! A scene as PNG, with letters of Roboto Regular (Apache License 2.0), cut down to the signs that figures and names
//! need: `pyftsubset --unicodes=U+20-7E,B1,B5,B7,D7,2013,2014,2026,2212 --no-hinting`.
use super::scene::{Anchor, Color, Scene, Shape};
use std::io::Write;
use tiny_skia::{FillRule, LineJoin, Paint, Path, PathBuilder, Pixmap, Stroke, Transform};
use ttf_parser::{Face, OutlineBuilder};

const FONT: &[u8] = include_bytes!("roboto.ttf");

/// The file's bytes. Nothing where there is no memory for the picture.
pub(super) fn png(scene: &Scene) -> Option<Vec<u8>> {
    let mut pixels = Pixmap::new(scene.width.ceil() as u32, scene.height.ceil() as u32)?;
    pixels.fill(tiny_skia::Color::WHITE);
    let face = Face::parse(FONT, 0).ok()?;
    scene.shapes.iter().for_each(|shape| draw(&mut pixels, &face, shape));
    encode(&pixels).ok()
}

fn draw(pixels: &mut Pixmap, face: &Face<'_>, shape: &Shape) {
    let still = Transform::identity();
    match shape {
        Shape::Line { points, color, width, opacity } => {
            let stroke = Stroke { width: *width as f32, line_join: LineJoin::Round, ..Stroke::default() };
            if let Some(path) = path(points, false) {
                pixels.stroke_path(&path, &paint(*color, *opacity), &stroke, still, None);
            }
        }
        Shape::Area { points, color, opacity } => {
            if let Some(path) = path(points, true) {
                pixels.fill_path(&path, &paint(*color, *opacity), FillRule::Winding, still, None);
            }
        }
        Shape::Dot { at: (x, y), radius, color } => {
            let disc = |radius: f64| PathBuilder::from_circle(*x as f32, *y as f32, radius as f32);
            for (radius, color) in [(radius + 0.5, [255; 3]), (radius - 0.5, *color)] {
                if let Some(path) = disc(radius) {
                    pixels.fill_path(&path, &paint(color, 1.0), FillRule::Winding, still, None);
                }
            }
        }
        Shape::Text { at, size, color, anchor, text } => {
            if let Some(path) = letters(face, *at, *size, *anchor, text) {
                pixels.fill_path(&path, &paint(*color, 1.0), FillRule::Winding, still, None);
            }
        }
    }
}

fn paint([red, green, blue]: Color, opacity: f64) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(red, green, blue, (opacity * 255.0).round() as u8);
    paint
}

fn path(points: &[(f64, f64)], closed: bool) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (at, (x, y)) in points.iter().enumerate() {
        match at {
            0 => path.move_to(*x as f32, *y as f32),
            _ => path.line_to(*x as f32, *y as f32),
        }
    }
    if closed {
        path.close();
    }
    path.finish()
}

/// Letters side by side, as outlines.
struct Pen {
    path: PathBuilder,
    x: f32,
    y: f32,
    scale: f32,
}

fn letters(face: &Face<'_>, at: (f64, f64), size: f64, anchor: Anchor, text: &str) -> Option<Path> {
    let scale = size as f32 / f32::from(face.units_per_em());
    let glyphs: Vec<_> = text.chars().map(|letter| face.glyph_index(letter).unwrap_or_default()).collect();
    let advance = |glyph| f32::from(face.glyph_hor_advance(glyph).unwrap_or(0)) * scale;
    let width: f32 = glyphs.iter().map(|glyph| advance(*glyph)).sum();
    let shift = match anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => width / 2.0,
        Anchor::End => width,
    };
    let mut pen = Pen { path: PathBuilder::new(), x: at.0 as f32 - shift, y: at.1 as f32, scale };
    for glyph in glyphs {
        face.outline_glyph(glyph, &mut pen);
        pen.x += advance(glyph);
    }
    pen.path.finish()
}

impl Pen {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + x * self.scale, self.y - y * self.scale)
    }
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

/// Eight bits a colour, no transparency: the pixels lie on white.
fn encode(pixels: &Pixmap) -> std::io::Result<Vec<u8>> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = Vec::new();
    header.extend(pixels.width().to_be_bytes());
    header.extend(pixels.height().to_be_bytes());
    // Eight bits, colours, and the only ways there are to pack, filter and not interlace.
    header.extend([8, 2, 0, 0, 0]);
    chunk(&mut file, b"IHDR", &header);
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(6));
    for row in pixels.data().chunks(pixels.width() as usize * 4) {
        let colors = row.chunks_exact(4).flat_map(|pixel| pixel.iter().take(3).copied());
        let unfiltered = 0;
        packed.write_all(&std::iter::once(unfiltered).chain(colors).collect::<Vec<u8>>())?;
    }
    chunk(&mut file, b"IDAT", &packed.finish()?);
    chunk(&mut file, b"IEND", &[]);
    Ok(file)
}

fn chunk(file: &mut Vec<u8>, kind: &[u8; 4], body: &[u8]) {
    file.extend((body.len() as u32).to_be_bytes());
    let mut sum = flate2::Crc::new();
    sum.update(kind);
    sum.update(body);
    file.extend(kind);
    file.extend(body);
    file.extend(sum.sum().to_be_bytes());
}
