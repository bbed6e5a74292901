//! What a proposal looks like: a table that fits 80 columns.
use super::answers::Answers;
use super::choices::{Goal, word};
use super::proposal::Proposal;
use super::proposal::rules::TOKENS_EACH;
use crate::format::{Table, bytes, count, duration, exact, plural, shorten};
use crate::paint::Paint;
use muse_stage::Count;

/// Columns that a table takes.
const WIDTH: usize = 80;

/// Draws a proposal. What was answered is marked, all else may change with it.
pub(crate) fn draw(proposal: &Proposal, answers: &Answers, paint: Paint) -> String {
    let mut page = Page { table: Table::default(), paint };
    page.choices(proposal, answers);
    page.table.row([""]);
    page.costs(proposal);
    let mut text = page.table.draw("");
    for note in &proposal.notes {
        text += &format!("{} {note}\n", paint.warn("note:"));
    }
    text
}

struct Page {
    table: Table,
    paint: Paint,
}

impl Page {
    /// A row of a value that may be set.
    fn choice(&mut self, name: &str, set: bool, value: String, about: &str) {
        let mark = if set { "*" } else { " " };
        let about = self.paint.faint(&shorten(about, WIDTH - 34));
        self.table.row([format!("{mark} {}", self.paint.strong(name)), format!("{value:<12}"), about]);
    }

    fn cost(&mut self, name: &str, value: &str, about: &str) {
        let about = self.paint.faint(&shorten(about, WIDTH - 34));
        self.table.row([
            format!("  {}", self.paint.strong(name)),
            format!("{:<12}", self.paint.live(value)),
            about,
        ]);
    }

    fn choices(&mut self, proposal: &Proposal, answers: &Answers) {
        let goal = match proposal.goal {
            Goal::Try => "a small model in minutes",
            Goal::Real => "as good as memory, time and data allow",
            Goal::Benchmark => "the same for everybody",
        };
        self.choice("goal", answers.goal.is_some(), word(proposal.goal), goal);
        let languages: Vec<String> = proposal.languages.iter().copied().map(word).collect();
        self.choice("languages", !answers.languages.is_empty(), languages.join(","), &learns_from(proposal));
        let form = match proposal.chats.is_empty() {
            true => "it goes on with a text",
            false => "it answers",
        };
        self.choice("form", answers.form.is_some(), word(proposal.form), form);
        let model = &proposal.sized.model;
        let name =
            proposal.sized.name.map_or_else(|| count(proposal.sized.parameters() as f64), str::to_owned);
        let sizes = format!(
            "{} parameters, {} layers of width {}",
            exact(proposal.sized.parameters()),
            model.layers,
            exact(model.width as u64)
        );
        self.choice("model", answers.model.is_some(), name, &sizes);
        let vocab = proposal.vocab.to_string();
        self.choice("vocab", answers.vocab.is_some(), vocab, "tokens of the tokenizer");
        let context = proposal.context.to_string();
        self.choice("context", answers.context.is_some(), context, "tokens of a sequence");
        let each = proposal.tokens as f64 / proposal.sized.parameters().max(1) as f64;
        let each = match each {
            10.0.. => format!("{each:.0}"),
            1.0.. => format!("{each:.1}"),
            _ => format!("{each:.2}"),
        };
        let tokens = format!("{each} for each parameter; {TOKENS_EACH} are a good measure");
        self.choice("tokens", answers.tokens.is_some(), Count(proposal.tokens).to_string(), &tokens);
        let steps = format!("of a step, of which there are {}", exact(proposal.steps()));
        self.choice(
            "batch-tokens",
            answers.batch_tokens.is_some(),
            proposal.batch_tokens.to_string(),
            &steps,
        );
        let mut at_once = "sequences at once".to_owned();
        if proposal.fit.recompute {
            at_once += "; blocks are recomputed";
        }
        if proposal.fit.int8 {
            at_once += "; 8-bit states";
        }
        let micro = proposal.fit.micro_batch.to_string();
        self.choice("micro-batch", answers.micro_batch.is_some(), micro, &at_once);
        self.choice("lr", answers.lr.is_some(), rate(proposal.lr), "learning rate at its peak");
        self.choice(
            "precision",
            answers.precision.is_some(),
            word(proposal.precision),
            "of weights and activations",
        );
        let memory = format!("of {}: {}", bytes(proposal.hardware.memory), proposal.hardware.name);
        self.choice("share", answers.share.is_some(), proposal.share.to_string(), &memory);
    }

    fn costs(&mut self, proposal: &Proposal) {
        let parameters = count(proposal.sized.parameters() as f64);
        let weights = format!("{} in bf16", bytes(2 * proposal.sized.parameters()));
        self.cost("parameters", &parameters, &weights);
        let takes = proposal.fit.cost.training.total;
        let part = 100.0 * takes as f64 / proposal.memory().max(1) as f64;
        let share = format!("{part:.0}% of the share, which is {}", bytes(proposal.memory()));
        self.cost("memory", &bytes(takes), &share);
        let assumes = format!("estimated, {}", proposal.hardware.assumes());
        self.cost("time", &duration(proposal.seconds), &assumes);
        self.cost("disk", &bytes(proposal.disk), "about, for all that stays");
    }
}

/// The texts with their shares.
fn learns_from(proposal: &Proposal) -> String {
    let text = |taken: &super::proposal::Taken| match proposal.texts.len() {
        1 => taken.source.name.clone(),
        _ => format!("{} {:.0}%", taken.source.name, 100.0 * taken.share),
    };
    let texts: Vec<String> = proposal.texts.iter().map(text).collect();
    match proposal.chats.len() {
        0 => texts.join(", "),
        chats => format!("{}; {}", texts.join(", "), plural(chats, "set") + " of chats"),
    }
}

/// A rate as pages write it: `3e-3`.
pub(crate) fn rate(rate: f64) -> String {
    format!("{rate:e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_short() {
        assert_eq!([rate(3e-3), rate(6e-4), rate(1.0)], ["3e-3", "6e-4", "1e0"]);
    }
}
