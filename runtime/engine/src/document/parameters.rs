//! What stands under `with:`: names replaced, checked against the kind's schema, and what follows from it.
use super::draft::Draft;
use super::interpolate::{Mode, Scope, interpolate};
use super::kinds::{Kind, Link};
use super::names::is_name;
use super::node::{Content, Key, Node, Span};
use super::pieces::has_names;
use super::pipeline::whole;
use super::session::Session;
use super::shape::{Checked, Form, RuleId, Shape};
use super::stage::{Declared, Workshop};
use super::written::{Written, locate, locate_key, steps};
use muse_stage::{ArtifactType, FieldError, Said};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;

impl Workshop<'_> {
    /// Fills in what the parameters say.
    pub(super) fn parameters(
        &mut self,
        declared: &Declared<'_>,
        combination: Option<&[(Key, Node)]>,
        draft: &mut Draft,
    ) {
        let Some(kind) = &declared.kind else { return };
        if matches!(declared.with.content, Content::Unknown) {
            return;
        }
        let before = self.session.reports();
        let scope = self.scope(combination);
        let with = self.with_names(declared, &scope);
        let owner = format!("`{}`", kind.name());
        let checked = kind.shape().check(self.session, &mut self.configs, &owner, &with, declared.named);
        draft.outputs = self.outputs(kind, &with, &checked);
        draft.pins = pins(kind, &checked);
        self.file_names(declared, &with, &checked);
        let said = if self.session.reports() == before && !checked.unknown {
            self.ask_kind(kind, &with, &checked, declared.named)
        } else {
            Said::default()
        };
        draft.sound = self.session.reports() == before && !checked.unknown;
        draft.pins.extend(said.pins);
        if kind.description.outputs_from.is_none() && !said.makes.is_empty() {
            draft.outputs = Some(said.makes.into_iter().map(|made| (made.name, made.kind)).collect());
        }
        draft.identity = checked.identity;
        draft.execution = checked.execution;
        draft.files = checked.files;
        draft.extendable = checked.extendable.into();
        for field in said.idle {
            for values in [&mut draft.identity, &mut draft.execution] {
                values.as_object_mut().map(|values| values.remove(field));
            }
            draft.files.retain(|file| steps(&file.pointer).next().as_deref() != Some(field));
        }
        let with = if let Cow::Owned(with) = with { Some(with) } else { None };
        let written = Written::new(declared.whole, with, checked.configs, declared.named);
        draft.written = Some(Arc::new(written));
    }

    /// `with`, names replaced. The outputs come first, so that a command can name them.
    pub(super) fn with_names<'d>(&mut self, declared: &'d Declared<'_>, scope: &Scope<'_>) -> Cow<'d, Node> {
        let with = &*declared.with;
        let kind = declared.kind.as_ref().filter(|_| has_names(with));
        let Some(kind) = kind else { return Cow::Borrowed(with) };
        let shape = kind.shape();
        let mut outputs: Vec<Arc<str>> =
            kind.description.outputs.iter().map(|output| output.name.as_str().into()).collect();
        let named = kind.description.outputs_from.as_ref().and_then(|field| declared.with.get(field));
        if let Some(named) = named {
            // What is wrong here is found again, and told once, when its turn comes.
            let changed = interpolate(&mut Session::default(), scope, named, None, Mode::default());
            outputs.extend(
                changed.as_ref().unwrap_or(named).items().iter().filter_map(|item| item.text().cloned()),
            );
        }
        let ports = declared.inputs.map(|(_, inputs)| inputs.fields()).unwrap_or_default();
        let mut inputs: Vec<Arc<str>> = ports.iter().map(|(key, _)| key.name.clone()).collect();
        for (key, node) in declared.with.fields() {
            let Some(rule) = shape.field(shape.root, &key.name) else { continue };
            if is_files(shape, rule) {
                inputs.push(key.name.clone());
            } else if node
                .fields()
                .first()
                .and_then(|_| shape.field(rule, "*"))
                .is_some_and(|rule| is_files(shape, rule))
            {
                inputs.extend(node.fields().iter().map(|(key, _)| key.name.clone()));
            }
        }
        let scope = Scope { inputs: &inputs, outputs: &outputs, ..*scope };
        let changed =
            interpolate(self.session, &scope, &declared.with, Some((shape, shape.root)), Mode::default());
        changed.map_or(Cow::Borrowed(with), Cow::Owned)
    }

    /// What the kind itself has to say.
    fn ask_kind(&mut self, kind: &Kind, with: &Node, checked: &Checked, named: Span) -> Said {
        let Link::BuiltIn(stage) = &kind.link else { return Said::default() };
        let params =
            whole(&checked.identity, &checked.execution, &checked.files, |file| file.text.as_str().into());
        match stage.check_json(&params) {
            Ok(said) => said,
            Err(FieldError { pointer, message, help }) => {
                let span = locate(with, &checked.configs, &pointer).unwrap_or(named);
                let problem = self.session.at(span, message);
                let problem = match help {
                    Some(help) => problem.help(help),
                    None => problem,
                };
                self.session.add(span, problem);
                Said::default()
            }
        }
    }

    /// What the stage makes. `None` where that is not known.
    fn outputs(
        &mut self,
        kind: &Kind,
        with: &Node,
        checked: &Checked,
    ) -> Option<Vec<(String, ArtifactType)>> {
        let description = &kind.description;
        let mut outputs: Vec<(String, ArtifactType)> =
            description.outputs.iter().map(|output| (output.name.clone(), output.kind)).collect();
        let Some(field) = &description.outputs_from else { return Some(outputs) };
        let names = top_level(kind, checked, field);
        for (at, name) in
            names.as_ref().and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default().iter().enumerate()
        {
            // What is no text was reported, and so was what the kind does not take.
            let name = name.as_str()?;
            let good = !name.starts_with('.') && name.split('.').all(|part| part.is_empty() || is_name(part));
            let twice = outputs.iter().any(|(other, _)| other == name);
            if !good || name.is_empty() || twice {
                let span = locate(with, &checked.configs, &format!("/{field}/{at}"));
                let message = if twice && good {
                    format!("the output `{name}` is named twice")
                } else {
                    format!("`{}` cannot name an output", super::node::shorten(name))
                };
                let span = span.unwrap_or(with.span);
                if !self.session.knows(span) {
                    self.session.report(span, message);
                }
                return None;
            }
            outputs.push((name.to_owned(), ArtifactType::Any));
        }
        Some(outputs)
    }

    /// Names of input files share a folder with those of ports.
    fn file_names(&mut self, declared: &Declared<'_>, with: &Node, checked: &Checked) {
        let ports = declared.inputs.map(|(_, inputs)| inputs.fields()).unwrap_or_default();
        for file in &checked.files {
            let key = locate_key(with, &file.pointer).unwrap_or(declared.named);
            if file.name.contains(['/', '\\'])
                || (!is_name(&file.name) && !file.name.contains('.'))
                || file.name.starts_with('.')
            {
                if !self.session.knows(key) {
                    let name = super::node::shorten(&file.name);
                    let problem = self.session.at(key, format!("`{name}` cannot name input files"));
                    self.session.add(key, problem.help("use A-Z a-z 0-9 _ -"));
                }
            } else if let Some((port, _)) = ports.iter().find(|(port, _)| *port.name == *file.name) {
                let problem =
                    self.session.at(key, format!("`{}` is both an input and input files", file.name));
                let problem = match self.session.place(port.span) {
                    Some(place) => problem.also(place, "the input"),
                    None => problem,
                };
                self.session.add(key, problem.help("both would stand in one folder: rename one"));
            }
        }
    }
}

fn is_files(shape: &Shape, rule: RuleId) -> bool {
    match shape.resolve(rule).0 {
        Form::Files => true,
        Form::OneOf(branches) => {
            branches.iter().any(|branch| matches!(shape.resolve(*branch).0, Form::Files))
        }
        _ => false,
    }
}

/// A parameter, or its default.
fn top_level(kind: &Kind, checked: &Checked, field: &str) -> Option<Value> {
    let written = checked.identity.get(field).or_else(|| checked.execution.get(field));
    let default = || {
        let shape = kind.shape();
        shape.canonical_default(shape.field(shape.root, field)?)
    };
    written.or_else(default).cloned()
}

/// The texts of the parameters that name something outside.
fn pins(kind: &Kind, checked: &Checked) -> Vec<String> {
    let mut pins = Vec::new();
    for field in &kind.description.pins {
        match top_level(kind, checked, field) {
            Some(Value::String(text)) => pins.push(text),
            Some(Value::Array(items)) => {
                pins.extend(items.iter().filter_map(Value::as_str).map(str::to_owned))
            }
            _ => {}
        }
    }
    pins
}
