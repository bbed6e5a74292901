//! Questions that are asked as in a chat.
use super::*;
use muse_artifacts::tokenizer::CHATML;

/// A task with one example, and what its report says was asked first.
fn asked(place: &Place, more: Value) -> Result<Value, String> {
    let write = json!({ "name": "write", "kind": "generate", "prompt": "{{ q }}:", "target": "t", "max_tokens": 3,
        "description": "Be brief.", "few_shot": { "count": 1, "pick": "first" } });
    let mut params =
        json!({ "tasks": [choose(&json!({ "few_shot": { "count": 1, "pick": "first" } })), write] });
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let _ = fs::remove_dir_all(place.path().join("resume"));
    match place.run(&params, &[("all", "in/data/q.jsonl")], |_| false) {
        StageEvent::Done => Ok(serde_json::from_str(&place.out()["report.json"]).unwrap()),
        StageEvent::Failed { message, .. } => Err(message),
        other => panic!("{other:?}"),
    }
}

fn turns(said: &[(&str, &str)]) -> Value {
    said.iter().map(|(role, content)| json!({ "role": role, "content": content })).collect()
}

#[test]
fn a_question_is_asked_in_turns_or_in_one() {
    let place = Place::new();
    place.write("in/data/q.jsonl", questions(3));
    let plain = asked(&place, json!({})).unwrap();
    assert_eq!(plain["tasks"][0]["samples"][0]["prompt"], "1 is: b c\n\n0 is:");
    assert_eq!(plain["tasks"][1]["samples"][0]["prompt"], "Be brief.1 is: 1\n\n0 is:");
    let said = asked(&place, json!({ "system": "You know." })).unwrap();
    assert_eq!(said["tasks"][1]["samples"][0]["prompt"], "You know.\n\nBe brief.1 is: 1\n\n0 is:");
    let none = asked(&place, json!({ "chat": "turns" })).unwrap_err();
    assert_eq!(none, "the tokenizer of `model` has no chat template");

    place.write("in/model/tokenizer/chat_template.jinja", CHATML);
    let chat = asked(&place, json!({ "chat": "turns" })).unwrap();
    let sample = |report: &Value, task: usize| report["tasks"][task]["samples"][0]["prompt"].clone();
    assert_eq!(sample(&chat, 0), turns(&[("user", "1 is:"), ("assistant", "b c"), ("user", "0 is:")]));
    let system = ("system", "Be brief.");
    assert_eq!(sample(&chat, 1), turns(&[system, ("user", "1 is:"), ("assistant", "1"), ("user", "0 is:")]));
    assert_eq!((&chat["chat"], &plain["chat"]), (&json!("turns"), &Value::Null));
    assert!(
        place.out()["report.md"].contains("system: Be brief.\n\nuser: 1 is:\n\nassistant: 1\n\nuser: 0 is:")
    );
    let likelihoods = |place: &Place| place.records()[0]["likelihoods"].clone();
    let in_turns = likelihoods(&place);

    let one = asked(&place, json!({ "chat": "one_turn" })).unwrap();
    assert_eq!(sample(&one, 1), turns(&[system, ("user", "1 is: 1\n\n0 is:")]));
    assert_ne!(likelihoods(&place), in_turns, "the model has seen other prompts");
}
