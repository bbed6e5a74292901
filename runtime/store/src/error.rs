//! How the store fails: what was tried, on which path, and what that means for the caller.
use crate::holder::Holder;
use crate::{Digest, Key};
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused.
    #[error("cannot {op} {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        op: Op,
        /// What the system said.
        source: io::Error,
    },
    /// Something in the store is not what it was when it was written.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How that was seen.
        why: String,
    },
    /// Content that a result names is not in the store.
    #[error("the store has no content {digest} any more")]
    Missing {
        /// Its name.
        digest: Digest,
    },
    /// Somebody else has taken over the work on a key.
    #[error("the lease on {key} was taken over{}", by(holder.as_deref()))]
    Fenced {
        /// The key.
        key: Key,
        /// Who has it now, where that can be read.
        holder: Option<Box<Holder>>,
    },
    /// A stage wrote something that cannot be stored.
    #[error("output {} {why}", path.display())]
    BadOutput {
        /// Which file or folder.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file went on changing while it was read.
    #[error("{} changes while it is read", path.display())]
    Changing {
        /// Which file.
        path: PathBuf,
    },
    /// Results are never written over what is there.
    #[error("{} is there already", path.display())]
    Exists {
        /// The file or folder.
        path: PathBuf,
    },
}

fn by(holder: Option<&Holder>) -> String {
    holder.map(|holder| format!(" by {holder}")).unwrap_or_default()
}

/// What was tried when the system refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Reading a file or its properties.
    Read,
    /// Listing a folder.
    List,
    /// Making a file or folder.
    Create,
    /// Writing a file.
    Write,
    /// Copying a file.
    Copy,
    /// Making writes durable.
    Sync,
    /// Giving a new name.
    Rename,
    /// Adding a second name.
    Link,
    /// Taking away.
    Remove,
    /// Changing mode or times.
    Change,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::List => "list",
            Self::Create => "create",
            Self::Write => "write",
            Self::Copy => "copy to",
            Self::Sync => "sync",
            Self::Rename => "rename to",
            Self::Link => "link to",
            Self::Remove => "remove",
            Self::Change => "change",
        })
    }
}

impl StoreError {
    /// For `map_err`: an I/O error with what was tried.
    pub(crate) fn io(op: Op, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { path, op, source }
    }

    fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Io { source, .. } => Some(source.kind()),
            _ => None,
        }
    }

    /// No room is left, or the quota is used up.
    pub fn is_full(&self) -> bool {
        matches!(
            self.kind(),
            Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
        )
    }

    /// The store is read-only, or this user may not write to it.
    pub fn is_read_only(&self) -> bool {
        match self {
            Self::Io { op: Op::Read | Op::List, .. } => false,
            Self::Io { source, .. } => {
                matches!(source.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied)
            }
            _ => false,
        }
    }

    /// The stage is at fault, not the store.
    pub fn is_bad_output(&self) -> bool {
        matches!(self, Self::BadOutput { .. })
    }

    pub(crate) fn is_missing(&self) -> bool {
        self.kind() == Some(ErrorKind::NotFound)
    }

    pub(crate) fn is_there(&self) -> bool {
        self.kind() == Some(ErrorKind::AlreadyExists)
    }

    /// What to do about it, where there is something.
    pub fn help(&self) -> Option<String> {
        match self {
            _ if self.is_full() => Some(
                "free some space: `muse gc --dry-run` shows what may go; nothing that was kept is lost"
                    .into(),
            ),
            _ if self.is_read_only() => {
                Some("name a folder that you may write to with --cache-dir or MUSE_CACHE_DIR".into())
            }
            Self::Damaged { .. } => {
                Some("`muse verify --repair` drops what is damaged; a run makes it again".into())
            }
            Self::Missing { .. } => Some("`muse run` makes it again".into()),
            Self::Changing { .. } => Some("wait until nobody writes to it".into()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    fn failed(op: Op, errno: Errno) -> StoreError {
        StoreError::io(op, "cache/x")(errno.into())
    }

    #[test]
    fn full_and_read_only_disks_are_told_apart() {
        for errno in [Errno::NOSPC, Errno::DQUOT, Errno::FBIG] {
            let error = failed(Op::Write, errno);
            assert!(error.is_full() && !error.is_read_only());
            assert!(error.help().is_some_and(|help| help.contains("muse gc")));
        }
        for errno in [Errno::ROFS, Errno::ACCESS, Errno::PERM] {
            let error = failed(Op::Create, errno);
            assert!(error.is_read_only() && !error.is_full());
            assert!(error.help().is_some_and(|help| help.contains("--cache-dir")));
        }
        assert!(
            !failed(Op::Read, Errno::ACCESS).is_read_only(),
            "a file that may not be read says nothing of it"
        );
        assert!(!failed(Op::Write, Errno::IO).is_full());
    }

    #[test]
    fn messages_say_what_was_tried_and_where() {
        let message = failed(Op::Rename, Errno::NOSPC).to_string();
        assert!(message.starts_with("cannot rename to cache/x: "), "{message}");
    }
}
