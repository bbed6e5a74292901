//! A stage kind of one's own: counts words, can be stopped at any line, and goes on from there.
mod tally;

use muse_stage::schemars::{self, JsonSchema};
use muse_stage::{
    ArtifactType, Context, Count, Description, Execution, FieldError, InputPort, OutputPort, Stage,
    StageError,
};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use tally::Tally;

/// The kind.
pub struct WordCount;

/// What stands under `with:`. These comments are what `muse stages word-count` prints.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How many words the report lists, the most frequent first.
    #[serde(default = "hundred")]
    pub top: Count,
    /// Count `The` and `the` as one word.
    #[serde(default)]
    pub lowercase: bool,
    /// Save what is counted so far after so many lines. Changes no result, so it is no part of the key.
    #[serde(default = "often")]
    pub save_every: Execution<u64>,
}

fn hundred() -> Count {
    Count(100)
}

fn often() -> Execution<u64> {
    Execution(100_000)
}

impl Stage for WordCount {
    type Params = Params;
    const KIND: &'static str = "word-count";
    // Raise it whenever the same text would give another report: every key of this kind changes with it.
    const VERSION: u32 = 1;
    const DOC: &'static str = "Counts the words of a text.\n\nThe text is a file, or a folder whose files are read \
        in the order of their names. The report is JSON: how many words there are, and the most frequent ones.";

    fn inputs(&self) -> Vec<InputPort> {
        vec![InputPort::required("text", &[ArtifactType::Any])]
    }

    fn outputs(&self) -> Vec<OutputPort> {
        vec![OutputPort::new("counts", ArtifactType::Report)]
    }

    fn habits(&self, description: Description) -> Description {
        Description { resumes: true, single_thread: true, ..description }
    }

    fn check(&self, params: &Params) -> Result<(), FieldError> {
        if params.top.0 == 0 {
            return Err(FieldError::new("/top", "a report of no words says nothing").help("write 1 or more"));
        }
        Ok(())
    }

    fn run(&self, context: &mut Context, params: Params) -> Result<(), StageError> {
        let saved = context.resume()?.join("tally.json");
        let mut tally = Tally::load(&saved)?;
        let skip = tally.lines;
        let mut line = 0;
        for file in files(&context.input("text")?)? {
            let mut reader = BufReader::new(File::open(&file).map_err(StageError::io(&file))?);
            let mut text = Vec::new();
            while reader.read_until(b'\n', &mut text).map_err(StageError::io(&file))? > 0 {
                line += 1;
                if line > skip {
                    tally.add(&String::from_utf8_lossy(&text), params.lowercase);
                    context.progress(tally.lines, None, "lines");
                    if context.cancelled() || tally.lines.is_multiple_of(params.save_every.0.max(1)) {
                        tally.save(&saved)?;
                        // Ends here where muse asked this stage to stop.
                        context.go_on()?;
                    }
                }
                text.clear();
            }
        }
        context.progress(tally.lines, Some(tally.lines), "lines");
        context.metric(tally.lines, "words", tally.words as f64);
        let report = context.output("counts");
        let text = tally.report(usize::try_from(params.top.0).unwrap_or(usize::MAX));
        std::fs::write(&report, text).map_err(StageError::io(&report))
    }
}

/// The file itself, or the files of a folder in the order of their names: the same on every machine.
fn files(text: &Path) -> Result<Vec<PathBuf>, StageError> {
    if !text.is_dir() {
        return Ok(vec![text.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(text).map_err(StageError::io(text))? {
        files.push(entry.map_err(StageError::io(text))?.path());
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests;
