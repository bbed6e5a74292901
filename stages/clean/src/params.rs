//! What stands under `with:`.
use crate::language::Languages;
use muse_stage::Count;
use muse_stage::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What stands under `with:`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The mix: a weight for each stage that `inputs` names. `{ wiki: 7, code: 3 }` gives 70% and 30%, of what is
    /// left when all rules have been applied. It is the largest mix that holds; what is too much of a source is
    /// left out, by chance, and the report says how much. A weight of 0 leaves a source out. Without weights
    /// everything stays.
    #[serde(default)]
    pub weights: BTreeMap<String, f64>,
    /// What weights count.
    #[serde(default)]
    pub weigh: Weigh,
    /// How often the mix may use one document. With 1 the scarcest source bounds the mix; with 4 its documents
    /// come up to four times, until the most plentiful source is used whole.
    #[serde(default = "one")]
    pub repeat: u32,
    /// The Unicode form that texts are brought to. `nfc` puts composed letters for pairs (か and a mark become が),
    /// so that equal words are equal bytes; it also puts ordinary characters for the compatibility ideographs.
    /// `nfkc` goes on to full-width letters, half-width kana, ligatures and circled numbers, and loses what set
    /// them apart.
    #[serde(default)]
    pub normalize: Normalize,
    /// The fewest characters a document may have, white space at its ends not counted. 1 drops what is empty.
    #[serde(default = "one_character")]
    pub min_chars: Count,
    /// The most characters a document may have, white space at its ends not counted.
    #[serde(default)]
    pub max_chars: Option<Count>,
    /// The languages that stay: `any`, one of `ja`, `en`, `zh`, `ko`, or a list of them. Told by scripts, English
    /// by its most common words; for documents, not for sentences.
    #[serde(default)]
    pub language: Languages,
    /// What counts as Japanese.
    #[serde(default)]
    pub japanese: Japanese,
    /// Rules of quality; each is off until it is given.
    #[serde(default)]
    pub quality: Quality,
    /// Which copies go: `exact` drops a document that an earlier one equals, `minhash` also those that an earlier
    /// one nearly equals. The first stays.
    #[serde(default)]
    pub dedup: Dedup,
    /// How near-copies are found.
    #[serde(default)]
    pub minhash: MinHash,
    /// Put the documents in random order. Without it they stay in order, one source behind the other.
    #[serde(default)]
    pub shuffle: bool,
    /// What `shuffle` and the mix draw by.
    #[serde(default)]
    pub seed: u64,
}

/// What weights count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Weigh {
    /// Bytes of text.
    #[default]
    Bytes,
    /// Documents.
    Documents,
}

/// A Unicode form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Normalize {
    /// As it is.
    None,
    /// Composed.
    #[default]
    Nfc,
    /// Composed, and one form for what reads alike.
    Nfkc,
}

/// Which copies go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dedup {
    /// None.
    #[default]
    None,
    /// Equal documents, after `normalize`: of a chat all roles, turns and other fields.
    Exact,
    /// Documents whose n-grams are nearly the same, and what is nearly the same as these: of a chain the first
    /// stays. Chats that ask different things about one long text are near-copies, too: for them `exact` is
    /// right.
    Minhash,
}

/// What counts as Japanese, where `language` asks for it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Japanese {
    /// The least share of kana and kanji in all letters. Words of other scripts have many letters for one kanji.
    #[serde(default = "japanese_share")]
    pub min_share: f64,
    /// The least share of kana in kana and kanji: Chinese has next to none. 0 lets texts without kana pass.
    #[serde(default = "japanese_kana")]
    pub min_kana: f64,
}

/// Rules of quality; each is off until it is given. Shares are between 0 and 1, of characters without white space
/// or of lines that are not empty.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quality {
    /// The highest share of characters that are neither letters nor digits; Japanese prose has 0.05 to 0.15.
    #[serde(default)]
    pub max_symbols: Option<f64>,
    /// The highest share of digits.
    #[serde(default)]
    pub max_digits: Option<f64>,
    /// The least mean length of lines, in characters.
    #[serde(default)]
    pub min_mean_line: Option<f64>,
    /// The highest mean length of lines, in characters.
    #[serde(default)]
    pub max_mean_line: Option<f64>,
    /// The highest share of characters in lines that stood in the document before; 0.2 is usual.
    #[serde(default)]
    pub max_repeated_lines: Option<f64>,
    /// The highest share of characters in runs of 10 words (where words are not spaced: of 10 characters) that
    /// stood in the document before; 0.1 to 0.2 is usual.
    #[serde(default)]
    pub max_repeated_ngrams: Option<f64>,
    /// The highest share of lines that begin with a bullet: `-`, `*`, `•`, `・`, `●`, `■` and their like. 0.9 is
    /// usual.
    #[serde(default)]
    pub max_bullet_lines: Option<f64>,
    /// The highest share of lines that end in `…` or `...`. 0.3 is usual.
    #[serde(default)]
    pub max_ellipsis_lines: Option<f64>,
    /// The least share of lines that end as sentences do: in `。`, `．`, `.`, `!`, `?`, `！`, `？` or a closing quote
    /// or bracket.
    #[serde(default)]
    pub min_ended_lines: Option<f64>,
    /// Texts that no document may hold, such as `lorem ipsum`; letter for letter.
    #[serde(default)]
    pub forbidden: Vec<String>,
}

/// How near-copies are found.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MinHash {
    /// Two documents are near-copies where so large a share of their n-grams, as told by their signatures, is
    /// common to both.
    #[serde(default = "threshold")]
    pub threshold: f64,
    /// Values in a signature. The share of two documents is told to about ±0.4/√permutations: ±0.035 at 128.
    #[serde(default = "permutations")]
    pub permutations: u32,
    /// How many units an n-gram has: words, in scripts without spaces characters. White space is none.
    #[serde(default = "ngram")]
    pub ngram: u32,
}

fn one() -> u32 {
    1
}

fn one_character() -> Count {
    Count(1)
}

fn japanese_share() -> f64 {
    0.3
}

fn japanese_kana() -> f64 {
    0.05
}

fn threshold() -> f64 {
    0.8
}

fn permutations() -> u32 {
    128
}

fn ngram() -> u32 {
    5
}

impl Default for Japanese {
    fn default() -> Self {
        Self { min_share: japanese_share(), min_kana: japanese_kana() }
    }
}

impl Default for MinHash {
    fn default() -> Self {
        Self { threshold: threshold(), permutations: permutations(), ngram: ngram() }
    }
}
