//! The stage from end to end: documents to streams, streams to sequences, figures to a report.
use crate::bring::Brought;
use crate::split::Chooser;
use crate::tally::Tally;
use crate::{Also, Mask, Params, Validation, bring, encode, layout, report};
use muse_artifacts::corpus::Corpus;
use muse_artifacts::tokenizer::Tokenizer;
use muse_artifacts::tokens::{Dtype, Loss, Meta, Split, Stream, StreamWriter, Tokens, raw};
use muse_stage::{Context, StageError};
use std::fs;
use std::path::Path;
use std::time::Instant;

/// What a pass over the documents goes by.
pub(crate) struct Rules {
    pub(crate) tokenizer: Tokenizer,
    pub(crate) vocab_size: u32,
    pub(crate) end_of_text: u32,
    pub(crate) dtype: Dtype,
    pub(crate) masked: bool,
    pub(crate) chooser: Chooser,
}

/// Where documents come from.
enum Source {
    Corpora(Vec<Corpus>),
    Flat(Vec<Brought>),
}

/// Where documents go.
pub(crate) struct Sides {
    pub(crate) train: StreamWriter,
    pub(crate) validation: StreamWriter,
}

impl Sides {
    pub(crate) fn side(&mut self, held_back: bool) -> &mut StreamWriter {
        if held_back { &mut self.validation } else { &mut self.train }
    }
}

pub(crate) fn run(context: &mut Context, params: &Params) -> Result<(), StageError> {
    let folder = context.output("tokens");
    let source = source(context, params)?;
    let mut rules = rules(context, params)?;
    let length = u32::try_from(params.context.0)
        .map_err(|_| StageError::new(format!("`context` is {}, which is too long", params.context.0)))?;

    let began = Instant::now();
    let (train, validation, tally) = loop {
        let (train, validation, tally) = pass(context, &source, &rules, &folder)?;
        if tally.seen.documents == 0 {
            return Err(nothing(&tally));
        }
        match params.validation {
            Validation::Share(share) => match rules.chooser.mended(share, &tally.seen)? {
                Some(chooser) => rules.chooser = chooser,
                None => break (train, validation, tally),
            },
            Validation::Tail(share) => {
                let (train, validation) = tail(train, &folder, share)?;
                break (train, validation, tally);
            }
        }
        fs::remove_dir_all(&folder).map_err(StageError::io(&folder))?;
    };
    context.metric(0, "tokens", tally.tokens as f64);
    context.metric(0, "tokens_per_second", tally.tokens as f64 / began.elapsed().as_secs_f64().max(1e-9));

    let meta = Meta {
        format: 1,
        dtype: rules.dtype,
        context: length,
        strategy: params.strategy.name().into(),
        loss: if rules.masked { Loss::Mask } else { Loss::All },
        vocab_size: rules.vocab_size,
        end_of_text: rules.end_of_text,
        tokenizer: rules.tokenizer.digest().to_owned(),
        train: layout::lay_out(context, train, length, params.strategy, params.seed)?,
        validation: layout::lay_out(context, validation, length, params.strategy, params.seed)?,
    };
    meta.write(&folder)?;

    // Read again as whoever trains will read it: what is reported is what is there.
    let tokens = Tokens::open(&folder)?;
    report::write(context, &tokens, &tally, &folder)?;
    if params.also.contains(&Also::Muse) {
        raw::write_muse(&tokens, &folder.join("muse"), || context.go_on())?;
    }
    Ok(())
}

fn source(context: &Context, params: &Params) -> Result<Source, StageError> {
    let corpora = context.entries("corpus");
    match (&params.tokens, corpora.is_empty()) {
        (None, true) => Err(StageError::new("there is nothing to pack").help(
            "connect a stage that makes a corpus to the port `corpus`, or name flat files in `tokens`",
        )),
        (Some(_), false) => Err(StageError::new("there is a corpus, and `tokens` names flat files")
            .help("pack them in two stages: take one of them away here")),
        (None, false) => {
            let open = |(_, path): &(String, std::path::PathBuf)| Corpus::open(path);
            Ok(Source::Corpora(corpora.iter().map(open).collect::<Result<_, _>>()?))
        }
        (Some(files), true) => {
            let path = context.work().join(files.path());
            Ok(Source::Flat(bring::find(&path, params.dtype.into())?))
        }
    }
}

fn rules(context: &Context, params: &Params) -> Result<Rules, StageError> {
    let path = context.input("tokenizer")?;
    let tokenizer = Tokenizer::open(&path)?;
    let Some(end_of_text) = tokenizer.end_of_text() else {
        let said = "the tokenizer has no token that ends a text, so documents would run into each other";
        return Err(StageError::new(said).help(
            "train it with `<|endoftext|>` among its `special_tokens`, or name its own as `eos_token` in its \
             tokenizer_config.json",
        ));
    };
    let vocab_size =
        u32::try_from(tokenizer.vocab_size())
            .ok()
            .filter(|size| i32::try_from(*size).is_ok())
            .ok_or_else(|| StageError::new("the tokenizer has ids that are larger than any vocabulary"))?;
    let share = match params.validation {
        Validation::Share(share) => share,
        Validation::Tail(_) => 0.0,
    };
    Ok(Rules {
        vocab_size,
        end_of_text,
        dtype: Dtype::of(vocab_size),
        masked: params.mask == Mask::Assistant,
        chooser: Chooser::new(params.seed, share),
        tokenizer,
    })
}

/// The first pass: all documents as tokens, each on its side.
fn pass(
    context: &mut Context,
    source: &Source,
    rules: &Rules,
    folder: &Path,
) -> Result<(Stream, Stream, Tally), StageError> {
    let create = |split| StreamWriter::create(folder, split, rules.dtype, rules.masked);
    let mut sides = Sides { train: create(Split::Train)?, validation: create(Split::Validation)? };
    let tally = match source {
        Source::Corpora(corpora) => encode::encode(context, corpora, rules, &mut sides)?,
        Source::Flat(files) => bring::bring(context, files, rules, &mut sides)?,
    };
    Ok((sides.train.finish()?, sides.validation.finish()?, tally))
}

/// Holds back the end of the text. The last end of text does not count as a part of it, so that a text of one document
/// is cut where others cut it.
fn tail(all: Stream, folder: &Path, share: f64) -> Result<(Stream, Stream), StageError> {
    for extension in ["bin", "ends", "mask"] {
        let path = Split::Validation.file(folder, extension);
        if path.exists() {
            fs::remove_file(&path).map_err(StageError::io(&path))?;
        }
    }
    let tokens = all.tokens().saturating_sub(1);
    let at = (tokens as f64 * (1.0 - share)) as u64;
    Ok(all.cut(at.clamp(1, tokens.max(1)))?)
}

fn nothing(tally: &Tally) -> StageError {
    let said = match tally.empty {
        0 => "nothing to pack: there are no documents".to_owned(),
        empty => format!("nothing to pack: {empty} documents, and all of them are empty"),
    };
    StageError::new(said).help("look at the report of the stage that made the corpus: `muse inspect`")
}
