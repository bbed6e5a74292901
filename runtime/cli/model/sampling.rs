//! The flags that say which token comes next, and when there are enough.
use clap::Args;
use muse_inference::{Order, Sampling};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// How tokens are chosen.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct SamplingArgs {
    /// The most tokens to write.
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens: Option<usize>,
    /// How much is left to chance; 0 always takes the likeliest token.
    #[arg(long, value_name = "T", default_value_t = 0.8, value_parser = between::<0, 100>)]
    pub(crate) temperature: f64,
    /// Only the likeliest tokens that have this share together.
    #[arg(long, value_name = "P", default_value_t = 0.95, value_parser = between::<0, 1>)]
    pub(crate) top_p: f64,
    /// Only so many of the likeliest tokens; 0 for all.
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub(crate) top_k: usize,
    /// Only tokens that are at least this share as likely as the likeliest.
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = between::<0, 1>)]
    pub(crate) min_p: f64,
    /// Makes tokens that stood there before less likely; 1 for nothing.
    #[arg(long, value_name = "F", default_value_t = 1.0, value_parser = penalty)]
    pub(crate) repetition_penalty: f64,
    /// The same seed gives the same text [default: another each time].
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// A text that ends the answer, and does not stand in it. May be repeated.
    #[arg(long, value_name = "TEXT")]
    pub(crate) stop: Vec<String>,
}

impl SamplingArgs {
    /// As the model takes it; `number` tells texts of one seed apart.
    pub(crate) fn sampling(&self, number: u64) -> Sampling {
        let seed = self.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        Sampling {
            repetition_penalty: self.repetition_penalty,
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            seed: seed.wrapping_add(number),
            ..Sampling::default()
        }
    }

    /// An order for a text behind a prompt.
    pub(crate) fn order(&self, prompt: Vec<u32>, usual: usize, ends: Vec<u32>, number: u64) -> Order {
        let most = self.max_tokens.unwrap_or(usual);
        Order { sampling: self.sampling(number), stops: self.stop.clone(), ends, ..Order::new(prompt, most) }
    }
}

/// A number within bounds, both included.
fn between<const LEAST: u64, const MOST: u64>(text: &str) -> Result<f64, String> {
    let (least, most) = (LEAST as f64, MOST as f64);
    match text.parse::<f64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("expected a number from {least} to {most}")),
    }
}

/// A factor: zero and below would turn likely into unlikely.
fn penalty(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number <= 100.0 => Ok(number),
        _ => Err("expected a number above 0, 100 at most".into()),
    }
}
