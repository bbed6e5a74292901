//! The manifest of a folder: canonical text, so that equal folders have one digest.
//!
//! ```text
//! muse-tree 1
//! f b3:<64 hex> <bytes> <path>      a file
//! x b3:<64 hex> <bytes> <path>      a file that may be executed
//! d <path>                          an empty folder
//! ```
//! Lines are sorted by the bytes of the path. In a path `\` is written `\\` and a line break `\n`.
use crate::Digest;
use std::collections::HashSet;

const HEADER: &str = "muse-tree 1\n";

/// What a folder holds, sorted by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    entries: Vec<TreeEntry>,
}

/// One line of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeEntry {
    /// A file.
    File {
        /// Relative, parts joined by `/`.
        path: String,
        /// Its content.
        digest: Digest,
        /// Its size.
        bytes: u64,
        /// Whether it may be executed.
        executable: bool,
    },
    /// A folder with nothing in it.
    Empty {
        /// Relative, parts joined by `/`.
        path: String,
    },
}

impl TreeEntry {
    /// Where it stands in the folder.
    pub fn path(&self) -> &str {
        match self {
            Self::File { path, .. } | Self::Empty { path } => path,
        }
    }
}

impl Tree {
    /// A manifest from entries in any order.
    pub fn new(mut entries: Vec<TreeEntry>) -> Result<Self, String> {
        entries.sort_by(|a, b| a.path().as_bytes().cmp(b.path().as_bytes()));
        let tree = Self { entries };
        tree.check()?;
        Ok(tree)
    }

    /// Its lines in order.
    pub fn entries(&self) -> &[TreeEntry] {
        &self.entries
    }

    /// Content and size of each file.
    pub fn blobs(&self) -> impl Iterator<Item = (Digest, u64)> {
        self.entries.iter().filter_map(|entry| match entry {
            TreeEntry::File { digest, bytes, .. } => Some((*digest, *bytes)),
            TreeEntry::Empty { .. } => None,
        })
    }

    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.blobs().fold(0, |sum, (_, bytes)| sum.saturating_add(bytes))
    }

    /// The number of files.
    pub fn files(&self) -> u64 {
        self.blobs().fold(0, |sum, _| sum.saturating_add(1))
    }

    /// The one text of this manifest.
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(HEADER.len() + self.entries.len() * 100);
        text.push_str(HEADER);
        for entry in &self.entries {
            if let TreeEntry::File { digest, bytes, executable, .. } = entry {
                let mark = if *executable { 'x' } else { 'f' };
                text.push_str(&format!("{mark} {digest} {bytes} "));
            } else {
                text.push_str("d ");
            }
            for letter in entry.path().chars() {
                match letter {
                    '\\' => text.push_str("\\\\"),
                    '\n' => text.push_str("\\n"),
                    letter => text.push(letter),
                }
            }
            text.push('\n');
        }
        text
    }

    /// Reads a manifest, and refuses all that `encode` would not have written.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "the manifest is no text")?;
        let lines = text.strip_prefix(HEADER).ok_or("it does not begin as a manifest")?;
        if !lines.is_empty() && !lines.ends_with('\n') {
            return Err("the manifest is cut short".into());
        }
        let entries = lines
            .split_terminator('\n')
            .map(|line| decode_line(line).ok_or_else(|| format!("the manifest has a broken line: {line:?}")))
            .collect::<Result<Vec<_>, _>>()?;
        let tree = Self { entries };
        tree.check()?;
        Ok(tree)
    }

    /// Sorted, no duplicates, no path that climbs, and nothing below what is a file or an empty folder.
    fn check(&self) -> Result<(), String> {
        let mut sum = 0_u64;
        let mut before: Option<&str> = None;
        let leaves: HashSet<&str> = self.entries.iter().map(TreeEntry::path).collect();
        for entry in &self.entries {
            let path = entry.path();
            if path.split('/').any(|part| matches!(part, "" | "." | "..")) || path.contains('\0') {
                return Err(format!("a path that leads astray: {path:?}"));
            }
            if before.is_some_and(|before| before.as_bytes() >= path.as_bytes()) {
                return Err(format!("paths out of order at {path:?}"));
            }
            before = Some(path);
            if path.match_indices('/').any(|(at, _)| path.get(..at).is_some_and(|up| leaves.contains(up))) {
                return Err(format!("a path below what is no folder: {path:?}"));
            }
            if let TreeEntry::File { bytes, .. } = entry {
                sum = sum.checked_add(*bytes).ok_or("sizes beyond all measure")?;
            }
        }
        Ok(())
    }
}

fn decode_line(line: &str) -> Option<TreeEntry> {
    let (mark, rest) = line.split_once(' ')?;
    if mark == "d" {
        return Some(TreeEntry::Empty { path: unescape(rest)? });
    }
    let executable = match mark {
        "f" => false,
        "x" => true,
        _ => return None,
    };
    let (digest, rest) = rest.split_once(' ')?;
    let (size, path) = rest.split_once(' ')?;
    let bytes: u64 = size.parse().ok()?;
    // One spelling for a number: no sign, no leading zero.
    if bytes.to_string() != size {
        return None;
    }
    Some(TreeEntry::File { path: unescape(path)?, digest: digest.parse().ok()?, bytes, executable })
}

fn unescape(text: &str) -> Option<String> {
    let mut path = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        path.push(match letter {
            '\\' => match letters.next()? {
                '\\' => '\\',
                'n' => '\n',
                _ => return None,
            },
            letter => letter,
        });
    }
    Some(path)
}
