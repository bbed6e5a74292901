//! Keys that must never move: each digest here was computed apart from muse, from the format as it is written down.
//!
//! A number is eight little-endian bytes, a text its length as a number and its bytes, a digest its 32 bytes. A key
//! is the BLAKE3 hash of, in this order and with nothing between:
//! ```text
//! text "muse key 1", text KIND, number VERSION, value PARAMS
//! number of ports,  for each: text PORT, number of entries, for each: text NAME ("" where the port takes one
//!                   thing), digest IDENTITY
//! number of files,  for each: text NAME, digest of the set
//! number of pins,   for each: text NAME, text VALUE
//! ```
//! and, where the kind is told how its inputs came to be and has some:
//! ```text
//! text "story", number of ports, for each: text PORT, number of entries, for each: text OUTPUT, digest WAY
//! ```
//! A value is one byte and what it needs: 0 null, 1 false, 2 true, 3 and a number (not negative), 4 and a number
//! (negative), 5 and the eight bytes of an IEEE 754 double, 6 and a text, 7 and a count and as many values, 8 and a
//! count and as many pairs of text and value. Maps are sorted by the bytes of their names.
//!
//! A family is the same as a key, but begins with text "muse family 1", and its params lack the fields that are
//! extendable.
//!
//! A way is the hash of text "muse way 1", digest KEY, one byte (1 where the result was adopted), number of facts, for each:
//! text NAME, value; and ports as behind "story".
//!
//! A set of files is the hash of text "muse files 1", one byte (1 for a single file), their count, and for each: text
//! NAME, one byte (1 where it may be executed), digest.
#![cfg(test)]
use muse_runtime::key::{FileEntry, KeyParts, files_digest, way};
use muse_store::{Artifact, Digest, Key, Record};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

fn parts(params: &Value) -> KeyParts<'_> {
    KeyParts {
        kind: "command",
        version: 1,
        params,
        extendable: None,
        inputs: BTreeMap::new(),
        files: BTreeMap::new(),
        pins: BTreeMap::new(),
        story: BTreeMap::new(),
    }
}

