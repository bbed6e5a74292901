//! A task's file: what is asked of each item, and what is right.
use muse_stage::InputFiles;
use muse_stage::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};

/// A task: what is asked of each item, and what is right. Templates are jinja, and the item's columns are their variables;
/// expressions are what stands between `{{` and `}}` of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Its name, in reports and for finding its data.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub name: String,
    /// How it is asked.
    pub kind: Kind,
    /// The data set that it is made for, for people.
    #[serde(default)]
    pub made_for: Option<String>,
    /// Raised where figures of before would mean something else.
    #[serde(default = "one")]
    pub version: u32,
    /// Its items, where they come with it: a file or a folder, relative to this file. Left out, those at the port `data`.
    #[serde(default)]
    pub files: Option<InputFiles>,
    /// Which files of a folder hold the items, as a glob.
    #[serde(default = "all")]
    pub items: String,
    /// The columns' names, where CSV files have no line that names them.
    #[serde(default)]
    pub columns: Vec<String>,
    /// What tells an item from the others, as an expression; it stands in `items.jsonl` beside the number.
    #[serde(default)]
    pub id: Option<String>,
    /// The column by whose values figures are given apart, too.
    #[serde(default)]
    pub group: Option<String>,
    /// What stands before everything, as a template.
    #[serde(default)]
    pub description: String,
    /// The question, as a template.
    #[serde(default)]
    pub prompt: String,
    /// multiple_choice: the choices, each a template.
    #[serde(default)]
    pub choices: Vec<String>,
    /// multiple_choice: the choices, as an expression for a list of texts.
    #[serde(default)]
    pub choices_from: Option<String>,
    /// multiple_choice: how each of `choices_from` is written, as a template in which it is called `choice`.
    #[serde(default)]
    pub choice: Option<String>,
    /// What is right, as an expression. multiple_choice: the choice's place from 0, its text, or a list of these; generate: the
    /// text, or a list of texts; perplexity: the text that is measured.
    pub target: String,
    /// What stands between a question and what follows it.
    #[serde(default = "space")]
    pub target_delimiter: String,
    /// Examples before each question.
    #[serde(default)]
    pub few_shot: FewShot,
    /// generate: texts that end what is written.
    #[serde(default)]
    pub stops: Vec<String>,
    /// generate: the most tokens that are written. No more than half of the model's context.
    #[serde(default = "max_tokens")]
    #[schemars(range(min = 1))]
    pub max_tokens: u32,
    /// generate: what is taken out of what was written. Each gives figures of its own; without one the whole text counts.
    #[serde(default)]
    pub filters: Vec<Filter>,
    /// generate: what does not count when texts are compared.
    #[serde(default)]
    pub ignore: Ignore,
    /// The figures. Left out: `acc` and `acc_norm`, `exact_match`, or all for perplexity.
    #[serde(default)]
    pub metrics: Vec<Metric>,
}

/// How a task is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The likeliest of some texts is the model's choice.
    MultipleChoice,
    /// The model writes on.
    Generate,
    /// How likely a text is.
    Perplexity,
}

/// Examples before each question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FewShot {
    /// How many.
    #[schemars(range(max = 100))]
    pub count: u32,
    /// Which files of a folder hold them, as a glob. Left out, they are other items.
    pub items: Option<String>,
    /// Which of them are taken.
    pub pick: Pick,
    /// Only those that have the item's value in this column.
    pub same: Option<String>,
    /// What stands between them.
    pub delimiter: String,
    /// What chance depends on, as lm-evaluation-harness counts it.
    pub seed: u32,
}

/// Which examples are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pick {
    /// Some by chance for each item: the same ones as lm-evaluation-harness takes.
    #[default]
    Random,
    /// The first ones.
    First,
}

/// What is taken out of what was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Its name, behind a comma in the figures' names.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub name: String,
    /// What is looked for. Of a pattern with groups the first group that is there is taken. Left out, the whole text.
    #[serde(default)]
    pub regex: Option<String>,
    /// Which of several is taken, from 0; from the end where it is below 0.
    #[serde(default)]
    pub pick: i32,
    /// Take white space off both ends first.
    #[serde(default)]
    pub strip: bool,
}

/// What does not count when texts are compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ignore {
    /// What these patterns find.
    pub patterns: Vec<String>,
    /// Large and small letters.
    pub case: bool,
    /// Punctuation of ASCII.
    pub punctuation: bool,
    /// Digits of ASCII.
    pub numbers: bool,
    /// Forms of one letter, such as full width and half width: texts are brought to NFKC.
    pub forms: bool,
}

/// A figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// multiple_choice: the share of items whose likeliest choice is right.
    Acc,
    /// The same by likelihood a character.
    AccNorm,
    /// The same by likelihood a byte.
    AccBytes,
    /// The probability of all right choices together, of that of all choices.
    Mc2,
    /// generate: the share of items whose text is right.
    ExactMatch,
    /// perplexity: of a word.
    WordPerplexity,
    /// Of a byte.
    BytePerplexity,
    /// Of a token, so that it says nothing across tokenizers.
    TokenPerplexity,
    /// Bits that a byte takes.
    BitsPerByte,
}

impl Metric {
    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Acc => "acc",
            Self::AccNorm => "acc_norm",
            Self::AccBytes => "acc_bytes",
            Self::Mc2 => "mc2",
            Self::ExactMatch => "exact_match",
            Self::WordPerplexity => "word_perplexity",
            Self::BytePerplexity => "byte_perplexity",
            Self::TokenPerplexity => "token_perplexity",
            Self::BitsPerByte => "bits_per_byte",
        }
    }

    /// The kind that has it.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Acc | Self::AccNorm | Self::AccBytes | Self::Mc2 => Kind::MultipleChoice,
            Self::ExactMatch => Kind::Generate,
            _ => Kind::Perplexity,
        }
    }
}

impl Kind {
    /// As files write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::MultipleChoice => "multiple_choice",
            Self::Generate => "generate",
            Self::Perplexity => "perplexity",
        }
    }
}

impl Task {
    /// The figures that are wanted.
    pub(crate) fn figures(&self) -> Vec<Metric> {
        use Metric::{
            Acc, AccNorm, BitsPerByte, BytePerplexity, ExactMatch, TokenPerplexity, WordPerplexity,
        };
        match self.kind {
            _ if !self.metrics.is_empty() => self.metrics.clone(),
            Kind::MultipleChoice => vec![Acc, AccNorm],
            Kind::Generate => vec![ExactMatch],
            Kind::Perplexity => vec![BitsPerByte, BytePerplexity, WordPerplexity, TokenPerplexity],
        }
    }
}

impl Default for FewShot {
    fn default() -> Self {
        Self { count: 0, items: None, pick: Pick::Random, same: None, delimiter: "\n\n".into(), seed: 1234 }
    }
}

fn one() -> u32 {
    1
}

fn all() -> String {
    "**".into()
}

fn space() -> String {
    " ".into()
}

fn max_tokens() -> u32 {
    256
}
