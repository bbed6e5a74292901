//! A graph as a picture that needs no other program: readable on white and on dark pages, with tooltips.
use super::layout::{Layout, place};
use super::{Graph, INK, Node, State};
use std::collections::HashMap;
use std::fmt::Write as _;

/// Width of a letter of the names' font, which has one width for all.
const LETTER: f64 = 7.9;
/// Height of a box with few ports.
const BOX: f64 = 42.0;
/// Between the arrows of two ports.
const PORT: f64 = 15.0;
/// Between boxes of a layer.
const GAP: f64 = 16.0;
/// Between layers.
const AISLE: f64 = 60.0;
/// Around everything.
const MARGIN: f64 = 16.0;
/// Height of the line of colours below the drawing.
const LEGEND: f64 = 30.0;
/// Letters of a name that are shown; the tooltip has all.
const LETTERS: usize = 40;
/// Drawings with more arrows show the ports in tooltips alone.
const LABELLED: usize = 60;

/// Draws it.
pub(super) fn draw(graph: &Graph) -> String {
    let picture = Picture::new(graph);
    let (width, height) = picture.size();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{}\" \
         style=\"max-width:100%;height:auto\">\n<title>{}</title>\n",
        escaped(&graph.name),
        escaped(&graph.name)
    );
    svg += &format!("<style>.name{{fill:{INK}}}{STYLE}</style>\n");
    svg += "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" \
            markerHeight=\"7\" orient=\"auto\"><path d=\"M0,0.5 L8,4 L0,7.5 z\" class=\"tip\"/></marker></defs>\n";
    for at in 0..graph.edges.len() {
        picture.edge(&mut svg, at);
    }
    for at in 0..graph.nodes.len() {
        picture.node(&mut svg, at);
    }
    picture.legend(&mut svg, height);
    svg + "</svg>\n"
}

const STYLE: &str = "\
.name{font:600 13px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}\
.kind{font:11px ui-sans-serif,system-ui,'DejaVu Sans',sans-serif;fill:#50505a}\
.port{font:10px ui-sans-serif,system-ui,'DejaVu Sans',sans-serif;fill:#888}\
.edge{fill:none;stroke:#888;stroke-width:1.4}\
.edge:hover{stroke-width:3}\
.tip{fill:#888}";

struct Picture<'a> {
    graph: &'a Graph,
    layout: Layout,
    /// For each box its ports from top to bottom, and its height, which has room for their names.
    ports: Vec<Vec<&'a str>>,
    heights: Vec<f64>,
    /// For each layer its left edge and its width.
    columns: Vec<(f64, f64)>,
    labelled: bool,
}

impl<'a> Picture<'a> {
    fn new(graph: &'a Graph) -> Self {
        let edges: Vec<(usize, usize)> = graph.edges.iter().map(|edge| (edge.from, edge.to)).collect();
        let labelled = edges.len() <= LABELLED;
        let mut ports: Vec<Vec<&str>> = vec![Vec::new(); graph.nodes.len()];
        for edge in &graph.edges {
            if let Some(ports) = ports.get_mut(edge.to).filter(|ports| !ports.contains(&edge.port.as_str())) {
                ports.push(&edge.port);
            }
        }
        let heights: Vec<f64> = ports.iter().map(|ports| BOX.max(PORT * ports.len() as f64 + 10.0)).collect();
        let layout = place(&heights, &edges, GAP);
        sort_ports(&mut ports, graph, &layout);
        let mut widths = vec![0.0_f64; layout.layer.iter().max().map_or(0, |last| last + 1)];
        for (node, &layer) in graph.nodes.iter().zip(&layout.layer) {
            if let Some(width) = widths.get_mut(layer) {
                *width = width.max(box_width(node));
            }
        }
        // The aisle before a layer has room for the names of the ports there.
        let mut aisles = vec![AISLE; widths.len()];
        for edge in graph.edges.iter().filter(|_| labelled) {
            let layer = layout.layer.get(edge.to).copied().unwrap_or(0);
            if let Some(aisle) = aisles.get_mut(layer) {
                *aisle = aisle.max(approach(&edge.port, true) + 56.0);
            }
        }
        let mut columns = Vec::with_capacity(widths.len());
        let mut left = MARGIN;
        for (at, (width, aisle)) in widths.into_iter().zip(aisles).enumerate() {
            left += if at == 0 { 0.0 } else { aisle };
            columns.push((left, width));
            left += width;
        }
        Self { graph, layout, ports, heights, columns, labelled }
    }

    fn size(&self) -> (f64, f64) {
        let right = self.columns.last().map_or(MARGIN, |(left, width)| left + width);
        let boxes = self.layout.middle.iter().zip(&self.heights);
        let bottom = boxes.fold(0.0_f64, |bottom, (middle, height)| bottom.max(middle + height / 2.0));
        let points =
            self.layout.points.iter().flatten().fold(bottom, |bottom, (_, height)| bottom.max(*height));
        let legend = if self.states().is_empty() { 0.0 } else { LEGEND };
        ((right + MARGIN + 6.0).max(260.0), points + 2.0 * MARGIN + legend)
    }

