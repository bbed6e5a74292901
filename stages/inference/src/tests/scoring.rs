//! How likely texts are: the same as one full way through the model for each, however they are asked.
use super::{LINES, TOKENIZER, along, config, engine, engine_of};
use crate::{InferenceError, Likely, More, Pair, Score, Scorer, Wanted, encode};
use muse_artifacts::corpus::MessageRef;
use muse_model::config::Model;
use proptest::prelude::*;

const CONTEXT: usize = 48;

/// One way through the model, and nothing kept.
fn alone(model: &Model, pair: &Pair) -> Score {
    let mut engine = engine_of(model, 1);
    let all: Vec<u32> = pair.context.iter().chain(&pair.continuation).copied().collect();
    let all = &all[all.len().saturating_sub(CONTEXT + 1)..];
    let logits = engine.run(&[More { slot: 0, ids: &all[..all.len() - 1], wanted: Wanted::All }]).unwrap();
    let rows: Vec<&[f32]> = logits.chunks_exact(engine.vocabulary()).collect();
    let rows = &rows[rows.len() - pair.continuation.len()..];
    let of = |(row, id): (&&[f32], &u32)| (Likely::new(row).of(*id), Likely::new(row).likeliest() == *id);
    let (tokens, greedy): (Vec<f64>, Vec<bool>) = rows.iter().zip(&pair.continuation).map(of).unzip();
    Score { tokens, greedy: greedy.into_iter().all(|greedy| greedy) }
}

fn score(slots: usize, pairs: &[Pair]) -> Vec<Score> {
    Scorer::new(engine(slots, CONTEXT)).score(pairs, &|| false).unwrap().unwrap()
}

#[track_caller]
fn same(got: &[Score], pairs: &[Pair]) {
    same_of(&config(CONTEXT), got, pairs);
}

#[track_caller]
fn same_of(model: &Model, got: &[Score], pairs: &[Pair]) {
    for (got, pair) in got.iter().zip(pairs) {
        let right = alone(model, pair);
        assert_eq!(got.tokens.len(), right.tokens.len());
        assert!((got.sum() - right.sum()).abs() < 1e-4, "{} is not {}", got.sum(), right.sum());
        let apart = got.tokens.iter().zip(&right.tokens).map(|(got, right)| (got - right).abs());
        assert!(apart.fold(0.0, f64::max) < 1e-4, "{:?} is not {:?}", got.tokens, right.tokens);
        assert_eq!(got.greedy, right.greedy);
    }
}

fn pair(context: &[u32], continuation: &[u32]) -> Pair {
    Pair { context: context.to_vec(), continuation: continuation.to_vec() }
}

#[test]
fn choices_behind_one_context_are_what_each_is_alone() {
    let long: Vec<u32> = (0..200).map(|at| at * 7 % 300).collect();
    let pairs = [
        pair(&[5, 6, 7], &[8]),
        pair(&[5, 6, 7], &[9, 10, 11]),
        pair(&[5, 6, 7], &[9, 10, 12, 13]),
        pair(&[5, 6, 8], &[1]),
        pair(&[3], &[4, 5]),
        // Cut from the left, each by as much as it is too long.
        pair(&long, &[1]),
        pair(&long, &[1, 2, 3]),
        pair(&long[..10], &long[..CONTEXT]),
    ];
    for slots in [1, 2, 3, 16] {
        same(&score(slots, &pairs), &pairs);
        // What cannot be cut back to the context is read once more.
        let model = along(CONTEXT);
        let mut scorer = Scorer::new(engine_of(&model, slots));
        for _ in 0..2 {
            same_of(&model, &scorer.score(&pairs, &|| false).unwrap().unwrap(), &pairs);
        }
    }
}

#[test]
fn behind_a_chat_stands_what_the_template_writes_before_an_answer() {
    let said = |role, content| MessageRef { role, content, extra: None };
    let messages = [said("user", "1 + 1?"), said("assistant", "2"), said("user", "2 + 2?")];
    let prompt = TOKENIZER.encode_prompt(&messages).unwrap();
    for answer in ["4", " four", "<|im_end|>", ""] {
        let Pair { context, continuation } = Pair::of_chat(&TOKENIZER, &messages, answer).unwrap();
        assert_eq!(
            TOKENIZER.decode(&context).unwrap(),
            "<|im_start|>user\n1 + 1?<|im_end|>\n<|im_start|>assistant\n2<|im_end|>\n<|im_start|>user\n2 + 2?<|im_end|>\n\
             <|im_start|>assistant"
        );
        assert!(prompt.starts_with(&context));
        assert_eq!(TOKENIZER.decode(&continuation).unwrap(), format!("\n{answer}"));
        // What looks like a special token is text.
        let special = |id: &u32| TOKENIZER.specials().iter().any(|(_, special)| special == id);
        assert!(!continuation.iter().any(special), "{answer}");
    }
}

