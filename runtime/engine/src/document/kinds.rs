//! The stage kinds that a pipeline may use: those built in, and plugins found on the way.
use super::shape::Shape;
use muse_stage::{Description, StageKind};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// A stage kind, ready to check parameters with.
pub struct Kind {
    /// Name, version, ports, parameters.
    pub description: Description,
    /// How muse reaches it.
    pub link: Link,
    shape: OnceLock<Shape>,
}

/// How muse reaches a stage kind.
#[derive(Clone)]
pub enum Link {
    /// It is part of this binary.
    BuiltIn(&'static dyn StageKind),
    /// An executable holds it.
    Plugin(PathBuf),
}

/// How an executable `muse-stage-NAME` is found and asked what it is.
pub trait PluginFinder {
    /// Looks for the plugin `name`, at `named` where the pipeline names a path, and returns the executable with
    /// its answer to `--describe`; `None` where there is no such plugin.
    fn find(&self, name: &str, named: Option<&Path>) -> Result<Option<(PathBuf, Description)>, String>;
}

/// A kind, described when it is first asked for: most pipelines use few, and a schema takes its time.
struct BuiltIn {
    stage: &'static dyn StageKind,
    kind: OnceLock<Arc<Kind>>,
}

/// Every stage kind that is built in.
#[derive(Debug, Default)]
pub struct Kinds {
    kinds: BTreeMap<&'static str, BuiltIn>,
}

impl Kind {
    /// A kind by its description.
    pub fn new(description: Description, link: Link) -> Self {
        Self { description, link, shape: OnceLock::new() }
    }

    /// The word after `uses:`.
    pub fn name(&self) -> &str {
        &self.description.name
    }

    /// What `with` may hold. Made when it is first wanted: most kinds are not used by most pipelines.
    pub fn shape(&self) -> &Shape {
        self.shape.get_or_init(|| Shape::new(&self.description.params))
    }

    /// Whether results of this kind have a family: it has fields that are extendable.
    pub fn has_families(&self) -> bool {
        self.shape().has_extendable
    }

    /// The plugin's executable, where it is one.
    pub fn plugin(&self) -> Option<&Path> {
        match &self.link {
            Link::BuiltIn(_) => None,
            Link::Plugin(path) => Some(path),
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind({})", self.description.name)
    }
}

impl BuiltIn {
    fn get(&self) -> &Arc<Kind> {
        self.kind.get_or_init(|| Arc::new(Kind::new(self.stage.describe(), Link::BuiltIn(self.stage))))
    }
}

impl fmt::Debug for BuiltIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BuiltIn({})", self.stage.name())
    }
}

impl Kinds {
    /// The kinds of a list.
    pub fn new(builtin: &[&'static dyn StageKind]) -> Self {
        let kinds = builtin.iter().map(|&stage| (stage.name(), BuiltIn { stage, kind: OnceLock::new() }));
        Self { kinds: kinds.collect() }
    }

    /// The kind of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Kind>> {
        self.kinds.get(name).map(BuiltIn::get)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.kinds.values().map(BuiltIn::get)
    }
}
