//! From answers to a proposal: what is left open is filled in, data is looked for, the machine is chosen.
use super::answers::Answers;
use super::choices::{Form, Goal, Language};
use super::data::{Given, Source};
use super::hardware::Found;
use super::look::Look;
use super::mix::Mix;
use super::place::Place;
use super::proposal::{Proposal, propose};
use super::sets;
use crate::failure::{CliError, CliResult};
use muse_runtime::document::values;
use muse_stages::budget;

/// What proposals are made with.
pub(crate) struct Bench {
    /// What this machine has.
    pub(crate) found: Found,
    /// Where the page will stand.
    pub(crate) place: Place,
}

impl Bench {
    /// What the answers come to.
    pub(crate) fn propose(&self, answers: &Answers) -> CliResult<Proposal> {
        let full = complete(answers)?;
        let (texts, chats) = self.sources(&full)?;
        let hardware = self.found.choose(&full)?;
        let proposal = propose(&full, &hardware, texts, chats);
        let mut proposal = proposal.map_err(|message| {
            CliError::usage(message).hint("`--mix` takes names of texts: `--mix wiki=2,code=1`")
        })?;
        // A file that the project has changed is another model.
        if let Some(name) = proposal.sized.name {
            let path = self.place.root.join(format!("configs/models/{name}.yaml"));
            let there =
                path.is_file().then(|| values(&path, "a model", &budget::model_schema(), budget::model));
            if there.is_some_and(|there| there.ok().as_ref() != Some(&proposal.sized.model)) {
                proposal.sized.name = None;
            }
        }
        if !compares(answers)? {
            let note = "with values of your own it compares with runs of the same values alone";
            proposal.notes.push(note.into());
        }
        Ok(proposal)
    }

    /// What comes of the answers with another value.
    pub(crate) fn changed(
        &self,
        answers: &Answers,
        key: &str,
        value: &str,
    ) -> CliResult<(Answers, Proposal)> {
        let mut changed = answers.clone();
        changed.set(key, value).map_err(CliError::usage)?;
        let proposal = self.propose(&changed)?;
        Ok((changed, proposal))
    }

    /// What is wrong with answers already, before the others are there.
    pub(crate) fn check(&self, answers: &Answers) -> CliResult<()> {
        agree(answers)?;
        self.found.choose(answers)?;
        self.sources(answers).map(drop)
    }

    /// Looks for texts and chats.
    pub(crate) fn sources(&self, answers: &Answers) -> CliResult<(Vec<Source>, Vec<Source>)> {
        let mut taken = Vec::new();
        let mut look = |flag, given: &[Given]| {
            Look { place: &self.place, flag, languages: &answers.languages }.sources(given, &mut taken)
        };
        Ok((look("data", &answers.data)?, look("chats", &answers.chats)?))
    }
}

/// The generator speaks all of these.
pub(crate) fn spoken(languages: &[Language]) -> bool {
    languages.iter().all(|language| language.spoken())
}

/// The answers with what is usual in the place of those that are missing. An error names the flag that cannot be done without.
pub(crate) fn complete(answers: &Answers) -> CliResult<Answers> {
    agree(answers)?;
    let mut full = answers.clone();
    let goal = *full.goal.get_or_insert(Goal::Try);
    if full.languages.is_empty() {
        full.languages = vec![if goal == Goal::Benchmark { Language::En } else { Language::Ja }];
    }
    let named = std::mem::take(&mut full.languages);
    for language in named {
        if !full.languages.contains(&language) {
            full.languages.push(language);
        }
    }
    full.mix.get_or_insert(Mix::Balanced);
    if full.data.is_empty() {
        full.data = data(goal, &full.languages)?;
    }
    let chats = chats(&full);
    let form = full.form.unwrap_or(match goal {
        _ if chats.is_empty() => Form::Base,
        Goal::Benchmark if full.chats.is_empty() => Form::Base,
        _ => Form::Chat,
    });
    full.form = Some(form);
    if form == Form::Chat {
        full.chats = chats;
        if full.chats.is_empty() {
            return Err(CliError::usage("no chats in these languages are known by name")
                .hint("name some, such as `--chats chats/*.jsonl`, or write `--form base`"));
        }
    }
    Ok(full)
}

/// Whether a benchmark is that of everybody: of languages and a machine one may be chosen, all else is as it is usual.
fn compares(answers: &Answers) -> CliResult<bool> {
    if answers.goal != Some(Goal::Benchmark) {
        return Ok(true);
    }
    let Answers { goal, languages, device, gpu, memory, share, time, .. } = answers.clone();
    let usual = Answers { goal, languages, device, gpu, memory, share, time, ..Answers::default() };
    Ok(complete(answers)? == complete(&usual)?)
}

/// What speaks against answers, whatever the others are.
fn agree(answers: &Answers) -> CliResult<()> {
    if answers.form == Some(Form::Base) && !answers.chats.is_empty() {
        return Err(CliError::usage("a model that goes on with a text learns from no chats")
            .hint("leave out `--chats`, or write `--form chat`"));
    }
    Ok(())
}

