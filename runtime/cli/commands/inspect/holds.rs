//! What a file or a folder holds: names and sizes, first bytes, and of an artifact its report and first documents.
use crate::display::tree;
use crate::exit;
use crate::failure::{CliError, CliResult};
use crate::format::{Table, bytes, exact, plural, shorten, visible};
use muse_artifacts::checkpoint::{ABOUT, About};
use muse_artifacts::corpus::{BodyRef, Corpus, DocumentRef};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Files of a folder that are listed.
const LISTED: usize = 20;
/// Bytes of a file that are looked at.
const LOOKED_AT: u64 = 64 * 1024;
/// Lines of a text that are shown.
const SHOWN: usize = 10;
/// Documents of a corpus that are shown, and characters of each.
const SAMPLES: (usize, usize) = (3, 300);
/// A larger report is none of ours.
const LARGEST_REPORT: u64 = 16 << 20;

/// One file of a folder, which in the store has no folder.
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) path: PathBuf,
}

/// What is at a path.
#[derive(Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Holds {
    /// A folder.
    Folder {
        /// Files below it.
        files: u64,
        /// Their sizes.
        bytes: u64,
        /// The largest, with paths below the folder.
        largest: Vec<(String, u64)>,
        /// Its `report.json`.
        #[serde(skip_serializing_if = "Option::is_none")]
        report: Option<Value>,
        /// Of a checkpoint what it is of.
        #[serde(skip_serializing_if = "Option::is_none")]
        checkpoint: Option<Value>,
        /// Of a corpus the first documents.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        samples: Vec<Value>,
    },
    /// A file.
    File {
        /// Its size.
        bytes: u64,
        /// What it seems to be.
        kind: &'static str,
        /// Its first lines, if it is text.
        lines: Vec<String>,
    },
}

impl Holds {
    /// A folder by its files.
    pub(super) fn folder(mut files: Vec<Listed>) -> Self {
        let named = |name: &str| files.iter().find(|file| file.name == name);
        let report = named("report.json").filter(|file| file.bytes <= LARGEST_REPORT);
        let report = report.and_then(|file| serde_json::from_slice(&fs::read(&file.path).ok()?).ok());
        let checkpoint = named(ABOUT).map(|file| checkpoint(&file.path));
        let parquet = files.iter().filter(|file| file.name.ends_with(".parquet"));
        let samples = parquet.min_by(|a, b| a.name.cmp(&b.name)).map(|file| samples(&file.path));
        let (count, bytes) = (files.len() as u64, files.iter().map(|file| file.bytes).sum());
        files.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
        files.truncate(LISTED);
        let largest = files.into_iter().map(|file| (file.name, file.bytes)).collect();
        let samples = samples.unwrap_or_default();
        Self::Folder { files: count, bytes, largest, report, checkpoint, samples }
    }

    pub(super) fn of(path: &Path) -> CliResult<Self> {
        let wrong = || CliError::io(exit::USAGE, "cannot inspect", path);
        let about = fs::metadata(path).map_err(wrong())?;
        if about.is_dir() {
            let mut files = Vec::new();
            below(path, path, &mut files).map_err(wrong())?;
            return Ok(Self::folder(files));
        }
        let mut start = Vec::new();
        File::open(path).and_then(|file| file.take(LOOKED_AT).read_to_end(&mut start)).map_err(wrong())?;
        let kind = kind(&start);
        let lines = match kind {
            "text" | "JSON" => String::from_utf8_lossy(&start).lines().take(SHOWN).map(visible).collect(),
            _ => Vec::new(),
        };
        Ok(Self::File { bytes: about.len(), kind, lines })
    }

    /// The first line of a drawing: what it is, and how large.
    pub(super) fn line(&self, name: &str) -> String {
        let text = self.draw(name);
        format!("{}\n", text.lines().next().unwrap_or_default())
    }

    pub(super) fn draw(&self, name: &str) -> String {
        match self {
            Self::Folder { files, bytes: size, largest, report, checkpoint, samples } => {
                let count = plural(usize::try_from(*files).unwrap_or(usize::MAX), "file");
                let mut text = format!("{name}: {count}, {}\n", bytes(*size));
                let mut table = Table::new(&[0]);
                for (path, size) in largest {
                    table.row([bytes(*size), visible(path)]);
                }
                text += &table.draw("  ");
                let more = files.saturating_sub(largest.len() as u64);
                if more > 0 {
                    text += &format!("  … and {} more\n", exact(more));
                }
                if let Some(checkpoint) = checkpoint {
                    text += &format!("\ncheckpoint\n{}", tree::draw(checkpoint, 2));
                }
                if let Some(report) = report {
                    text += &format!("\nreport.json\n{}", tree::draw(report, 2));
                }
                if !samples.is_empty() {
                    let samples = Value::from(samples.clone());
                    text += &format!("\nfirst documents\n{}", tree::draw(&samples, 2));
                }
                text
            }
            Self::File { bytes: size, kind, lines } => {
                let mut text = format!("{name}: {kind}, {}\n", bytes(*size));
                for line in lines {
                    text += &format!("  {}\n", shorten(line, 120));
                }
                text
            }
        }
    }
}

