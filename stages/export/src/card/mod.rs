//! The model card: what the model is, how to use it, what it learned from, and every stage that made it.
//!
//! A pure function of what it is told, which holds no time, host or path.
mod story;
mod usage;

use crate::params::{Dtype, Format, Params};
use crate::source::Source;
use muse_artifacts::checkpoint::About;
use muse_artifacts::checkpoint::Weights;
use muse_model::config::{Model, Round};
use muse_model::exchange::hf::Class;
use muse_stage::Story;
use std::fmt::Write;

/// What a card tells of.
pub(crate) struct Card<'a> {
    pub(crate) params: &'a Params,
    pub(crate) source: &'a Source,
    /// What the format does not hold quite as it is.
    pub(crate) notes: &'a [String],
    /// How the model was made, where that is known.
    pub(crate) story: Option<&'a Story>,
}

impl Card<'_> {
    /// Its text, in Markdown.
    pub(crate) fn text(&self) -> String {
        let about = self.source.checkpoint.about();
        let says = Says {
            params: self.params,
            model: &self.source.model,
            about,
            trained: &self.source.trained,
            chat: self.source.end_of_turn.is_some(),
            notes: self.notes,
            story: self.story,
        };
        says.text()
    }
}

/// What a card goes by.
struct Says<'a> {
    params: &'a Params,
    model: &'a Model,
    about: &'a About,
    /// What it was while it was trained.
    trained: &'a Model,
    /// Whether it answers by a chat template.
    chat: bool,
    notes: &'a [String],
    story: Option<&'a Story>,
}

impl Says<'_> {
    fn text(&self) -> String {
        let size = short(self.about.parameters);
        let name = self.params.name.clone().unwrap_or_else(|| format!("A model of {size} parameters"));
        let mut text = String::from("---\n");
        if self.params.format == Format::Hf {
            text += "library_name: transformers\n";
        }
        text += "pipeline_tag: text-generation\ntags:\n- muse\n---\n\n";
        _ = writeln!(text, "# {name}\n\nA language model of {size} parameters, made by muse.\n");
        for note in self.notes {
            _ = writeln!(text, "> **Note.** {note}\n");
        }
        text += &usage::usage(self.params.format, self.chat);
        text += &self.sizes();
        text += &self.training();
        if let Some(story) = self.story {
            text += &story::data(story);
            text += &story::stages(story);
        }
        text
    }

    fn sizes(&self) -> String {
        let model = self.model;
        let known =
            |value: Option<usize>| value.map_or_else(|| "not known".to_owned(), |value| value.to_string());
        let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        let stored = match (self.params.format, self.params.dtype()) {
            (_, None) => "as they were trained".to_owned(),
            (Format::Gguf, Some(dtype @ (Dtype::Q8 | Dtype::Q4 | Dtype::Tq2 | Dtype::Tq1))) => {
                format!("`{}`, norms in `f32`", dtype.name())
            }
            (_, Some(dtype)) => format!("`{}`", dtype.name()),
        };
        let mut rows = vec![
            ("class", Class::of(model).map_or("none outside muse", Class::name).to_owned()),
            ("parameters", self.about.parameters.to_string()),
            ("tokens of the vocabulary", known(model.vocab_size)),
            ("context", known(model.context)),
            ("blocks", model.layers.to_string()),
            ("width", model.width.to_string()),
            ("heads, and those of keys and values", format!("{}, {}", model.heads, model.kv_heads())),
            ("width of a head", model.head_width().to_string()),
            ("inner width of SwiGLU", model.ffn.to_string()),
            ("norms of queries and keys", yes(model.shape(1, 1).norms_heads())),
            ("embedding is head", yes(model.tied)),
            ("window of attention", model.window.map_or("no".into(), |window| window.to_string())),
            ("weights", stored),
        ];
        if let Some(mixers) = model.mixers {
            let names: Vec<&str> = mixers.iter().map(|mixer| mixer.name()).collect();
            rows.push(("mixers of blocks, in turn", names.join(", ")));
        }
        if let Some(experts) = model.experts {
            let (count, chosen, inner) = (experts.count, experts.chosen, model.shape(1, 1).of_experts());
            let shared =
                if experts.shared > 0 { format!(", and {} for all", experts.shared) } else { String::new() };
            let how = format!("{count} of inner width {inner}, a token goes through {chosen}{shared}");
            rows.push(("experts of a block", how));
            if experts.dense > 0 {
                rows.push(("blocks at the start without experts", experts.dense.to_string()));
            }
        }
        let as_it_is = model == self.trained;
        let merged = if as_it_is { "" } else { ", merged to whole ones" };
        if let Some(rank) = self.trained.low_rank() {
            rows.push(("rank of the matrices of blocks", format!("{rank}{merged}")));
        }
        if let Some(embedding) = self.trained.embedding {
            let made = if as_it_is { "" } else { ", made whole" };
            let how = format!("two cores of rank {}{made}", embedding.tensor_train);
            rows.push(("rows for tokens", how));
        }
        if let Some(round) = self.trained.round() {
            let how = match round {
                Round::Ternary => "three values",
                Round::Int8 => "8 bits",
            };
            let when = if as_it_is { " whenever they are used" } else { ", as they are here" };
            rows.push(("matrices of blocks are rounded to", format!("{how}{when}")));
        }
        table("Sizes", ["", ""], rows)
    }

    fn training(&self) -> String {
        if self.about.step == 0 && self.about.tokens == 0 {
            return String::new();
        }
        let which = match self.params.weights {
            Weights::Last => "those after the last step",
            Weights::Best => "those with the lowest loss on what was held back",
        };
        let rows = [
            ("weights", which.to_owned()),
            ("steps", self.about.step.to_string()),
            ("tokens learned from", self.about.tokens.to_string()),
        ];
        let figures = self.about.figures.iter().map(|(name, figure)| (name.as_str(), format!("{figure:.4}")));
        table("Training", ["", ""], rows.into_iter().chain(figures))
    }
}

