//! What stands under `with:`.
use muse_artifacts::above::model_of;
use muse_artifacts::checkpoint::Weights;
use muse_model::config::{Linear, Model, Round};
use muse_model::exchange::{gguf, hf};
use muse_stage::schemars::{self, JsonSchema};
use muse_stage::{Above, FieldError};
use serde::{Deserialize, Serialize};

/// What stands under `with:`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// For whom the folder is.
    #[serde(default)]
    pub format: Format,
    /// What the weights are stored in. Left out, `bf16` for `hf` and `gguf`, and as they are for `muse`. `q8_0`, `q4_0`, and
    /// for models of three values `tq2_0` and `tq1_0`, are for `gguf` alone.
    #[serde(default)]
    pub dtype: Option<Dtype>,
    /// Which weights of the training.
    #[serde(default)]
    pub weights: Weights,
    /// What the model is called in its card, and in a GGUF file.
    #[serde(default)]
    pub name: Option<String>,
}

/// For whom a folder is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Python's `transformers`, and all that reads its folders.
    #[default]
    Hf,
    /// llama.cpp: one file.
    Gguf,
    /// muse.
    Muse,
}

/// What weights are stored in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32 bits.
    F32,
    /// 16 bits, for numbers up to 65,504.
    F16,
    /// 16 bits, the upper half of 32.
    Bf16,
    /// 8 bits, and 16 for every 32 numbers.
    #[serde(rename = "q8_0")]
    Q8,
    /// 4 bits, and 16 for every 32 numbers. The last product, which suffers most, is in `q8_0`.
    #[serde(rename = "q4_0")]
    Q4,
    /// 2 bits, and 16 for every 256 numbers: for matrices of three values, the rest in `q8_0`.
    #[serde(rename = "tq2_0")]
    Tq2,
    /// 1.6 bits, likewise.
    #[serde(rename = "tq1_0")]
    Tq1,
    /// 2 bits for matrices of three values, as transformers' BitNet has them: for `hf` and `muse`. The rest is in `bf16`.
    Ternary,
}

impl Format {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hf => "hf",
            Self::Gguf => "gguf",
            Self::Muse => "muse",
        }
    }
}

impl Dtype {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Q8 => "q8_0",
            Self::Q4 => "q4_0",
            Self::Tq2 => "tq2_0",
            Self::Tq1 => "tq1_0",
            Self::Ternary => "ternary",
        }
    }
}

impl Params {
    /// What weights are stored in: `None` as they are.
    pub(crate) fn dtype(&self) -> Option<Dtype> {
        match self.format {
            Format::Hf | Format::Gguf => Some(self.dtype.unwrap_or(Dtype::Bf16)),
            Format::Muse => self.dtype,
        }
    }

    /// What the schema cannot say.
    pub(crate) fn check(&self) -> Result<(), FieldError> {
        if let Some(dtype @ (Dtype::Q8 | Dtype::Q4 | Dtype::Tq2 | Dtype::Tq1)) = self.dtype
            && self.format != Format::Gguf
        {
            let message =
                format!("`{}` is for `format: gguf`, and this is `{}`", dtype.name(), self.format.name());
            return Err(FieldError::new("/dtype", message).help("`f32`, `f16` or `bf16`, or leave it out"));
        }
        if self.dtype == Some(Dtype::Ternary) && self.format == Format::Gguf {
            let message = "`ternary` is for `format: hf` and `format: muse`, and this is `gguf`";
            return Err(FieldError::new("/dtype", message).help("`tq2_0` or `tq1_0`"));
        }
        match &self.name {
            Some(name) if name.trim().is_empty() || name.contains(char::is_control) => {
                Err(FieldError::new("/name", "the name is empty, or has a line break in it"))
            }
            _ => Ok(()),
        }
    }

    /// What is wrong with three values, where they are asked for and the matrices of a model are others.
    pub(crate) fn check_three(&self, linear: Option<Linear>) -> Result<(), FieldError> {
        let Some(dtype @ (Dtype::Tq2 | Dtype::Tq1 | Dtype::Ternary)) = self.dtype else { return Ok(()) };
        let ternary = linear.is_some_and(|linear| linear.round == Some(Round::Ternary));
        // Others have a matrix where we have two.
        let fits = self.format == Format::Muse || linear.is_some_and(|linear| linear.low_rank.is_none());
        if ternary && fits {
            return Ok(());
        }
        let message =
            format!("`{}` holds three values, and the matrices of this model have others", dtype.name());
        let help = "train a model with `linear: { round: ternary }` and whole matrices, or take another type";
        Err(FieldError::new("/dtype", message).help(help))
    }