#[test]
fn what_was_asked_before_changes_no_bit() {
    let pairs = [pair(&[5, 6, 7], &[8, 9]), pair(&[5, 6], &[7, 8])];
    let mut scorer = Scorer::new(engine(2, CONTEXT));
    let first = scorer.score(&pairs, &|| false).unwrap();
    scorer.score(&[pair(&[5, 6, 7, 8, 9], &[1])], &|| false).unwrap();
    assert_eq!(scorer.score(&pairs, &|| false).unwrap(), first);
    assert_eq!(scorer.score(&pairs, &|| true).unwrap(), None);
}

#[test]
fn the_likeliest_continuation_is_greedy_and_no_other() {
    let mut ids = vec![11_u32, 12];
    let mut engine = engine(1, CONTEXT);
    for at in [0, 2, 3] {
        let logits = engine.run(&[More { slot: 0, ids: &ids[at..], wanted: Wanted::Last }]).unwrap();
        ids.push(Likely::new(&logits).likeliest());
    }
    let greedy = pair(&ids[..2], &ids[2..]);
    let other = pair(&ids[..2], &[ids[2], ids[3], (ids[4] + 1) % 320]);
    let scores = score(2, &[greedy, other]);
    assert_eq!([scores[0].greedy, scores[1].greedy], [true, false]);
}

#[test]
fn what_cannot_be_asked_is_an_error() {
    let ask = |pair: Pair| Scorer::new(engine(1, CONTEXT)).score(&[pair], &|| false).unwrap_err();
    assert!(matches!(ask(pair(&[], &[1])), InferenceError::Empty));
    assert!(matches!(ask(pair(&[1], &[])), InferenceError::Empty));
    assert!(matches!(
        ask(pair(&[1], &[1; CONTEXT + 1])),
        InferenceError::TooLong { tokens: 49, room: CONTEXT }
    ));
    assert!(matches!(ask(pair(&[1], &[320])), InferenceError::Unfit { .. }));
}

#[test]
fn white_space_at_the_end_of_a_context_belongs_to_what_follows() {
    let of = |context, continuation| Pair::of(&TOKENIZER, context, continuation).unwrap();
    assert_eq!(of("The quick ", "brown"), of("The quick", " brown"));
    assert_eq!(of("むかし\u{3000}\n", "。"), of("むかし", "\u{3000}\n。"));
    let pair = of("The quick", " brown fox");
    assert_eq!(pair.context, TOKENIZER.encode("The quick").unwrap());
    let whole: Vec<u32> = pair.context.iter().chain(&pair.continuation).copied().collect();
    assert_eq!(whole, TOKENIZER.encode("The quick brown fox").unwrap());
    // Behind nothing stands the token that ends texts, where there is none that begins them.
    let end = TOKENIZER.end_of_text().unwrap();
    assert_eq!(of("", "fox"), Pair { context: vec![end], continuation: TOKENIZER.encode("fox").unwrap() });
}

#[test]
fn windows_ask_about_each_token_once_with_all_the_room_before_it() {
    let ids = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    let windows = Pair::windows(&ids, 99, 4);
    assert_eq!(windows, [pair(&[99], &[1, 2, 3, 4]), pair(&[4], &[5, 6, 7, 8]), pair(&[6, 7, 8], &[9, 10])]);
    assert_eq!(Pair::windows(&ids[..3], 99, 4), [pair(&[99], &[1, 2, 3])]);
    assert!(Pair::windows(&[], 99, 4).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    /// However pairs share their beginnings and however many slots there are.
    #[test]
    fn any_pairs_are_what_each_is_alone(
        cuts in prop::collection::vec((0_usize..3, 1_usize..40, 1_usize..20), 1..8), slots in 1_usize..4,
    ) {
        let texts: Vec<Vec<u32>> = LINES.iter().map(|line| encode(&TOKENIZER, line).unwrap()).collect();
        let pairs: Vec<Pair> = cuts
            .into_iter()
            .map(|(line, at, more)| {
                let text = texts[line].repeat(3);
                pair(&text[..at], &text[at..at + more])
            })
            .collect();
        same(&score(slots, &pairs), &pairs);
    }
}
