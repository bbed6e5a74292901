//! What is answered, by flags or at the terminal: every answer is a flag, and `key=value` at the terminal is read as that flag.
use super::choices::{Form, Goal, Language, Precision, word};
use super::data::Given;
use crate::format::shell_word;
use crate::values::{Device, size};
use clap::Args;
use muse_stage::{Bytes, Count, Duration};
use std::fmt::Display;

/// All answers. What is not there is proposed.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub(crate) struct Answers {
    /// What the model is for [default: try].
    #[arg(long, value_name = "GOAL", value_enum)]
    pub(crate) goal: Option<Goal>,
    /// The languages that it learns, by commas [default: ja].
    #[arg(long, value_name = "LIST", value_enum, value_delimiter = ',')]
    pub(crate) languages: Vec<Language>,
    /// A model that answers, or one that goes on with a text [default: chat].
    #[arg(long, value_name = "FORM", value_enum)]
    pub(crate) form: Option<Form>,
    /// Text to learn from. May be repeated.
    ///
    /// A path or a glob, `hub:OWNER/NAME` or `hub:OWNER/NAME:CONFIG` of the Hugging Face Hub, or `synthetic`, with a name of
    /// your own before it, `wiki=texts/*.txt`, and before that one of the classes that mixes go by: `code:wiki=src/**`.
    #[arg(long, value_name = "[CLASS:][NAME=]WHAT")]
    pub(crate) data: Vec<Given>,
    /// Chats to learn to answer from, likewise. May be repeated.
    #[arg(long, value_name = "[NAME=]WHAT")]
    pub(crate) chats: Vec<Given>,
    /// The shares of the texts: `balanced`, `japanese`, `code`, or whole numbers by name, `wiki=2,code=1`.
    #[arg(long, value_name = "MIX")]
    pub(crate) mix: Option<super::mix::Mix>,
    /// What trains it: `auto`, `cpu`, `cuda` or `cuda:N` [default: auto].
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<Device>,
    /// A GPU that is not in this machine, by its name, such as `H100`. Needs --memory.
    #[arg(long, value_name = "NAME", conflicts_with = "device")]
    pub(crate) gpu: Option<String>,
    /// The memory of the device [default: what is there].
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) memory: Option<u64>,
    /// The share of the memory to use, above 0 and up to 1 [default: 0.5].
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) share: Option<f64>,
    /// How long training may take: `30min`, `8h`, `3d` [default: 5min to try, 1d for real].
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) time: Option<u64>,
    /// A size of `configs/models/` by its name, such as `125m`, or a number of parameters, such as `60M`.
    #[arg(long, value_name = "SIZE", value_parser = super::sizes::known)]
    pub(crate) model: Option<String>,
    /// How many tokens the tokenizer has.
    #[arg(long, value_name = "N", value_parser = count::<{ 1 << 22 }>)]
    pub(crate) vocab: Option<u64>,
    /// Tokens of a sequence.
    #[arg(long, value_name = "N", value_parser = count::<{ 1 << 20 }>)]
    pub(crate) context: Option<u64>,
    /// Tokens to learn from.
    #[arg(long, value_name = "N", value_parser = count::<1_000_000_000_000_000>)]
    pub(crate) tokens: Option<u64>,
    /// Tokens of a step.
    #[arg(long, value_name = "N", value_parser = count::<{ 1 << 30 }>)]
    pub(crate) batch_tokens: Option<u64>,
    /// Sequences that go through the model at once.
    #[arg(long, value_name = "N", value_parser = count::<{ 1 << 20 }>)]
    pub(crate) micro_batch: Option<u64>,
    /// The learning rate at its peak.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(crate) lr: Option<f64>,
    /// What weights and activations are.
    #[arg(long, value_name = "TYPE", value_enum)]
    pub(crate) precision: Option<Precision>,
    /// What chance depends on.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
}

impl Answers {
    /// The flags that give these answers.
    pub(crate) fn flags(&self) -> Vec<String> {
        fn one(flag: &str, value: Option<impl Display>) -> Option<String> {
            value.map(|value| format!("--{flag} {}", shell_word(&value.to_string())))
        }
        let languages: Vec<String> = self.languages.iter().copied().map(word).collect();
        let given = |flag: &'static str, all: &[Given]| -> Vec<String> {
            all.iter().map(|given| format!("--{flag} {}", shell_word(&given.to_string()))).collect()
        };
        let mut flags: Vec<String> = Vec::new();
        flags.extend(one("goal", self.goal.map(word)));
        flags.extend(one("languages", (!languages.is_empty()).then(|| languages.join(","))));
        flags.extend(one("form", self.form.map(word)));
        flags.extend(given("data", &self.data));
        flags.extend(given("chats", &self.chats));
        flags.extend(one("mix", self.mix.as_ref()));
        flags.extend(one("device", self.device));
        flags.extend(one("gpu", self.gpu.as_ref()));
        flags.extend(one("memory", self.memory.map(Bytes)));
        flags.extend(one("share", self.share));
        flags.extend(one("time", self.time.map(|time| Duration(std::time::Duration::from_secs(time)))));
        flags.extend(one("model", self.model.as_ref()));
        let counts = [
            ("vocab", self.vocab),
            ("context", self.context),
            ("tokens", self.tokens),
            ("batch-tokens", self.batch_tokens),
            ("micro-batch", self.micro_batch),
            ("seed", self.seed),
        ];
        flags.extend(counts.into_iter().filter_map(|(flag, count)| one(flag, count)));
        flags.extend(one("lr", self.lr));
        flags.extend(one("precision", self.precision.map(word)));
        flags
    }

    fn command() -> clap::Command {
        Self::augment_args_for_update(clap::Command::new("set").no_binary_name(true))
    }

    /// What can be set.
    pub(crate) fn keys() -> Vec<String> {
        Self::command().get_arguments().filter_map(|flag| flag.get_long().map(str::to_owned)).collect()
    }

    /// Takes `key=value` as the flag of that name takes it; all else stays.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        use clap::FromArgMatches;
        let key = key.replace('_', "-");
        let keys = Self::keys();
        if !keys.contains(&key) {
            return Err(format!("there is no `{key}`: {}", keys.join(", ")));
        }
        let words = || value.split([' ', ',']).filter(|word| !word.is_empty()).collect::<Vec<_>>();
        let values: Vec<String> = match key.as_str() {
            // Several texts come one after the other, where a flag would be repeated.
            "data" | "chats" => value.split_whitespace().map(str::to_owned).collect(),
            "languages" => vec![words().join(",")],
            _ => vec![value.to_owned()],
        };
        if values.is_empty() {
            return Err(format!("nothing says what `{key}` is to be"));
        }
        let flags = values.iter().map(|value| format!("--{key}={value}"));
        let matches = Self::command().try_get_matches_from(flags).map_err(|error| {
            let text = error.to_string();
            let first = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
            first.split_whitespace().collect::<Vec<_>>().join(" ")
        })?;
        self.update_from_arg_matches(&matches).map_err(|error| error.to_string())?;
        // What was said before gives way to what contradicts it.
        match key.as_str() {
            // The memory was that of the other device.
            "device" if self.gpu.is_some() => (self.gpu, self.memory) = (None, None),
            "gpu" => self.device = None,
            "chats" => self.form = None,
            "form" if self.form == Some(Form::Base) => self.chats.clear(),
            _ => {}
        }
        Ok(())
    }
}

