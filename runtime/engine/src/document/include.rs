//! Takes a file and all it includes together: stages, parameters, plugins.
use super::names;
use super::node::{Content, Key, Node, Span};
use super::schema::file_shape;
use super::session::Session;
use super::source::{ConfigFiles, read, unreadable};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// What a file gives to whoever includes it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Given {
    pub(crate) params: Named,
    pub(crate) stages: Named,
    pub(crate) plugins: Named,
}

/// Fields by name, in order.
#[derive(Debug, Default, Clone)]
pub(crate) struct Named {
    pub(crate) fields: Vec<(Key, Arc<Node>)>,
    places: HashMap<Arc<str>, usize>,
}

/// The main file beyond what it gives.
#[derive(Debug, Default)]
pub(crate) struct Main {
    pub(crate) given: Given,
    pub(crate) name: Option<String>,
    pub(crate) presets: Vec<(Key, Node)>,
    /// A file could not be read to its end, so that what refers to it cannot be judged.
    pub(crate) incomplete: bool,
}

/// Reads files, each once.
#[derive(Default)]
struct Reader {
    done: HashMap<PathBuf, Rc<Given>>,
    /// The files on the way here, and as they were named.
    open: Vec<(PathBuf, String)>,
    incomplete: bool,
}

/// Reads the main file and its includes. `None` where it is not there or not to be read; the session knows.
pub(crate) fn gather(session: &mut Session, path: &Path) -> Option<Main> {
    let root = match read(session, path) {
        Ok(root) => root?,
        Err(error) => {
            let folder = path.parent().unwrap_or(Path::new(""));
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let mut problem = unreadable(None, "a pipeline", folder, &name, &error);
            problem.message = problem.message.replace(&format!("`{name}`"), &format!("`{}`", path.display()));
            session.add(Span { source: u32::MAX, ..Span::default() }, problem);
            return None;
        }
    };
    let mut reader = Reader::default();
    let canonical = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    reader.open.push((canonical, path.display().to_string()));
    let name = check_file(session, &root, true);
    let presets = root.get("presets");
    let presets = presets.map(|node| mapping(session, node, "`presets`").to_vec()).unwrap_or_default();
    let given = reader.given(session, root);
    Some(Main { given, name, presets, incomplete: reader.incomplete })
}

/// Checks what the shape knows, and gives the name that the file bears.
fn check_file(session: &mut Session, root: &Node, main: bool) -> Option<String> {
    let start = Span { end: root.span.start, ..root.span };
    let owner = if main { "the pipeline" } else { "the included file" };
    let checked = file_shape(main).check(session, &mut ConfigFiles::default(), owner, root, start);
    checked.identity.get("name").and_then(|name| name.as_str()).map(str::to_owned)
}

/// The fields of something that must be a mapping.
pub(crate) fn mapping<'n>(session: &mut Session, node: &'n Node, what: &str) -> &'n [(Key, Node)] {
    if !matches!(node.content, Content::Map(_) | Content::Null | Content::Unknown) {
        session.report(node.span, format!("{what} takes a mapping, not {}", node.describe()));
    }
    node.fields()
}

impl Reader {
    fn given(&mut self, session: &mut Session, mut root: Node) -> Given {
        let mut included: Vec<Rc<Given>> = Vec::new();
        if let Some(node) = root.get("include") {
            if !matches!(node.content, Content::Seq(_) | Content::Null) {
                let problem = session
                    .at(node.span, format!("`include` takes a list of texts, not {}", node.describe()));
                session.add(node.span, problem.help("write it as a list: `include: [FILE]`"));
            }
            for item in node.items() {
                included.extend(self.include(session, item));
            }
        }
        let mut part = |session: &mut Session, name: &str, what: &str, pick: fn(&Given) -> &Named| {
            let mut all = Named::default();
            for given in &included {
                all.take_in(session, pick(given), what);
            }
            if let Some(node) = root.take(name) {
                mapping(session, &node, &format!("`{name}`"));
                if let Content::Map(fields) = node.content {
                    fields.into_iter().for_each(|(key, node)| all.put(key, Arc::new(node)));
                }
            }
            all
        };
        Given {
            params: part(session, "params", "parameter", |given| &given.params),
            stages: part(session, "stages", "stage", |given| &given.stages),
            plugins: part(session, "plugins", "plugin", |given| &given.plugins),
        }
    }

