//! A folder of a Hugging Face model: what each file says, and what our checkpoint and tokenizer take of it.
use muse_artifacts::ArtifactError;
use muse_artifacts::checkpoint::{CheckpointWriter, Facts, Tensor};
use muse_artifacts::tokenizer::Tokenizer;
use muse_inference::hf::{self, Weights};
use muse_stage::{Context, StageError};
use std::fs;
use std::path::Path;

const TOKENIZER: &str = "tokenizer.json";
/// What stands beside it, and is taken where it is there.
const SETTINGS: [&str; 3] = ["tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"];

pub(crate) fn import(context: &mut Context, folder: &Path) -> Result<(), StageError> {
    let model = hf::model(folder)?;
    let out = context.output("tokenizer");
    let tokenizer = tokenizer(folder, &out)?;
    let (has, room) = (tokenizer.vocab_size(), model.vocab_size.unwrap_or(0));
    if has > room {
        let said = format!("its tokenizer has {has} tokens, and its model {room}");
        return Err(ArtifactError::format(folder, said)
            .help("this is no folder that `transformers` could use")
            .into());
    }
    let weights = Weights::open(folder, &model)?;
    let total = weights.tensors().iter().filter_map(Tensor::bytes).sum::<usize>() as u64;
    let mut done = 0;
    let mut writer = CheckpointWriter::create(&context.output("checkpoint"))?;
    writer.model::<_, StageError>(weights.tensors(), |tensor| {
        context.go_on()?;
        let bytes = weights.read(&tensor.name)?;
        done += bytes.len() as u64;
        context.progress(done, Some(total), "bytes");
        Ok(bytes)
    })?;
    let config = serde_json::to_value(&model).unwrap_or_default();
    let tokenizer = Some(tokenizer.digest().to_owned());
    writer.finish(Facts { config, tokenizer, ..Facts::default() })?;
    Ok(())
}

fn tokenizer(folder: &Path, out: &Path) -> Result<Tokenizer, StageError> {
    let from = folder.join(TOKENIZER);
    if !from.exists() {
        let help = "in Python, `AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)` writes one";
        return Err(ArtifactError::format(folder, format!("there is no `{TOKENIZER}` in it"))
            .help(help)
            .into());
    }
    fs::create_dir_all(out).map_err(StageError::io(out))?;
    for name in std::iter::once(TOKENIZER).chain(SETTINGS) {
        let from = folder.join(name);
        if from.exists() {
            fs::copy(&from, out.join(name)).map_err(StageError::io(&from))?;
        }
    }
    Ok(Tokenizer::open(out)?)
}
