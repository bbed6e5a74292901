//! Runs one download without a pipeline, and prints how long it took and how much memory it had at most.
//!
//!   cargo run --release -p muse-stage-download --example measure -- FOLDER THREADS 'PARAMS AS JSON'
//!
//! FOLDER must not be there; the result is FOLDER/out/corpus. Paths in the parameters start from FOLDER.
#![expect(clippy::print_stdout, reason = "it prints what it measured")]
#![expect(clippy::unwrap_used, reason = "who starts it reads this")]
use muse_stage::{Context, Job, JobMode, Stage, StageEvent, StageKind};
use muse_stage_download::Download;
use std::path::PathBuf;
use std::time::Instant;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || arguments.next().unwrap();
    let work = PathBuf::from(argument());
    let threads = argument().parse().unwrap();
    let params = serde_json::from_str(&argument()).unwrap();
    std::fs::create_dir_all(work.join("out")).unwrap();
    let job = Job {
        job: 1,
        mode: JobMode::Run,
        kind: Download::KIND.into(),
        plugin: None,
        version: Download::VERSION,
        stage: Download::KIND.into(),
        key: String::new(),
        attempt: 1,
        params,
        work,
        inputs: Default::default(),
        outputs: Default::default(),
        resume: None,
        offer: None,
        story: None,
        threads,
        gpus: Vec::new(),
        pins: Default::default(),
        secrets: Vec::new(),
    };
    let params = job.params.clone();
    let mut context = Context::new(job, Default::default(), |event| {
        if let StageEvent::Metric { name, value, .. } = event {
            println!("{name}: {value}");
        }
    });
    let start = Instant::now();
    let end = Download.run_json(&mut context, params);
    println!("{end:?} in {:.2} s", start.elapsed().as_secs_f64());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("no peak known"));
}
