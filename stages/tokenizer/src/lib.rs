//! The `tokenizer` stage: from corpora to a tokenizer.
//!
//! Text is read once (`sample.rs`), cut into words (`cut.rs`) and counted (`count.rs`); what is learned, is learned from
//! the counts (`train.rs`, or `extend.rs` where there is a base); the folder is written (`files.rs`), opened as every
//! later stage opens it, and measured on some of the text (`measure.rs`).
mod bpe;
mod compare;
mod count;
mod cut;
mod extend;
mod files;
mod letters;
mod measure;
mod params;
mod report;
mod sample;
#[cfg(test)]
mod tests;
mod train;
mod unigram;

pub use compare::compare;
pub use params::{Algorithm, Mode, Normalize, Params, Split};

use crate::count::count;
use crate::cut::Cut;
use crate::extend::Base;
use crate::files::Settings;
use crate::report::Report;
use crate::sample::Sample;
use muse_artifacts::tokenizer::{CHATML, Tokenizer};
use muse_stage::{ArtifactType, Context, FieldError, InputPort, OutputPort, Stage, StageError};
use std::fs;

/// Bytes of text that are read where nothing is learned from it.
const ONLY_MEASURED: u64 = 4 << 20;

/// The kind.
pub struct Tokenize;

impl Stage for Tokenize {
    type Params = Params;
    const KIND: &'static str = "tokenizer";
    const VERSION: u32 = 1;
    const DOC: &'static str = "Trains a tokenizer.\n\n\
        From corpora, or from a `base` that it goes on from: then the base's ids and merges stay, and new tokens are made \
        of its tokens. No text is without tokens, and unless `normalize` or `add_prefix_space` asks for it, every text \
        comes back from its tokens letter by letter. Conversations count by what is said in them. The result loads in \
        Python's `transformers`; `report.json` in it holds characters and bytes per token by language and by source, \
        samples and warnings.";

    fn inputs(&self) -> Vec<InputPort> {
        vec![
            InputPort::required("corpus", &[ArtifactType::Corpus]).many(),
            InputPort::optional("base", &[ArtifactType::Tokenizer]),
        ]
    }

    fn outputs(&self) -> Vec<OutputPort> {
        vec![OutputPort::new("tokenizer", ArtifactType::Tokenizer)]
    }

    fn check(&self, params: &Params) -> Result<(), FieldError> {
        params.check()
    }

    fn idle(&self, params: &Params) -> Vec<&'static str> {
        params.idle()
    }

    fn run(&self, context: &mut Context, params: Params) -> Result<(), StageError> {
        let base = context.optional("base").map(|folder| Base::open(&folder, &params)).transpose()?;
        let template = template(context, &params)?;
        let learns = params.algorithm != Algorithm::Byte;
        let corpora = context.entries("corpus").into_iter().map(|(_, folder)| folder);
        let sample = Sample::plan(corpora, if learns { params.sample() } else { ONLY_MEASURED })?;
        let cut = match &base {
            Some(base) => base.cut()?,
            None => Cut::new(params.split.into(), &files::normalizer(&params))?,
        };
        let counted = count(context, &sample, |text, each| cut.words(text, each))?;
        let (trained, settings) = match base {
            Some(mut base) => {
                let trained = base.extend(context, &params, counted.words, cut.gives_bytes())?;
                let settings = base.settings(template)?;
                (trained, settings)
            }
            None => {
                let settings =
                    Settings::new(&params.specials(), template.unwrap_or_else(|| CHATML.to_owned()));
                (train::train(context, &params, counted.words)?, settings)
            }
        };
        let folder = context.output("tokenizer");
        files::write(&folder, &trained.json, settings)?;
        // As every later stage opens it: what it could not use fails here.
        let tokenizer = Tokenizer::open(&folder)?;
        let texts = counted.kept.iter().map(|(source, text)| (source.as_str(), text.as_str()));
        let measured = measure::measure(&tokenizer, texts)?;
        context.metric(0, "characters_per_token", measured.total.characters_per_token);
        let report = Report::new(&params, &sample, counted.read, &trained, measured);
        let path = folder.join("report.json");
        fs::write(&path, files::pretty(&report)).map_err(StageError::io(&path))
    }
}

/// The chat template that the parameters name.
fn template(context: &Context, params: &Params) -> Result<Option<String>, StageError> {
    let Some(files) = &params.chat_template else { return Ok(None) };
    let path = context.work().join(files.path());
    if path.is_dir() {
        let message = "`chat_template` is a folder, and one file is wanted";
        return Err(StageError::new(message).help("name one file, such as `../configs/chat/mine.jinja`"));
    }
    fs::read_to_string(&path).map(Some).map_err(StageError::io(&path))
}
