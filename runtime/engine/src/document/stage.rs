//! One stage of the file: its kind, its combinations, and what holds for each.
use super::draft::{Draft, Habits};
use super::interpolate::{Env, Mode, Scope, interpolate};
use super::kinds::Kind;
use super::matrix::{self, MOST_STAGES};
use super::names;
use super::node::{Content, Key, Node, Span};
use super::params::Params;
use super::pieces::{has_names, names_in};
use super::registry::Registry;
use super::schema::stage_shape;
use super::session::Session;
use super::source::ConfigFiles;
use std::borrow::Cow;
use std::sync::Arc;

/// What all stages of a load share.
pub(crate) struct Workshop<'a> {
    pub(crate) session: &'a mut Session,
    pub(crate) registry: Registry<'a>,
    pub(crate) configs: ConfigFiles,
    pub(crate) params: &'a Params,
    pub(crate) env: Env<'a>,
    /// Keep what `expand` needs.
    pub(crate) keep_text: bool,
}

/// A stage's parts as the file has them.
pub(super) struct Declared<'n> {
    pub(super) key: &'n Key,
    pub(super) kind: Option<Arc<Kind>>,
    pub(super) with: Cow<'n, Node>,
    /// The name behind which the parameters stand.
    pub(super) named: Span,
    pub(super) inputs: Option<&'n (Key, Node)>,
    /// The stage as written; the execution fields are what is left of it.
    pub(super) whole: &'n Arc<Node>,
}

/// Which parts differ from one combination to the next.
#[derive(Clone, Copy)]
struct Moving {
    with: bool,
    inputs: bool,
    rest: bool,
}

impl<'n> Declared<'n> {
    /// The execution fields, and what does not belong in a stage.
    fn rest(&self) -> impl Iterator<Item = &'n (Key, Node)> + use<'n> {
        let own = |name: &str| matches!(name, "uses" | "with" | "inputs" | "matrix");
        self.whole.fields().iter().filter(move |(key, _)| !own(&key.name))
    }
}

impl<'a> Workshop<'a> {
    /// Expands and checks a stage. The answer is `false` where its combinations are not known.
    pub(crate) fn stage(&mut self, key: &Key, node: &Arc<Node>, drafts: &mut Vec<Draft>) -> bool {
        let name = &key.name;
        if !matches!(node.content, Content::Map(_)) {
            let message = format!("the stage `{name}` takes a mapping, not {}", node.describe());
            self.session.report(node.span, message);
            return false;
        }
        let declared = self.declare(key, node);
        let matrix = node.get("matrix").filter(|matrix| !matches!(matrix.content, Content::Null));
        let Some(matrix) = matrix else {
            let mut draft = self.draft(&declared, None, None);
            if let Some((base, axes)) = matrix::take_apart(name) {
                let inside = name.split_once('[').map(|(_, rest)| rest.strip_suffix(']').unwrap_or(rest));
                draft.combination = inside.map(str::to_owned);
                (draft.base, draft.matrix) = (base, axes);
            }
            drafts.push(draft);
            return true;
        };
        if !names::is_name(name) {
            // A name that is none was reported; one with a combination has one already.
            if matrix::take_apart(name).is_some() {
                self.session
                    .report(matrix.span, format!("`{name}` is one combination, and cannot have a matrix"));
            }
            return false;
        }
        let scope = self.scope(None);
        let Some(axes) = matrix::axes(self.session, &scope, matrix) else { return false };
        let total = matrix::count(&axes).and_then(|count| count.checked_add(drafts.len()));
        if total.is_none_or(|total| total > MOST_STAGES) {
            let message =
                format!("the matrix of `{name}` brings the pipeline to more than {MOST_STAGES} stages");
            self.session.report(matrix.span, message);
            return false;
        }
        let moves = |node: &Node| {
            let mut found = Vec::new();
            names_in(node, "matrix", &mut found);
            !found.is_empty()
        };
        let moving = Moving {
            with: moves(&declared.with),
            inputs: declared.inputs.is_some_and(|(_, inputs)| moves(inputs)),
            rest: declared.rest().any(|(_, node)| moves(node)),
        };
        let first = drafts.len();
        for combination in matrix::combinations(&axes) {
            let twin = drafts.get(first).map(|twin| (first, twin, moving));
            let draft = self.draft(&declared, Some(&combination), twin);
            drafts.push(draft);
        }
        true
    }

