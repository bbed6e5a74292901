//! `muse inspect`: what a file, a folder or a result holds.
use crate::app::App;
use crate::args::ValueArgs;
use crate::exit;
use crate::failure::{CliError, CliResult};
use crate::format::{Table, bytes, duration, exact, moment, plural, shorten, visible};
use crate::values::StageOfPipeline;
use clap::Args;
use muse_store::TreeEntry;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  muse inspect data/train.jsonl                 size, lines, first lines
  muse inspect out/tokenizer                    a folder: its files, largest first
  muse inspect pipelines/tiny.yaml:count        a stage's result";

/// Files of a folder that are listed.
const LISTED: usize = 20;
/// Bytes of a file that are looked at.
const LOOKED_AT: u64 = 64 * 1024;
/// Lines of a text that are shown.
const SHOWN: usize = 10;

/// What a file, a folder or a result holds.
///
/// Shows sizes, the first lines of a text and the largest files of a folder. PIPELINE:STAGE, with or without
/// `.OUTPUT`, shows what the store keeps for a stage: its outputs, how it was made and when.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct InspectArgs {
    /// A path, or PIPELINE:STAGE.
    #[arg(value_name = "WHAT")]
    pub(crate) what: String,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Shows it.
pub(crate) fn run(app: &mut App<'_>, args: &InspectArgs) -> CliResult {
    let path = app.environment.folder.join(&args.what);
    // A path that is there is meant as one, also with a colon in its name.
    match StageOfPipeline::find(&args.what) {
        Some(stage) if !path.exists() => result(app, args, &stage),
        _ => {
            let holds = Holds::of(&path)?;
            if args.json {
                app.out.json(&holds)?;
            } else {
                app.out.text(&holds.draw(&args.what))?;
            }
            app.out.flush()?;
            Ok(exit::DONE)
        }
    }
}

/// What the store keeps for a stage.
fn result(app: &mut App<'_>, args: &InspectArgs, stage: &StageOfPipeline) -> CliResult {
    let opened = app.open(&stage.pipeline, &ValueArgs::default())?;
    let (number, output) = opened.one_stage(&stage.stage)?;
    let record = opened.result(&stage.pipeline, &ValueArgs::default(), number)?;
    let outputs =
        record.outputs.iter().filter(|(name, _)| output.is_none_or(|output| output == name.as_str()));
    let mut text = String::new();
    let mut held = std::collections::BTreeMap::new();
    for (name, artifact) in outputs {
        let holds = if artifact.tree {
            let tree = opened.store.tree(&artifact.digest)?;
            let mut largest: Vec<(String, u64)> = tree
                .entries()
                .iter()
                .filter_map(|entry| match entry {
                    TreeEntry::File { path, bytes, .. } => Some((path.clone(), *bytes)),
                    TreeEntry::Empty { .. } => None,
                })
                .collect();
            largest.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            largest.truncate(LISTED);
            Holds::Folder { files: artifact.files, bytes: artifact.bytes, largest }
        } else {
            Holds::of(&opened.store.blob_path(&artifact.digest))?
        };
        text += &holds.draw(name);
        text += &format!("  {}\n", artifact.digest);
        held.insert(name.clone(), holds);
    }
    if args.json {
        let made = serde_json::json!({ "made": record.made, "run": record.run, "seconds": record.seconds, "adopted": record.adopted });
        app.out.json(&serde_json::json!({ "stage": record.stage, "key": record.key.to_string(), "record": made, "outputs": held }))?;
    } else {
        let how = if record.adopted { "adopted" } else { "made" };
        text += &format!("{how} {} in {}\n", moment(&record.made), duration(record.seconds));
        app.out.text(&text)?;
    }
    app.out.flush()?;
    Ok(exit::DONE)
}

/// What is at a path.
#[derive(Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum Holds {
    /// A folder.
    Folder {
        /// Files below it.
        files: u64,
        /// Their sizes.
        bytes: u64,
        /// The largest, with paths below the folder.
        largest: Vec<(String, u64)>,
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
    fn of(path: &Path) -> CliResult<Self> {
        let wrong = || CliError::io(exit::USAGE, "cannot inspect", path);
        let about = fs::metadata(path).map_err(wrong())?;
        if about.is_dir() {
            let mut largest = Vec::new();
            below(path, path, &mut largest).map_err(wrong())?;
            let (files, bytes) = (largest.len() as u64, largest.iter().map(|(_, bytes)| bytes).sum());
            largest.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            largest.truncate(LISTED);
            return Ok(Self::Folder { files, bytes, largest });
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

    fn draw(&self, name: &str) -> String {
        match self {
            Self::Folder { files, bytes: size, largest } => {
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

/// All files below a folder; links are not followed, so that the walk ends.
fn below(root: &Path, folder: &Path, files: &mut Vec<(String, u64)>) -> std::io::Result<()> {
    let mut folders = Vec::<PathBuf>::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        } else {
            let path = entry.path();
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            files.push((name, entry.metadata()?.len()));
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
    use super::*;
    use crate::app::printed_by;

    fn inspect(path: &Path) -> (Option<u8>, String) {
        let args = InspectArgs { what: path.display().to_string(), json: false };
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
