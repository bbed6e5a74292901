//! Reads the files that a pipeline is made of: itself, its includes, and files of values.
use super::node::{Node, Span};
use super::parse::{MOST_BYTES, parse};
use super::paths;
use super::session::Session;
use super::shape::Configs;
use crate::diagnostic::{Diagnostic, Place, Source};
use std::collections::HashMap;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Reads a file and parses it. The inner `None` says that the session knows what is wrong with its content.
pub(crate) fn read(session: &mut Session, path: &Path) -> std::io::Result<Option<Node>> {
    let bytes = match session.unwritten(path) {
        Some(text) => text.clone().into_bytes(),
        None => {
            let mut bytes = Vec::new();
            let limit = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX).saturating_add(1);
            std::fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
            bytes
        }
    };
    let (text, invalid) = match String::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            (String::from_utf8_lossy(error.as_bytes()).into_owned(), Some(at))
        }
    };
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let source = session.source(Source { name: tidy(path), folder, text });
    if let Some(at) = invalid {
        let at = u32::try_from(at).unwrap_or(u32::MAX);
        let span = Span { source, start: at, end: at.saturating_add(3) };
        let problem = session.at(span, "this is not UTF-8 text").help("save the file as UTF-8");
        session.add(span, problem);
        return Ok(None);
    }
    Ok(parse(session, source))
}

/// A path as people would write it: `configs/a.yaml` for `pipelines/../configs/a.yaml`.
fn tidy(path: &Path) -> PathBuf {
    let mut short = PathBuf::new();
    for part in path.components() {
        let above = short.components().next_back();
        if part == Component::ParentDir && matches!(above, Some(Component::Normal(_))) {
            short.pop();
        } else {
            short.push(part);
        }
    }
    // Behind a link `..` leads elsewhere.
    let same = || Some(std::fs::canonicalize(path).ok()? == std::fs::canonicalize(&short).ok()?);
    if short != path && same() == Some(true) { short } else { path.to_owned() }
}

/// What is wrong where a file cannot be read.
pub(crate) fn unreadable(
    place: Option<Place>,
    what: &str,
    folder: &Path,
    text: &str,
    error: &std::io::Error,
) -> Diagnostic {
    let message = match error.kind() {
        std::io::ErrorKind::NotFound => format!("{what}: there is no `{text}`"),
        _ => format!("{what}: `{text}` cannot be read: {error}"),
    };
    let problem = match place {
        Some(place) => Diagnostic::at(place, message),
        None => Diagnostic::general(message),
    };
    match paths::nearest_existing(folder, text) {
        Some(near) if error.kind() == std::io::ErrorKind::NotFound => {
            problem.help(format!("did you mean `{near}`?"))
        }
        _ => problem,
    }
}

/// Files of values, each read once.
#[derive(Debug, Default)]
pub(crate) struct ConfigFiles {
    known: HashMap<PathBuf, Option<Arc<Node>>>,
}

impl Configs for ConfigFiles {
    fn open(&mut self, session: &mut Session, node: &Node, text: &str) -> Option<Arc<Node>> {
        let folder = session.source_of(node.span)?.folder.clone();
        let path = folder.join(text);
        if let Some(known) = self.known.get(&path) {
            return known.clone();
        }
        match read(session, &path) {
            Ok(content) => {
                let content = content.map(Arc::new);
                self.known.insert(path, content.clone());
                content
            }
            Err(error) => {
                let problem = unreadable(session.place(node.span), "a file of values", &folder, text, &error);
                session.add(node.span, problem);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_is_named_by_its_shortest_way_and_never_by_another_file_s() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        ["pipelines", "configs", "far/away", "far/configs"]
            .into_iter()
            .for_each(|path| fs::create_dir_all(at(path)).unwrap());
        ["configs/a.yaml", "far/configs/a.yaml"]
            .into_iter()
            .for_each(|path| fs::write(at(path), "").unwrap());
        std::os::unix::fs::symlink(at("far/away"), at("linked")).unwrap();
        assert_eq!(tidy(&at("pipelines/../configs/a.yaml")), at("configs/a.yaml"));
        assert_eq!(tidy(&at("linked/../configs/a.yaml")), at("linked/../configs/a.yaml"));
        assert_eq!(tidy(Path::new("../a.yaml")), Path::new("../a.yaml"));
    }
}
