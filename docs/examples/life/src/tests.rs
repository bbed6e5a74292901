//! Without muse: an offer saves steps and changes nothing, and what stands above is made up.
use crate::{Life, Params};
use muse_stage::{
    Above, ArtifactType, Context, Count, Extendable, Given, Job, JobMode, Machine, Offer, Stage, StageEvent,
    run_job,
};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Runs so many steps in `folder` and answers the world, and the step at which it began.
fn run(folder: &Path, steps: u64, offer: Option<Offer>) -> (String, f64) {
    fs::create_dir_all(folder.join("out")).unwrap();
    let job = Job {
        job: 1,
        mode: JobMode::Run,
        kind: "life".into(),
        plugin: None,
        version: 1,
        stage: "world".into(),
        key: "b3:0".into(),
        attempt: 1,
        params: json!({ "steps": steps }),
        work: folder.to_owned(),
        inputs: [].into(),
        outputs: [("world".to_owned(), ArtifactType::File)].into(),
        resume: Some(folder.join("resume")),
        offer,
        story: None,
        threads: 1,
        gpus: vec![],
        pins: [].into(),
        secrets: vec![],
    };
    let from = Arc::new(Mutex::new(-1.0));
    let heard = Arc::clone(&from);
    let mut context = Context::new(job, Arc::default(), move |event| {
        if let StageEvent::Metric { value, .. } = event {
            *heard.lock().unwrap() = *value;
        }
    });
    assert_eq!(run_job(&Life, &mut context), StageEvent::Done);
    let from = *from.lock().unwrap();
    (fs::read_to_string(folder.join("out/world")).unwrap(), from)
}

#[test]
fn a_run_with_an_offer_ends_in_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, from) = run(&folder.path().join("whole"), 40, None);
    assert_eq!(from, 0.0);
    let (short, _) = run(&folder.path().join("short"), 25, None);
    assert_ne!(short, whole, "the world stands still, and the test shows nothing");
    let work = folder.path().join("work");
    fs::create_dir_all(work.join("offer")).unwrap();
    fs::write(work.join("offer/world"), &short).unwrap();
    let offer = Offer { path: "offer".into(), step: 25, key: "b3:1".into() };
    assert_eq!(run(&work, 40, Some(offer.clone())), (whole.clone(), 25.0));
    // What this very run has saved comes first where it is further, and only there.
    let (further, _) = run(&folder.path().join("further"), 30, None);
    fs::write(work.join("resume/saved"), format!("30\n{further}")).unwrap();
    assert_eq!(run(&work, 40, Some(offer.clone())), (whole.clone(), 30.0));
    fs::write(work.join("resume/saved"), "torn").unwrap();
    assert_eq!(run(&work, 40, Some(offer)), (whole, 25.0));
}

fn params(steps: u64, width: u32) -> Params {
    Params { steps: Extendable(Count(steps)), width, seed: 0, rule: None, save_every: crate::often() }
}

#[test]
fn a_shorter_run_is_extended_and_a_longer_one_is_not() {
    let extends = |new, old| Life.extends(&params(new, 8), &params(old, 8));
    assert_eq!([extends(40, 25), extends(40, 40), extends(40, 41)], [Some(25), Some(40), None]);
}

#[test]
fn what_does_not_fit_is_said_at_its_field() {
    let given = |kind: &'static str, width: Value| {
        Above::new(move |port| {
            let params = json!({ "width": width });
            let given = || Given { kind, output: "world", params, above: Above::nothing() };
            if port == "start" { vec![given()] } else { vec![] }
        })
    };
    assert!(Life.fits(&params(1, 8), &given("life", json!(8))).is_ok());
    assert!(Life.fits(&params(1, 8), &given("command", json!(9))).is_ok());
    let wrong = Life.fits(&params(1, 8), &given("life", json!(9))).unwrap_err();
    assert_eq!((wrong.pointer.as_str(), wrong.help.as_deref()), ("/width", Some("write `width: 9`")));
    let machine = |memory| Machine { memory, gpu_memory: None, gpus: 0, threads: 1 };
    let room = |memory| Life.room(&params(1, 8), &Above::nothing(), &machine(memory));
    assert!(room(128).is_ok());
    assert_eq!(room(127).unwrap_err().pointer, "/width");
}
