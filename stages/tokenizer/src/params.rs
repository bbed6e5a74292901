//! What stands under `with:`.
use muse_artifacts::tokenizer::split::Split as Cut;
use muse_stage::schemars::{self, JsonSchema};
use muse_stage::{Bytes, Count, FieldError, InputFiles};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Tokens for single bytes: with them there is no text that has no tokens.
pub(crate) const BYTES: usize = 256;

/// What stands under `with:`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How text becomes tokens. Whatever it is, every text comes back from its tokens letter by letter.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// How many tokens there are, special tokens and those of single bytes counted. With a `base`, how many there are in
    /// the end. A corpus too small for so many gives fewer, and the report says so.
    #[serde(default = "vocab_size")]
    pub vocab_size: Count,
    /// How much text is read and how often a pair must stand there at least to become a token; nothing else.
    /// `default` reads 256 MiB and takes 2, `fast` 64 MiB and 5, `turbo` 16 MiB and 10, `ultrafast` 4 MiB and 20.
    #[serde(default)]
    pub mode: Mode,
    /// How much text is read, spread evenly over all corpora, in place of what `mode` says. Memory grows with the number
    /// of different words in it.
    #[serde(default)]
    pub sample: Option<Bytes>,
    /// How often a pair must stand in the text at least to become a token, in place of what `mode` says. For `char`, how
    /// often a character must.
    #[serde(default)]
    pub min_frequency: Option<Count>,
    /// Tokens that stand for no text, first in the vocabulary. The first ends documents, the first with `pad` in its name
    /// fills up. Without a `base` they are `<|endoftext|>`, `<|im_start|>`, `<|im_end|>`, `<|pad|>`; with one, those of the base
    /// and what stands here.
    #[serde(default)]
    pub special_tokens: Option<Vec<String>>,
    /// A file with the template by which conversations are written, in jinja. Without it, that of the `base`, else ChatML.
    #[serde(default)]
    pub chat_template: Option<InputFiles>,
    /// How text is cut into words, across which no token reaches.
    #[serde(default)]
    pub split: Split,
    /// What is done to text before all else. Anything but `none` loses what it makes alike.
    #[serde(default)]
    pub normalize: Normalize,
    /// Put a space before every text, so that its first word is like all others. It stays there when tokens become text.
    #[serde(default)]
    pub add_prefix_space: bool,
    /// The most bytes a token may have. Keeps long rules and runs of blanks from filling the vocabulary.
    #[serde(default = "max_token_length")]
    pub max_token_length: Count,
}

/// How text becomes tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// The most frequent pair of neighbours becomes a token, again and again, from single bytes on.
    #[default]
    Bpe,
    /// From many candidates those stay that make the text most likely, single bytes always.
    Unigram,
    /// Every character of the corpus is a token; others become the tokens of their bytes.
    Char,
    /// Every byte is a token.
    Byte,
}

/// How much text is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// 256 MiB, 2 times.
    #[default]
    Default,
    /// 64 MiB, 5 times.
    Fast,
    /// 16 MiB, 10 times.
    Turbo,
    /// 4 MiB, 20 times.
    Ultrafast,
}

/// How text is cut into words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// As `gpt4`, and a Japanese word is a run of kanji and katakana with the hiragana behind it.
    #[default]
    Script,
    /// What GPT-4 and Llama 3 do: letters with one other character before them, digits by three. A Japanese sentence
    /// without punctuation is one word.
    Gpt4,
    /// What GPT-2 does.
    Gpt2,
}

/// What is done to text before all else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Normalize {
    /// Nothing.
    #[default]
    None,
    /// Composed letters for pairs of a letter and a mark.
    Nfc,
    /// That, and one form for what reads alike: full-width letters, half-width kana.
    Nfkc,
}

impl Mode {
    fn sample(self) -> u64 {
        match self {
            Self::Default => 256 << 20,
            Self::Fast => 64 << 20,
            Self::Turbo => 16 << 20,
            Self::Ultrafast => 4 << 20,
        }
    }

