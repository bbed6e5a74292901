//! A graph for Graphviz.
use super::{Graph, INK};
use std::fmt::Write as _;

/// Draws it.
pub(super) fn draw(graph: &Graph) -> String {
    let mut text = format!("digraph {} {{\n", quoted(&graph.name));
    text += "  rankdir=LR;\n  bgcolor=transparent;\n";
    let _ = writeln!(
        text,
        "  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\", fontcolor=\"{INK}\"];"
    );
    text += "  edge [color=\"#888888\", fontcolor=\"#888888\", fontname=\"sans-serif\", fontsize=10];\n";
    for node in &graph.nodes {
        let (fill, line) = node.state.colors();
        let title =
            if node.title() == node.uses { node.title() } else { format!("{}\n{}", node.title(), node.uses) };
        let _ = writeln!(
            text,
            "  {} [label={}, fillcolor=\"{fill}\", color=\"{line}\"];",
            quoted(&node.name),
            quoted(&title)
        );
    }
    for edge in &graph.edges {
        if let (Some(from), Some(to)) = (graph.nodes.get(edge.from), graph.nodes.get(edge.to)) {
            let (from, to, port) = (quoted(&from.name), quoted(&to.name), quoted(&edge.port));
            let _ = writeln!(text, "  {from} -> {to} [label={port}];");
        }
    }
    text + "}\n"
}

/// A text in quotes. A backslash begins an escape in labels, so it is doubled.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            letter if letter.is_control() => quoted.push('\u{fffd}'),
            letter => quoted.push(letter),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::super::sample::*;
    use super::*;

    #[test]
    fn boxes_and_arrows() {
        insta::assert_snapshot!(draw(&model(2)));
    }

    #[test]
    fn no_name_breaks_out() {
        let text = draw(&hostile());
        assert!(text.contains(r#""a\"b" -> "c\\N<d>&'" [label="po|\"rt>"];"#), "{text}");
        assert_eq!(text.lines().count(), 6 + 5 + 4);
    }
}
