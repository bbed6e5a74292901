//! A small set of stage kinds, as built-in ones are: a command, a tokenizer, a training, a cleaner.
use muse_runtime::diagnostic::Diagnostic;
use muse_runtime::document::{Kinds, Options, Pipeline, load};
use muse_stage::schemars::{self, JsonSchema};
use muse_stage::{
    Above, ArtifactType, Bytes, CommandText, ConfigFile, Context, Count, Description, Duration, EnvMap,
    Execution, Extendable, FieldError, Given, InputFiles, InputPort, OutputName, OutputPort, Stage,
    StageError, StageKind,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

macro_rules! stage {
    ($name:ident, $params:ident, $kind:literal, [$($input:expr),*], [$($output:expr),*] $(, $more:item)*) => {
        pub(crate) struct $name;
        impl Stage for $name {
            type Params = $params;
            const KIND: &'static str = $kind;
            const VERSION: u32 = 1;
            const DOC: &'static str = "For tests.";
            fn inputs(&self) -> Vec<InputPort> {
                vec![$($input),*]
            }
            fn outputs(&self) -> Vec<OutputPort> {
                vec![$($output),*]
            }
            fn run(&self, _: &mut Context, _: $params) -> Result<(), StageError> {
                Ok(())
            }
            $($more)*
        }
    };
}

/// What a command takes.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommandParams {
    run: CommandText,
    #[serde(default)]
    files: BTreeMap<String, InputFiles>,
    #[serde(default)]
    outputs: Vec<OutputName>,
    #[serde(default)]
    env: EnvMap,
    #[serde(default)]
    resume: Execution<bool>,
    #[serde(default)]
    note: Execution<String>,
}

stage!(
    Command,
    CommandParams,
    "command",
    [],
    [],
    fn habits(&self, description: Description) -> Description {
        Description { any_input: true, outputs_from: Some("outputs".into()), ..description }
    }
);

/// What a download takes.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DownloadParams {
    #[serde(default)]
    paths: Vec<InputFiles>,
    #[serde(default)]
    urls: Vec<String>,
    #[serde(default)]
    limit: Option<Bytes>,
}

stage!(
    Download,
    DownloadParams,
    "download",
    [],
    [OutputPort::new("corpus", ArtifactType::Corpus)],
    fn habits(&self, description: Description) -> Description {
        Description { pins: vec!["urls".into()], ..description }
    }
);

/// How a tokenizer learns.
#[derive(Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Algorithm {
    /// Pairs.
    #[default]
    Bpe,
    /// Likelihood.
    Unigram,
    /// Characters.
    Char,
}

fn vocab() -> u32 {
    4096
}

/// What a tokenizer takes.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenizerParams {
    #[serde(default)]
    algorithm: Algorithm,
    #[serde(default = "vocab")]
    #[schemars(range(min = 256, max = 1_000_000))]
    vocab_size: u32,
    #[serde(default)]
    special_tokens: Vec<String>,
    #[serde(default)]
    sample: Option<Bytes>,
}

stage!(
    Tokenizer,
    TokenizerParams,
    "tokenizer",
    [
        InputPort::required("corpus", &[ArtifactType::Corpus]).many(),
        InputPort::optional("base", &[ArtifactType::Tokenizer])
    ],
    [OutputPort::new("tokenizer", ArtifactType::Tokenizer)],
    fn check(&self, params: &TokenizerParams) -> Result<(), FieldError> {
        match params.special_tokens.iter().position(|token| token.contains(' ')) {
            Some(at) => {
                Err(FieldError::new(format!("/special_tokens/{at}"), "a special token holds a space")
                    .help("use `_`"))
            }
            None => Ok(()),
        }
    }
);

/// A model.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    layers: u32,
    #[serde(default)]
    width: u32,
    #[serde(default)]
    rope: Rope,
}

/// A part of a model.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rope {
    base: f64,
    scaled: bool,
}

impl Default for Rope {
    fn default() -> Self {
        Self { base: 10000.0, scaled: false }
    }
}

/// How much is put aside.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Validation {
    /// Nothing.
    None,
    /// A share.
    Share(f64),
    /// The end.
    Tail(f64),
}

