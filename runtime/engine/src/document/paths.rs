//! Input files: what a path, a folder or a glob of the pipeline stands for on this disk.
use super::glob::{Glob, GlobError};
use super::node::{Span, shorten};
use super::session::Session;
use super::walk::{self, WalkError};
use crate::diagnostic::{Diagnostic, Place, Source, nearest};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Input files as a parameter names them.
#[derive(Clone, Debug)]
pub struct FileInput {
    /// The name of their place below `in/`.
    pub name: String,
    /// Where in the parameters, as a JSON pointer.
    pub pointer: String,
    /// The path, folder or glob as written.
    pub text: String,
    /// Where that stands.
    pub place: Place,
    /// The folder that a relative path starts from.
    pub folder: PathBuf,
    pub(crate) found: OnceLock<Arc<FileSet>>,
}

/// The files that a path, folder or glob stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSet {
    /// It is one file, not a folder with files.
    pub single: bool,
    /// Name below the fixed part, and path; sorted by the bytes of the name. A single file has no name here: how
    /// it is called is no part of what it holds.
    pub files: Vec<(String, PathBuf)>,
}

/// What is wrong with a path before anybody looks at the disk.
pub(crate) fn refuse(session: &Session, span: Span, field: &str, text: &str) -> Option<Diagnostic> {
    if text.is_empty() {
        return Some(session.at(span, format!("{field} is empty")).help("write a path"));
    }
    if text.contains('\0') {
        return Some(session.at(span, format!("{field} holds a NUL byte")));
    }
    if !Path::new(text).is_absolute() {
        return None;
    }
    let name = Path::new(text).file_name().map_or_else(|| "data".into(), |name| name.to_string_lossy());
    let name = if name.contains(['*', '?', '{']) { "data".into() } else { name };
    let problem = session.at(span, format!("{field} is an absolute path: `{}`", shorten(text)));
    Some(problem.help(format!(
        "paths start from the file that names them, so that teammates find the same: make a link beside it, \
         `ln -s {} {name}`, and write `{name}`",
        shorten(text)
    )))
}

/// The files that a path, folder or glob stands for, from a folder on. What is wrong is shown in the text, which `whose` says
/// the name of.
pub fn find(whose: &str, folder: &Path, text: &str) -> Result<Arc<FileSet>, Diagnostic> {
    let source = Source { name: whose.into(), folder: folder.to_owned(), text: text.to_owned() };
    let place = Place { source: Arc::new(source), start: 0, end: text.len() };
    FileInput::new(String::new(), String::new(), text.to_owned(), place, folder.to_owned()).expand()
}

impl FileInput {
    pub(crate) fn new(name: String, pointer: String, text: String, place: Place, folder: PathBuf) -> Self {
        let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
        Self { name, pointer, text, place, folder, found: OnceLock::new() }
    }

    /// The files on this disk. Looks once and remembers.
    pub fn expand(&self) -> Result<Arc<FileSet>, Diagnostic> {
        if let Some(found) = self.found.get() {
            return Ok(found.clone());
        }
        let found = Arc::new(self.look()?);
        Ok(self.found.get_or_init(|| found).clone())
    }

    fn look(&self) -> Result<FileSet, Diagnostic> {
        let text = shorten(&self.text);
        let files = match Glob::new(&self.text) {
            None => {
                let path = self.folder.join(&self.text);
                let meta = std::fs::metadata(&path).map_err(|error| self.missing(&self.text, &error))?;
                if meta.is_file() {
                    return Ok(FileSet { single: true, files: vec![(String::new(), path)] });
                }
                if !meta.is_dir() {
                    return Err(self.wrong(format!("`{text}` is neither a file nor a folder")));
                }
                walk::everything(&path)
            }
            Some(Ok(glob)) => {
                let folder = self.folder.join(&glob.fixed);
                if !folder.is_dir() {
                    let fixed = glob.fixed.trim_end_matches('/');
                    let error = std::io::Error::from(std::io::ErrorKind::NotFound);
                    return Err(self.missing(if fixed.is_empty() { "." } else { fixed }, &error));
                }
                match walk::matching(&folder, &glob) {
                    Ok(files) if files.is_empty() => {
                        let problem = self.wrong(format!("`{text}` matches no file"));
                        return Err(problem.help(
                            "a glob knows `*`, `?`, `**` and `{a,b}`, and leaves out names that begin with a dot",
                        ));
                    }
                    found => found,
                }
            }
            Some(Err(GlobError::Climbs)) => {
                let problem = self.wrong(format!("`{text}` climbs out of the folder that it searches"));
                return Err(problem.help("write `..` before the first `*`, `?` or `{` only"));
            }
            Some(Err(GlobError::TooMany)) => {
                return Err(self.wrong(format!("`{text}` has more than 1000 alternatives")));
            }
        };
        match files {
            Ok(files) => Ok(FileSet { single: false, files }),
            Err(error) => Err(self.wrong(match error {
                WalkError::Io(path, error) if error.kind() == std::io::ErrorKind::NotFound => {
                    format!("`{text}` finds a link that leads nowhere: {}", path.display())
                }
                WalkError::Io(path, error) => format!("`{text}`: {}: {error}", path.display()),
                WalkError::NoFile(path) => {
                    format!("`{text}` finds something that is no file: {}", path.display())
                }
                WalkError::NoText(path) => {
                    format!("`{text}` finds a name that is no UTF-8 text: {}", path.display())
                }
                WalkError::TooMany => format!("`{text}` finds too many files"),
            })),
        }
    }

