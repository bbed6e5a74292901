//! A file on a server, and whether what comes is still that file.
use super::check::git_blob;
use super::error::shown;
use super::web::Answer;
use super::{Check, NetError, Repo, Web};
use std::io::Read;
use std::sync::OnceLock;

/// A file on a server.
pub(crate) struct Target {
    /// What messages call it.
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) size: u64,
    /// The server gives parts. Who gives the whole only is asked once, not for each part.
    pub(crate) parts: bool,
    pub(crate) of: Of,
}

/// Whose file it is, which says how it is recognised.
pub(crate) enum Of {
    /// Any server's: by the ETag of its first answer.
    Anyone { etag: Option<String> },
    /// The hub's: by the commit's tree.
    Hub {
        repo: Repo,
        commit: String,
        /// The git name of the blob, or of the pointer that stands for it.
        oid: String,
        /// It is stored beside git, and `oid` names a pointer. The pointer's own address.
        pointer: Option<String>,
        /// What the hub said that the content is: of what is stored beside git the SHA-256.
        learned: OnceLock<String>,
    },
}

impl Target {
    pub(super) fn repo(&self) -> Option<&Repo> {
        match &self.of {
            Of::Anyone { .. } => None,
            Of::Hub { repo, .. } => Some(repo),
        }
    }

    /// Whether an answer is of the file that was begun.
    pub(super) fn recognise(&self, web: &Web, answer: &Answer) -> Result<(), NetError> {
        let changed =
            |what: String| Err(NetError::Changed { message: format!("{} changed: {what}", self.name) });
        match &self.of {
            Of::Anyone { etag } => {
                if answer.total.is_some_and(|total| total != self.size) {
                    return changed(format!("it had {} bytes when it was begun", self.size));
                }
                if etag.is_some() && answer.etag.is_some() && answer.etag != *etag {
                    return changed("its ETag is another than when it was begun".into());
                }
            }
            Of::Hub { commit, oid, pointer, learned, repo } => {
                let help = format!("which `{}` must not do under the commit {commit}", repo.name);
                let size = answer.linked.size.or(answer.total);
                if let Some(size) = size.filter(|size| *size != self.size) {
                    return changed(format!("it has {size} bytes and its commit says {}, {help}", self.size));
                }
                if let Some(other) = answer.linked.commit.as_ref().filter(|other| *other != commit) {
                    return changed(format!("the hub answers from the commit {other}, {help}"));
                }
                let Some(etag) = &answer.linked.etag else { return Ok(()) };
                let first = learned.get_or_init(|| etag.clone());
                let known = match pointer {
                    Some(_) => first,
                    None => oid,
                };
                if etag != known {
                    return changed(format!("the hub says it is {etag} and said {known} before, {help}"));
                }
                if let Some(pointer) = pointer {
                    self.points(web, pointer, oid, etag)?;
                }
            }
        }
        Ok(())
    }

    /// Whether the pointer that the commit holds points to `sha256`.
    fn points(&self, web: &Web, pointer: &str, oid: &str, sha256: &str) -> Result<(), NetError> {
        let usual =
            format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {}\n", self.size);
        if git_blob(usual.as_bytes()) == oid {
            return Ok(());
        }
        // A pointer may hold more lines than it needs: look at it.
        if self.pointed(web, pointer, oid)? == sha256 {
            return Ok(());
        }
        let message =
            format!("{} changed: the hub offers {sha256}, which is not what its commit points to", self.name);
        Err(NetError::Changed { message })
    }

    /// The SHA-256 that the pointer names.
    fn pointed(&self, web: &Web, pointer: &str, oid: &str) -> Result<String, NetError> {
        let mut text = Vec::new();
        let answer = web.get(pointer, None, None, self.repo())?;
        let read = answer.body.take(1 << 16).read_to_end(&mut text);
        read.map_err(|error| NetError::passing(format!("{} was cut: {error}", shown(pointer))))?;
        let lines = String::from_utf8_lossy(&text);
        match lines.lines().find_map(|line| line.strip_prefix("oid sha256:")) {
            Some(sha256) if git_blob(&text) == oid => Ok(sha256.to_owned()),
            _ => {
                let message =
                    format!("{} changed: what points to it is not what its commit holds", self.name);
                Err(NetError::Changed { message })
            }
        }
    }

    /// What the whole must be.
    pub(crate) fn check(&self, web: &Web) -> Result<Check, NetError> {
        match &self.of {
            Of::Anyone { .. } => Ok(Check::Nothing),
            Of::Hub { oid, pointer: None, .. } => Ok(Check::Git(oid.clone())),
            Of::Hub { oid, pointer: Some(pointer), learned, repo, .. } => {
                if learned.get().is_none() {
                    // All bytes came in an earlier attempt.
                    let answer = web.patience.insist(|_| web.get(&self.url, Some(0..1), None, Some(repo)))?;
                    self.recognise(web, &answer)?;
                }
                // Who hands on the bytes, but not what the hub says of them, is held to the commit all the same.
                let sha256 = match learned.get() {
                    Some(known) => known.clone(),
                    None => web.patience.insist(|_| self.pointed(web, pointer, oid))?,
                };
                Ok(Check::Sha256(sha256))
            }
        }
    }

    /// What names the content, for parts that outlive an attempt.
    pub(crate) fn tag(&self) -> String {
        match &self.of {
            Of::Anyone { etag } => format!("{} {}", self.url, etag.as_deref().unwrap_or_default()),
            Of::Hub { oid, .. } => oid.clone(),
        }
    }
}