/// What a training takes.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PretrainParams {
    model: ConfigFile<Model>,
    #[serde(default)]
    steps: Option<Extendable<u64>>,
    #[serde(default)]
    tokens: Extendable<Option<Count>>,
    #[serde(default)]
    warm: Option<Warm>,
    #[serde(default = "rate")]
    #[schemars(range(min = 0.0, max = 1.0))]
    lr: f64,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    validation: Option<Validation>,
    #[serde(default)]
    save_every: Execution<Option<Duration>>,
    #[serde(default)]
    log: Execution<Log>,
}

/// How it begins.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Warm {
    up: Extendable<u32>,
}

fn rate() -> f64 {
    0.001
}

/// How much is told.
#[derive(Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    #[serde(default)]
    every: u32,
}

stage!(
    Pretrain,
    PretrainParams,
    "pretrain",
    [
        InputPort::required("data", &[ArtifactType::Tokens, ArtifactType::Corpus]),
        InputPort::optional("init", &[ArtifactType::Checkpoint])
    ],
    [
        OutputPort::new("checkpoint", ArtifactType::Checkpoint),
        OutputPort::new("report", ArtifactType::Report)
    ],
    fn fits(&self, params: &PretrainParams, above: &Above<'_>) -> Result<(), FieldError> {
        for init in above.port("init") {
            let width = &init.params["model"]["width"];
            if *width != params.model.width {
                let message =
                    format!("a model of width {} cannot begin as one of {width}", params.model.width);
                return Err(FieldError::new("/model/width", message).help(format!("write `width: {width}`")));
            }
        }
        let endless = |given: &Given<'_>| given.kind == "download" && given.params["limit"].is_null();
        let tidy = above.port("data").into_iter().filter(|given| {
            given.kind == "clean" && given.output == "corpus" && given.params["min_chars"] == 0
        });
        let data: Vec<_> = tidy.flat_map(|given| given.port("corpus")).collect();
        if data.iter().any(endless) && params.steps.is_none() && params.tokens.is_none() {
            let error = FieldError::new("/lr", "nothing ends the data, nor the training");
            return Err(error.help("write `steps` or `tokens`"));
        }
        Ok(())
    }
);

/// What a cleaner takes.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CleanParams {
    #[serde(default)]
    weights: BTreeMap<String, f64>,
    #[serde(default)]
    min_chars: Count,
}

stage!(
    Clean,
    CleanParams,
    "clean",
    [InputPort::required("corpus", &[ArtifactType::Corpus]).many()],
    [OutputPort::new("corpus", ArtifactType::Corpus)]
);

/// All of them.
pub(crate) static KINDS: LazyLock<Kinds> = LazyLock::new(|| {
    let all: &[&'static dyn StageKind] = &[&Command, &Download, &Tokenizer, &Pretrain, &Clean];
    Kinds::new(all)
});

/// Loads with nothing set.
pub(crate) fn read(path: &Path) -> Result<Pipeline, Vec<Diagnostic>> {
    load(path, &Options::new(&KINDS))
}

/// Writes a pipeline into a folder and loads it.
pub(crate) fn read_text(text: &str) -> (tempfile::TempDir, Result<Pipeline, Vec<Diagnostic>>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.yaml");
    std::fs::write(&path, text).unwrap();
    let outcome = read(&path);
    (folder, outcome)
}

/// Loads what must be right.
pub(crate) fn good(text: &str) -> Pipeline {
    let (_folder, outcome) = read_text(text);
    outcome.unwrap_or_else(|problems| {
        panic!(
            "{}",
            problems.iter().map(|problem| format!("{problem} ({:?})\n", problem.help)).collect::<String>()
        )
    })
}

/// Loads what must be wrong: `LINE:COLUMN message`, one a line.
pub(crate) fn bad(text: &str) -> String {
    let (_folder, outcome) = read_text(text);
    told(&outcome.err().unwrap_or_default())
}

/// Problems as lines.
pub(crate) fn told(problems: &[Diagnostic]) -> String {
    let line = |problem: &Diagnostic| {
        let (line, column) = problem.place.as_ref().map_or((0, 0), |place| place.line_column());
        format!("{line}:{column} {}\n", problem.message)
    };
    problems.iter().map(line).collect()
}
