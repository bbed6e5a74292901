//! Any bytes as a pipeline file: a pipeline or errors with places that are in the file, never a panic.
#![no_main]
use libfuzzer_sys::fuzz_target;
use muse_runtime::document::{Kinds, Options, load};
use std::path::PathBuf;
use std::sync::LazyLock;

/// A file in a folder of its own, in memory where there is such a place: it is written again for every input.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let folder = tempfile::tempdir_in(folder).expect("a folder for the pipeline").keep();
    std::fs::write(folder.join("data.txt"), "one\ntwo\n").expect("an input file");
    folder.join("pipeline.yaml")
});

static KINDS: LazyLock<Kinds> = LazyLock::new(|| Kinds::new(&[&muse_stage_command::Command]));

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(&*FILE, bytes).expect("the pipeline is written");
    // A glob that climbs would read the whole disk each time.
    let look_for_files = !bytes.windows(2).any(|pair| pair == b"..");
    match load(&FILE, &Options { look_for_files, ..Options::new(&KINDS) }) {
        Ok(pipeline) => {
            // What is accepted must hold together: every input is a stage, every stage has its own name.
            let count = pipeline.stages.len();
            for stage in &pipeline.stages {
                let inputs = stage.inputs.iter().flat_map(|port| port.entries.iter());
                inputs.for_each(|entry| assert!(entry.stage < count, "an input that is no stage"));
            }
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "it is refused, but nobody says why");
            for problem in &problems {
                assert!(!problem.message.is_empty(), "an error without words");
                if let Some(place) = &problem.place {
                    let text = &place.source.text;
                    assert!(place.start <= place.end && place.end <= text.len(), "a place outside of its text");
                    assert!(text.get(place.start..place.end).is_some(), "a place that cuts a letter");
                }
            }
        }
    }
});