fn named<V>(pairs: impl IntoIterator<Item = (&'static str, V)>) -> BTreeMap<String, V> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[track_caller]
fn assert_key(parts: &KeyParts<'_>, golden: &str) {
    assert_eq!(parts.key().to_string(), format!("b3:{golden}"), "every result of every user would be lost");
}

#[test]
fn kinds_and_versions() {
    let none = json!({});
    assert_key(&parts(&none), "b373077c6a8a0e43bb2931f72f2110cc86d7392991f80960aafd265764da542e");
    let other = KeyParts { kind: "tokenizer", ..parts(&none) };
    assert_key(&other, "7e89077bb68444520f5cb07aab85c0f3952fcf14824365ce0b6cd14afc405f65");
    let newer = KeyParts { version: 2, ..parts(&none) };
    assert_key(&newer, "3776cb84e6921bc7098ef6c4ed2a69a62783c5ed112f060c20264550c5a3d58f");
}

#[test]
fn every_kind_of_value() {
    for (params, golden) in [
        (json!(null), "53faec9e0b31b6e9a54fcc7b1bc3684aada7c069250d79bbb979fc2eb474d38d"),
        (json!({"b": true, "a": false}), "d0e8407dfe802b415bf6ee200eae737ae53815293c696679036be3dd926c8623"),
        (
            json!({"big": u64::MAX, "least": i64::MIN, "minus": -1, "part": 0.1, "zero": 0, "zerof": -0.0}),
            "13cd4dd1ad4e27f21f32f0e51a7fbf7208affe7749413c0db9c13bdd92405292",
        ),
        (
            json!({"run": "cat in/text > out/lines", "odd": "ü語\0\n"}),
            "e88f651e283d9d6e0023745e51a0ff0aec8c00bf325637afa09cf635ccdd27a7",
        ),
        (
            json!({"b": [1, [], {"y": null, "x": [""]}], "a": {}}),
            "94e1956ac527c553c1a9e44f6da69a8fbc54aa348a286f862f921bb99c5793b9",
        ),
    ] {
        assert_key(&parts(&params), golden);
    }
}

#[test]
fn inputs_files_and_pins() {
    let none = json!({});
    let one = KeyParts { inputs: named([("text", vec![(String::new(), digest(1))])]), ..parts(&none) };
    assert_key(&one, "0fc5e4af82446c193c3d50d4288fafa8a9575e43329f42cbdbbfb11127820d19");
    let list = vec![("wiki".to_owned(), digest(1)), ("code".to_owned(), digest(2))];
    let inputs = named([("text", list), ("more", vec![("a".to_owned(), digest(3))])]);
    let many = KeyParts { inputs, ..parts(&none) };
    assert_key(&many, "f7d5794a066aa677c5cba65ba9309d9697a17e8a8e4a2f46e658778fa8efed68");
    let files = KeyParts { files: named([("text", digest(4)), ("script", digest(5))]), ..parts(&none) };
    assert_key(&files, "16a630f990b7da5eaa28ab1ed22ecc2cc078a13137e6e0dc63a42799423bdb3b");
    let pins = named([("hub:a/b", "0123abcd".to_owned()), ("url", "b3:x".to_owned())]);
    let pinned = KeyParts { pins, ..parts(&none) };
    assert_key(&pinned, "76232e70828eebc7f6fb88a902c1fced7752297a1c8f1e7265c456202959077e");
}

#[test]
fn everything_at_once() {
    let params = json!({"steps": 200, "lr": 0.001});
    let all = KeyParts {
        kind: "pretrain",
        version: 7,
        params: &params,
        extendable: None,
        inputs: named([("data", vec![(String::new(), digest(6))])]),
        files: named([("model", digest(7))]),
        pins: named([("p", "q".to_owned())]),
        story: BTreeMap::new(),
    };
    assert_key(&all, "7eee7e4e342eab9cc4d5e6934cddbb81ae4b81908dc193d8301ae190748d24f3");
}

#[test]
fn how_inputs_came_to_be() {
    let none = json!({});
    let told = KeyParts {
        inputs: named([("text", vec![(String::new(), digest(1))])]),
        story: named([("text", vec![("out".to_owned(), digest(8))])]),
        ..parts(&none)
    };
    assert_key(&told, "d8c4927775782564d65fc47f7c3e7554294771edc52bd27691cd3b673fd2cdda");
    let mut record: Record = serde_json::from_value(json!({
        "key": Key::new(digest(1)), "kind": "command", "version": 1, "stage": "s", "pipeline": "p", "params": {},
        "outputs": {}, "seconds": 1.5, "made": "", "run": "", "attempt": 1,
    }))
    .unwrap();
    let bare = way(&record, &BTreeMap::new()).hex();
    assert_eq!(bare, "19c3b9dc4b5508094f84f1b3680c4336be33528ca1e329a3714d615f18f44e17");
    record.adopted = true;
    let adopted = way(&record, &BTreeMap::new()).hex();
    assert_eq!(adopted, "fa85799038b4aec8f527312fbe185d6bbe10905f64b6b93275fd8ecdfdd7a6fa");
    record.adopted = false;
    record.facts = named([("licence", json!("mit")), ("loss", json!(2.5))]);
    let a = vec![("out".to_owned(), digest(2)), ("log".to_owned(), digest(3))];
    let inputs = named([("a", a), ("b", vec![("x".to_owned(), digest(4))])]);
    assert_eq!(
        way(&record, &inputs).hex(),
        "f9fbe9ae7c97ce75344e56c0f463c9d5f103421b78c2241c5e42e3110105b50f",
        "all that was made by such kinds would be made again"
    );
}

#[test]
fn sets_of_input_files() {
    let set = |single, files: &[(&str, bool, u8)]| {
        let entry = |&(name, executable, byte)| FileEntry { name, executable, digest: digest(byte) };
        files_digest(single, files.iter().map(entry)).hex()
    };
    assert_eq!(
        set(true, &[("", false, 1)]),
        "057f136db2c4d488bb6fe34e4e40ca379674760159cc56cfbaac094626974e22"
    );
    assert_eq!(
        set(false, &[("a", false, 1), ("b/c", true, 2)]),
        "ca8d72a74ba8f8196672d872ac7642ede1b40e6ba819f3639571d235bda32d70"
    );
    assert_eq!(set(false, &[]), "ee9d1bdd517fc03f0d3d1438ef7a017f6837b765cbbd22e9733a02a6cf26e694");
}

#[test]
fn what_results_count_as_in_later_keys() {
    let identity = |tree, executable| {
        let artifact = Artifact { digest: digest(1), bytes: 3, tree, files: 1, executable };
        artifact.identity().hex()
    };
    assert_eq!(identity(false, false), "504cba3ed454cb8033237b3c9d802e23fd76f22fcddd349d1c55e042daa39fa1");
    assert_eq!(identity(false, true), "e34a1b4ab70c3c9113da7dfe0947ef018dbaa76dcfb63447a9dac0874b3c6b63");
    assert_eq!(identity(true, false), "3d66e29c92c57437fdd105d7f4cd21948266a8fad4963a3373c97688cb7e7997");
}

#[test]
fn families() {
    let params = json!({"schedule": {"name": "wsd", "steps": 200}, "width": 8, "a/b": 1});
    let extendable = ["/schedule/steps", "/a~1b", "/absent", "/absent/too"].map(str::to_owned);
    let parts = KeyParts { kind: "pretrain", version: 2, extendable: Some(&extendable), ..parts(&params) };
    assert_eq!(
        parts.family().unwrap().hex(),
        "dc942dcd8315d8eadffc9a1e753dcbe51aa893f94641fab4b62d3bc6b4735d11",
        "no run would find what it may go on from"
    );
    assert_eq!(KeyParts { extendable: None, ..parts }.family(), None);
}

/// Few letters and short texts, so that parts which only differ in where one ends are common.
fn text() -> impl Strategy<Value = String> {
    "[ab]{0,2}"
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2i64..3).prop_map(Value::from),
        prop_oneof![Just(0.0f64), Just(1.0), Just(-1.0)].prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(text(), inner, 0..3)
                .prop_map(|map| map.into_iter().collect::<Value>()),
        ]
    })
}

