//! The proposal, which changes as values are set, and then a name for the page.
use super::Questions;
use crate::commands::init::answers::Answers;
use crate::commands::init::{place, table};
use crate::failure::{CliError, CliResult};

const HELP: &str = "\
Enter      take the proposal
KEY=VALUE  set a value and keep it: `model=30m`, `time=8h`, `device=cpu`,
           `data=texts/*.txt`; all flags of `muse init --help` are keys
r          take back what was set here
q          end; nothing is written";

impl Questions<'_> {
    /// Shows the proposal until it is right.
    pub(super) fn settle(&mut self, answers: &mut Answers) -> CliResult<bool> {
        let begin = answers.clone();
        loop {
            let proposal = self.bench.propose(answers)?;
            self.asks.say(&format!("\n{}", table::draw(&proposal, answers, self.paint)));
            self.asks.say("Enter takes it; KEY=VALUE sets and keeps a value (*); r resets; q ends; ? helps");
            loop {
                let Some(line) = self.ask("proposal")? else { return Ok(false) };
                match line.as_str() {
                    "" => return Ok(true),
                    "q" | "quit" => return Ok(false),
                    "?" | "help" => {
                        self.asks.say(HELP);
                        continue;
                    }
                    "r" | "reset" => *answers = begin.clone(),
                    line => match self.changed(answers, line) {
                        Ok(changed) => *answers = changed,
                        Err(error) => {
                            self.wrong(&error);
                            continue;
                        }
                    },
                }
                break;
            }
        }
    }

    /// The answers with a value set, where a proposal comes of them.
    fn changed(&self, answers: &Answers, line: &str) -> CliResult<Answers> {
        let Some((key, value)) = line.split_once('=').or_else(|| line.split_once(' ')) else {
            return Err(CliError::usage(format!("`{line}` sets nothing"))
                .hint("write `KEY=VALUE`, such as `model=30m`"));
        };
        let mut changed = answers.clone();
        changed.set(key.trim(), value.trim()).map_err(CliError::usage)?;
        self.bench.propose(&changed)?;
        Ok(changed)
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