    fn include(&mut self, session: &mut Session, item: &Node) -> Option<Rc<Given>> {
        let Content::Text(text) = &item.content else {
            session.report(item.span, format!("`include` takes paths of files, not {}", item.describe()));
            return None;
        };
        if let Some(problem) = super::paths::refuse(session, item.span, "`include`", text) {
            session.add(item.span, problem);
            return None;
        }
        let folder = session.source_of(item.span)?.folder.clone();
        let path = folder.join(&**text);
        let canonical = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        if let Some(from) = self.open.iter().position(|(open, _)| *open == canonical) {
            let mut way: Vec<&str> = self.open[from..].iter().map(|(_, name)| name.as_str()).collect();
            way.extend(way.first().copied());
            let message = format!("a file includes itself: {}", way.join(" -> "));
            session.report(item.span, message);
            return None;
        }
        if let Some(given) = self.done.get(&canonical) {
            return Some(given.clone());
        }
        let root = match read(session, &path) {
            Ok(Some(root)) => root,
            Ok(None) => {
                self.incomplete = true;
                return None;
            }
            Err(error) => {
                let problem = unreadable(session.place(item.span), "`include`", &folder, text, &error);
                session.add(item.span, problem);
                self.incomplete = true;
                return None;
            }
        };
        check_file(session, &root, false);
        self.open.push((canonical.clone(), path.display().to_string()));
        let given = Rc::new(self.given(session, root));
        self.open.pop();
        self.done.insert(canonical, given.clone());
        Some(given)
    }
}

impl Named {
    pub(crate) fn get(&self, name: &str) -> Option<&(Key, Arc<Node>)> {
        self.fields.get(*self.places.get(name)?)
    }

    /// The stronger one takes the place of the weaker, at the end of the row.
    fn put(&mut self, key: Key, node: Arc<Node>) {
        if let Some(at) = self.places.get(&key.name).copied() {
            // A name twice in one file is reported by the parser; the first stays.
            let same_file = self.fields.get(at).is_some_and(|(old, _)| old.span.source == key.span.source);
            if same_file {
                return;
            }
            self.fields.remove(at);
            self.places =
                self.fields.iter().enumerate().map(|(at, (key, _))| (key.name.clone(), at)).collect();
        }
        self.places.insert(key.name.clone(), self.fields.len());
        self.fields.push((key, node));
    }

    fn take_in(&mut self, session: &mut Session, other: &Self, what: &str) {
        for (key, node) in &other.fields {
            match self.get(&key.name) {
                None => self.put(key.clone(), node.clone()),
                // The same file, included on two ways.
                Some((first, _)) if first.span == key.span => {}
                Some((first, _)) => {
                    let first = session.place(first.span);
                    let message = format!("the {what} `{}` stands in two included files", key.name);
                    let mut problem = session.at(key.span, message).label("and here");
                    if let Some(first) = first {
                        let file = first.file().display().to_string();
                        let line = first.line_column().0;
                        problem = problem
                            .also(first, "here")
                            .help(format!("it is also in {file}, line {line}: rename one"));
                    }
                    session.add(key.span, problem);
                }
            }
        }
    }

    /// Reports names that are none.
    pub(crate) fn check_names(&self, session: &mut Session, what: &str, good: impl Fn(&str) -> bool) {
        for (key, _) in &self.fields {
            if !good(&key.name) {
                names::check(session, key, what);
            }
        }
    }
}
