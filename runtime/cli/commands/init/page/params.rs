//! The values that a page is set by, and those of a smoke run beside them.
use super::Page;
use crate::commands::init::choices::{Goal, Precision, word};
use crate::commands::init::data::What;
use crate::commands::init::proposal::Taken;
use crate::commands::init::proposal::rules::{CHAT_EPOCHS, eval_every};
use crate::commands::init::table::rate;
use muse_stage::Count;
use std::fmt::Write as _;

/// Learning to answer takes this many tokens a step: chats are few.
const CHAT_BATCH: u64 = 16_384;

/// A parameter of the page.
struct Param {
    name: String,
    value: String,
    about: &'static str,
    /// Its value in a smoke run, where that is another one.
    smoke: Option<String>,
}

/// The parameter for how many documents of a text are taken.
pub(super) fn documents(taken: &Taken) -> String {
    format!("{}_documents", taken.source.name)
}

impl Page<'_> {
    pub(super) fn params(&self) -> String {
        let params = self.all();
        let line = |param: &Param| format!("  {}: {}", param.name, param.value);
        let wide = params.iter().map(|param| line(param).chars().count()).filter(|wide| *wide < 60).max();
        let mut text = "params:\n".to_owned();
        for param in &params {
            let line = crate::format::pad(&line(param), wide.unwrap_or_default());
            let _ = match param.about {
                "" => writeln!(text, "{}", line.trim_end()),
                about => writeln!(text, "{line}  # {about}"),
            };
        }
        text += "presets:\n  smoke:\n";
        for param in &params {
            if let Some(smoke) = &param.smoke {
                let _ = writeln!(text, "    {}: {smoke}", param.name);
            }
        }
        text + "\n"
    }

    fn all(&self) -> Vec<Param> {
        let proposal = self.proposal;
        let mut params = Vec::new();
        let mut add = |name: &str, value: String, about: &'static str, smoke: Option<&str>| {
            let smoke = smoke.map(str::to_owned).filter(|smoke| *smoke != value);
            params.push(Param { name: name.to_owned(), value, about, smoke });
        };
        let texts = || proposal.texts.iter().chain(&proposal.chats);
        if texts().any(|taken| matches!(taken.source.what, What::Hub(..))) {
            add(
                "source",
                "hub".into(),
                "a smoke run writes its own texts in place of those of the hub",
                Some("synthetic"),
            );
        }
        for taken in texts() {
            let number = taken.documents.map_or_else(|| "null".to_owned(), |count| Count(count).to_string());
            let about = match (&taken.source.what, taken.documents) {
                (What::Synthetic, _) => "documents to write",
                (_, None) => "all documents",
                (_, Some(_)) => "documents to take: about as many as are needed",
            };
            add(&documents(taken), number, about, Some("300"));
        }
        add("vocab", proposal.vocab.to_string(), "tokens of the tokenizer", Some("600"));
        add("context", proposal.context.to_string(), "tokens of a sequence", Some("64"));
        let smoke = self.place.named(&self.smoke_path());
        add("model", super::quoted(&self.place.named(&self.model_path())), "", Some(&super::quoted(&smoke)));
        add(
            "tokens",
            Count(proposal.tokens).to_string(),
            "to learn from; a longer training goes on from a shorter one",
            Some("1024"),
        );
        add("batch_tokens", proposal.batch_tokens.to_string(), "of a step", Some("256"));
        add(
            "micro_batch",
            proposal.fit.micro_batch.to_string(),
            "sequences at once: memory goes by this",
            Some("4"),
        );
        add("lr", rate(proposal.lr), "the learning rate at its peak: the first thing to sweep", None);
        add("precision", word(proposal.precision), "", Some(&word(Precision::F32)));
        add("eval_every", eval_every(proposal.steps()).to_string(), "steps", Some("2"));
        if !proposal.chats.is_empty() {
            let tenth = if proposal.goal == Goal::Try { 0.5 } else { 0.1 };
            let batch = proposal.batch_tokens.min(CHAT_BATCH.max(proposal.context));
            match proposal.goal {
                Goal::Try => {
                    let steps = (proposal.chat_tokens / batch).max(1);
                    add("chat_steps", steps.to_string(), "of learning to answer", Some("2"));
                }
                Goal::Real | Goal::Benchmark => {
                    add(
                        "chat_epochs",
                        CHAT_EPOCHS.to_string(),
                        "how often all chats are learned from",
                        Some("0.05"),
                    );
                }
            }
            add("chat_batch_tokens", batch.to_string(), "", Some("256"));
            add("chat_lr", rate(rounded(proposal.lr * tenth)), "", None);
        }
        if self.tasks().len() > 1 {
            let tasks = |names: &[&str]| {
                let path = |name: &&str| self.place.root.join(format!("configs/tasks/{name}.yaml"));
                let paths: Vec<String> =
                    names.iter().map(|name| super::quoted(&self.place.named(&path(name)))).collect();
                format!("[{}]", paths.join(", "))
            };
            add("tasks", tasks(&self.tasks()), "", Some(&tasks(&["held_out"])));
            add("eval_data", "[packed, hellaswag, arc_easy]".into(), "", Some("[packed]"));
        }
        if proposal.hardware.on_gpu {
            add("gpu", "1".into(), "0 trains on the processor", Some("0"));
        } else if proposal.hardware.has_gpus {
            add("gpu", "0".into(), "1 trains on a GPU", None);
        }
        params
    }

    /// What training stages reserve, where it is not for muse to choose.
    pub(super) fn reserves(&self) -> &'static str {
        let hardware = &self.proposal.hardware;
        if hardware.on_gpu || hardware.has_gpus { "    resources: { gpu: \"${params.gpu}\" }\n" } else { "" }
    }
}

/// A rate with two digits.
fn rounded(rate: f64) -> f64 {
    format!("{rate:.1e}").parse().unwrap_or(rate)
}
