//! From the word after `uses:` to a stage kind: built in, named under `plugins:`, or found on the path.
use super::include::Named;
use super::kinds::{Kind, Kinds, Link, PluginFinder};
use super::names::is_name;
use super::node::Span;
use super::paths;
use super::session::Session;
use crate::diagnostic::nearest;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The version of descriptions that this muse reads.
const DESCRIPTION_FORMAT: u32 = 1;

/// A kind, nothing of that name, or what is wrong with the plugin.
type Answer = Result<Option<Arc<Kind>>, String>;

/// Every kind that this pipeline may use.
pub(crate) struct Registry<'a> {
    kinds: &'a Kinds,
    finder: Option<&'a dyn PluginFinder>,
    declared: &'a Named,
    /// What was found out about names that are not built in. Nobody is asked twice: a plugin may take its time to
    /// fail.
    answers: HashMap<String, Answer>,
}

impl<'a> Registry<'a> {
    pub(crate) fn new(
        session: &mut Session,
        kinds: &'a Kinds,
        finder: Option<&'a dyn PluginFinder>,
        declared: &'a Named,
    ) -> Self {
        for (key, _) in &declared.fields {
            if super::names::check(session, key, "a stage kind") && kinds.get(&key.name).is_some() {
                let problem = session.at(key.span, format!("the stage kind `{}` is built in", key.name));
                session.add(key.span, problem.help("give the plugin another name"));
            }
        }
        Self { kinds, finder, declared, answers: HashMap::new() }
    }

    /// The kind of that name. `None` where there is none, which is reported at `span`.
    pub(crate) fn get(&mut self, session: &mut Session, name: &str, span: Span) -> Option<Arc<Kind>> {
        if let Some(kind) = self.kinds.get(name) {
            return Some(kind.clone());
        }
        let (mut named, mut place) = (None, span);
        if let Some((_, node)) = self.declared.get(name) {
            let Some(text) = node.text() else {
                session
                    .report(node.span, format!("the plugin `{name}` takes a path, not {}", node.describe()));
                return None;
            };
            place = node.span;
            if let Some(problem) = paths::refuse(session, place, &format!("the plugin `{name}`"), text) {
                session.add(place, problem);
                return None;
            }
            named = session.source_of(place).map(|source| source.folder.join(&**text));
        }
        if !self.answers.contains_key(name) {
            self.answers.insert(name.to_owned(), self.ask(name, named.as_deref()));
        }
        match (self.answers.get(name), &named) {
            (Some(Ok(Some(kind))), _) => return Some(kind.clone()),
            (Some(Err(message)), _) => session.report(place, message.clone()),
            (_, Some(path)) => {
                session.report(place, format!("the plugin `{name}` is not there: {}", path.display()));
            }
            (_, None) => self.unknown(session, name, span),
        }
        None
    }

    /// The executables of the plugins in use.
    pub(crate) fn plugins(&self) -> BTreeMap<String, PathBuf> {
        let found = self.answers.iter().filter_map(|(name, answer)| {
            let path = answer.as_ref().ok()?.as_ref()?.plugin()?;
            Some((name.clone(), path.to_owned()))
        });
        found.collect()
    }

    fn ask(&self, name: &str, named: Option<&Path>) -> Answer {
        let Some(finder) = self.finder.filter(|_| is_name(name)) else { return Ok(None) };
        let found = finder
            .find(name, named)
            .map_err(|message| format!("the plugin `{name}` does not answer: {message}"))?;
        let Some((path, description)) = found else { return Ok(None) };
        if description.name != name {
            return Err(format!(
                "the plugin {} says that it is `{}`, not `{name}`",
                path.display(),
                description.name
            ));
        }
        if description.format != DESCRIPTION_FORMAT {
            return Err(format!(
                "the plugin {} speaks version {} of the contract, this muse speaks {DESCRIPTION_FORMAT}",
                path.display(),
                description.format
            ));
        }
        Ok(Some(Arc::new(Kind::new(description, Link::Plugin(path)))))
    }

    fn unknown(&self, session: &mut Session, name: &str, span: Span) {
        let names: Vec<&str> = self
            .kinds
            .iter()
            .map(|kind| kind.name())
            .chain(self.declared.fields.iter().map(|(key, _)| &*key.name))
            .collect();
        let problem = session.at(span, format!("there is no stage kind `{}`", super::node::shorten(name)));
        let problem = match nearest(name, names.iter().copied()) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help(format!(
                "there are {}; a plugin is an executable `muse-stage-NAME` on the path or under `plugins:`",
                names.join(", ")
            )),
        };
        session.add(span, problem);
    }
}
