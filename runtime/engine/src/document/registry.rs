//! From the word after `uses:` to a stage kind: built in, named under `plugins:`, or found on the path.
use super::include::Named;
use super::kinds::{Kind, Kinds, Link, PluginFinder};
use super::names::is_name;
use super::node::Span;
use super::paths;
use super::session::Session;
use crate::diagnostic::nearest;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

/// The version of descriptions that this muse reads.
const DESCRIPTION_FORMAT: u32 = 1;

/// Every kind that this pipeline may use.
pub(crate) struct Registry<'a> {
    kinds: &'a Kinds,
    finder: Option<&'a dyn PluginFinder>,
    declared: &'a Named,
    found: HashMap<String, Option<Arc<Kind>>>,
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
        Self { kinds, finder, declared, found: HashMap::new() }
    }

    /// The kind of that name. `None` where there is none, which is reported at `span`.
    pub(crate) fn get(&mut self, session: &mut Session, name: &str, span: Span) -> Option<Arc<Kind>> {
        if let Some(kind) = self.kinds.get(name) {
            return Some(kind.clone());
        }
        if let Some(Some(kind)) = self.found.get(name) {
            return Some(kind.clone());
        }
        let kind = self.find(session, name, span);
        self.found.insert(name.to_owned(), kind.clone());
        kind
    }

    /// The executables of the plugins in use.
    pub(crate) fn plugins(&self) -> BTreeMap<String, PathBuf> {
        let found = self.found.iter().filter_map(|(name, kind)| {
            let path = kind.as_ref()?.plugin()?;
            Some((name.clone(), path.to_owned()))
        });
        found.collect()
    }

    fn find(&mut self, session: &mut Session, name: &str, span: Span) -> Option<Arc<Kind>> {
        let mut named = None;
        let mut place = span;
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
        let found = match self.finder.filter(|_| is_name(name)) {
            Some(finder) => finder.find(name, named.as_deref()),
            None => Ok(None),
        };
        let message = match found {
            Ok(Some((path, description))) => {
                if description.name == name && description.format == DESCRIPTION_FORMAT {
                    return Some(Arc::new(Kind::new(description, Link::Plugin(path))));
                }
                let path = path.display();
                if description.name == name {
                    format!(
                        "the plugin {path} speaks version {} of the contract, this muse speaks {DESCRIPTION_FORMAT}",
                        description.format
                    )
                } else {
                    format!("the plugin {path} says that it is `{}`, not `{name}`", description.name)
                }
            }
            Err(message) => format!("the plugin `{name}` does not answer: {message}"),
            Ok(None) => match &named {
                Some(path) => format!("the plugin `{name}` is not there: {}", path.display()),
                None => {
                    self.unknown(session, name, span);
                    return None;
                }
            },
        };
        session.report(place, message);
        None
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