    fn min_frequency(self) -> u64 {
        match self {
            Self::Default => 2,
            Self::Fast => 5,
            Self::Turbo => 10,
            Self::Ultrafast => 20,
        }
    }
}

impl From<Split> for Cut {
    fn from(split: Split) -> Self {
        match split {
            Split::Script => Self::Script,
            Split::Gpt4 => Self::Gpt4,
            Split::Gpt2 => Self::Gpt2,
        }
    }
}

impl Params {
    /// How many bytes of text are read.
    pub(crate) fn sample(&self) -> u64 {
        self.sample.map_or(self.mode.sample(), |bytes| bytes.0)
    }

    pub(crate) fn min_frequency(&self) -> u64 {
        self.min_frequency.map_or(self.mode.min_frequency(), |count| count.0)
    }

    pub(crate) fn vocab_size(&self) -> usize {
        usize::try_from(self.vocab_size.0).unwrap_or(usize::MAX)
    }

    /// The special tokens of a tokenizer that has no base.
    pub(crate) fn specials(&self) -> Vec<String> {
        let usual = || ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"].map(str::to_owned).to_vec();
        self.special_tokens.clone().unwrap_or_else(usual)
    }

    /// Fields that change nothing, given the others.
    pub(crate) fn idle(&self) -> Vec<&'static str> {
        let mut idle = Vec::new();
        if self.algorithm == Algorithm::Byte {
            idle.extend(["vocab_size", "mode", "sample", "min_frequency", "split", "max_token_length"]);
        } else if self.sample.is_some() && self.min_frequency.is_some() {
            idle.push("mode");
        }
        if self.algorithm == Algorithm::Char {
            idle.push("max_token_length");
        }
        idle
    }

    /// What the schema cannot say.
    pub(crate) fn check(&self) -> Result<(), FieldError> {
        let mut seen = BTreeSet::new();
        for (at, token) in self.special_tokens.iter().flatten().enumerate() {
            let wrong = |message: String| Err(FieldError::new(format!("/special_tokens/{at}"), message));
            match token {
                _ if token.is_empty() => return wrong("a special token cannot be empty".into()),
                _ if token.chars().nth(1).is_none() => {
                    return wrong(format!(
                        "`{token}` is a character of texts, so it cannot be a special token"
                    ));
                }
                _ if !seen.insert(token) => return wrong(format!("special token `{token}` is named twice")),
                _ => {}
            }
        }
        let least = BYTES + self.specials().len();
        if self.algorithm != Algorithm::Byte && self.vocab_size() < least {
            let message = format!("{} tokens are too few", self.vocab_size.0);
            let help =
                format!("{BYTES} stand for single bytes and {} are special: at least {least}", least - BYTES);
            return Err(FieldError::new("/vocab_size", message).help(help));
        }
        if self.vocab_size.0 > MOST_TOKENS {
            let message = format!("{} tokens are more than any model has", self.vocab_size.0);
            return Err(FieldError::new("/vocab_size", message).help(format!("at most {MOST_TOKENS}")));
        }
        if self.max_token_length.0 < 4 || self.max_token_length.0 > LONGEST_TOKEN {
            let message = format!("a token of at most {} bytes", self.max_token_length.0);
            let help = format!("4, so that every character can be a token, to {LONGEST_TOKEN}");
            return Err(FieldError::new("/max_token_length", message).help(help));
        }
        if self.sample.is_some_and(|bytes| bytes.0 == 0 || bytes.0 > MOST_TEXT) {
            let message = "a sample of no bytes, or of more than counts are made for";
            return Err(FieldError::new("/sample", message).help("1 to 16GiB"));
        }
        if self.min_frequency.is_some_and(|count| count.0 == 0) {
            return Err(
                FieldError::new("/min_frequency", "what stands nowhere cannot be a token").help("1 or more")
            );
        }
        Ok(())
    }
}

const MOST_TOKENS: u64 = 4_000_000;
const LONGEST_TOKEN: u64 = 4096;
const MOST_TEXT: u64 = 16 << 30;

fn vocab_size() -> Count {
    Count(32_768)
}

fn max_token_length() -> Count {
    Count(64)
}
