//! Data and models that do not go together are refused, with what to do.
use crate::chats::{base, params, place, put};
use crate::support::Place;
use muse_artifacts::ArtifactError;
use muse_artifacts::checkpoint::{Checkpoint, CheckpointWriter, Facts, Tensor};
use muse_stage::StageEvent;
use muse_stage_sft::Sft;
use serde_json::{Value, json};
use std::fs;

/// A place where the checkpoint at `init` says other things of itself.
fn with_facts(change: impl Fn(&mut Facts)) -> Place {
    let place = place();
    let (init, to) = (place.path().join("in/init"), place.path().join("changed"));
    let good = Checkpoint::open(&init).unwrap();
    let tensors: Vec<Tensor> = good.model().iter().cloned().collect();
    let mut writer = CheckpointWriter::create(&to).unwrap();
    writer.model::<_, ArtifactError>(&tensors, |tensor| good.model().read(&tensor.name)).unwrap();
    let about = good.about();
    let (config, tokenizer) = (about.config.clone(), about.tokenizer.clone());
    let mut facts = Facts { config, tokenizer, ..Facts::default() };
    change(&mut facts);
    writer.finish(facts).unwrap();
    fs::remove_dir_all(&init).unwrap();
    fs::rename(&to, &init).unwrap();
    place
}

fn said_of(change: impl Fn(&mut Facts)) -> (String, String) {
    refused(&with_facts(change), &json!({}))
}

fn refused(place: &Place, fields: &Value) -> (String, String) {
    let StageEvent::Failed { message, help } = place.train(fields) else { panic!("it went on") };
    (message, help.unwrap_or_default())
}

#[test]
fn data_whose_every_token_carries_loss_is_refused() {
    let place = Place::of(&Sft, params);
    put(base(), &place.path().join("in/init"));
    place.pack(&|_, _| None);
    let (message, help) = refused(&place, &json!({}));
    assert!(message.contains("also what people ask"), "{message}");
    assert!(help.contains("`mask: assistant`"), "{help}");
}

#[test]
fn a_model_of_another_tokenizer_is_refused() {
    let (message, _) = said_of(|facts| facts.tokenizer = Some("b3:ffff".into()));
    assert!(message.contains("their ids mean other texts"), "{message}");
}

#[test]
fn a_model_that_is_too_small_for_the_data_is_refused() {
    let (message, help) = said_of(|facts| facts.config["vocab_size"] = json!(9));
    assert!(message.contains("the model at `init` has 9 tokens, and the data's tokenizer 17"), "{message}");
    assert!(help.contains("the tokenizer that the model learned"), "{help}");
    let (message, help) = said_of(|facts| facts.config["context"] = json!(15));
    assert!(message.contains("sequences of 16 tokens, and the model at `init` has learned 15"), "{message}");
    assert!(help.contains("`context: 15`"), "{help}");
}

#[test]
fn what_is_no_model_of_ours_is_refused() {
    let (message, help) = said_of(|facts| facts.config = json!({ "architecture": "rnn" }));
    assert!(message.contains("none that is known here"), "{message}");
    assert!(help.contains("`pretrain`"), "{help}");
    let (message, _) = said_of(|facts| facts.config["width"] = json!(32));
    assert!(message.contains("is [17, 16] in the checkpoint, and [17, 32] in the model"), "{message}");
}

#[test]
fn a_model_that_knows_longer_sequences_takes_shorter_ones_and_stays_what_it_is() {
    let place = with_facts(|facts| facts.config["context"] = json!(4096));
    assert_eq!(place.train(&json!({ "lora": { "rank": 2 } })), StageEvent::Done);
    let [before, after] =
        [place.path().join("in/init"), place.out()].map(|at| Checkpoint::open(&at).unwrap());
    assert_eq!(after.about().config, before.about().config);
    assert_eq!(after.about().step, 12);
}
