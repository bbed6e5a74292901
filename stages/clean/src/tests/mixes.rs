//! Mixes hold, say what they cost, and their order depends on the seed alone.
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn corpus(name: &'static str, documents: u64, length: usize) -> (&'static str, Vec<Document>) {
    let text = |number: u64| {
        let text: String = sentence(number).chars().cycle().take(length + (number % 7) as usize).collect();
        Document::text(format!("{name}{number}{text}"), name)
    };
    (name, (0..documents).map(text).collect())
}

fn bytes(run: &Run) -> BTreeMap<&str, usize> {
    let mut sum = BTreeMap::new();
    run.documents
        .iter()
        .for_each(|document| *sum.entry(document.source.as_str()).or_default() += document.borrow().bytes());
    sum
}

#[test]
fn a_mix_in_bytes_holds_and_uses_the_scarce_source_whole() {
    let corpora = [corpus("wiki", 2000, 100), corpus("code", 300, 60)];
    let run = clean(json!({ "weights": { "wiki": 7, "code": 3 } }), &corpora);
    let sum = bytes(&run);
    let share = sum["wiki"] as f64 / (sum["wiki"] + sum["code"]) as f64;
    assert!((share - 0.7).abs() < 0.003, "{share}");
    assert_eq!(run.sources().iter().filter(|source| **source == "code").count(), 300);
    let mix = &run.report["mix"];
    assert_eq!((&mix["in"], &mix["bounded_by"]), (&json!("bytes"), &json!(["code"])));
    let wiki = &mix["entries"]["wiki"];
    assert_eq!(wiki["used"], sum["wiki"]);
    assert_eq!(wiki["available"].as_u64().unwrap() - wiki["left_out"].as_u64().unwrap(), sum["wiki"] as u64);
    assert_eq!(mix["entries"]["code"]["times"], 1.0);
    assert_eq!(run.dropped("weights") + run.documents.len() as u64, 2300);
}

#[test]
fn a_mix_in_documents_is_exact() {
    let corpora = [corpus("a", 1000, 40), corpus("b", 500, 90), corpus("c", 10, 5)];
    let with = json!({ "weights": { "a": 1, "b": 1, "c": 0 }, "weigh": "documents" });
    let run = clean(with, &corpora);
    let count = |name| run.sources().iter().filter(|source| **source == name).count();
    assert_eq!((count("a"), count("b"), count("c")), (500, 500, 0));
    // Drawn, not cut off: some of the first and some of the last.
    let numbers: Vec<&Document> =
        corpora[0].1.iter().filter(|document| run.documents.contains(document)).collect();
    assert!(
        numbers.contains(&&corpora[0].1[999])
            || numbers.contains(&&corpora[0].1[998])
            || numbers.contains(&&corpora[0].1[997])
    );
}

#[test]
fn what_repeats_comes_no_more_often_than_asked() {
    let corpora = [corpus("a", 1000, 40), corpus("b", 100, 40)];
    for (repeat, from_a, from_b) in [(1, 100, 100), (4, 400, 400), (20, 1000, 1000)] {
        for shuffle in [false, true] {
            let with = json!({ "weights": { "a": 1, "b": 1 }, "weigh": "documents", "repeat": repeat, "shuffle": shuffle });
            let run = clean(with, &corpora);
            let count = |name| run.sources().iter().filter(|source| **source == name).count();
            assert_eq!((count("a"), count("b")), (from_a, from_b));
            let mut times: BTreeMap<&Document, usize> = BTreeMap::new();
            run.documents.iter().for_each(|document| *times.entry(document).or_default() += 1);
            assert!(
                times
                    .iter()
                    .all(|(document, times)| *times == if document.source == "b" { from_b / 100 } else { 1 })
            );
        }
    }
}