    /// Left edge, right edge and middle of a box.
    fn place(&self, node: usize) -> (f64, f64, f64) {
        let layer = self.layout.layer.get(node).copied().unwrap_or(0);
        let (left, column) = self.columns.get(layer).copied().unwrap_or((MARGIN, 0.0));
        let width = self.graph.nodes.get(node).map_or(0.0, box_width);
        let left = left + (column - width) / 2.0;
        (left, left + width, self.layout.middle.get(node).copied().unwrap_or(0.0) + MARGIN)
    }

    fn node(&self, svg: &mut String, at: usize) {
        let Some(node) = self.graph.nodes.get(at) else { return };
        let (left, right, middle) = self.place(at);
        let (fill, line) = node.state.colors();
        let height = self.heights.get(at).copied().unwrap_or(BOX);
        let (top, width, center) = (middle - height / 2.0, right - left, f64::midpoint(left, right));
        let title = node.title();
        let mut tooltip = format!("{title}\n{}", node.uses);
        if node.state != State::None {
            tooltip += &format!("\n{}", node.state.word());
        }
        let _ = write!(svg, "<g><title>{}</title>", escaped(&tooltip));
        // A second box behind the first shows that it stands for many.
        let behind: &[f64] = if node.stages > 1 { &[5.0, 0.0] } else { &[0.0] };
        for shift in behind {
            let (x, y) = (left + shift, top + shift);
            let _ = write!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height}\" rx=\"7\" fill=\"{fill}\" \
                 stroke=\"{line}\" stroke-width=\"1.5\"/>"
            );
        }
        let _ = writeln!(
            svg,
            "<text class=\"name\" x=\"{center:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text class=\"kind\" x=\"{center:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text></g>",
            middle - 2.0,
            escaped(&shortened(&title)),
            middle + 13.0,
            escaped(&shortened(&node.uses))
        );
    }

    fn edge(&self, svg: &mut String, at: usize) {
        let Some(edge) = self.graph.edges.get(at) else { return };
        let (_, start, from) = self.place(edge.from);
        let (end, _, to) = self.place(edge.to);
        let to = to + self.port_shift(edge.to, &edge.port);
        let level = approach(&edge.port, self.labelled);
        let mut path = format!("M{start:.1},{from:.1}");
        let (mut x, mut y) = (start, from);
        let between = self.layout.points.get(at).map(Vec::as_slice).unwrap_or_default();
        for &(layer, height) in between {
            let (left, width) = self.columns.get(layer).copied().unwrap_or((x, 0.0));
            let height = height + MARGIN;
            curve(&mut path, (x, y), (left, height));
            let _ = write!(path, " L{:.1},{height:.1}", left + width);
            (x, y) = (left + width, height);
        }
        // Arrows of one port share the last piece, above which its name stands.
        curve(&mut path, (x, y), (end - level, to));
        let _ = write!(path, " L{:.1},{to:.1}", end - 2.0);
        let name = |node: usize| self.graph.nodes.get(node).map(Node::title).unwrap_or_default();
        let tooltip = format!("{} → {}: {}", name(edge.from), name(edge.to), edge.port);
        let _ = writeln!(
            svg,
            "<path class=\"edge\" d=\"{path}\" marker-end=\"url(#tip)\"><title>{}</title></path>",
            escaped(&tooltip)
        );
        let first = |other: &super::Edge| other.to == edge.to && other.port == edge.port;
        if self.labelled && self.graph.edges.iter().position(first) == Some(at) {
            let _ = writeln!(
                svg,
                "<text class=\"port\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                end - 10.0,
                to - 3.5,
                escaped(&shortened(&edge.port))
            );
        }
    }

    /// How far from its box's middle a port is.
    fn port_shift(&self, node: usize, port: &str) -> f64 {
        let ports = self.ports.get(node).map(Vec::as_slice).unwrap_or_default();
        let at = ports.iter().position(|known| *known == port).unwrap_or(0);
        (at as f64 - (ports.len().max(1) - 1) as f64 / 2.0) * PORT
    }

    /// The states that are there, with their colours.
    fn states(&self) -> Vec<State> {
        let all = [State::Hit, State::Run, State::Maybe];
        all.into_iter().filter(|state| self.graph.nodes.iter().any(|node| node.state == *state)).collect()
    }

    fn legend(&self, svg: &mut String, height: f64) {
        for (at, state) in self.states().into_iter().enumerate() {
            let (fill, line) = state.colors();
            let (x, y) = (MARGIN + at as f64 * 72.0, height - MARGIN - 12.0);
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"12\" height=\"12\" rx=\"3\" fill=\"{fill}\" \
                 stroke=\"{line}\"/><text class=\"port\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                x + 18.0,
                y + 10.0,
                state.word()
            );
        }
    }
}

