//! Where a page will stand.
use crate::app::App;
use crate::failure::{CliError, CliResult};
use muse_runtime::document::paths::{between, plain};
use std::path::{Path, PathBuf};

/// Where a page will stand.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The folder that muse was called in.
    pub(crate) current: PathBuf,
    /// The project's folder.
    pub(crate) root: PathBuf,
    /// The page.
    pub(crate) page: PathBuf,
    /// The page's folder, which its paths start from. No link leads there: `..` goes up from where it is.
    pub(crate) folder: PathBuf,
}

impl Place {
    /// That of `--to`, else of a name in the project's folder of pipelines.
    pub(crate) fn of(app: &App<'_>, name: &str, to: Option<&Path>) -> CliResult<Self> {
        let current = app.environment.folder.clone();
        let called = match to {
            Some(to) => current.join(to),
            None => app.project(None).root.join("pipelines").join(format!("{name}.yaml")),
        };
        let (Some(folder), Some(file)) = (called.parent().map(real), called.file_name()) else {
            return Err(CliError::usage(format!("`{}` is no file's path", called.display()))
                .hint("name a file: `--to pipelines/first.yaml`"));
        };
        let page = folder.join(file);
        let root = real(&app.project(to.map(|_| page.as_path())).root);
        Ok(Self { current, root, page, folder })
    }

    /// A file as it is named where muse was called.
    pub(crate) fn shown(&self, path: &Path) -> String {
        between(&self.current, path).unwrap_or_else(|| path.to_owned()).to_string_lossy().into_owned()
    }

    /// A file as the page names it.
    pub(crate) fn named(&self, path: &Path) -> String {
        between(&self.folder, path).unwrap_or_else(|| path.to_owned()).to_string_lossy().into_owned()
    }
}

/// A folder without links on the way, as far as it is there.
fn real(folder: &Path) -> PathBuf {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let there = folder.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    match there.and_then(|(above, real)| Some(real.join(folder.strip_prefix(above).ok()?))) {
        Some(real) => plain(&real),
        None => plain(folder),
    }
}

/// The name of a pipeline: that of a file, too, so it must be fit for one.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if !text.is_empty() && text.len() <= 100 && text.bytes().all(good) {
        return Ok(text.to_owned());
    }
    Err("expected letters, digits, `_` and `-`, such as `first_try`".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_fit_for_files() {
        assert!(name("first_try-2").is_ok());
        for wrong in ["", "a/b", "a b", "日本", "..", &"a".repeat(101)] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }
}
