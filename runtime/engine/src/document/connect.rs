//! Connects stages: what stands at each port, and whether the port takes it.
use super::draft::Draft;
use super::kinds::Kind;
use super::node::{Content, Key, Node, Span};
use super::pipeline::{Entry, Port};
use super::references::{Found, Index, few};
use super::session::Session;
use crate::diagnostic::nearest;
use muse_stage::{ArtifactType, InputPort};
use std::collections::HashSet;
use std::sync::Arc;

/// The most connections between expanded stages.
pub const MOST_CONNECTIONS: usize = 2_000_000;

/// Connects stages.
pub(crate) struct Connector<'a> {
    pub(crate) session: &'a mut Session,
    pub(crate) drafts: &'a mut Vec<Draft>,
    pub(crate) index: &'a Index,
    /// Stages whose combinations are not known, because something is wrong with them.
    pub(crate) broken: &'a HashSet<Arc<str>>,
    /// A file is missing, so a name that is not there may be in it.
    pub(crate) incomplete: bool,
    pub(crate) connections: usize,
}

/// What a port asks for.
struct Wanted<'a> {
    key: &'a Key,
    user: &'a str,
    /// `None` where any type will do.
    port: Option<&'a InputPort>,
}

impl Connector<'_> {
    /// Fills in the ports of every stage.
    pub(crate) fn connect(&mut self) {
        for at in 0..self.drafts.len() {
            let ports = match self.drafts[at].twin {
                Some(twin) => self.drafts[twin].ports.clone(),
                None => self.ports(at),
            };
            self.connections += ports.iter().map(|port| port.entries.len()).sum::<usize>();
            if self.connections > MOST_CONNECTIONS {
                self.too_many(self.drafts[at].span);
                return;
            }
            self.drafts[at].ports = ports;
        }
    }

    fn too_many(&mut self, span: Span) {
        let message = format!("the pipeline has more than {MOST_CONNECTIONS} connections between stages");
        self.session.report(span, message);
    }

    fn ports(&mut self, at: usize) -> Vec<Port> {
        let draft = &self.drafts[at];
        let (inputs, span, base) = (draft.inputs.clone(), draft.span, draft.base.clone());
        let kind = draft.kind.clone();
        let fields = inputs.as_ref().map(|inputs| inputs.fields()).unwrap_or_default();
        let Some(kind) = kind else {
            // Nobody knows the ports of a kind that is not there, but the names of stages are known.
            for (_, node) in fields {
                let one = std::slice::from_ref(node);
                let names = if matches!(node.content, Content::Seq(_)) { node.items() } else { one };
                for name in names {
                    self.find(at, name);
                }
            }
            return Vec::new();
        };
        let mut ports = Vec::with_capacity(fields.len());
        for (key, node) in fields {
            let port = kind.description.inputs.iter().find(|port| *port.name == *key.name);
            if port.is_none() && !kind.description.any_input {
                self.unknown_port(&kind, key);
                continue;
            }
            let wanted = Wanted { key, user: kind.name(), port };
            ports.extend(self.port(at, &wanted, node));
        }
        for port in kind.description.inputs.iter().filter(|port| port.required) {
            if !fields.iter().any(|(key, _)| *key.name == *port.name) {
                let message = format!("the stage `{base}` lacks the input `{}`", port.name);
                let problem = self.session.at(span, message);
                let help = format!(
                    "write `inputs: {{ {}: STAGE }}`, a stage that gives {}",
                    port.name,
                    types(&port.types)
                );
                self.session.add(span, problem.help(help));
            }
        }
        ports
    }

    fn unknown_port(&mut self, kind: &Kind, key: &Key) {
        let names: Vec<&str> = kind.description.inputs.iter().map(|port| port.name.as_str()).collect();
        let problem = self.session.at(key.span, format!("`{}` has no input `{}`", kind.name(), key.name));
        let problem = match nearest(&key.name, names.iter().copied()) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None if names.is_empty() => problem.help("it takes no inputs"),
            None => problem.help(format!("its inputs are {}", names.join(", "))),
        };
        self.session.add(key.span, problem);
    }

    fn port(&mut self, at: usize, wanted: &Wanted<'_>, node: &Node) -> Option<Port> {
        let name = wanted.key.name.to_string();
        let (list, entries) = match &node.content {
            Content::Text(_) | Content::Loose(_) => {
                let (found, text) = self.find(at, node)?;
                if found.whole {
                    self.one_thing(wanted, node.span, &text, Some(&found))?;
                }
                let entries = self.entries(wanted, node, &text, &found, false)?;
                (found.whole, entries)
            }
            Content::Seq(items) => {
                if items.is_empty() {
                    self.session.report(node.span, format!("the input `{name}` names no stage"));
                    return None;
                }
                let first = items.iter().find_map(Node::as_written).unwrap_or_default().to_owned();
                self.one_thing(wanted, node.span, &first, None)?;
                let mut entries = Vec::with_capacity(items.len());
                let mut good = true;
                for item in items {
                    let found = match &item.content {
                        Content::Text(_) | Content::Loose(_) => self.find(at, item),
                        Content::Unknown => None,
                        _ => {
                            let message =
                                format!("the input `{name}` takes names of stages, not {}", item.describe());
                            self.session.report(item.span, message);
                            None
                        }
                    };
                    match found.and_then(|(found, text)| self.entries(wanted, item, &text, &found, true)) {
                        Some(more) if self.connections + entries.len() + more.len() > MOST_CONNECTIONS => {
                            self.too_many(item.span);
                            return None;
                        }
                        Some(more) => entries.extend(more),
                        None => good = false,
                    }
                }
                if !good {
                    return None;
                }
                (true, entries)
            }
            Content::Unknown => return None,
            _ => {
                let message =
                    format!("the input `{name}` takes a stage or a list of stages, not {}", node.describe());
                self.session.report(node.span, message);
                return None;
            }
        };
        self.no_twins(&entries);
        Some(Port { name, list, entries: entries.into() })
    }

    /// Refuses a list where the port takes one thing, and shows both ways out.
    fn one_thing(
        &mut self,
        wanted: &Wanted<'_>,
        span: Span,
        text: &str,
        whole: Option<&Found<'_>>,
    ) -> Option<()> {
        if wanted.port.is_none_or(|port| port.many) {
            return Some(());
        }
        let port = &wanted.key.name;
        let message = match whole {
            Some(found) => format!(
                "`{port}` of `{}` takes one thing, `{text}` is {} of them",
                wanted.user,
                found.stages.len()
            ),
            None => format!("`{port}` of `{}` takes one thing, not a list", wanted.user),
        };
        let problem = self.session.at(span, message);
        let matrix = whole.and_then(|found| self.drafts.get(*found.stages.first()?));
        let help = match matrix {
            Some(draft) => {
                let output = text.strip_prefix(&*draft.base).unwrap_or_default();
                let axes: Vec<String> =
                    draft.matrix.iter().map(|(axis, _)| format!("{axis}=${{matrix.{axis}}}")).collect();
                format!(
                    "name one combination, `{port}: \"{}{output}\"`, or give this stage the same matrix and \
                     write `{port}: \"{}[{}]{output}\"`",
                    draft.name,
                    draft.base,
                    axes.join(",")
                )
            }
            None => format!(
                "write one stage, `{port}: {text}`, or make one stage for each of them with a `matrix`"
            ),
        };
        self.session.add(span, problem.help(help));
        None
    }

    fn entries(
        &mut self,
        wanted: &Wanted<'_>,
        node: &Node,
        text: &Arc<str>,
        found: &Found<'_>,
        listed: bool,
    ) -> Option<Vec<Entry>> {
        let place = self.session.place(node.span)?;
        let mut entries = Vec::with_capacity(found.stages.len());
        for stage in &found.stages {
            let output = self.output(wanted, node.span, *stage, found.output, text)?;
            let draft = &self.drafts[*stage];
            let name = match &draft.combination {
                Some(combination) if found.whole && !listed => combination.clone(),
                _ if found.whole => match found.output {
                    Some(output) => format!("{}.{output}", draft.name),
                    None => draft.name.clone(),
                },
                _ => text.to_string(),
            };
            let name = if name.contains('/') { name.replace('/', "%2F") } else { name };
            entries.push(Entry { name, stage: *stage, output, place: place.clone() });
        }
        Some(entries)
    }

    /// The output that a reference means, and whether the port takes it.
    fn output(
        &mut self,
        wanted: &Wanted<'_>,
        span: Span,
        stage: usize,
        named: Option<&str>,
        text: &str,
    ) -> Option<String> {
        let draft = &self.drafts[stage];
        let outputs = draft.outputs.as_ref()?;
        let base = &draft.base;
        let chosen = match (named, outputs.as_slice()) {
            (Some(named), outputs) => outputs.iter().find(|(name, _)| name == named),
            (None, [one]) => Some(one),
            (None, _) => None,
        };
        let names: Vec<&str> = outputs.iter().map(|(name, _)| name.as_str()).collect();
        let (message, help) = match (chosen, named) {
            (Some((name, kind)), _) => match wanted.port.filter(|port| !kind.fits(&port.types)) {
                None => return Some(name.clone()),
                Some(port) => {
                    let (user, wants) = (wanted.user, types(&port.types));
                    let gives = if name == kind.name() {
                        format!("{kind}")
                    } else {
                        format!("{kind} (its output `{name}`)")
                    };
                    (
                        format!("`{}` of `{user}` takes {wants}, but `{text}` gives {gives}", port.name),
                        self.who_gives(port),
                    )
                }
            },
            (None, Some(named)) => {
                let help = match nearest(named, names.iter().copied()) {
                    Some(near) => format!("did you mean `{base}.{near}`?"),
                    None if names.is_empty() => "it makes nothing".into(),
                    None => format!("its outputs are {}", names.join(", ")),
                };
                (format!("the stage `{base}` has no output `{named}`"), Some(help))
            }
            (None, None) if names.is_empty() => (
                format!("the stage `{base}` makes nothing that could be an input"),
                Some("name its `outputs`".into()),
            ),
            (None, None) => (
                format!("the stage `{base}` has several outputs: {}", names.join(", ")),
                Some(format!("write `{text}.{}`", names.first().copied().unwrap_or_default())),
            ),
        };
        let problem = self.session.at(span, message);
        let problem = match help {
            Some(help) => problem.help(help),
            None => problem,
        };
        self.session.add(span, problem);
        None
    }

    /// Stages that would fit a port.
    fn who_gives(&self, port: &InputPort) -> Option<String> {
        let mut names: Vec<&str> = Vec::new();
        for draft in self.drafts.iter() {
            let fits =
                |(_, kind): &(String, ArtifactType)| *kind != ArtifactType::Any && kind.fits(&port.types);
            if draft.outputs.iter().flatten().any(fits) && !names.contains(&&*draft.base) {
                names.push(&draft.base);
            }
            if names.len() > 8 {
                break;
            }
        }
        (!names.is_empty())
            .then(|| format!("of the stages here, these give {}: {}", types(&port.types), few(&names)))
    }

    /// Entries of a list become folders side by side.
    fn no_twins(&mut self, entries: &[Entry]) {
        let mut seen = HashSet::with_capacity(entries.len());
        for entry in entries {
            if !seen.insert(entry.name.as_str()) {
                let span = self.session.span_of(&entry.place);
                self.session.report(span, format!("`{}` stands twice in the list", entry.name));
            }
        }
    }
}

fn types(types: &[ArtifactType]) -> String {
    types.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" or ")
}