/// Ports stand in the order of what comes in at them, so that arrows do not cross at the box.
fn sort_ports(ports: &mut [Vec<&str>], graph: &Graph, layout: &Layout) {
    let mut heights: HashMap<(usize, &str), (f64, f64)> = HashMap::new();
    for (edge, points) in graph.edges.iter().zip(&layout.points) {
        let source = layout.middle.get(edge.from).copied().unwrap_or(0.0);
        let height = points.last().map_or(source, |(_, height)| *height);
        let sum = heights.entry((edge.to, &edge.port)).or_default();
        *sum = (sum.0 + height, sum.1 + 1.0);
    }
    for (node, ports) in ports.iter_mut().enumerate() {
        let mean = |port: &str| heights.get(&(node, port)).map_or(0.0, |(sum, count)| sum / count);
        ports.sort_by(|a, b| mean(a).total_cmp(&mean(b)));
    }
}

/// The length of the level piece before a box.
fn approach(port: &str, labelled: bool) -> f64 {
    if labelled { text_width(&shortened(port)) * 0.72 + 18.0 } else { 12.0 }
}

/// A line that leaves and arrives level.
fn curve(path: &mut String, from: (f64, f64), to: (f64, f64)) {
    let bend = (to.0 - from.0) * 0.5;
    let _ = write!(
        path,
        " C{:.1},{:.1} {:.1},{:.1} {:.1},{:.1}",
        from.0 + bend,
        from.1,
        to.0 - bend,
        to.1,
        to.0,
        to.1
    );
}

fn box_width(node: &Node) -> f64 {
    let kind = text_width(&shortened(&node.uses)) * 0.85;
    (text_width(&shortened(&node.title())).max(kind) + 26.0).max(84.0)
}

/// Letters of East Asia are twice as wide.
fn text_width(text: &str) -> f64 {
    text.chars().map(|letter| if u32::from(letter) >= 0x1100 { 2.0 } else { 1.0 } * LETTER).sum()
}

/// The beginning and the end of a long name: siblings differ at the end.
fn shortened(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= LETTERS {
        return name.to_owned();
    }
    let half = LETTERS / 2;
    let start: String = letters.iter().take(half).collect();
    let end: String = letters.iter().skip(letters.len() - half + 1).collect();
    format!("{start}…{end}")
}

/// Text that XML takes as it is; what no XML may hold is replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push('\n'),
            letter if letter.is_control() || matches!(u32::from(letter), 0xfffe | 0xffff) => {
                escaped.push('\u{fffd}')
            }
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::sample::*;
    use super::*;

    /// Texts between tags, and an error for tags that do not pair.
    fn texts(svg: &str) -> Vec<String> {
        let (mut open, mut found) = (Vec::new(), Vec::new());
        for piece in svg.split('<').skip(1) {
            let (tag, text) = piece.split_once('>').unwrap_or_else(|| panic!("a tag without end: {piece}"));
            let name = tag.split([' ', '/']).find(|word| !word.is_empty()).unwrap().to_owned();
            if tag.starts_with('/') {
                assert_eq!(open.pop().as_deref(), Some(name.as_str()), "{piece}");
            } else if !tag.ends_with('/') {
                open.push(name);
            }
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            found.push(text.to_owned());
        }
        assert_eq!(open, Vec::<String>::new());
        found
    }

    #[test]
    fn every_box_has_its_name_its_kind_and_a_tooltip() {
        let texts = texts(&draw(&model(3)));
        for wanted in
            ["tokenizer", "base[seed=2]", "pretrain", "packed\npack\nmaybe", "packed → base[seed=1]: data"]
        {
            assert!(texts.iter().any(|text| text == wanted), "{wanted}: {texts:?}");
        }
    }

    #[test]
    fn no_name_breaks_out() {
        let texts = texts(&draw(&hostile()));
        assert!(texts.contains(&"a&quot;b".to_owned()), "{texts:?}");
        assert!(texts.contains(&"c\\N&lt;d&gt;&amp;'".to_owned()), "{texts:?}");
        assert!(texts.contains(&"line\nbreak\u{fffd}".to_owned()), "{texts:?}");
    }

    #[test]
    fn an_empty_graph_is_a_picture_too() {
        let svg = draw(&Graph::default());
        assert!(!texts(&svg).is_empty() && !svg.contains("<rect"), "{svg}");
    }

    #[test]
    fn long_names_keep_both_ends() {
        let name = format!("base[{}]", "x=1,".repeat(50));
        let short = shortened(&name);
        assert!(
            short.chars().count() == LETTERS && short.starts_with("base[x=1") && short.ends_with("x=1,]"),
            "{short}"
        );
    }
}
