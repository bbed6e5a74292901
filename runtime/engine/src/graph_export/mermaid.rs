//! A graph for Mermaid, which GitHub, GitLab and many editors draw.
use super::{Graph, INK, State};
use std::fmt::Write as _;

/// Draws it.
pub(super) fn draw(graph: &Graph) -> String {
    let mut text = String::from("flowchart LR\n");
    for (at, node) in graph.nodes.iter().enumerate() {
        let title = escaped(&node.title());
        let kind = if node.title() == node.uses {
            String::new()
        } else {
            format!("<br/><small>{}</small>", escaped(&node.uses))
        };
        let _ = writeln!(text, "  n{at}[\"{title}{kind}\"]:::{}", class(node.state));
    }
    for edge in &graph.edges {
        let _ = writeln!(text, "  n{} -->|\"{}\"| n{}", edge.from, escaped(&edge.port), edge.to);
    }
    for state in [State::None, State::Hit, State::Maybe, State::Run] {
        let (fill, line) = state.colors();
        let _ = writeln!(text, "  classDef {} fill:{fill},stroke:{line},color:{INK}", class(state));
    }
    text
}

/// `none` and `hit` are fine as names of classes; `default` and `end` would not be.
fn class(state: State) -> &'static str {
    match state {
        State::None => "idle",
        other => other.word(),
    }
}

/// Everything that Mermaid, Markdown or HTML could take for more than a letter becomes a numbered entity.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            letter if letter.is_control() => escaped.push('\u{fffd}'),
            '"' | '#' | '&' | '<' | '>' | '`' | '|' | '\\' | '*' | ';' | '{' | '}' => {
                let _ = write!(escaped, "#{};", u32::from(letter));
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

    #[test]
    fn boxes_and_arrows() {
        insta::assert_snapshot!(draw(&model(2)));
    }

    #[test]
    fn no_name_breaks_out() {
        let text = draw(&hostile());
        assert!(text.contains("n0[\"a#34;b<br/><small>#60;b#62;kind#34;</small>\"]:::run"), "{text}");
        assert!(text.contains("-->|\"po#124;#34;rt#62;\"|"), "{text}");
        assert_eq!(text.lines().count(), 1 + 5 + 4 + 4);
    }
}
