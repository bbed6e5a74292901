//! What a proposal looks like: a table that fits 80 columns.
use super::answers::Answers;
use super::choices::{Form, Goal, word};
use super::proposal::rules::TOKENS_EACH;
use super::proposal::{Proposal, Taken};
use crate::format::{Table, bytes, count, duration, exact, plural, shorten, width};
use crate::paint::Paint;
use muse_stage::Count;
use std::fmt::Display;

/// Columns that a table takes.
const WIDTH: usize = 80;
/// Columns that a value takes, at most.
const VALUE: usize = 20;

/// Draws a proposal. What was answered is marked, all else may change with it.
pub(crate) fn draw(proposal: &Proposal, answers: &Answers, paint: Paint) -> String {
    let mut rows = choices(proposal, answers);
    let costs = costs(proposal, answers);
    let begin = rows.len();
    rows.extend(costs);
    let values: Vec<String> = rows.iter().map(|row| shorten(&row.value, VALUE)).collect();
    let names = rows.iter().map(|row| width(row.name)).max().unwrap_or_default();
    // Two columns for the mark, and two between one column and the next.
    let left = WIDTH - 2 - names - 2 - values.iter().map(|value| width(value)).max().unwrap_or_default() - 2;
    let mut table = Table::default();
    for (at, (row, value)) in rows.iter().zip(values).enumerate() {
        if at == begin {
            table.row([""]);
        }
        let mark = if row.set { "*" } else { " " };
        let value = if at < begin { value } else { paint.live(&value) };
        table.row([
            format!("{mark} {}", paint.strong(row.name)),
            value,
            paint.faint(&shorten(&row.about, left)),
        ]);
    }
    let mut text = table.draw("");
    for note in &proposal.notes {
        text += &format!("{} {}\n", paint.warn("note:"), wrapped(note, WIDTH - 6).join("\n      "));
    }
    text
}

struct Row {
    name: &'static str,
    /// Somebody has said so.
    set: bool,
    value: String,
    about: String,
}

fn row(name: &'static str, set: bool, value: impl Display, about: impl Display) -> Row {
    Row { name, set, value: value.to_string(), about: about.to_string() }
}

/// What may be set.
fn choices(proposal: &Proposal, answers: &Answers) -> Vec<Row> {
    let goal = match proposal.goal {
        Goal::Try => "a small model in minutes",
        Goal::Real => "as good as memory, time and data allow",
        Goal::Benchmark => "the same for everybody",
    };
    let languages: Vec<String> = proposal.languages.iter().copied().map(word).collect();
    let form = match proposal.form {
        Form::Base => "it goes on with a text",
        Form::Chat => "it answers",
    };
    let parameters = proposal.sized.parameters();
    let model = proposal.sized.name.map_or_else(|| count(parameters as f64), str::to_owned);
    let sizes = format!(
        "{} parameters, {} layers of width {}",
        exact(parameters),
        proposal.sized.model.layers,
        exact(proposal.sized.model.width as u64)
    );
    let each = match proposal.tokens as f64 / parameters.max(1) as f64 {
        each @ 10.0.. => format!("{each:.0}"),
        each @ 1.0.. => format!("{each:.1}"),
        each => format!("{each:.2}"),
    };
    let each = format!("{each} for each parameter; {TOKENS_EACH} are a good measure");
    let steps = format!("of a step, of which there are {}", exact(proposal.steps()));
    let mut at_once = "sequences at once".to_owned();
    if proposal.fit.recompute {
        at_once += "; blocks are recomputed";
    }
    if proposal.fit.int8 {
        at_once += "; 8-bit states";
    }
    let device = if proposal.hardware.on_gpu { "cuda" } else { "cpu" };
    let share = format!("of the memory, which is {}", bytes(proposal.memory()));
    vec![
        row("goal", answers.goal.is_some(), word(proposal.goal), goal),
        row("languages", !answers.languages.is_empty(), languages.join(","), learns_from(proposal)),
        row("form", answers.form.is_some(), word(proposal.form), form),
        row("model", answers.model.is_some(), model, sizes),
        row("vocab", answers.vocab.is_some(), proposal.vocab, "tokens of the tokenizer"),
        row("context", answers.context.is_some(), proposal.context, "tokens of a sequence"),
        row("tokens", answers.tokens.is_some(), Count(proposal.tokens), each),
        row("batch-tokens", answers.batch_tokens.is_some(), proposal.batch_tokens, steps),
        row("micro-batch", answers.micro_batch.is_some(), proposal.fit.micro_batch, at_once),
        row("lr", answers.lr.is_some(), rate(proposal.lr), "learning rate at its peak"),
        row("precision", answers.precision.is_some(), word(proposal.precision), "of weights and activations"),
        row("seed", answers.seed.is_some(), proposal.seed, "what chance depends on"),
        row("device", answers.device.is_some() || answers.gpu.is_some(), device, &proposal.hardware.name),
        row("share", answers.share.is_some(), proposal.share, share),
    ]
}