    /// Names without those of a command's inputs and outputs.
    pub(super) fn scope<'s>(&self, matrix: Option<&'s [(Key, Node)]>) -> Scope<'s>
    where
        'a: 's,
    {
        Scope { params: self.params, matrix, env: self.env, inputs: &[], outputs: &[] }
    }

    fn declare<'n>(&mut self, key: &'n Key, node: &'n Arc<Node>) -> Declared<'n> {
        let kind = match node.get("uses") {
            None => None,
            Some(uses) => match &uses.content {
                Content::Text(text) => self.registry.get(self.session, text, uses.span),
                // The check of the fields reports it.
                _ => None,
            },
        };
        let with = node.fields().iter().find(|(key, _)| &*key.name == "with");
        let named = with.map_or(key.span, |(key, _)| key.span);
        let with = match with {
            Some((_, node)) if matches!(node.content, Content::Map(_)) => Cow::Borrowed(node),
            Some((_, node)) if !matches!(node.content, Content::Null) => {
                self.session.report(node.span, format!("`with` takes a mapping, not {}", node.describe()));
                Cow::Owned(Node::new(node.span, Content::Unknown))
            }
            _ => Cow::Owned(Node::new(named, Content::Map(Vec::new()))),
        };
        let inputs = node.fields().iter().find(|(key, _)| &*key.name == "inputs");
        if let Some((_, inputs)) = inputs {
            for (port, _) in super::include::mapping(self.session, inputs, "`inputs`") {
                names::check(self.session, port, "a port");
            }
        }
        Declared { key, kind, with, named, inputs, whole: node }
    }

    fn draft(
        &mut self,
        declared: &Declared<'_>,
        combination: Option<&[(Key, Node)]>,
        twin: Option<(usize, &Draft, Moving)>,
    ) -> Draft {
        let base = declared.key.name.clone();
        let mut draft = Draft { name: base.to_string(), base, span: declared.key.span, ..Draft::default() };
        draft.kind.clone_from(&declared.kind);
        if let Some(combination) = combination {
            let text = matrix::text(self.session, &draft.base, combination, declared.key.span);
            draft.name = format!("{}[{text}]", draft.base);
            draft.combination = Some(text);
            let axis = |(key, node): &(Key, Node)| {
                (key.name.to_string(), node.as_written().unwrap_or_default().to_owned())
            };
            draft.matrix = combination.iter().map(axis).collect();
        }
        match twin.filter(|(_, _, moving)| !moving.rest) {
            Some((_, twin, _)) => draft.habits = twin.habits.clone(),
            None => draft.habits = self.habits(declared, combination),
        }
        match twin.filter(|(_, _, moving)| !moving.inputs) {
            Some((at, twin, _)) => {
                draft.inputs.clone_from(&twin.inputs);
                draft.twin = Some(at);
            }
            None => {
                let scope = self.scope(combination);
                draft.inputs = declared.inputs.map(|(_, inputs)| {
                    let changed = interpolate(self.session, &scope, inputs, None, Mode::default());
                    Arc::new(changed.unwrap_or_else(|| inputs.clone()))
                });
            }
        }
        match twin.filter(|(_, _, moving)| !moving.with) {
            Some((_, twin, _)) => {
                draft.identity = twin.identity.clone();
                draft.execution = twin.execution.clone();
                draft.files.clone_from(&twin.files);
                draft.outputs.clone_from(&twin.outputs);
                draft.pins.clone_from(&twin.pins);
                draft.extendable.clone_from(&twin.extendable);
                draft.sound = twin.sound;
                draft.written.clone_from(&twin.written);
            }
            None => self.parameters(declared, combination, &mut draft),
        }
        if self.keep_text {
            draft.resolved = Some(Arc::new(self.resolved(declared, combination, &draft)));
        }
        draft
    }

    /// The execution fields.
    fn habits(&mut self, declared: &Declared<'_>, combination: Option<&[(Key, Node)]>) -> Habits {
        let uses = declared.whole.get("uses").is_some_and(|uses| uses.text().is_some());
        if uses && declared.rest().next().is_none() {
            return Habits::default();
        }
        let changed = declared.rest().any(|(_, node)| has_names(node)).then(|| {
            let scope = self.scope(combination);
            Node::new(declared.whole.span, Content::Map(self.rest(declared, &scope)))
        });
        let owner = format!("the stage `{}`", declared.key.name);
        let whole = changed.as_ref().unwrap_or(declared.whole);
        let checked =
            stage_shape().check(self.session, &mut ConfigFiles::default(), &owner, whole, declared.key.span);
        serde_json::from_value(checked.identity).unwrap_or_default()
    }

    /// The execution fields, names replaced, and `uses`.
    fn rest(&mut self, declared: &Declared<'_>, scope: &Scope<'_>) -> Vec<(Key, Node)> {
        let mode = Mode { execution: true, command: false };
        let uses = declared.whole.fields().iter().filter(|(key, _)| &*key.name == "uses").cloned();
        let rest = declared.rest().map(|(key, node)| {
            let changed = interpolate(self.session, scope, node, None, mode);
            (key.clone(), changed.unwrap_or_else(|| node.clone()))
        });
        uses.chain(rest).collect()
    }

    /// The stage as `expand` writes it: names replaced, but those of the environment.
    fn resolved(
        &mut self,
        declared: &Declared<'_>,
        combination: Option<&[(Key, Node)]>,
        draft: &Draft,
    ) -> Node {
        let scope = Scope { env: Env::Kept, ..self.scope(combination) };
        let mut fields = self.rest(declared, &scope);
        let key = |name: &str| Key { name: name.into(), span: declared.key.span };
        let with = self.with_names(declared, &scope).into_owned();
        fields.push((key("with"), with));
        if let Some(inputs) = &draft.inputs {
            fields.push((key("inputs"), Node::clone(inputs)));
        }
        Node::new(declared.key.span, Content::Map(fields))
    }
}