type Inputs = BTreeMap<String, Vec<(String, u8)>>;
type Whole = (String, u32, Value, Inputs, BTreeMap<String, u8>, BTreeMap<String, String>, Inputs);

fn whole() -> impl Strategy<Value = Whole> {
    let inputs = || prop::collection::btree_map(text(), prop::collection::vec((text(), 0u8..2), 0..3), 0..3);
    let files = prop::collection::btree_map(text(), 0u8..2, 0..3);
    let pins = prop::collection::btree_map(text(), text(), 0..3);
    (text(), 0u32..2, value(), inputs(), files, pins, inputs())
}

fn key_of(whole: &Whole) -> muse_store::Key {
    with_parts(whole, None, |parts| parts.key())
}

fn with_parts<T>(
    (kind, version, params, inputs, files, pins, story): &Whole,
    extendable: Option<&[String]>,
    then: impl FnOnce(&KeyParts<'_>) -> T,
) -> T {
    let entries = |entries: &Vec<(String, u8)>| {
        entries.iter().map(|(name, byte)| (name.clone(), digest(*byte))).collect::<Vec<_>>()
    };
    then(&KeyParts {
        kind,
        version: *version,
        params,
        extendable,
        inputs: inputs.iter().map(|(port, list)| (port.clone(), entries(list))).collect(),
        files: files.iter().map(|(name, byte)| (name.clone(), digest(*byte))).collect(),
        pins: pins.clone(),
        story: story.iter().map(|(port, list)| (port.clone(), entries(list))).collect(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_differs_anywhere_has_another_key(a in whole(), b in whole()) {
        prop_assert_eq!(a == b, key_of(&a) == key_of(&b));
    }

    #[test]
    fn extendable_fields_change_the_key_and_never_the_family(
        a in whole(), b in whole(), same in any::<bool>(), steps in prop::array::uniform2(prop::option::of(0u64..3)),
    ) {
        // Two that differ in nothing else are as likely as two that do.
        let wholes = [a.clone(), if same { a } else { b }];
        let extendable = ["/steps".to_owned()];
        let made = [0, 1].map(|at| {
            let mut params = json!({ "rest": wholes[at].2 });
            if let Some(steps) = steps[at] {
                params["steps"] = steps.into();
            }
            let one = (wholes[at].0.clone(), wholes[at].1, params, wholes[at].3.clone(), wholes[at].4.clone(), wholes[at].5.clone(), wholes[at].6.clone());
            with_parts(&one, Some(&extendable), |parts| (parts.key(), parts.family().unwrap()))
        });
        let [(key, family), (other_key, other_family)] = made;
        prop_assert_eq!(wholes[0] == wholes[1] && steps[0] == steps[1], key == other_key);
        prop_assert_eq!(wholes[0] == wholes[1], family == other_family);
        prop_assert_ne!(key.hex(), family.hex());
    }

    #[test]
    fn values_do_not_run_into_each_other(a in value(), b in value()) {
        prop_assert_eq!(a == b, parts(&a).key() == parts(&b).key());
    }
}
