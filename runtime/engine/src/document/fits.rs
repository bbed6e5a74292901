//! Asks kinds whether their parameters fit what stands above them: the one check that sees more than one stage.
use super::draft::Draft;
use super::kinds::Link;
use super::pipeline::{Entry, whole};
use super::session::Session;
use muse_stage::{Above, FieldError, Given};
use serde_json::Value;
use std::borrow::Cow;
use std::cell::Cell;

/// Asks every stage with which nothing is wrong, one that takes nothing too: it may have to. Stages must not stand in a circle.
pub(super) fn check(session: &mut Session, drafts: &[Draft]) {
    for (at, draft) in drafts.iter().enumerate() {
        let Some(Link::BuiltIn(kind)) = draft.kind.as_ref().map(|kind| &kind.link) else { continue };
        if !draft.sound {
            continue;
        }
        let view = View { drafts, unsure: Cell::new(false) };
        let Err(FieldError { pointer, message, help }) = kind.fits_json(&params(draft), &view.above(at))
        else {
            continue;
        };
        if view.unsure.get() {
            // It has seen less than there is: what is wrong with the stages above comes first.
            continue;
        }
        let span = draft.written.as_ref().map_or(draft.span, |written| written.span(&pointer));
        let problem = session.at(span, message);
        let problem = match help {
            Some(help) => problem.help(help),
            None => problem,
        };
        session.add(span, problem);
    }
}

/// The stages as a kind may see them.
struct View<'d> {
    drafts: &'d [Draft],
    /// Somebody looked at a stage with which something is wrong.
    unsure: Cell<bool>,
}

impl View<'_> {
    fn above(&self, stage: usize) -> Above<'_> {
        Above::new(move |port| self.port(stage, port))
    }

    fn port(&self, stage: usize, name: &str) -> Vec<Given<'_>> {
        let draft = &self.drafts[stage];
        match draft.ports.iter().find(|port| port.name == name) {
            Some(port) => port.entries.iter().filter_map(|entry| self.given(entry)).collect(),
            None => {
                let written = draft.inputs.as_ref().is_some_and(|inputs| inputs.get(name).is_some());
                self.unsure.set(self.unsure.get() || written);
                Vec::new()
            }
        }
    }

    fn given<'s>(&'s self, entry: &'s Entry) -> Option<Given<'s>> {
        let draft = &self.drafts[entry.stage];
        let kind = draft.kind.as_ref().filter(|_| draft.sound);
        let Some(kind) = kind else {
            self.unsure.set(true);
            return None;
        };
        let mut params = params(draft).into_owned();
        kind.shape().fill(&mut params);
        Some(Given { kind: kind.name(), output: &entry.output, params, above: self.above(entry.stage) })
    }
}

fn params(draft: &Draft) -> Cow<'_, Value> {
    whole(&draft.identity, &draft.execution, &draft.files, |file| file.text.as_str().into())
}
