//! From a path to a pipeline: reads the file and its includes, and drives every check.
use super::connect::Connector;
use super::cycles;
use super::draft::Draft;
use super::fits;
use super::include::{Main, gather};
use super::interpolate::Env;
use super::kinds::{Kinds, PluginFinder};
use super::matrix;
use super::node::Node;
use super::params::{self, Params};
use super::paths::FileSet;
use super::pipeline::{Pipeline, StageSpec};
use super::references::Index;
use super::registry::Registry;
use super::session::Session;
use super::source::ConfigFiles;
use super::stage::Workshop;
use crate::diagnostic::Diagnostic;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a load depends on beside the file.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// The kinds that are built in.
    pub kinds: &'a Kinds,
    /// How plugins are found; without it there are none.
    pub plugins: Option<&'a dyn PluginFinder>,
    /// `--set K=V`, in order: the last one wins. Relative paths in them start from the current folder.
    pub sets: &'a [String],
    /// `--preset P`.
    pub preset: Option<&'a str>,
    /// The variables for `${env.X}`. Without them such a field counts as not written: nothing of a key needs it.
    pub env: Option<&'a BTreeMap<String, String>>,
    /// Look whether input files are there. Without it [`super::FileInput::expand`] does so when it is called.
    pub look_for_files: bool,
    /// Texts of files that are not on disk yet: a page and what it names can be checked before anything is written.
    pub unwritten: &'a [(PathBuf, String)],
}

impl<'a> Options<'a> {
    /// Options with nothing set.
    pub fn new(kinds: &'a Kinds) -> Self {
        Self {
            kinds,
            plugins: None,
            sets: &[],
            preset: None,
            env: None,
            look_for_files: true,
            unwritten: &[],
        }
    }
}

/// Reads a pipeline file with all it includes, and reports all that is wrong with it in one go.
pub fn load(path: &Path, options: &Options<'_>) -> Result<Pipeline, Vec<Diagnostic>> {
    load_with(path, options, false)
}

/// The same; `keep_text` keeps what `expand` needs.
pub(crate) fn load_with(
    path: &Path,
    options: &Options<'_>,
    keep_text: bool,
) -> Result<Pipeline, Vec<Diagnostic>> {
    let mut session = Session::with(options.unwritten);
    let Some(main) = gather(&mut session, path) else { return Err(session.into_problems()) };
    let good = |name: &str| matrix::take_apart(name).is_some();
    main.given.stages.check_names(&mut session, "a stage", good);
    let params = params::settle(&mut session, &main, options.preset, options.sets);
    let (mut drafts, broken, plugins) = make(&mut session, &main, &params, options, keep_text);
    let index = index(&mut session, &drafts);
    let mut connector = Connector {
        session: &mut session,
        drafts: &mut drafts,
        index: &index,
        broken: &broken,
        incomplete: main.incomplete,
        connections: 0,
    };
    connector.connect();
    let before = session.reports();
    cycles::report(&mut session, &drafts);
    if session.reports() == before {
        fits::check(&mut session, &drafts);
    }
    if options.look_for_files {
        look_for_files(&mut session, &drafts);
    }
    if session.count() > 0 {
        return Err(session.into_problems());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let stages: Option<Vec<StageSpec>> = drafts
        .into_iter()
        .map(|draft| {
            let place = session.place(draft.span)?;
            draft.finish(place)
        })
        .collect();
    let Some(stages) = stages else {
        return Err(vec![Diagnostic::general(format!("{}: a stage is incomplete", path.display()))]);
    };
    Ok(Pipeline {
        name: main.name.or(stem).unwrap_or_default(),
        path: std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()),
        folder: folder.to_owned(),
        params: params.iter().map(|(name, node)| (name.to_string(), node.to_json())).collect(),
        stages,
        index,
        plugins,
        sources: session.sources().to_vec(),
        declared_plugins: main
            .given
            .plugins
            .fields
            .iter()
            .map(|(key, node)| (key.name.to_string(), Node::clone(node)))
            .collect(),
    })
}

type Made = (Vec<Draft>, HashSet<Arc<str>>, BTreeMap<String, PathBuf>);

/// Expands and checks every stage by itself.
fn make(session: &mut Session, main: &Main, params: &Params, options: &Options<'_>, keep_text: bool) -> Made {
    let registry = Registry::new(session, options.kinds, options.plugins, &main.given.plugins);
    let env = options.env.map_or(Env::Unknown, Env::Known);
    let mut workshop =
        Workshop { session, registry, configs: ConfigFiles::default(), params, env, keep_text };
    let mut drafts = Vec::with_capacity(main.given.stages.fields.len());
    let mut broken = HashSet::new();
    for (key, node) in &main.given.stages.fields {
        if drafts.len() >= matrix::MOST_STAGES {
            let message = format!("the pipeline has more than {} stages", matrix::MOST_STAGES);
            workshop.session.report(key.span, message);
            break;
        }
        if !workshop.stage(key, node, &mut drafts) {
            broken.insert(key.name.clone());
        }
    }
    (drafts, broken, workshop.registry.plugins())
}

/// Names of stages and of whole matrices.
fn index(session: &mut Session, drafts: &[Draft]) -> Index {
    let mut index: Index = HashMap::with_capacity(drafts.len());
    for (at, draft) in drafts.iter().enumerate() {
        let twin = index.insert(draft.name.clone(), vec![at]);
        if twin.is_some() {
            session.report(draft.span, format!("there are two stages `{}`", draft.name));
        }
    }
    let mut wholes: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, draft) in drafts.iter().enumerate().filter(|(_, draft)| draft.combination.is_some()) {
        wholes.entry(&draft.base).or_default().push(at);
    }
    for (base, stages) in wholes {
        if index.contains_key(base) {
            let span = drafts.get(*stages.first().unwrap_or(&0)).map(|draft| draft.span).unwrap_or_default();
            session.report(span, format!("`{base}` is a stage and a matrix too"));
        }
        index.insert(base.to_owned(), stages);
    }
    index
}

/// Looks for input files, once for all stages that name the same.
fn look_for_files(session: &mut Session, drafts: &[Draft]) {
    let mut known: HashMap<(&Path, &str), Option<Arc<FileSet>>> = HashMap::new();
    for draft in drafts {
        for file in &draft.files {
            if let Some(Some(set)) = known.get(&(file.folder.as_path(), file.text.as_str())) {
                let _ = file.found.set(set.clone());
                continue;
            }
            let set = match file.expand() {
                Ok(set) => Some(set),
                Err(problem) => {
                    session.add_placed(problem);
                    None
                }
            };
            known.insert((&file.folder, &file.text), set);
        }
    }
}
