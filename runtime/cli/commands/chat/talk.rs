//! A conversation: what was said, and the commands that change it.
use crate::model::SamplingArgs;
use muse_artifacts::corpus::Message;
use std::fmt::Write as _;

const HELP: &str = "\
/reset             begin anew
/retry             another answer to what you said last
/undo              take back what you said last, with its answer
/system TEXT       tell the model something before all else; without TEXT, nothing
/set NAME VALUE    temperature, top_p, top_k, min_p, repetition_penalty, max_tokens or seed
/show              the conversation and the settings
/quit              end; so does Ctrl-D";

/// A conversation.
pub(super) struct Talk {
    system: Option<String>,
    messages: Vec<Message>,
    sampling: SamplingArgs,
    /// Answers that were asked for: each has chance of its own.
    turns: u64,
}

/// What follows from a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// An answer is wanted.
    Asks,
    /// Something is to be said to whoever typed it.
    Says(String),
    /// Nothing.
    Nothing,
    /// The end.
    Ends,
}

impl Talk {
    pub(super) fn new(system: Option<String>, sampling: SamplingArgs) -> Self {
        Self { system, messages: Vec::new(), sampling, turns: 0 }
    }

    /// What the model is told: what the system says, and what was said since.
    pub(super) fn messages(&self) -> Vec<Message> {
        let system = self.system.iter().map(|text| Message::new("system", text));
        system.chain(self.messages.iter().cloned()).collect()
    }

    pub(super) fn sampling(&self) -> &SamplingArgs {
        &self.sampling
    }

    /// Answers that were asked for so far.
    pub(super) fn turns(&self) -> u64 {
        self.turns
    }

    /// The model has answered.
    pub(super) fn answered(&mut self, text: String) {
        self.messages.push(Message::new("assistant", text));
    }

    /// Takes a line: a command, or something said.
    pub(super) fn line(&mut self, line: &str) -> Does {
        let Some(command) = line.strip_prefix('/') else { return self.said(line) };
        let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let rest = rest.trim();
        match name {
            "help" | "?" => Does::Says(HELP.into()),
            "quit" | "exit" => Does::Ends,
            "reset" => {
                self.messages.clear();
                Does::Says("a new conversation".into())
            }
            "system" => {
                self.system = (!rest.is_empty()).then(|| rest.to_owned());
                Does::Nothing
            }
            "undo" => match self.take_back() {
                Some(text) => Does::Says(format!("taken back: {text}")),
                None => Does::Says("there is nothing to take back".into()),
            },
            "retry" => match self.take_back() {
                Some(text) => self.said(&text),
                None => Does::Says("nothing was said yet".into()),
            },
            "show" => Does::Says(self.shown()),
            "set" => self.set(rest).map_or_else(Does::Says, |()| Does::Nothing),
            _ => Does::Says(format!("there is no command `/{name}`; `/help` lists them")),
        }
    }

    fn said(&mut self, text: &str) -> Does {
        self.messages.push(Message::new("user", text));
        self.turns += 1;
        Does::Asks
    }

    /// Takes back what was said last, and all that followed.
    fn take_back(&mut self) -> Option<String> {
        let last = self.messages.iter().rposition(|message| message.role == "user")?;
        self.messages.drain(last..).next().map(|message| message.content)
    }

    fn shown(&self) -> String {
        let mut text = String::new();
        for message in self.messages() {
            let _ = writeln!(text, "{}: {}", message.role, message.content);
        }
        let SamplingArgs { temperature, top_p, top_k, min_p, repetition_penalty, max_tokens, seed, .. } =
            &self.sampling;
        let or =
            |number: Option<u64>, none: &str| number.map_or(none.to_owned(), |number| number.to_string());
        let (most, seed) =
            (or(max_tokens.map(|most| most as u64), "as there is room"), or(*seed, "by chance"));
        text + &format!(
            "temperature {temperature}, top_p {top_p}, top_k {top_k}, min_p {min_p}, repetition_penalty \
             {repetition_penalty}, max_tokens {most}, seed {seed}"
        )
    }