#[test]
fn a_fraction_of_a_repeat_is_drawn() {
    let corpora = [corpus("a", 250, 40), corpus("b", 100, 40)];
    let run = clean(json!({ "weights": { "a": 1, "b": 1 }, "weigh": "documents", "repeat": 9 }), &corpora);
    let mut times: BTreeMap<&Document, usize> = BTreeMap::new();
    run.documents
        .iter()
        .filter(|document| document.source == "b")
        .for_each(|document| *times.entry(document).or_default() += 1);
    assert_eq!(
        (
            times.values().filter(|times| **times == 2).count(),
            times.values().filter(|times| **times == 3).count()
        ),
        (50, 50)
    );
    assert_eq!(run.report["mix"]["entries"]["b"]["times"], 2.5);
    assert_eq!(run.report["mix"]["bounded_by"], json!([]));
}

#[test]
fn weights_and_stages_must_fit_together() {
    let corpora = [corpus("a", 3, 5), corpus("b", 3, 5)];
    let error = |with: Value, corpora: &[(&str, Vec<Document>)]| match try_clean(&with, corpora, 1) {
        Err(StageError::Failed { message, help }) => format!("{message}; {}", help.unwrap_or_default()),
        _ => panic!("no error"),
    };
    assert_eq!(
        error(json!({ "weights": { "a": 1, "x": 1 } }), &corpora),
        "`weights` names `x`, which is not connected to `corpus`; connected are `a`, `b`"
    );
    assert_eq!(
        error(json!({ "weights": { "a": 1 } }), &corpora),
        "`b` has no weight; give it one under `weights`; `b: 0` leaves it out"
    );
    assert!(error(json!({ "weights": { "a": 1 } }), &corpora[..1]).starts_with("`weights` needs names"));
    let with = json!({ "weights": { "a": 1, "b": 1 }, "max_chars": 7 });
    assert_eq!(
        error(with, &[corpus("a", 3, 5), corpus("b", 3, 50)]),
        "nothing is left of `b` to mix, of 3 documents: max_chars dropped 3; \
         loosen these rules, or give `b` the weight 0"
    );
}

#[test]
fn a_shuffle_is_an_order_of_the_same_documents() {
    let corpora = [corpus("a", 500, 40), corpus("b", 500, 40)];
    let plain = clean(json!({}), &corpora);
    let one = clean(json!({ "shuffle": true }), &corpora);
    let other = clean(json!({ "shuffle": true, "seed": 1 }), &corpora);
    assert_eq!(plain.documents, [corpora[0].1.clone(), corpora[1].1.clone()].concat());
    assert!(one.documents != plain.documents && one.documents != other.documents);
    for run in [&one, &other] {
        let sorted = |documents: &[Document]| {
            let mut sorted = documents.to_vec();
            sorted.sort();
            sorted
        };
        assert_eq!(sorted(&run.documents), sorted(&plain.documents));
        let first = run.sources()[..500].iter().filter(|source| **source == "a").count();
        assert!((200..300).contains(&first), "{first} of the first half are of the first corpus");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn threads_change_no_byte(
        lengths in proptest::collection::vec((1u64..400, 1usize..200), 2),
        dedup in prop_oneof![Just("none"), Just("exact"), Just("minhash")],
        shuffle in any::<bool>(),
        weights in prop_oneof![Just(json!({})), Just(json!({ "a": 0.3, "b": 0.7 }))],
        seed in 0u64..3,
    ) {
        let with = json!({ "dedup": dedup, "shuffle": shuffle, "seed": seed, "weights": weights, "repeat": 3, "min_chars": 8 });
        let mut corpora = [corpus("a", lengths[0].0, lengths[0].1), corpus("b", lengths[1].0, lengths[1].1)];
        let copies = corpora[0].1.iter().step_by(3).cloned().collect::<Vec<_>>();
        corpora[1].1.extend(copies);
        let told = |threads| match try_clean(&with, &corpora, threads) {
            Ok(run) => run.bytes(),
            // All of one corpus may be copies.
            Err(error) => BTreeMap::from([("error".into(), error.to_string().into_bytes())]),
        };
        let one = told(1);
        for threads in [2, 7] {
            prop_assert!(told(threads) == one, "{} threads", threads);
        }
    }
}
