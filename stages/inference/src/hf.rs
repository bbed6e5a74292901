//! A folder of a Hugging Face model: what its configuration says, which files hold its weights, and that they are those of the
//! model and nothing else.
use muse_artifacts::checkpoint::{Dtype, Tensor, Tensors};
use muse_artifacts::{ArtifactError, Result};
use muse_model::config::Model;
use muse_model::exchange::hf;
use muse_model::net::Weight;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What says what the model is.
pub const CONFIG: &str = "config.json";
const ONE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// The head, which is the embedding where they are one.
const HEAD: &str = "lm_head.weight";
const EMBEDDING: &str = "model.embed_tokens.weight";

/// The model of a folder, by its configuration.
pub fn model(folder: &Path) -> Result<Model> {
    let path = folder.join(CONFIG);
    let text = match fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let help = "a model's folder has it at its top: name that folder";
            return Err(
                ArtifactError::format(folder, format!("no model: there is no `{CONFIG}` in it")).help(help)
            );
        }
        read => read.map_err(ArtifactError::io(&path))?,
    };
    let config: Value = serde_json::from_slice(&text)
        .map_err(|error| ArtifactError::format(&path, format!("it is no JSON: {error}")))?;
    hf::model(&config).map_err(|refusal| {
        let said = format!("muse cannot read this model: {}", refusal.message);
        ArtifactError::format(&path, said).help(refusal.help)
    })
}

/// The files that hold a folder's weights.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let (one, index) = (folder.join(ONE), folder.join(INDEX));
    if one.exists() {
        return Ok(vec![one]);
    }
    if !index.exists() {
        return Err(no_weights(folder));
    }
    let text = fs::read(&index).map_err(ArtifactError::io(&index))?;
    let strange = |said: String| ArtifactError::format(&index, said);
    let Index { weight_map } = serde_json::from_slice(&text)
        .map_err(|error| strange(format!("it does not say which file holds what: {error}")))?;
    let names: BTreeSet<String> = weight_map.into_values().collect();
    // Names that lead elsewhere are none of this folder's.
    if let Some(name) = names.iter().find(|name| name.contains('/') || !name.ends_with(".safetensors")) {
        return Err(strange(format!("it names `{name}`, and safetensors beside it are wanted")));
    }
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

fn no_weights(folder: &Path) -> ArtifactError {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let pickled =
        |name: &String| [".bin", ".pt", ".pth", ".ckpt"].iter().any(|ending| name.ends_with(ending));
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    let (said, help) = match names.into_iter().find(pickled) {
        Some(name) => (
            format!("its weights are pickled (`{name}`), which runs code when it is read"),
            "in Python, `AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(OTHER)` writes safetensors",
        ),
        None => (format!("there is neither `{ONE}` nor `{INDEX}` in it"), "a model's folder has one of them"),
    };
    ArtifactError::format(folder, said).help(help)
}

/// The weights of a model.
pub struct Weights {
    from: Tensors,
    tensors: Vec<Tensor>,
}

impl Weights {
    /// Looks at the heads of the files.
    pub fn open(folder: &Path, model: &Model) -> Result<Self> {
        let from = Tensors::open(files(folder)?)?;
        let wrong = |said: String, help: &str| Err(ArtifactError::format(folder, said).help(help));
        let mut tensors = Vec::new();
        for weight in Weight::all(&model.shape(0, 0)) {
            let name = &weight.name;
            let Some(found) = from.get(name) else {
                return wrong(
                    format!("there is no tensor `{name}`"),
                    "its files are not all there, or of another model",
                );
            };
            if found.shape != weight.shape {
                let said =
                    format!("tensor `{name}` is {:?}, and by `config.json` {:?}", found.shape, weight.shape);
                return wrong(said, "its files are not of one model");
            }
            if !matches!(found.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
                let said = format!("tensor `{name}` is of {}", found.dtype);
                return wrong(
                    said,
                    "weights of F32, F16 and BF16 can be read; save the model in one of them",
                );
            }
            tensors.push(found.clone());
        }
        for more in from.iter().filter(|found| !tensors.iter().any(|tensor| tensor.name == found.name)) {
            let name = &more.name;
            // Angles that older files hold, which follow from the configuration.
            if name.ends_with(".rotary_emb.inv_freq") {
                continue;
            }
            if name == HEAD && model.tied {
                // Where both stand in a file, transformers takes the embedding.
                if from.read(HEAD)? != from.read(EMBEDDING)? {
                    let said = format!(
                        "`{HEAD}` is another than `{EMBEDDING}`, and `tie_word_embeddings` says that they are one"
                    );
                    return wrong(
                        said,
                        "write `tie_word_embeddings: false` into `config.json` if both are meant",
                    );
                }
                continue;
            }
            let what = if name.ends_with(".bias") {
                "a bias, and muse's models have none"
            } else {
                "no weight of such a model"
            };
            return wrong(
                format!("tensor `{name}` is {what}"),
                "muse would compute something else without it",
            );
        }
        Ok(Self { from, tensors })
    }

    /// What they are, in their order.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The bytes of one.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        self.from.read(name)
    }

    /// All that the files hold, which stay open.
    pub fn into_tensors(self) -> Tensors {
        self.from
    }
}
