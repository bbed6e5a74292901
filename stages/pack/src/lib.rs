//! The pack stage: corpora as packed tokens.
mod bring;
mod encode;
mod layout;
mod measure;
mod mix;
mod report;
mod run;
mod split;
mod tally;
mod validation;

pub use validation::Validation;

use muse_artifacts::tokens;
use muse_stage::schemars::{self, JsonSchema};
use muse_stage::{
    ArtifactType, Context, Count, FieldError, InputFiles, InputPort, OutputPort, Stage, StageError,
};
use serde::{Deserialize, Serialize};

/// The kind.
pub struct Pack;

/// What stands under `with:`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The length of a sequence in tokens.
    pub context: Count,
    /// How sequences are made of documents.
    #[serde(default)]
    pub strategy: Strategy,
    /// What is held back to validate on: a share of the documents, chosen by the seed, at least one on each side; or
    /// `{ tail: 0.1 }`, the end of the text, which is what a corpus of one document takes. 0 holds back nothing.
    #[serde(default)]
    pub validation: Validation,
    /// Which tokens carry loss. Plain texts carry it whole, whatever this says.
    #[serde(default)]
    pub mask: Mask,
    /// What chance depends on: which documents are held back, and the order of sequences.
    #[serde(default)]
    pub seed: u64,
    /// Tokens that you have, in place of a corpus: a flat file such as nanoGPT's `train.bin`, a folder with such files, or a
    /// glob, `data/*.{bin,idx}`. Where MUSE's `.idx` stands beside a `.bin`, it says where documents end; elsewhere they
    /// end behind the tokenizer's end of text.
    #[serde(default)]
    pub tokens: Option<InputFiles>,
    /// How the files of `tokens` hold a token.
    #[serde(default)]
    pub dtype: Dtype,
    /// Other formats to write beside: `muse` for MUSE's `.bin` and `.idx`, in a folder `muse`. What nanoGPT reads is
    /// there without asking: `train.bin` is flat.
    #[serde(default)]
    pub also: Vec<Also>,
}

/// How sequences are made of documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// All documents as one text, cut at every `context` tokens. Every position is used.
    #[default]
    Concat,
    /// No document that fits is cut: each goes where it leaves the least room. Longer ones are cut into full sequences
    /// and a rest.
    BestFit,
    /// As `best-fit`, but sequences that attention takes as long for stand together, and costs are even.
    Balanced,
}

impl Strategy {
    fn name(self) -> &'static str {
        match self {
            Self::Concat => "concat",
            Self::BestFit => "best-fit",
            Self::Balanced => "balanced",
        }
    }
}

/// Which tokens carry loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mask {
    /// All of them.
    #[default]
    All,
    /// Of chats what the assistant says, with the token that ends its turn.
    Assistant,
}

/// How a flat file holds a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// Two bytes, little-endian: nanoGPT, Bit-Llama.
    #[default]
    U16,
    /// Four bytes, little-endian: MUSE.
    U32,
}

impl From<Dtype> for tokens::Dtype {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::U16 => Self::U16,
            Dtype::U32 => Self::U32,
        }
    }
}

/// Another format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Also {
    /// MUSE's `.bin` and `.idx`.
    Muse,
}

impl Stage for Pack {
    type Params = Params;
    const KIND: &'static str = "pack";
    const VERSION: u32 = 1;
    const DOC: &'static str = "Turns corpora into packed tokens, ready to train on.\n\n\
        Each document becomes tokens with an end of text behind them, chats by the tokenizer's chat template; then \
        documents become sequences of `context` tokens. The result knows where documents end, so that attention, \
        positions and labels stop there. It names its tokenizer, and training refuses another one. `report.json` says \
        how much there is, how well sequences are filled and how even they are. Takes a corpus, or with `tokens` what \
        other trainers read.";

    fn inputs(&self) -> Vec<InputPort> {
        vec![
            InputPort::optional("corpus", &[ArtifactType::Corpus]).many(),
            InputPort::required("tokenizer", &[ArtifactType::Tokenizer]),
        ]
    }

    fn outputs(&self) -> Vec<OutputPort> {
        vec![OutputPort::new("tokens", ArtifactType::Tokens)]
    }

    fn check(&self, params: &Params) -> Result<(), FieldError> {
        if params.context.0 == 0 || params.context.0 > MOST {
            let said = format!("`context` is {}; it takes 1 to {MOST}", params.context.0);
            return Err(FieldError::new("/context", said));
        }
        if params.tokens.is_some() && params.mask == Mask::Assistant {
            let said = "`mask: assistant` needs chats, and flat files of tokens have none";
            return Err(FieldError::new("/mask", said).help("pack a corpus of chats, or leave `mask` out"));
        }
        if let Some(at) = (1..params.also.len()).find(|at| params.also[..*at].contains(&params.also[*at])) {
            return Err(FieldError::new(format!("/also/{at}"), "this format is named twice"));
        }
        Ok(())
    }

    fn idle(&self, params: &Params) -> Vec<&'static str> {
        if params.tokens.is_none() { vec!["dtype"] } else { Vec::new() }
    }

    fn run(&self, context: &mut Context, params: Params) -> Result<(), StageError> {
        run::run(context, &params)
    }
}

/// The longest sequence: beyond what anyone trains on, and small enough to keep tables of lengths.
const MOST: u64 = 1 << 22;