    /// Reads a setting as the flag of that name does.
    fn set(&mut self, words: &str) -> Result<(), String> {
        use clap::{Args, FromArgMatches};
        let Some((name, value)) = words.split_once(char::is_whitespace) else {
            return Err("`/set` takes a name and a value: `/set temperature 0.5`".into());
        };
        const NAMES: [&str; 7] =
            ["temperature", "top_p", "top_k", "min_p", "repetition_penalty", "max_tokens", "seed"];
        if !NAMES.contains(&name) {
            return Err(format!("there is no setting `{name}`: {}", NAMES.join(", ")));
        }
        let flag = format!("--{}={}", name.replace('_', "-"), value.trim());
        let command = SamplingArgs::augment_args_for_update(clap::Command::new("set").no_binary_name(true));
        // What is not named stays as it is.
        let command = command.mut_args(|flag| flag.default_value(clap::builder::Resettable::Reset));
        let matches = command.try_get_matches_from([flag]).map_err(|error| {
            let text = error.to_string();
            let why =
                text.lines().next().unwrap_or_default().rsplit(": ").next().unwrap_or_default().to_owned();
            format!("`{name}` cannot be `{}`: {why}", value.trim())
        })?;
        self.sampling.update_from_arg_matches(&matches).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args, FromArgMatches};

    fn talk() -> Talk {
        let command = SamplingArgs::augment_args(clap::Command::new("set").no_binary_name(true));
        let none: [&str; 0] = [];
        let matches = command.try_get_matches_from(none).unwrap();
        Talk::new(Some("be kind".into()), SamplingArgs::from_arg_matches(&matches).unwrap())
    }

    fn said(talk: &Talk) -> Vec<String> {
        talk.messages().iter().map(|message| format!("{}: {}", message.role, message.content)).collect()
    }

    #[test]
    fn lines_are_said_and_commands_are_not() {
        let mut talk = talk();
        assert_eq!(talk.line("hello"), Does::Asks);
        talk.answered("hi".into());
        assert_eq!(talk.line("how are you?"), Does::Asks);
        talk.answered("fine".into());
        assert_eq!(
            said(&talk),
            ["system: be kind", "user: hello", "assistant: hi", "user: how are you?", "assistant: fine"]
        );
        assert_eq!(talk.line("/retry"), Does::Asks);
        assert_eq!(said(&talk).last().unwrap(), "user: how are you?");
        assert_eq!(talk.turns(), 3);
        talk.answered("well".into());
        assert_eq!(talk.line("/undo"), Does::Says("taken back: how are you?".into()));
        assert_eq!(said(&talk).len(), 3);
        assert_eq!(talk.line("/system"), Does::Nothing);
        assert_eq!(said(&talk)[0], "user: hello");
        talk.line("/system 短く");
        talk.line("/reset");
        assert_eq!(said(&talk), ["system: 短く"]);
        assert_eq!(talk.line("/undo"), Does::Says("there is nothing to take back".into()));
        assert_eq!(talk.line("/quit"), Does::Ends);
        assert!(matches!(talk.line("/qiut"), Does::Says(text) if text.contains("`/qiut`")));
    }

    #[test]
    fn settings_are_read_as_flags_are() {
        let mut talk = talk();
        assert_eq!(talk.line("/set temperature 0.25"), Does::Nothing);
        assert_eq!(talk.line("/set max_tokens 12"), Does::Nothing);
        assert_eq!(
            (talk.sampling.temperature, talk.sampling.max_tokens, talk.sampling.top_p),
            (0.25, Some(12), 0.95)
        );
        let Does::Says(wrong) = talk.line("/set top_p 2") else { panic!() };
        assert_eq!(wrong, "`top_p` cannot be `2`: expected a number from 0 to 1");
        assert!(
            matches!(talk.line("/set heat 1"), Does::Says(text) if text.starts_with("there is no setting `heat`"))
        );
        assert!(matches!(talk.line("/set"), Does::Says(text) if text.contains("a name and a value")));
        let Does::Says(shown) = talk.line("/show") else { panic!() };
        assert!(
            shown.starts_with("system: be kind\ntemperature 0.25, top_p 0.95")
                && shown.contains("max_tokens 12, seed by chance"),
            "{shown}"
        );
    }
}
