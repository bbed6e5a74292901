//! The proposal, which changes as values are set, and then a name for the page.
use super::Questions;
use crate::commands::init::answers::Answers;
use crate::commands::init::proposal::Proposal;
use crate::commands::init::{place, table};
use crate::failure::{CliError, CliResult};

const HELP: &str = "\
Enter      take the proposal
KEY=VALUE  set a value and keep it: `model=30m`, `time=8h`, `device=cpu`,
           `data=texts/*.txt`, and so on: goal, languages, form, data, chats,
           mix, device, gpu, memory, share, time, model, vocab, context, tokens,
           batch-tokens, micro-batch, lr, precision, seed
r          take back what was set here
q          end; nothing is written";

impl Questions<'_> {
    /// Shows the proposal until it is right.
    pub(super) fn settle(&mut self, answers: &mut Answers) -> CliResult<bool> {
        let begin = (answers.clone(), self.bench.propose(answers)?);
        let mut now = begin.clone();
        loop {
            self.asks.say(&format!("\n{}", table::draw(&now.1, &now.0, self.paint)));
            self.asks.say("Enter takes it; KEY=VALUE sets and keeps a value (*); r resets; q ends; ? helps");
            now = loop {
                let Some(line) = self.ask("proposal")? else { return Ok(false) };
                match line.as_str() {
                    "" => {
                        *answers = now.0;
                        return Ok(true);
                    }
                    "q" | "quit" => return Ok(false),
                    "?" | "help" => self.asks.say(HELP),
                    "r" | "reset" => break begin.clone(),
                    line => match self.set(&now.0, line) {
                        Ok(changed) => break changed,
                        Err(error) => self.wrong(&error),
                    },
                }
            };
        }
    }

    /// The answers with what a line sets.
    fn set(&self, answers: &Answers, line: &str) -> CliResult<(Answers, Proposal)> {
        let Some((key, value)) = line.split_once('=').or_else(|| line.split_once(' ')) else {
            return Err(CliError::usage(format!("`{line}` sets nothing"))
                .hint("write `KEY=VALUE`, such as `model=30m`"));
        };
        self.bench.changed(answers, key.trim(), value.trim())
    }

    /// A name for the page that nothing speaks against.
    pub(crate) fn name(
        &mut self,
        usual: &str,
        free: impl Fn(&str) -> CliResult<()>,
    ) -> CliResult<Option<String>> {
        let mut names = (1..100).map(|number| match number {
            1 => usual.to_owned(),
            number => format!("{usual}_{number}"),
        });
        let proposed = names.find(|name| free(name).is_ok()).unwrap_or_else(|| usual.to_owned());
        loop {
            let Some(line) = self.ask(&format!("name [{proposed}]"))? else { return Ok(None) };
            let name = if line.is_empty() { &proposed } else { &line };
            match place::name(name).map_err(CliError::usage).and_then(|name| free(&name).map(|()| name)) {
                Ok(name) => return Ok(Some(name)),
                Err(error) => self.wrong(&error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_key() {
        let keys: Vec<&str> = HELP.split([' ', ',', ':', '\n']).collect();
        let missing: Vec<String> =
            Answers::keys().into_iter().filter(|key| !keys.contains(&key.as_str())).collect();
        assert_eq!(missing, Vec::<String>::new());
        assert!(HELP.lines().all(|line| line.len() <= 80), "{HELP}");
    }
}
