//! How a proposal is made: the largest model that is good for the goal, and what follows from it.
use super::{Asked, Fit, Proposal, Taken, rules};
use crate::commands::init::answers::Answers;
use crate::commands::init::choices::{Form, Goal, Precision};
use crate::commands::init::data::Source;
use crate::commands::init::hardware::Hardware;
use crate::commands::init::sizes::Sized;
use crate::format::{bytes, duration, exact};
use muse_stage::Duration;

/// What a proposal is made from.
pub(super) struct Desk<'a> {
    pub(super) answers: &'a Answers,
    pub(super) hardware: &'a Hardware,
    pub(super) goal: Goal,
    pub(super) precision: Precision,
    pub(super) share: f64,
    /// It learns to answer, too.
    pub(super) talk: bool,
    /// Tokens for which the data lasts, where that is known, and the text that ends first.
    pub(super) lasts: Option<(u64, String)>,
}

/// A model, how long it learns, and how it fits.
struct Choice {
    sized: Sized,
    context: u64,
    tokens: u64,
    batch_tokens: u64,
    fit: Fit,
}

impl Desk<'_> {
    /// Tokens of chats for each of texts.
    fn talks(&self) -> f64 {
        match (self.talk, self.goal) {
            (false, _) => 0.0,
            (true, Goal::Try) => 0.3,
            (true, _) => 0.1,
        }
    }

    /// Seconds that training may take.
    fn budget(&self) -> u64 {
        self.answers.time.unwrap_or_else(|| rules::seconds(self.goal))
    }

    /// The largest model that memory, time and data allow; the smallest, where none does; the one that was asked for.
    fn choose(&self) -> Choice {
        let asked = self.answers.model.as_deref().and_then(Sized::of);
        let asked = asked.or_else(|| match (self.goal, self.hardware.on_gpu) {
            (Goal::Benchmark, true) => Sized::shipped("125m"),
            (Goal::Benchmark, false) => Sized::shipped("tiny_1m"),
            _ => None,
        });
        if let Some(sized) = asked {
            return self.with(sized).0;
        }
        let mut last = None;
        for sized in Sized::ladder() {
            let (choice, good) = self.with(sized);
            if good {
                return choice;
            }
            last = Some(choice);
        }
        last.unwrap_or_else(|| self.with(Sized::near(1_000_000)).0)
    }

    /// What comes of a model, and whether it is good for the goal.
    fn with(&self, sized: Sized) -> (Choice, bool) {
        let vocab = self.answers.vocab.and_then(|vocab| usize::try_from(vocab).ok());
        let sized = match vocab {
            Some(vocab) => sized.with_vocabulary(vocab),
            None => sized,
        };
        let parameters = sized.parameters();
        let fixed = self.goal == Goal::Benchmark;
        let context = self.answers.context.unwrap_or_else(|| match fixed && self.hardware.on_gpu {
            true => 1024,
            false => rules::context(self.goal, parameters, self.hardware.on_gpu),
        });
        // How long it may learn goes by operations, and these by how it fits, for which the size of a step hardly counts.
        let fit = self.fit(&sized, context, 1 << 30);
        // Learning to answer comes on top.
        let learns = self.budget() as f64 / (1.0 + self.talks());
        let affords = learns / self.seconds_each(&sized, context, &fit);
        let wanted = parameters.saturating_mul(rules::TOKENS_EACH);
        let timed = self.answers.time.is_some() || self.goal == Goal::Try || self.answers.model.is_none();
        let affords = if timed && !fixed { affords as u64 } else { u64::MAX };
        let lasts = if self.goal == Goal::Real {
            self.lasts.as_ref().map_or(u64::MAX, |(lasts, _)| *lasts)
        } else {
            u64::MAX
        };
        let learned = wanted.min(affords).min(lasts);
        let tokens = self.answers.tokens.unwrap_or_else(|| rules::rounded(learned.max(context * 100), 2));
        let usual = match (fixed, self.hardware.on_gpu) {
            (true, true) => 1 << 19,
            (true, false) => 1 << 14,
            _ => rules::batch_tokens(parameters, tokens, context),
        };
        let batch_tokens = self.answers.batch_tokens.unwrap_or(usual).clamp(context, 1 << 30);
        let fit = self.fit(&sized, context, batch_tokens);
        let enough = match (self.answers.tokens, self.goal) {
            (Some(tokens), _) => tokens <= affords && wanted / 2 <= tokens,
            (None, Goal::Try) => learned >= wanted / 4,
            (None, _) => learned >= wanted,
        };
        let good = fit.fits && enough;
        (Choice { sized, context, tokens, batch_tokens, fit }, good)
    }

    /// Seconds that a token takes.
    fn seconds_each(&self, sized: &Sized, context: u64, fit: &Fit) -> f64 {
        let at_once = fit.micro_batch.saturating_mul(context).max(1) as f64;
        let blocks = self.hardware.block() * sized.model.layers as f64;
        fit.operations() / self.hardware.speed(self.precision) + blocks / at_once
    }

    fn fit(&self, sized: &Sized, context: u64, batch_tokens: u64) -> Fit {
        let fixed = self.goal == Goal::Benchmark;
        let usual = if self.hardware.on_gpu { 8 } else { 64 };
        Asked {
            model: &sized.model,
            context,
            batch_tokens,
            precision: self.precision,
            // These are part of the key, and a benchmark has the same everywhere.
            micro_batch: self.answers.micro_batch.or(fixed.then_some(usual)),
            exact: fixed,
            on_gpu: self.hardware.on_gpu,
            memory: self.hardware.part(self.share),
        }
        .fit()
    }

    /// All of it.
    pub(super) fn proposal(&self, texts: Vec<(Source, f64)>, chats: Vec<Source>) -> Proposal {
        let Choice { sized, context, tokens, batch_tokens, fit } = self.choose();
        let parameters = sized.parameters();
        let needs = |share: f64| tokens as f64 * share * rules::BYTES_EACH as f64 * 1.2;
        let texts: Vec<Taken> =
            texts.into_iter().map(|(source, share)| Taken::of(source, share, needs(share))).collect();
        let chat_tokens = tokens as f64 * self.talks();
        // Each set of chats gives as much as the others, as far as it goes.
        let each = chat_tokens * rules::BYTES_EACH as f64 / rules::CHAT_EPOCHS / chats.len().max(1) as f64;
        let chats: Vec<Taken> = chats.into_iter().map(|source| Taken::of(source, 1.0, each)).collect();
        let taken: f64 = chats.iter().map(|taken| taken.bytes(tokens)).sum();
        let chat_tokens = match self.goal {
            Goal::Try => chat_tokens,
            // Chats of one's own are learned whole.
            _ => taken * rules::CHAT_EPOCHS / rules::BYTES_EACH as f64,
        } as u64;
        let seconds = tokens.saturating_add(chat_tokens) as f64 * self.seconds_each(&sized, context, &fit);
        let text: f64 = texts.iter().chain(&chats).map(|taken| taken.bytes(tokens)).sum();
        // A text lies there as it came, as it was cleaned, mixed and packed; weights and what goes with them in four checkpoints.
        let disk = (text * 6.0) as u64 + parameters.saturating_mul(50);
        let mut proposal = Proposal {
            goal: self.goal,
            languages: self.answers.languages.clone(),
            form: if chats.is_empty() { Form::Base } else { Form::Chat },
            texts,
            chats,
            hardware: self.hardware.clone(),
            share: self.share,
            vocab: sized.model.vocab_size.unwrap_or_default() as u64,
            sized,
            context,
            tokens,
            batch_tokens,
            precision: self.precision,
            lr: self.answers.lr.unwrap_or_else(|| rules::lr(parameters)),
            seed: self.answers.seed.unwrap_or(0),
            fit,
            chat_tokens,
            time: Duration(std::time::Duration::from_secs(self.budget())),
            seconds,
            disk,
            notes: Vec::new(),
        };
        proposal.notes = self.notes(&proposal);
        proposal
    }

    fn notes(&self, proposal: &Proposal) -> Vec<String> {
        let mut notes = Vec::new();
        let (takes, has) = (proposal.fit.cost.training.total, proposal.memory());
        if !proposal.fit.fits {
            let (takes, has) = (bytes(takes), bytes(has));
            notes.push(format!(
                "a step takes {takes}, and the share is {has}: a smaller model, or a larger share"
            ));
        }
        if proposal.seconds > 2.0 * self.budget() as f64 {
            let (takes, may) = (duration(proposal.seconds), duration(self.budget() as f64));
            notes.push(format!("training takes {takes}, where {may} is usual here or was asked for"));
        }
        if let Some((lasts, name)) = self.lasts.as_ref().filter(|(lasts, _)| proposal.tokens / 2 > *lasts) {
            let times = exact(proposal.tokens.saturating_mul(rules::TIMES) / lasts.max(&1));
            notes.push(format!("`{name}` is seen {times} times: more of it would do more than more steps"));
        }
        notes
    }
}
