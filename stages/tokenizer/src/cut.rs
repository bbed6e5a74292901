//! From a text to its words, as the tokenizer that is being made will see them.
use muse_artifacts::tokenizer::split::Split;
use muse_stage::StageError;
use serde_json::Value;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::tokenizer::{NormalizedString, Normalizer, OffsetReferential, OffsetType};
use tokenizers::{PreTokenizedString, PreTokenizer};

/// What SentencePiece writes for a space.
const SPACE: char = '▁';

/// How text becomes words.
pub(crate) struct Cut {
    normalizer: Option<NormalizerWrapper>,
    how: How,
}

enum How {
    /// By a scanner: words are bytes.
    Scan(Split),
    /// By the library: words are spelled as the model spells them.
    Library(Box<PreTokenizerWrapper>),
    /// A tokenizer that cuts nothing: before each space, as SentencePiece learned its tokens.
    Spaces,
}

impl Cut {
    /// By one of our splits.
    pub(crate) fn new(split: Split, normalizer: &Value) -> Result<Self, StageError> {
        Ok(Self { normalizer: normalizer_of(normalizer)?, how: How::Scan(split) })
    }

    /// As a `tokenizer.json` says.
    pub(crate) fn of(json: &Value) -> Result<Self, StageError> {
        let step = json.get("pre_tokenizer").unwrap_or(&Value::Null);
        let how = match scanner(step) {
            Some(split) => How::Scan(split),
            None if step.is_null() => How::Spaces,
            None => How::Library(Box::new(serde_json::from_value(step.clone()).map_err(unusable)?)),
        };
        Ok(Self { normalizer: normalizer_of(json.get("normalizer").unwrap_or(&Value::Null))?, how })
    }

    /// Whether words are bytes, not yet spelled.
    pub(crate) fn gives_bytes(&self) -> bool {
        matches!(self.how, How::Scan(_))
    }

    /// The words of a text.
    pub(crate) fn words(&self, text: &str, each: &mut dyn FnMut(&[u8])) -> Result<(), StageError> {
        let mut normal = None;
        if let Some(normalizer) = &self.normalizer {
            let mut text = NormalizedString::from(text);
            normalizer.normalize(&mut text).map_err(unusable)?;
            normal = Some(text);
        }
        let text = normal.as_ref().map_or(text, NormalizedString::get);
        match &self.how {
            How::Scan(split) => split.pieces(text).for_each(|word| each(word.as_bytes())),
            How::Library(cut) => {
                let mut words = PreTokenizedString::from(text);
                cut.pre_tokenize(&mut words).map_err(unusable)?;
                let words = words.get_splits(OffsetReferential::Original, OffsetType::Byte);
                words.into_iter().for_each(|(word, _, _)| each(word.as_bytes()));
            }
            How::Spaces => {
                let (mut start, mut before) = (0, SPACE);
                for (at, letter) in text.char_indices() {
                    if letter == SPACE && before != SPACE {
                        each(&text.as_bytes()[start..at]);
                        start = at;
                    }
                    before = letter;
                }
                each(&text.as_bytes()[start..]);
            }
        }
        Ok(())
    }
}

/// The split that a pre-tokenizer amounts to, where it is byte-level and one of ours.
fn scanner(step: &Value) -> Option<Split> {
    let is = |step: &Value, kind: &str| step.get("type").is_some_and(|name| name == kind);
    let bytes = |step: &Value, regex: bool| {
        is(step, "ByteLevel")
            && step.get("add_prefix_space").is_some_and(|add| add == false)
            && step.get("use_regex").and_then(Value::as_bool).unwrap_or(true) == regex
    };
    if bytes(step, true) {
        return Some(Split::Gpt2);
    }
    let steps = step.get("pretokenizers").filter(|_| is(step, "Sequence"))?.as_array()?;
    let [first, second] = steps.as_slice() else { return None };
    let whole = is(first, "Split") && first.get("behavior")? == "Isolated" && first.get("invert")? == false;
    (whole && bytes(second, false))
        .then(|| Split::from_pattern(first.get("pattern")?.get("Regex")?.as_str()?))?
}

fn normalizer_of(json: &Value) -> Result<Option<NormalizerWrapper>, StageError> {
    serde_json::from_value(json.clone()).map_err(unusable)
}

fn unusable(error: impl std::fmt::Display) -> StageError {
    StageError::new(format!("the text cannot be cut into words: {error}"))
}