fn count<const MOST: u64>(text: &str) -> Result<u64, String> {
    let count = Count::parse(text).map_err(|error| error.to_string())?.0;
    if (1..=MOST).contains(&count) { Ok(count) } else { Err(format!("expected 1 to {MOST}")) }
}

fn time(text: &str) -> Result<u64, String> {
    match Duration::parse(text).map_err(|error| error.to_string())?.0.as_secs() {
        0 => Err("expected a second or more".into()),
        seconds => Ok(seconds),
    }
}

fn number(text: &str, most: f64) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| *number > 0.0 && *number <= most)
}

fn share(text: &str) -> Result<f64, String> {
    number(text, 1.0).ok_or_else(|| "expected a share above 0 and up to 1, such as 0.8".into())
}

fn rate(text: &str) -> Result<f64, String> {
    number(text, 10.0).ok_or_else(|| "expected a rate above 0 and up to 10, such as 1e-3".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::parse_for_tests;

    fn parsed(words: &[&str]) -> Answers {
        parse_for_tests(&[&["muse", "init"], words].concat(), |command| match command {
            crate::args::Command::Init(args) => args.answers,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn the_flags_of_answers_give_the_same_answers() {
        let words = "--goal real --languages ja,en --form base --data code:a=b --data hub:x/y:z --chats synthetic --mix a=1,b=2 \
                     --gpu H100 --memory 80GiB --share 0.9 --time 90min --model 60M --vocab 8000 --context 512 --tokens 2.5B \
                     --batch-tokens 16384 --micro-batch 4 --seed 7 --lr 1e-3 --precision bf16";
        let answers = parsed(&words.split_whitespace().collect::<Vec<_>>());
        let flags = answers.flags().join(" ");
        assert_eq!(parsed(&flags.split(' ').collect::<Vec<_>>()), answers, "{flags}");
        assert!(flags.contains("--time 90min") && flags.contains("--memory 80GiB"), "{flags}");
        assert_eq!(Answers::default().flags(), Vec::<String>::new());
    }

    #[test]
    fn a_key_is_a_flag_and_leaves_the_others_alone() {
        let mut answers = parsed(&["--gpu", "H100", "--lr", "1e-3", "--data", "a"]);
        answers.set("batch_tokens", "16k").unwrap();
        answers.set("data", "b  code:c=d").unwrap();
        answers.set("device", "cpu").unwrap();
        answers.set("languages", "ja, en").unwrap();
        assert_eq!(answers.languages, [Language::Ja, Language::En]);
        assert_eq!((answers.batch_tokens, answers.lr, &answers.gpu), (Some(16_000), Some(1e-3), &None));
        assert_eq!(answers.data.iter().map(ToString::to_string).collect::<Vec<_>>(), ["b", "code:c=d"]);
        assert!(answers.set("no", "1").unwrap_err().starts_with("there is no `no`: goal, languages"));
        assert!(answers.set("share", "7").unwrap_err().contains("above 0 and up to 1"));
        assert_eq!(answers.share, None);
        assert_eq!(answers.set("chats", " ").unwrap_err(), "nothing says what `chats` is to be");
    }

    #[test]
    fn what_was_said_gives_way_to_what_contradicts_it() {
        let mut answers = parsed(&["--gpu", "H100", "--memory", "80GiB", "--form", "base"]);
        answers.set("device", "cpu").unwrap();
        assert_eq!((&answers.gpu, answers.memory), (&None, None), "it was the GPU's");
        answers.set("memory", "8GiB").unwrap();
        answers.set("device", "auto").unwrap();
        assert_eq!(answers.memory, Some(8 << 30), "it was said of this machine");
        answers.set("chats", "chats.jsonl").unwrap();
        assert_eq!(answers.form, None, "chats are to answer from");
        answers.set("form", "chat").unwrap();
        assert_eq!(answers.chats.len(), 1);
        answers.set("form", "base").unwrap();
        assert_eq!(answers.chats, []);
    }
}
