//! Conversations: what is asked, what is said when an answer does not fit, and what comes of it.
use super::{Desk, there};
use crate::exit;

#[test]
fn enter_all_the_way_is_a_page_that_tries() {
    let desk = Desk::small();
    let came = desk.typed(&[], &["", "", "", "", "", "", ""]);
    assert_eq!(came.code.unwrap(), exit::DONE, "{}", came.heard);
    assert_eq!(
        there(&desk.path("")),
        ["configs/models/tiny_1m.yaml", "configs/tasks/held_out.yaml", "pipelines/try.yaml"]
    );
    assert!(came.heard.lines().all(|line| crate::format::width(line) <= 110), "{}", came.heard);
    // The same call without asking makes the same page, to the letter.
    let page = desk.read("pipelines/try.yaml");
    let call = page.lines().skip_while(|line| *line != "# Written by").nth(1).unwrap();
    let words: Vec<&str> = call.trim_start_matches("#   muse init ").split(' ').collect();
    let again = desk.init(&[&words[..], &["--print"]].concat());
    assert_eq!((again.code.unwrap(), again.printed), (exit::DONE, page));
}

#[test]
fn values_are_set_kept_and_taken_back() {
    let desk = Desk::small();
    let lines = ["2", "ja,en", "1 7", "base", "none=2", "balanced", "2", "0.9", "never", "8h"];
    let told = [
        "model=30m",
        "tokens 50M",
        "lr=huge",
        "no=1",
        "model",
        "mix=none=1",
        "?",
        "r",
        "micro_batch=2",
        "",
        "mine",
    ];
    let came = desk.typed(&[], &[&lines[..], &told[..]].concat());
    assert_eq!(came.code.unwrap(), exit::DONE, "{}", came.heard);
    let heard = &came.heard;
    for said in [
        "* model         30m",
        "* tokens        50M",
        "expected a rate above 0",
        "there is no `no`: goal, languages",
        "`model` sets nothing",
        "there is no text `none`: stories, python",
        "above 0 and up to 1",
        "`never` is not a time",
        "take back what was set here",
        "* micro-batch   2",
    ] {
        assert!(heard.contains(said), "{said:?} is not in\n{heard}");
    }
    let after = heard.rsplit("proposal: r").next().unwrap();
    assert!(!after.contains("* model") && !after.contains("* tokens"), "all of it is taken back\n{after}");
    let page = desk.read("pipelines/mine.yaml");
    assert!(page.contains("name: mine") && page.contains("micro_batch: 2"), "{page}");
    assert!(page.contains("uses: pretrain") && !page.contains("uses: sft"), "{page}");
}

#[test]
fn what_flags_say_is_not_asked() {
    let desk = Desk::small();
    desk.write("texts/a.txt", "one\n");
    let words = ["--goal", "real", "--languages", "en", "--data", "texts/a.txt", "--form", "base"];
    let came = desk.typed(&words, &["", "2h", "", ""]);
    assert_eq!(came.code.unwrap(), exit::DONE, "{}", came.heard);
    for asked in ["goal [", "languages [", "data [", "form ["] {
        assert!(!came.heard.contains(asked), "{asked}\n{}", came.heard);
    }
    assert!(came.heard.contains("share [0.5]") && came.heard.contains("time [1d]"), "{}", came.heard);
    // What is not there is said where it was typed, and asked again.
    let came =
        desk.typed(&["--goal", "try"], &["en", "texts/*.md", "99", "texts/*.txt", "base", "", "", "two"]);
    assert_eq!(came.code.unwrap(), exit::DONE, "{}", came.heard);
    assert!(
        came.heard.contains("matches no file") && came.heard.contains("there is no 99 in the list"),
        "{}",
        came.heard
    );
    assert!(desk.read("pipelines/two.yaml").contains("paths: [\"../texts/*.txt\"]"));
}

