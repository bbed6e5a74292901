//! What completions and chats ask alike: how tokens are chosen, how many texts, where they end, whether they are streamed.
use super::fields::{Fields, short};
use crate::error::ApiError;
use muse_inference::{Order, Sampling};
use serde_json::Value;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// The most texts for one prompt.
const TEXTS: u64 = 16;
/// The most texts that end one, and the longest.
const STOPS: (usize, usize) = (16, 1024);
/// The most tokens of a text that anybody may ask for; how many there is room for is another matter.
const LONGEST: u64 = u32::MAX as u64;

/// What is asked.
pub(super) struct Wishes {
    pub(super) model: Option<String>,
    pub(super) sampling: Sampling,
    pub(super) texts: usize,
    pub(super) most: Option<usize>,
    pub(super) stops: Vec<String>,
    pub(super) stream: bool,
    /// Tell at the end of a stream how many tokens there were.
    pub(super) usage: bool,
}

impl Wishes {
    pub(super) fn take(fields: &mut Fields) -> Result<Self, ApiError> {
        let usual = Sampling::default();
        let seed = match fields.take("seed") {
            None => chance(),
            Some(value) => match (value.as_u64(), value.as_i64()) {
                (Some(seed), _) => seed,
                (None, Some(seed)) => seed.cast_unsigned(),
                _ => {
                    return Err(ApiError::bad(
                        "seed",
                        format!("`seed` must be a whole number, not {}", short(&value)),
                    ));
                }
            },
        };
        let size = |number: Option<u64>| number.map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        let sampling = Sampling {
            temperature: fields.number("temperature", 0.0..=100.0)?.unwrap_or(usual.temperature),
            top_p: fields.number("top_p", 0.0..=1.0)?.unwrap_or(usual.top_p),
            top_k: size(fields.whole("top_k", 0..=LONGEST)?).unwrap_or(usual.top_k),
            min_p: fields.number("min_p", 0.0..=1.0)?.unwrap_or(usual.min_p),
            repetition_penalty: fields
                .number("repetition_penalty", 0.01..=100.0)?
                .unwrap_or(usual.repetition_penalty),
            presence_penalty: fields.number("presence_penalty", -2.0..=2.0)?.unwrap_or(0.0),
            frequency_penalty: fields.number("frequency_penalty", -2.0..=2.0)?.unwrap_or(0.0),
            seed,
        };
        let texts = fields.whole("n", 1..=TEXTS)?.unwrap_or(1);
        let most = size(fields.whole("max_tokens", 0..=LONGEST)?);
        let stops = stops(fields.take("stop"))?;
        let stream = fields.flag("stream")?;
        let usage = match fields.take("stream_options") {
            None => false,
            Some(Value::Object(options)) => {
                let mut options = Fields::of(options);
                let usage = options.flag("include_usage")?;
                options.ignore(&["include_obfuscation"]);
                options.finish(" in `stream_options`")?;
                usage
            }
            Some(value) => {
                let said = format!("`stream_options` must be an object, not {}", short(&value));
                return Err(ApiError::bad("stream_options", said));
            }
        };
        let model = fields.text("model")?;
        fields.ignore(&[
            "user",
            "store",
            "metadata",
            "service_tier",
            "safety_identifier",
            "prompt_cache_key",
        ]);
        fields.refuse(&["logit_bias"])?;
        Ok(Self { model, sampling, texts: usize::try_from(texts).unwrap_or(1), most, stops, stream, usage })
    }

    /// Orders for a prompt, each with chance of its own.
    pub(super) fn orders(
        &self,
        prompt: Vec<u32>,
        most: usize,
        ends: &[u32],
        likely: Option<usize>,
    ) -> Vec<Order> {
        let one = |number: usize| Order {
            sampling: Sampling { seed: self.sampling.seed.wrapping_add(number as u64), ..self.sampling },
            stops: self.stops.clone(),
            ends: ends.to_vec(),
            likely,
            ..Order::new(prompt.clone(), most)
        };
        (0..self.texts).map(one).collect()
    }
}

fn stops(value: Option<Value>) -> Result<Vec<String>, ApiError> {
    let (count, longest) = STOPS;
    let wrong = |value: &Value| {
        let said = format!(
            "`stop` must be a text or up to {count} of them, each of 1 to {longest} bytes, not {}",
            short(value)
        );
        ApiError::bad("stop", said)
    };
    let items = match value {
        None => return Ok(Vec::new()),
        Some(Value::Array(items)) if items.len() <= count => items,
        Some(text @ Value::String(_)) => vec![text],
        Some(other) => return Err(wrong(&other)),
    };
    let text = |item: Value| match item {
        Value::String(text) if (1..=longest).contains(&text.len()) => Ok(text),
        other => Err(wrong(&other)),
    };
    items.into_iter().map(text).collect()
}

/// A number that nobody knows before.
pub(super) fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}