/// What it costs: memory and time with what there is of them, which may be set.
fn costs(proposal: &Proposal, answers: &Answers) -> Vec<Row> {
    let parameters = proposal.sized.parameters();
    let takes = proposal.fit.cost.training.total;
    let part = 100.0 * takes as f64 / proposal.memory().max(1) as f64;
    let memory = format!("of {}; {part:.0}% of the share", bytes(proposal.hardware.memory));
    let time = format!("of {}; estimated {}", proposal.time, proposal.hardware.assumes(proposal.precision));
    vec![
        row("parameters", false, count(parameters as f64), format!("{} in bf16", bytes(2 * parameters))),
        row("memory", answers.memory.is_some(), bytes(takes), memory),
        row("time", answers.time.is_some(), duration(proposal.seconds), time),
        row("disk", false, bytes(proposal.disk), "about, for all that stays"),
    ]
}

/// A text in lines of so many columns.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= columns => *line += &format!(" {word}"),
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The texts with their shares.
fn learns_from(proposal: &Proposal) -> String {
    let text = |taken: &Taken| match proposal.texts.len() {
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
    use crate::commands::init::data::{Class, Source, What};
    use crate::commands::init::hardware::Found;
    use crate::commands::init::proposal::propose;

    fn drawn(paint: bool, change: impl FnOnce(&mut Answers)) -> String {
        let mut answers = Answers::default();
        change(&mut answers);
        let found =
            Found::of(2, 8 << 30, &[("NVIDIA RTX 6000 Ada Generation, of a maker of long names", 48 << 30)]);
        let hardware = found.choose(&answers).unwrap();
        let texts =
            ["texts_of_a_name_as_long_as_names_may_be_1", "texts_of_a_name_as_long_as_names_may_be_2"];
        let text = |name: &str| Source {
            name: name.into(),
            class: Class::General,
            what: What::Synthetic,
            set: None,
            bytes: Some(1000),
            one_document: false,
        };
        let proposal = propose(&answers, &hardware, texts.map(text).into(), vec![text("chats")]).unwrap();
        draw(&proposal, &answers, Paint { on: paint })
    }

    #[test]
    fn whatever_is_set_a_table_fits_80_columns() {
        let all = |answers: &mut Answers| {
            answers.set("languages", "ja,en,zh,ko").unwrap();
            for (key, value) in [
                ("tokens", "999999999999999"),
                ("lr", "1.2345678901234567e-300"),
                ("share", "0.12345678901234567"),
                ("seed", "18446744073709551615"),
                ("batch_tokens", "1073741823"),
                ("context", "1048575"),
                ("model", "20B"),
                ("time", "1s"),
            ] {
                answers.set(key, value).unwrap();
            }
        };
        for paint in [false, true] {
            for text in
                [drawn(paint, |_| ()), drawn(paint, |all| all.goal = Some(Goal::Real)), drawn(paint, all)]
            {
                for line in text.lines() {
                    assert!(width(line) <= WIDTH, "{} columns: {line}\n{text}", width(line));
                }
            }
        }
        assert!(drawn(false, all).contains("\n      "), "notes have several lines");
    }

    #[test]
    fn what_was_said_is_marked() {
        let keys = [
            "goal=real",
            "languages=ja",
            "form=chat",
            "model=30m",
            "vocab=999",
            "context=99",
            "tokens=1M",
            "batch-tokens=99",
            "micro-batch=1",
            "lr=1e-3",
            "precision=f32",
            "seed=1",
            "device=cpu",
            "share=0.9",
            "memory=1GiB",
            "time=1h",
        ];
        for set in keys {
            let (key, value) = set.split_once('=').unwrap();
            let text = drawn(false, |answers| answers.set(key, value).unwrap());
            let marked: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("* ")).collect();
            assert_eq!(marked.len(), 1, "{set}\n{text}");
            assert_eq!(marked[0].split(' ').next(), Some(key), "{text}");
        }
    }

    #[test]
    fn rates_are_short() {
        assert_eq!([rate(3e-3), rate(6e-4), rate(1.0)], ["3e-3", "6e-4", "1e0"]);
    }
}