/// What a checkpoint is of, or what is wrong with it. Its files are listed anyway.
fn checkpoint(path: &Path) -> Value {
    let about = match About::read(path) {
        Ok(about) => about,
        Err(error) => return json!({ "damaged": error.to_string() }),
    };
    let mut said = json!({
        "step": about.step,
        "tokens": about.tokens,
        "parameters": about.parameters,
        "figures": about.figures,
        "model": about.config,
    });
    if let Some(tokenizer) = about.tokenizer {
        said["tokenizer"] = tokenizer.into();
    }
    said
}

/// The first documents of a parquet file, if it is one of a corpus.
fn samples(path: &Path) -> Vec<Value> {
    let Ok(corpus) = Corpus::open(path) else { return Vec::new() };
    let short = |text: &str| text.chars().take(SAMPLES.1).collect::<String>();
    let draw = |document: DocumentRef<'_>| match document.body {
        BodyRef::Text(text) => json!({ "source": document.source, "text": short(text) }),
        BodyRef::Chat(turns) => {
            let turns: Vec<_> =
                turns.iter().map(|turn| format!("{}: {}", turn.role, short(turn.content))).collect();
            json!({ "source": document.source, "messages": turns })
        }
    };
    let first = corpus.batches().next().and_then(Result::ok);
    first.map(|batch| batch.iter().take(SAMPLES.0).map(draw).collect()).unwrap_or_default()
}

/// All files below a folder; links are not followed, so that the walk ends.
fn below(root: &Path, folder: &Path, files: &mut Vec<Listed>) -> std::io::Result<()> {
    let mut folders = Vec::<PathBuf>::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        } else {
            let path = entry.path();
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            files.push(Listed { name, bytes: entry.metadata()?.len(), path });
        }
    }
    folders.iter().try_for_each(|folder| below(root, folder, files))
}

/// What a file seems to be by its first bytes.
fn kind(start: &[u8]) -> &'static str {
    match start {
        [] => "empty",
        [b'P', b'A', b'R', b'1', ..] => "parquet",
        [0x1f, 0x8b, ..] => "gzip",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
        [b'G', b'G', b'U', b'F', ..] => "GGUF",
        [_, _, _, _, _, _, _, 0, b'{', b'"', ..] => "safetensors",
        _ => {
            // A cut may fall into a letter, so an error in the last bytes is none.
            let text = match std::str::from_utf8(start) {
                Ok(_) => true,
                Err(error) => error.valid_up_to() + 4 > start.len() && start.len() as u64 == LOOKED_AT,
            };
            match start.iter().find(|byte| !byte.is_ascii_whitespace()) {
                _ if !text || start.contains(&0) => "binary",
                Some(b'{' | b'[') => "JSON",
                _ => "text",
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{InspectArgs, run};
    use super::*;
    use crate::app::printed_by;
    use crate::args::ValueArgs;

    fn inspect(path: &Path) -> (Option<u8>, String) {
        let args = InspectArgs {
            what: vec![path.display().to_string()],
            text: Vec::new(),
            values: ValueArgs::default(),
            json: false,
        };
        printed_by(|app| run(app, &args))
    }

    #[test]
    fn a_text_shows_its_first_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a:b");
        fs::write(&path, "one\n\x1b[2Jtwo\n".repeat(9)).unwrap();
        let (code, text) = inspect(&path);
        assert_eq!(code, Some(0));
        assert!(text.contains("a:b: text, 108 B\n  one\n  \\u{1b}[2Jtwo\n"), "{text}");
        assert_eq!(text.lines().count(), 1 + SHOWN);
    }

    #[test]
    fn a_folder_shows_its_largest_files() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("deep")).unwrap();
        for number in 0..30 {
            fs::write(folder.path().join(format!("deep/{number:02}")), "x".repeat(number)).unwrap();
        }
        let text = inspect(folder.path()).1;
        assert!(text.contains(": 30 files, 435 B\n  29 B  deep/29\n  28 B  deep/28\n"), "{text}");
        assert!(text.ends_with("  … and 10 more\n"), "{text}");
    }

    #[test]
    fn kinds_are_seen_by_their_first_bytes() {
        let cases: [(&[u8], &str); 6] = [
            (b"", "empty"),
            (b"PAR1...", "parquet"),
            (b" {\"a\": 1}", "JSON"),
            (b"hello", "text"),
            (b"\xff\xfe", "binary"),
            (&[64, 0, 0, 0, 0, 0, 0, 0, b'{', b'"'], "safetensors"),
        ];
        for (start, name) in cases {
            assert_eq!(kind(start), name);
        }
        let mut cut = vec![b'a'; LOOKED_AT as usize - 1];
        cut.push(0xe6);
        assert_eq!(kind(&cut), "text");
    }

    #[test]
    fn what_is_not_there_is_the_users_matter() {
        assert_eq!(inspect(Path::new("/no/such")).0, None);
    }
}
