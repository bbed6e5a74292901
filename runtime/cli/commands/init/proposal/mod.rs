//! What is proposed: pure arithmetic over answers, a machine and what is known of the data.
mod desk;
mod fit;
pub(crate) mod rules;
mod taken;
#[cfg(test)]
mod tests;

pub(crate) use fit::{Asked, Fit};
pub(crate) use taken::Taken;

use super::answers::Answers;
use super::choices::{Form, Goal, Language, Precision};
use super::data::Source;
use super::hardware::Hardware;
use super::mix::Mix;
use super::sizes::Sized;
use desk::Desk;
use muse_stage::Duration;

/// The share of the memory that is used where nobody says: the rest is for what else runs, and for what the planner leaves out.
const SHARE: f64 = 0.5;

/// A whole recipe.
#[derive(Clone, Debug)]
pub(crate) struct Proposal {
    pub(crate) goal: Goal,
    pub(crate) languages: Vec<Language>,
    pub(crate) form: Form,
    pub(crate) texts: Vec<Taken>,
    pub(crate) chats: Vec<Taken>,
    pub(crate) hardware: Hardware,
    /// The share of its memory to use.
    pub(crate) share: f64,
    pub(crate) sized: Sized,
    pub(crate) vocab: u64,
    pub(crate) context: u64,
    pub(crate) tokens: u64,
    pub(crate) batch_tokens: u64,
    pub(crate) precision: Precision,
    pub(crate) lr: f64,
    pub(crate) seed: u64,
    /// How it fits into memory, and what it costs.
    pub(crate) fit: Fit,
    /// Tokens of chats that it learns from, about.
    pub(crate) chat_tokens: u64,
    /// How long training may take.
    pub(crate) time: Duration,
    /// Seconds that training takes, about.
    pub(crate) seconds: f64,
    /// Bytes of disk that all of it takes, about.
    pub(crate) disk: u64,
    /// What needs a look.
    pub(crate) notes: Vec<String>,
}

/// What answers come to on a machine with data. The error says what cannot be.
pub(crate) fn propose(
    answers: &Answers,
    hardware: &Hardware,
    texts: Vec<Source>,
    chats: Vec<Source>,
) -> Result<Proposal, String> {
    let named: Vec<_> = texts.iter().map(|text| (text.name.as_str(), text.class)).collect();
    let shares = answers.mix.as_ref().unwrap_or(&Mix::Balanced).shares(&named)?;
    let desk = Desk {
        answers,
        hardware,
        goal: answers.goal.unwrap_or(Goal::Try),
        precision: answers.precision.unwrap_or(if hardware.on_gpu {
            Precision::Bf16
        } else {
            Precision::F32
        }),
        share: answers.share.unwrap_or(SHARE),
        talk: !chats.is_empty(),
        // Text that may be seen a few times lasts for as many tokens as it has bytes.
        lasts: texts
            .iter()
            .zip(&shares)
            .filter(|(_, share)| **share > 0.0)
            .filter_map(|(text, share)| Some((text.bytes? as f64 / share, text)))
            .map(|(bytes, text)| {
                ((bytes as u64).saturating_mul(rules::TIMES) / rules::BYTES_EACH, text.name.clone())
            })
            .min(),
    };
    // A text without a share has no place on the page.
    let texts = texts.into_iter().zip(shares).filter(|(_, share)| *share > 0.0);
    Ok(desk.proposal(texts.collect(), chats))
}

impl Proposal {
    /// The memory that a step may take.
    pub(crate) fn memory(&self) -> u64 {
        self.hardware.part(self.share)
    }

    /// How many steps the training has.
    pub(crate) fn steps(&self) -> u64 {
        self.tokens.div_ceil(self.batch_tokens.max(1))
    }
}