    /// Whether the format has words for the model and the tokenizer that the stages above will make.
    pub(crate) fn check_above(&self, above: &Above<'_>) -> Result<(), FieldError> {
        for given in above.port("model") {
            // Where nothing says what it is, it is seen when there is a checkpoint.
            let Some((config, data)) = model_of(&given) else { continue };
            let Ok(mut model) = serde_json::from_value::<Model>(config) else { continue };
            self.check_three(model.linear)?;
            model.context = model.context.or(data.context);
            let fits = match self.format {
                Format::Gguf => gguf::check(&model),
                Format::Hf => hf::check(&model),
                Format::Muse => Ok(()),
            };
            fits.map_err(|wrong| FieldError::new("/format", wrong.message).help(wrong.help))?;
        }
        let unigram = |given: &muse_stage::Given<'_>| {
            given.kind == "tokenizer"
                && given.params["algorithm"] == "unigram"
                && given.port("base").is_empty()
        };
        if self.format == Format::Gguf && above.port("tokenizer").iter().any(unigram) {
            let message = "llama.cpp has no tokenizer that cuts words as `algorithm: unigram` does";
            return Err(FieldError::new("/format", message).help(super::gguf::OTHERWISE));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muse_stage::Given;
    use serde_json::{Value, json};

    fn params(value: Value) -> Params {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn types_of_numbers_go_with_formats() {
        let wrong = |value| params(value).check().err().map(|error| error.pointer);
        assert_eq!(wrong(json!({})), None);
        assert_eq!(wrong(json!({ "format": "gguf", "dtype": "q4_0" })), None);
        assert_eq!(wrong(json!({ "format": "hf", "dtype": "q4_0" })).as_deref(), Some("/dtype"));
        assert_eq!(wrong(json!({ "format": "muse", "dtype": "q8_0" })).as_deref(), Some("/dtype"));
        assert_eq!(wrong(json!({ "name": " " })).as_deref(), Some("/name"));
        assert_eq!(wrong(json!({ "name": "a\nb" })).as_deref(), Some("/name"));
        assert_eq!(params(json!({})).dtype(), Some(Dtype::Bf16));
        assert_eq!(params(json!({ "format": "muse" })).dtype(), None);
        assert_eq!(params(json!({ "format": "muse", "dtype": "f16" })).dtype(), Some(Dtype::F16));
    }

    #[test]
    fn what_the_format_cannot_hold_is_said_before_anything_runs() {
        let sizes = json!({ "layers": 1, "width": 8, "heads": 1, "ffn": 8, "window": 4 });
        let (train, whole) = (
            json!({ "model": sizes }),
            json!({ "model": { "layers": 1, "width": 8, "heads": 1, "ffn": 8 } }),
        );
        let given = |kind, params, above| Given { kind, output: "x", params, above };
        let above = |train: Value, context: u64, algorithm: &'static str| {
            Above::new(move |port| match port {
                "model" => {
                    let packed =
                        move |_: &str| vec![given("pack", json!({ "context": context }), Above::nothing())];
                    vec![given("pretrain", train.clone(), Above::new(packed))]
                }
                "tokenizer" => vec![given("tokenizer", json!({ "algorithm": algorithm }), Above::nothing())],
                _ => Vec::new(),
            })
        };
        let said = |format: &str, above: &Above<'_>| {
            Some(params(json!({ "format": format })).check_above(above).err()?.message)
        };
        assert!(said("gguf", &above(train.clone(), 8, "bpe")).unwrap().contains("a window of 4"));
        assert_eq!(said("gguf", &above(train.clone(), 4, "bpe")), None, "no text leaves it");
        assert!(said("gguf", &above(whole.clone(), 8, "unigram")).unwrap().contains("unigram"));
        assert_eq!(said("gguf", &above(whole, 8, "bpe")), None);
        assert_eq!(said("hf", &above(train, 8, "unigram")), None);
        assert_eq!(said("gguf", &Above::nothing()), None);
    }
}
