//! The project: the nearest folder with `muse.toml` or `pipelines/`, and the cache in it.
use std::path::{Component, Path, PathBuf};

/// Where the project is, and where its results are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Project {
    /// The project's folder, absolute.
    pub(crate) root: PathBuf,
    /// The store's folder, absolute.
    pub(crate) cache: PathBuf,
}

impl Project {
    /// Looks upwards from the pipeline file, else from `current`. Without a mark anywhere the project is where the
    /// search began.
    pub(crate) fn find(current: &Path, pipeline: Option<&Path>, cache_dir: Option<&Path>) -> Self {
        let start = match pipeline {
            Some(file) => {
                let file = current.join(file);
                let folder = file.parent().unwrap_or(current);
                // Without `..`, which would lead up from where a link stands and not from where it goes.
                std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned())
            }
            None => current.to_owned(),
        };
        let start = tidy(&start);
        let marked = |folder: &&Path| folder.join("muse.toml").is_file() || folder.join("pipelines").is_dir();
        let root = start.ancestors().find(marked).unwrap_or(&start).to_owned();
        let cache = cache_dir.map_or_else(|| root.join("cache"), |folder| tidy(&current.join(folder)));
        Self { root, cache }
    }
}

/// Without `.`; `..` stays, because a link may stand before it.
fn tidy(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_nearest_mark_above_the_file_wins() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir_all(root.join("a/pipelines/deep")).unwrap();
        fs::create_dir_all(root.join("b/inner/deep")).unwrap();
        fs::write(root.join("b/inner/muse.toml"), "").unwrap();
        fs::write(root.join("b/inner/deep/x.yaml"), "").unwrap();
        let find = |pipeline: Option<&str>, cache: Option<&str>| {
            Project::find(&root.join("a"), pipeline.map(Path::new), cache.map(Path::new))
        };
        assert_eq!(find(None, None).root, root.join("a"));
        assert_eq!(find(Some("pipelines/deep/new.yaml"), None).cache, root.join("a/cache"));
        assert_eq!(find(Some("../b/inner/deep/x.yaml"), None).root, root.join("b/inner"));
        assert_eq!(find(None, Some("./big")).cache, root.join("a/big"));
        assert_eq!(find(None, Some("/big")).cache, Path::new("/big"));
    }

    #[test]
    fn without_a_mark_the_project_is_where_the_search_began() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        assert_eq!(Project::find(&root, None, None).root, root);
        assert_eq!(Project::find(Path::new("."), None, None).root, Path::new(""));
    }
}
