//! Trainings that go back, and what they keep for it: no break and no damage shows in what comes out.
use crate::support::{Place, bytes, flip, same, whole};
use muse_artifacts::checkpoint::{Checkpoint, Checkpoints, Look};
use muse_stage::StageEvent;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Weight decay that makes weights larger with each step, until there are no more numbers: at step 51 the loss is none, at 53
/// it goes back to 40, and with half of the rate all goes well. The rate falls from 45 on.
fn grows() -> Value {
    json!({
        "steps": 60, "lr": 0.1, "eval_every": 20, "clip": 0, "schedule": { "kind": "wsd", "warmup": 2, "decay": 15 },
        "optimizer": { "kind": "sgd", "momentum": 0.0, "weight_decay": { "matrices": 36.0 } },
    })
}

/// Likewise, but it goes back from 71 to 60, is best at 100, and its rate falls from 105 on.
fn best_before_the_end() -> Value {
    let mut fields = grows();
    fields["steps"] = json!(120);
    fields["optimizer"]["weight_decay"]["matrices"] = json!(30.0);
    fields
}

fn report(out: &Path) -> Value {
    serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap()
}

/// Where the checkpoint of a step is kept.
fn kept(place: &Place, step: u64) -> PathBuf {
    Checkpoints::of(&place.resume()).place(step)
}

/// Stops a training after so many steps, damages what `harm` says, and lets it go on to its end.
fn harmed(fields: &Value, stop: u64, harm: impl Fn(&Place)) -> Place {
    let place = Place::new();
    assert_eq!(place.train_until(fields, stop, None).0, StageEvent::Interrupted);
    harm(&place);
    assert_eq!(place.train(fields), StageEvent::Done);
    place
}

#[test]
fn breaks_on_a_way_back_do_not_show() {
    let place = Place::new();
    let (end, figures) = place.train_until(&grows(), u64::MAX, None);
    assert_eq!(end, StageEvent::Done);
    let back: Vec<_> = figures.iter().filter(|(_, name, _)| name == "rolled_back").collect();
    assert_eq!(back, [&(53, "rolled_back".to_owned(), 40.0)]);
    assert_eq!(report(&place.out())["rolled_back"], json!([{ "at": 53, "to": 40 }]));
    let right = bytes(&place.out());

    let place = Place::new();
    // Before it, among the steps that come to nothing, right behind the way back, and on the way on.
    for stop in [41, 51, 52, 53, 42, 46, 58] {
        assert_eq!(place.train_until(&grows(), stop, None).0, StageEvent::Interrupted, "{stop}");
    }
    assert_eq!(place.train(&grows()), StageEvent::Done);
    same(&bytes(&place.out()), &right);
}

#[test]
fn what_a_longer_training_goes_on_from_is_of_the_way_that_it_takes() {
    let short = Place::new();
    assert_eq!(short.train(&grows()), StageEvent::Done);
    let mut longer = grows();
    longer["steps"] = json!(90);
    let right = whole(&longer);
    // It goes back from 52 to 40, which is before what the shorter one left, and so it begins anew. Stopped on its way before 45,
    // it does not go on from the shorter one's again, for ever.
    for (stops, begins) in [
        (vec![], vec![46]),
        (vec![52, 40, 30, 70], vec![46, 1, 41, 42, 71]),
        (vec![45, 48], vec![46, 47, 49]),
    ] {
        let place = Place::new();
        let offer = place.offered(&short);
        let mut began = Vec::new();
        for stop in stops.into_iter().chain([u64::MAX]) {
            let (end, figures) = place.train_until(&longer, stop, Some((&offer, 45)));
            assert_eq!(end, if stop == u64::MAX { StageEvent::Done } else { StageEvent::Interrupted });
            began.push(figures[0].0);
        }
        assert_eq!(began, begins);
        same(&bytes(&place.out()), &right);
    }
}

#[test]
fn the_best_weights_are_those_of_the_best_evaluation() {
    let place = Place::new();
    assert_eq!(place.train(&best_before_the_end()), StageEvent::Done);
    let best = Checkpoint::open(&place.out().join("best")).unwrap();
    assert_eq!(best.about().step, 100);
    let validation = report(&place.out())["validation"].clone();
    let lowest = validation
        .as_array()
        .unwrap()
        .iter()
        .map(|point| point["loss"].as_f64().unwrap())
        .fold(9.0, f64::min);
    assert!((best.about().validation_loss().unwrap() - lowest).abs() < 1e-6);
    let there = Checkpoint::open(&kept(&place, 100)).unwrap();
    for tensor in there.model().iter() {
        assert!(best.model().read(&tensor.name).unwrap() == there.model().read(&tensor.name).unwrap());
    }
}

