//! Copies: planted ones are found, others stay, and of each the first stays.
use super::*;
use std::collections::BTreeSet;

#[test]
fn equal_documents_go_but_for_the_first() {
    let documents = texts(["猫", "犬", "猫", "か\u{3099}", "が", "猫 "]);
    let run = clean(json!({ "dedup": "exact" }), &[("a", documents)]);
    assert_eq!(run.documents, texts(["猫", "犬", "が", "猫 "]));
    assert_eq!(run.dropped("dedup: exact"), 2);
    let samples = &run.report["dropped"]["rules"]["dedup: exact"]["samples"];
    assert_eq!(samples[0], json!({ "source": "s", "text": "猫", "copy_of": "猫" }));
    assert_eq!(clean(json!({}), &[("a", texts(["猫", "猫"]))]).documents.len(), 2);
}

#[test]
fn a_copy_in_a_later_corpus_goes_and_what_a_rule_drops_is_nobodys_original() {
    let with = json!({ "dedup": "exact", "quality": { "max_digits": 0.5 } });
    let one = vec![Document::text("1234", "one"), Document::text("猫", "one")];
    let two = vec![Document::text("犬", "two"), Document::text("猫", "two"), Document::text("1234", "two")];
    let run = clean(with, &[("b", one), ("a", two)]);
    assert_eq!(run.sources(), ["one", "two"]);
    assert_eq!((run.dropped("dedup: exact"), run.dropped("quality.max_digits")), (1, 2));
    let rules = &run.report["dropped"]["rules"];
    assert_eq!(rules["quality.max_digits"]["sources"]["two"]["documents"], 1);
    assert_eq!(rules["dedup: exact"]["inputs"], json!({ "a": { "bytes": 3, "documents": 1 } }));
}

/// A copy in which one of `each` characters is another one.
fn altered(text: &str, number: u64, each: u64) -> String {
    let alter = |(at, letter): (u64, char)| {
        if crate::hash::draw(3, number, at).is_multiple_of(each) { '異' } else { letter }
    };
    (0..).zip(text.chars()).map(alter).collect()
}

/// The exact similarity of two texts by runs of five characters.
fn jaccard(one: &str, other: &str) -> f64 {
    let runs = |text: &str| -> BTreeSet<String> {
        let letters: Vec<char> = text.chars().collect();
        letters.windows(5).map(|run| run.iter().collect()).collect()
    };
    let (one, other) = (runs(one), runs(other));
    one.intersection(&other).count() as f64 / one.union(&other).count() as f64
}

#[test]
fn planted_near_copies_are_found_and_others_stay() {
    const ORIGINALS: u64 = 1500;
    let mut documents = Vec::new();
    let (mut near, mut far) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..ORIGINALS {
        let text: String = (0..5).map(|line| sentence(number * 5 + line)).collect();
        documents.push(Document::text(&text, "s"));
        // From a half of it to nearly the same.
        let copy = altered(&text, number, if number % 2 == 0 { 10 + number % 20 } else { 70 + number % 200 });
        let similarity = jaccard(&text, &copy);
        if similarity >= 0.87 && copy != text {
            near.insert(documents.len());
        } else if similarity <= 0.73 {
            far.insert(documents.len());
        }
        documents.push(Document::text(copy, "s"));
    }
    let run = clean(json!({ "dedup": "minhash" }), &[("a", documents.clone())]);
    let kept: BTreeSet<&Document> = run.documents.iter().collect();
    let dropped = |at: &usize| !kept.contains(&documents[*at]);
    assert!((0..documents.len()).step_by(2).all(|at| !dropped(&at)), "an original went");
    let (found, wrong) =
        (near.iter().filter(|at| dropped(at)).count(), far.iter().filter(|at| dropped(at)).count());
    assert!(near.len() > 400 && far.len() > 400, "{} and {}", near.len(), far.len());
    assert!(found as f64 >= 0.98 * near.len() as f64, "{found} of {} near-copies", near.len());
    assert!(wrong as f64 <= 0.02 * far.len() as f64, "{wrong} of {} others", far.len());
    let sample = &run.report["dropped"]["rules"]["dedup: minhash"]["samples"][0];
    let beginning = |text: &Value| text.as_str().unwrap().chars().take(2).collect::<String>();
    assert_eq!(beginning(&sample["text"]), beginning(&sample["copy_of"]), "{sample}");
}

#[test]
fn many_copies_of_one_leave_the_first() {
    let text: String = (0..4).map(sentence).collect();
    let copies = (0..3000).map(|number| Document::text(altered(&text, number, 400), "s"));
    let run = clean(json!({ "dedup": "minhash" }), &[("a", copies.collect())]);
    assert_eq!(run.documents, [Document::text(altered(&text, 0, 400), "s")]);
    assert_eq!(run.dropped("dedup: minhash"), 2999);
}

#[test]
fn words_are_compared_where_there_are_spaces() {
    let words = |from: u64| (from..from + 60).map(|n| format!("w{n}")).collect::<Vec<_>>();
    let one = words(0);
    let mut two = one.clone();
    two[59] = "other".into();
    let texts = [one.join(" "), two.join("\n  "), words(1000).join(" ")];
    let run = clean(json!({ "dedup": "minhash" }), &[("a", super::texts(texts.iter().map(String::as_str)))]);
    assert_eq!(run.documents, super::texts([texts[0].as_str(), &texts[2]]));
}

#[test]
fn short_documents_are_compared_as_a_whole() {
    let run = clean(
        json!({ "dedup": "minhash" }),
        &[("a", texts(["はい", "いいえ", "はい", "は い", "ok", "OK", "ok"]))],
    );
    assert_eq!(run.documents, texts(["はい", "いいえ", "ok", "OK"]));
}

#[test]
fn chats_are_compared_by_all_turns() {
    let long: String = (0..3).map(sentence).collect();
    let one = chat(&[("user", "春は？"), ("assistant", &long)]);
    let near = chat(&[("user", "春は。"), ("assistant", &long)]);
    let other = chat(&[("user", "春は？"), ("assistant", &sentence(9))]);
    let documents = vec![one.clone(), near.clone(), other.clone(), one.clone()];
    let run = clean(json!({ "dedup": "minhash" }), &[("a", documents.clone())]);
    assert_eq!(run.documents, [one.clone(), other.clone()]);
    let run = clean(json!({ "dedup": "exact" }), &[("a", documents)]);
    assert_eq!(run.documents, [one, near, other]);
}