#[test]
fn chats_that_nobody_knows_are_asked_for() {
    let desk = Desk::small();
    desk.write("texts/a.txt", "one\n");
    desk.write("chats.jsonl", "{\"prompt\": \"a\", \"response\": \"b\"}\n");
    let asked = ["1", "zh", "texts/a.txt", "chat"];
    let came = desk.typed(&[], &[&asked[..], &["no.jsonl", "chats.jsonl", "", "", "talks"]].concat());
    assert_eq!(came.code.unwrap(), exit::DONE, "{}", came.heard);
    assert!(came.heard.contains("there is no file `no.jsonl`"), "{}", came.heard);
    assert!(desk.read("pipelines/talks.yaml").contains("uses: sft"));
    let came = desk.typed(&["--form", "chat"], &["1", "ko", "texts/a.txt", "", "", "", "writes"]);
    assert_eq!(came.code.unwrap(), exit::DONE, "{}", came.heard);
    assert!(!desk.read("pipelines/writes.yaml").contains("uses: sft"));
    // And when all is proposed already.
    let told = ["form=chat", "chats=chats.jsonl", "form=base", "chats=chats.jsonl", "", "late"];
    let came = desk.typed(&["--form", "base"], &[&["1", "zh", "texts/a.txt", ""], &told[..]].concat());
    assert_eq!(came.code.unwrap(), exit::DONE, "{}", came.heard);
    assert!(came.heard.contains("no chats in these languages are known by name"), "{}", came.heard);
    assert!(desk.read("pipelines/late.yaml").contains("uses: sft"));
}

#[test]
fn flags_that_do_not_fit_are_said_before_anything_is_asked() {
    let desk = Desk::small();
    desk.write("texts/a.txt", "one\n");
    for wrong in
        [&["--form", "base", "--chats", "texts/a.txt"][..], &["--chats", "no.jsonl"], &["--gpu", "H100"]]
    {
        let came = desk.typed(wrong, &[]);
        assert_eq!((came.code.unwrap_err().code, came.heard.as_str()), (exit::USAGE, ""), "{wrong:?}");
    }
    // A mix is known not to fit when there are texts, and is asked for again.
    let came =
        desk.typed(&["--mix", "b=1", "--form", "base"], &["1", "en", "texts/a.txt", "a=1", "", "", ""]);
    assert_eq!(came.code.unwrap(), exit::DONE, "{}", came.heard);
    assert!(came.heard.contains("there is no text `b`"), "{}", came.heard);
}

#[test]
fn whoever_goes_leaves_nothing() {
    let desk = Desk::small();
    let all = ["1", "ja", "1", "chat", "0.5", "", "first"];
    for length in 0..all.len() {
        let came = desk.typed(&[], &all[..length]);
        assert_eq!(came.code.unwrap(), exit::INTERRUPTED, "{}", came.heard);
        assert!(came.heard.ends_with("nothing was written\n"), "{}", came.heard);
    }
    assert_eq!(desk.typed(&[], &["1", "ja", "1", "chat", "0.5", "q"]).code.unwrap(), exit::INTERRUPTED);
    assert_eq!(there(&desk.path("")), Vec::<String>::new());
    assert_eq!(desk.typed(&[], &all).code.unwrap(), exit::DONE);
    // A name that is taken is asked for again.
    let came = desk.typed(&[], &["1", "ja", "1", "chat", "0.5", "", "first", "a b", "second"]);
    assert_eq!(came.code.unwrap(), exit::DONE, "{}", came.heard);
    assert!(came.heard.contains("`pipelines/first.yaml` is there already"), "{}", came.heard);
    assert!(came.heard.contains("expected letters"), "{}", came.heard);
    // One that is named before is said before anything is asked.
    for words in [&["first"][..], &["--to", "pipelines/first.yaml"]] {
        let came = desk.typed(words, &all);
        let error = came.code.unwrap_err().to_string();
        assert_eq!((came.heard.as_str(), error.contains("is there already")), ("", true), "{error}");
    }
}
