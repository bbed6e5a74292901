//! For any documents: what is packed comes out, each document stands on one side, threads change nothing.
use super::support::*;
use muse_artifacts::corpus::Document;
use muse_artifacts::tokens::{Split, Tokens};
use muse_stage::StageEvent;
use proptest::prelude::*;
use serde_json::json;

fn some_texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(
        prop_oneof![Just(String::new()), "[a-z]{1,30}", "\\PC{0,20}", any::<String>()],
        2..30,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn pack_then_unpack_gives_the_documents_back(
        texts in some_texts(),
        context in 1_u64..40,
        strategy in prop_oneof![Just("concat"), Just("best-fit"), Just("balanced")],
        validation in prop_oneof![Just(json!(0.1)), Just(json!(0.9)), Just(json!(0)), Just(json!({ "tail": 0.2 }))],
        seed in 0_u64..3,
    ) {
        let mut expected: Vec<Vec<u8>> =
            texts.iter().filter(|one| !one.is_empty()).map(|one| one.as_bytes().to_vec()).collect();
        prop_assume!(expected.len() > 1);
        let folder = place();
        corpus(folder.path(), "a", &texts.iter().map(|one| text(one)).collect::<Vec<_>>());
        let tail = validation.is_object();
        let params = json!({ "context": context, "strategy": strategy, "validation": validation, "seed": seed });
        let tokens = run(folder.path(), params);
        let sides = Split::ALL.map(|split| documents(&tokens, split));
        let unpack = |ids: &[Vec<u32>]| -> Vec<Vec<u8>> { ids.iter().map(|one| bytes(one)).collect() };
        if tail {
            // In order; the one that lies across stands on both sides.
            let all: Vec<u32> = sides.concat().concat();
            let split: Vec<Vec<u8>> = all.split_inclusive(|id| *id == END).map(bytes).collect();
            prop_assert_eq!(split, expected);
        } else {
            // Each stands on one side, in the corpus's order.
            for side in &sides {
                prop_assert!(side.iter().all(|one| one.last() == Some(&END)));
                let mut rest = expected.iter();
                prop_assert!(unpack(side).iter().all(|one| rest.any(|other| other == one)));
            }
            prop_assert!(validation == json!(0) || sides.iter().all(|side| !side.is_empty()));
            let mut found = unpack(&sides.concat());
            found.sort();
            expected.sort();
            prop_assert_eq!(found, expected);
        }
        for split in Split::ALL {
            // Sequences hold each token once.
            let mut held: Vec<(u64, u64)> = Vec::new();
            for number in 0..tokens.sequences(split) {
                for segment in tokens.sequence(split, number).unwrap().segments() {
                    held.extend((0..segment.length as u64).map(|at| (segment.document, segment.offset + at)));
                }
            }
            held.sort_unstable();
            let each = documents(&tokens, split);
            let expected: Vec<(u64, u64)> = (0..)
                .zip(&each)
                .flat_map(|(number, ids)| (0..ids.len() as u64).map(move |at| (number, at)))
                .collect();
            prop_assert_eq!(held, expected);
        }
    }
}

/// Documents in many pieces, some of which take longer than others.
fn many(folder: &std::path::Path) {
    for name in 'a'..='p' {
        let documents: Vec<Document> = (0..100)
            .map(|at| text(&format!("{name} {at} ").repeat(1 + at % 90 * if name == 'c' { 9 } else { 1 })))
            .collect();
        corpus(folder, &name.to_string(), &documents);
    }
}

#[test]
fn order_depends_on_the_seed_and_not_on_threads() {
    let folder = place();
    many(folder.path());
    for strategy in ["concat", "best-fit", "balanced"] {
        let made = |seed: u64, threads| {
            let params = json!({ "context": 128, "strategy": strategy, "seed": seed });
            assert_eq!(run_with(folder.path(), params, threads), StageEvent::Done);
            digests(&folder.path().join("out/tokens"))
        };
        let one = made(1, 1);
        assert!(one == made(1, 5) && one == made(1, 2), "{strategy}");
        let other = made(2, 2);
        assert_ne!(one, other, "{strategy}");
    }
}

#[test]
fn equal_texts_with_equal_seeds_are_held_back_alike() {
    let folder = place();
    many(folder.path());
    let held_back = |context: u64, strategy: &str| {
        let params = json!({ "context": context, "strategy": strategy });
        assert_eq!(run_with(folder.path(), params, 2), StageEvent::Done);
        let tokens = Tokens::open(&folder.path().join("out/tokens")).unwrap();
        documents(&tokens, Split::Validation)
    };
    let one = held_back(64, "concat");
    assert!((110..210).contains(&one.len()), "{}", one.len());
    assert!(one == held_back(999, "balanced"));
}