/// A section with a table.
fn table<'a, const WIDE: usize>(
    title: &str,
    head: [&str; WIDE],
    rows: impl IntoIterator<Item = impl Into<Row<'a, WIDE>>>,
) -> String {
    let mut text = format!("## {title}\n\n| {} |\n|{}\n", head.join(" | "), "---|".repeat(WIDE));
    for row in rows {
        let Row(cells) = row.into();
        _ = writeln!(text, "| {} |", cells.map(|cell| escaped(&cell)).join(" | "));
    }
    text.push('\n');
    text
}

/// A row of a table.
struct Row<'a, const WIDE: usize>([std::borrow::Cow<'a, str>; WIDE]);

impl<'a> From<(&'a str, String)> for Row<'a, 2> {
    fn from((name, value): (&'a str, String)) -> Self {
        Self([name.into(), value.into()])
    }
}

impl From<[String; 3]> for Row<'_, 3> {
    fn from(cells: [String; 3]) -> Self {
        Self(cells.map(Into::into))
    }
}

/// What a cell may hold.
fn escaped(cell: &str) -> String {
    cell.replace('|', "\\|").replace(['\n', '\r'], " ")
}

/// A count as people say it.
fn short(count: u64) -> String {
    let (unit, name) = match count {
        ..1_000 => return count.to_string(),
        1_000..1_000_000 => (1e3, "k"),
        1_000_000..1_000_000_000 => (1e6, "M"),
        _ => (1e9, "B"),
    };
    let (value, name) = (count as f64 / unit, name);
    if value < 10.0 { format!("{value:.1}{name}") } else { format!("{value:.0}{name}") }
}

#[cfg(test)]
mod tests {
    use super::story::tests::story;
    use super::*;
    use serde_json::json;

    fn about() -> About {
        serde_json::from_value(json!({
            "format": 1, "config": {}, "step": 800, "tokens": 1_638_400,
            "figures": { "loss": 2.21987, "validation_loss": 2.3 }, "parameters": 1_317_248, "files": {},
        }))
        .unwrap()
    }

    fn text(params: serde_json::Value, notes: &[String], story: Option<&Story>) -> String {
        let params: Params = serde_json::from_value(params).unwrap();
        let mut model = Model::new(4, 128, 4, 384);
        (model.vocab_size, model.context) = (Some(4096), Some(256));
        Says { params: &params, model: &model, about: &about(), trained: &model, chat: true, notes, story }
            .text()
    }

    #[test]
    fn a_card_tells_what_the_model_is() {
        let card = text(json!({ "name": "mine | yours" }), &[], None);
        assert!(card.starts_with("---\nlibrary_name: transformers\n"), "{card}");
        for line in [
            "# mine | yours\n\nA language model of 1.3M parameters, made by muse.",
            "| class | Qwen3ForCausalLM |",
            "| tokens of the vocabulary | 4096 |",
            "| weights | `bf16` |",
            "| weights | those after the last step |",
            "| tokens learned from | 1638400 |",
            "| loss | 2.2199 |",
            "AutoModelForCausalLM.from_pretrained",
        ] {
            assert!(card.contains(line), "{line} in {card}");
        }
        assert!(!card.contains("## Data"), "nothing is said of what is not known");
    }

    #[test]
    fn it_is_another_one_for_another_format() {
        let card = text(
            json!({ "format": "gguf", "dtype": "q4_0", "weights": "best" }),
            &["mind this".into()],
            None,
        );
        assert!(card.starts_with("---\npipeline_tag"), "{card}");
        for line in
            ["> **Note.** mind this", "llama-cli -m model.gguf", "`q4_0`, norms in `f32`", "lowest loss"]
        {
            assert!(card.contains(line), "{line} in {card}");
        }
        assert!(card.contains("# A model of 1.3M parameters"), "{card}");
        assert!(text(json!({ "format": "muse" }), &[], None).contains("muse chat"));
    }

    #[test]
    fn what_is_known_of_its_making_stands_behind() {
        let card = text(json!({}), &[], Some(&story()));
        let (data, stages) = (card.find("## Data").unwrap(), card.find("## How it was made").unwrap());
        assert!(card.find("## Training").unwrap() < data && data < stages);
    }

    #[test]
    fn counts_are_short() {
        assert_eq!(
            [999, 1_500, 1_317_248, 124_000_000, 7_000_000_000].map(short),
            ["999", "1.5k", "1.3M", "124M", "7.0B"]
        );
    }
}
