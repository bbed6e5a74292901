//! What is chosen among a few: each choice is a word of a flag.
use clap::ValueEnum;
use muse_stages::budget;

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Goal {
    /// A small model in minutes, to see how all of it goes.
    Try,
    /// As good a model as memory, time and data allow.
    Real,
    /// The same recipe for everybody, to compare with others.
    Benchmark,
}

/// A language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// Japanese.
    Ja,
    /// English.
    En,
    /// Chinese.
    Zh,
    /// Korean.
    Ko,
}

/// What a model does in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// It answers.
    Chat,
    /// It goes on with a text.
    Base,
}

/// What weights and activations are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Precision {
    /// All in f32.
    F32,
    /// bf16, with weights in f32 behind it.
    Bf16,
}

impl From<Precision> for budget::Precision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::Bf16 => Self::Bf16,
        }
    }
}

impl Language {
    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ja => "Japanese",
            Self::En => "English",
            Self::Zh => "Chinese",
            Self::Ko => "Korean",
        }
    }

    /// The generator of `download` speaks it.
    pub(crate) fn spoken(self) -> bool {
        matches!(self, Self::Ja | Self::En)
    }
}

/// The word of a choice, as it is typed.
pub(crate) fn word<T: ValueEnum>(choice: T) -> String {
    choice.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