fn data(goal: Goal, languages: &[Language]) -> CliResult<Vec<Given>> {
    match goal {
        Goal::Benchmark => Ok(sets::web(languages).into_iter().map(Given::known).collect()),
        Goal::Try if spoken(languages) => Ok(vec![Given::synthetic()]),
        Goal::Try => Err(CliError::usage("the generator writes Japanese and English alone")
            .hint("name what to learn from, such as `--data texts/*.txt` or `--data hub:OWNER/NAME`")),
        Goal::Real => Err(CliError::usage("nothing says what to learn from")
            .hint("name it, such as `--data texts/*.txt` or `--data hub:wikimedia/wikipedia:20231101.ja`")),
    }
}

/// The chats that are named, else those that are usual: of the hub beside texts of the hub or for real, else of the generator.
pub(crate) fn chats(answers: &Answers) -> Vec<Given> {
    let tries = answers.goal.unwrap_or(Goal::Try) == Goal::Try && !answers.data.iter().any(Given::of_hub);
    match &answers.chats {
        named if !named.is_empty() => named.clone(),
        _ if tries && spoken(&answers.languages) => vec![Given::synthetic()],
        _ => sets::chats(&answers.languages).into_iter().map(Given::known).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(change: impl FnOnce(&mut Answers)) -> CliResult<Answers> {
        let mut answers = Answers::default();
        change(&mut answers);
        complete(&answers)
    }

    #[test]
    fn what_is_not_said_is_usual() {
        let tried = completed(|_| ()).unwrap();
        assert_eq!((tried.goal, tried.form), (Some(Goal::Try), Some(Form::Chat)));
        assert_eq!((tried.languages, tried.data), (vec![Language::Ja], vec![Given::synthetic()]));
        let compared = completed(|all| all.goal = Some(Goal::Benchmark)).unwrap();
        assert_eq!((compared.form, compared.languages), (Some(Form::Base), vec![Language::En]));
        assert_eq!(compared.data[0].to_string(), "hub:HuggingFaceFW/fineweb-edu:sample-10BT");
        let wiki = || vec!["hub:wikimedia/wikipedia:20231101.ja".parse().unwrap()];
        assert_eq!(completed(|all| all.data = wiki()).unwrap().chats.len(), 3);
        assert_eq!(
            completed(|all| all.data = vec!["a.txt".parse().unwrap()]).unwrap().chats,
            [Given::synthetic()]
        );
        let korean = completed(|all| (all.languages, all.data) = (vec![Language::Ko], wiki())).unwrap();
        assert_eq!(korean.form, Some(Form::Base), "no chats are known");
    }

    #[test]
    fn a_language_is_learned_once() {
        let named = [Language::Ja, Language::En, Language::Ja];
        let full =
            completed(|all| (all.goal, all.languages) = (Some(Goal::Benchmark), named.into())).unwrap();
        assert_eq!((full.languages, full.data.len()), (vec![Language::Ja, Language::En], 2));
    }

    #[test]
    fn a_benchmark_with_values_of_ones_own_is_another() {
        let compares = |change: fn(&mut Answers)| {
            let mut answers = Answers { goal: Some(Goal::Benchmark), ..Answers::default() };
            change(&mut answers);
            compares(&answers).unwrap()
        };
        assert!(compares(|_| ()));
        assert!(compares(
            |all| (all.share, all.memory, all.languages) = (Some(0.9), Some(1), vec![Language::Ja])
        ));
        assert!(
            compares(|all| (all.form, all.mix) = (Some(Form::Base), Some(Mix::Balanced))),
            "these are usual"
        );
        let own: [fn(&mut Answers); 5] = [
            |all| all.seed = Some(1),
            |all| all.lr = Some(1.0),
            |all| all.data = vec!["a.txt".parse().unwrap()],
            |all| all.mix = Some(Mix::Code),
            |all| all.chats = vec![Given::synthetic()],
        ];
        assert!(own.into_iter().all(|own| !compares(own)));
    }

    #[test]
    fn what_cannot_be_done_without_is_named() {
        let error = |change: fn(&mut Answers)| completed(change).unwrap_err();
        assert!(error(|all| all.goal = Some(Goal::Real)).hints[0].contains("--data"));
        assert!(error(|all| all.languages = vec![Language::Zh]).hints[0].contains("--data"));
        let wrong = error(|all| {
            (all.languages, all.form) = (vec![Language::Zh], Some(Form::Chat));
            all.data = vec!["a.txt".parse().unwrap()];
        });
        assert!(wrong.hints[0].contains("--chats"), "{wrong}");
        let wrong = error(|all| (all.form, all.chats) = (Some(Form::Base), vec![Given::synthetic()]));
        assert!(wrong.hints[0].contains("--form"), "{wrong}");
    }
}