    fn wrong(&self, message: String) -> Diagnostic {
        Diagnostic::at(self.place.clone(), message)
    }

    fn missing(&self, path: &str, error: &std::io::Error) -> Diagnostic {
        if error.kind() != std::io::ErrorKind::NotFound {
            return self.wrong(format!("`{}` cannot be read: {error}", shorten(path)));
        }
        let dangling = std::fs::symlink_metadata(self.folder.join(path)).is_ok();
        if dangling {
            return self.wrong(format!("the link `{}` leads nowhere", shorten(path)));
        }
        let what = if path == self.text { "file" } else { "folder" };
        let problem = self.wrong(format!("there is no {what} `{}`", shorten(path)));
        match nearest_existing(&self.folder, path) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None if path.starts_with('~') => {
                problem.help("`~` is no folder here: paths start from this file")
            }
            None => problem.help(format!("paths start from {}", self.folder.display())),
        }
    }
}

/// A path without `.` and without names that `..` takes back, by its words alone: the disk is not asked.
pub fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(plain.components().next_back(), Some(Component::Normal(_))) => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

/// How one gets from a folder to a path, by their words alone; `.` where they are the same. There is no way from what is
/// relative to what is not, nor back out of a `..`.
pub fn between(from: &Path, to: &Path) -> Option<PathBuf> {
    let (from, to) = (plain(from), plain(to));
    if from.is_absolute() != to.is_absolute() {
        return None;
    }
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let mut way = PathBuf::new();
    for part in from.components().skip(common) {
        if part == Component::ParentDir {
            return None;
        }
        way.push("..");
    }
    way.extend(to.components().skip(common));
    Some(if way.as_os_str().is_empty() { PathBuf::from(".") } else { way })
}

/// What a path that leads nowhere may have meant: its first wrong name, corrected.
pub(crate) fn nearest_existing(folder: &Path, text: &str) -> Option<String> {
    let start = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut here = start.to_owned();
    let mut good = PathBuf::new();
    let mut parts = Path::new(text).components();
    for part in parts.by_ref() {
        let next = here.join(part);
        if !next.exists() {
            let Component::Normal(name) = part else { return None };
            let names: Vec<String> = std::fs::read_dir(&here)
                .ok()?
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .collect();
            let rest = parts.as_path();
            let whole = |name: &str| {
                let fixed = good.join(name);
                if rest.as_os_str().is_empty() { fixed } else { fixed.join(rest) }
            };
            // A proposal that leads to something is worth more than one that is spelled alike.
            let leads = |name: &&String| start.join(whole(name)).exists();
            let best = nearest(name.to_str()?, names.iter().filter(leads).map(String::as_str));
            let proposal = match best {
                Some(near) => whole(near),
                None => good.join(nearest(name.to_str()?, names.iter().map(String::as_str))?),
            };
            return Some(proposal.to_string_lossy().into_owned());
        }
        here = next;
        good.push(part);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_between_folders_climb_no_more_than_they_must() {
        let way = |from: &str, to: &str| between(Path::new(from), Path::new(to));
        for (from, to, expected) in [
            ("/p/pipelines", "/p/data/*.txt", "../data/*.txt"),
            ("/p", "/p/./configs/../a.yaml", "a.yaml"),
            ("/p/a/b", "/q", "../../../q"),
            ("/p/a", "/p/b/../a", "."),
            ("p", "p/q", "q"),
            ("a", "../b", "../../b"),
        ] {
            assert_eq!(way(from, to), Some(expected.into()), "{from} {to}");
        }
        assert_eq!(way("p", "/q"), None);
        assert_eq!(way("../p", "q"), None, "nobody knows what the folder above is called");
    }

    #[test]
    fn a_plain_path_keeps_what_leads_above_its_beginning() {
        for (path, expected) in
            [("./a/../b", "b"), ("../../a/.", "../../a"), ("/a/../../b", "/../b"), (".", "")]
        {
            assert_eq!(plain(Path::new(path)), Path::new(expected), "{path}");
        }
    }
}