#[test]
fn no_damage_to_what_is_kept_shows() {
    let right = whole(&best_before_the_end());
    let best = |place: &Place| flip(&kept(place, 100).join("model.safetensors"));
    let extend = |place: &Place| flip(&place.resume().join("extend/state/optimizer.safetensors"));
    let gone = |place: &Place| fs::remove_dir_all(kept(place, 100)).unwrap();
    let newest = |place: &Place| flip(&kept(place, 110).join("state/state.json"));
    type Harm<'a> = &'a dyn Fn(&Place);
    let harms: [&[Harm<'_>]; 5] = [&[&best], &[&extend], &[&gone], &[&newest, &best], &[&newest, &extend]];
    for harms in harms {
        let place = harmed(&best_before_the_end(), 110, |place| harms.iter().for_each(|harm| harm(place)));
        same(&bytes(&place.out()), &right);
    }
    // On the way back it stands before what it wrote for longer ones, and would not write that again.
    let place = harmed(&grows(), 53, extend);
    same(&bytes(&place.out()), &whole(&grows()));
}

#[test]
fn no_damage_to_a_shorter_training_shows() {
    let mut longer = best_before_the_end();
    longer["steps"] = json!(140);
    let right = whole(&longer);
    let short = Place::new();
    assert_eq!(short.train(&best_before_the_end()), StageEvent::Done);
    let best = "checkpoint/extend/best/model.safetensors";
    for harm in ["checkpoint/extend/model.safetensors", best] {
        let place = Place::new();
        let offer = place.offered(&short);
        flip(&offer.join(harm));
        let (end, figures) = place.train_until(&longer, u64::MAX, Some((&offer, 105)));
        assert_eq!((end, figures[0].0), (StageEvent::Done, 1), "{harm}");
        same(&bytes(&place.out()), &right);
    }
    // The best weights that were taken over are lost: they are taken over again.
    let place = Place::new();
    let offer = place.offered(&short);
    assert_eq!(place.train_until(&longer, 112, Some((&offer, 105))).0, StageEvent::Interrupted);
    flip(&place.resume().join("best/model.safetensors"));
    let (end, figures) = place.train_until(&longer, u64::MAX, Some((&offer, 105)));
    assert_eq!((end, figures[0].0), (StageEvent::Done, 106));
    same(&bytes(&place.out()), &right);
}

#[test]
fn damaged_checkpoints_push_out_no_good_ones() {
    let fields = json!({ "steps": 30, "checkpoint_every": 1, "keep_last": 2, "eval_every": 10 });
    let place = Place::new();
    assert_eq!(place.train_until(&fields, 18, None).0, StageEvent::Interrupted);
    for step in [17, 18] {
        flip(&kept(&place, step).join("model.safetensors"));
    }
    assert_eq!(place.train_until(&fields, 12, None).0, StageEvent::Interrupted);
    let all = Checkpoints::of(&place.resume()).list(Look::Content).unwrap();
    assert!(all.iter().all(|kept| kept.found.is_ok()));
    assert_eq!(all.iter().map(|kept| kept.step).collect::<Vec<_>>(), [10, 11, 12]);
}

#[test]
fn the_state_of_a_newer_muse_is_left_to_it() {
    let place = Place::new();
    assert_eq!(place.train_until(&json!({}), 9, None).0, StageEvent::Interrupted);
    let path = kept(&place, 9).join("checkpoint.json");
    let text = fs::read_to_string(&path).unwrap().replace("\"format\": 1", "\"format\": 2");
    // Sealed anew, as it would be.
    let (sealed, _) = text.rsplit_once(",\n  \"digest\"").unwrap();
    let digest = blake3::hash(sealed.as_bytes()).to_hex();
    fs::write(&path, format!("{sealed},\n  \"digest\": \"b3:{digest}\"\n}}\n")).unwrap();
    let before = bytes(&place.resume());
    let StageEvent::Failed { message, help } = place.train(&json!({})) else { panic!("it went on") };
    assert!(message.contains("format 2 is not known here"), "{message}");
    assert!(help.unwrap().contains("a newer muse"));
    same(&bytes(&place.resume()), &before);
}

#[test]
fn a_disk_that_does_not_answer_costs_no_checkpoint() {
    let place = Place::new();
    assert_eq!(place.train_until(&json!({}), 9, None).0, StageEvent::Interrupted);
    let path = kept(&place, 9).join("state/state.json");
    let (aside, whole) = (path.with_file_name("aside"), whole(&json!({})));
    fs::rename(&path, &aside).unwrap();
    // A link to itself is neither there nor not.
    std::os::unix::fs::symlink("state.json", &path).unwrap();
    assert!(matches!(place.train(&json!({})), StageEvent::Failed { .. }));
    fs::rename(&aside, &path).unwrap();
    let (end, figures) = place.train_until(&json!({}), u64::MAX, None);
    assert_eq!((end, figures[0].0), (StageEvent::Done, 10));
    same(&bytes(&place.out()), &whole);
}

#[test]
fn what_is_lost_for_longer_trainings_is_made_again_from_before() {
    let fields = best_before_the_end();
    let place = Place::new();
    assert_eq!(place.train_until(&fields, 118, None).0, StageEvent::Interrupted);
    flip(&place.resume().join("extend/model.safetensors"));
    let (end, figures) = place.train_until(&fields, u64::MAX, None);
    assert_eq!(end, StageEvent::Done);
    assert!((101..106).contains(&figures[0].0), "it begins at {}", figures[0].0);
    same(&bytes(&place.out()), &whole(&fields));
}
