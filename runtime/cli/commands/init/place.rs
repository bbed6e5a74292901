//! Where a page will stand.
use crate::app::App;
use crate::failure::{CliError, CliResult};
use muse_runtime::document::paths::between;
use std::path::{Path, PathBuf};

/// Where a page will stand.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The project's folder.
    pub(crate) root: PathBuf,
    /// The page.
    pub(crate) page: PathBuf,
    /// The page's folder, which its paths start from.
    pub(crate) folder: PathBuf,
    /// The page, as it is named on the command line.
    pub(crate) shown: String,
}

impl Place {
    /// That of `--to`, else of a name in the project's folder of pipelines.
    pub(crate) fn of(app: &App<'_>, name: &str, to: Option<&Path>) -> CliResult<Self> {
        let current = &app.environment.folder;
        let root = app.project(to).root;
        let page = match to {
            Some(to) => current.join(to),
            None => root.join("pipelines").join(format!("{name}.yaml")),
        };
        let Some(folder) = page.parent().map(Path::to_owned) else {
            return Err(CliError::usage(format!("`{}` is no file's path", page.display()))
                .hint("name a file: `--to pipelines/first.yaml`"));
        };
        let shown = between(current, &page).unwrap_or_else(|| page.clone()).to_string_lossy().into_owned();
        Ok(Self { root, page, folder, shown })
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
