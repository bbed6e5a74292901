//! Pages: every combination of answers is one that validates, and two of them to read.
use crate::commands::init::hardware::Found;
use crate::commands::init::tests::Desk;

const GIB: u64 = 1 << 30;

fn machines() -> [Found; 3] {
    let gpu = ("NVIDIA H100 80GB HBM3", 80 * GIB);
    [Found::of(2, 4 * GIB, &[]), Found::of(64, 512 * GIB, &[gpu]), Found::of(1, GIB, &[("Odd GPU", 2 * GIB)])]
}

#[test]
fn every_combination_validates() {
    let texts: [&[&str]; 7] = [
        &[],
        &["--data", "texts/*.txt"],
        &["--data", "one.md", "--chats", "chats.jsonl"],
        &["--data", "hub:wikimedia/wikipedia:20231101.ja"],
        &["--data", "hub:some/thing", "--chats", "hub:some/chats:part", "--data", "general:more=texts"],
        &[
            "--data",
            "code:src=texts/a.txt",
            "--data",
            "japanese:one.md",
            "--data",
            "synthetic",
            "--mix",
            "japanese",
        ],
        &[
            "--data",
            "code:src=texts/a.txt",
            "--data",
            "hub:HuggingFaceFW/fineweb-edu:sample-10BT",
            "--mix",
            "src=1",
        ],
    ];
    let (mut made, mut refused) = (0, 0);
    for found in machines() {
        let devices: &[&str] = if found.has_gpus() { &["auto", "cpu"] } else { &["auto"] };
        let desk = Desk::new(found);
        desk.write("texts/a.txt", "a text\n");
        desk.write("texts/b.txt", "another text\n");
        desk.write("one.md", "one text\n");
        desk.write("chats.jsonl", "{\"prompt\": \"a\", \"response\": \"b\"}\n");
        desk.write("pipelines/other.yaml", "");
        for goal in ["try", "real", "benchmark"] {
            for languages in ["ja", "en", "ja,en", "zh", "ko,en"] {
                for form in [&["--form", "chat"][..], &["--form", "base"]] {
                    for (text, device) in
                        texts.iter().flat_map(|text| devices.iter().map(move |device| (text, device)))
                    {
                        let answers =
                            ["page", "--print", "--goal", goal, "--languages", languages, "--device", device];
                        let words = [&answers[..], form, *text].concat();
                        match desk.init(&words).code {
                            Ok(_) => made += 1,
                            // It says which flag is missing; what is wrong with a page would have a place.
                            Err(error) => {
                                assert!(
                                    error.hints.iter().any(|hint| hint.contains("--")),
                                    "{words:?}: {error:?}"
                                );
                                refused += 1;
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(made > 2 * refused, "{made} pages, {refused} refused");
}

#[test]
fn a_page_to_try_is_read_in_one_go() {
    let desk = Desk::small();
    insta::assert_snapshot!(desk.init(&["first", "--print"]).printed);
}

#[test]
fn a_page_for_real_says_what_it_takes_and_whose_it_is() {
    let [_, found, _] = machines();
    let desk = Desk::new(found);
    desk.write("src/a.py", "print(1)\n");
    std::fs::File::create(desk.path("src/b.py")).and_then(|file| file.set_len(9 << 30)).unwrap();
    desk.write("docs/schema/pipeline.schema.json", "{}");
    let words =
        ["both", "--print", "--goal", "real", "--languages", "ja,en", "--mix", "japanese", "--time", "3d"];
    let texts = ["--data", "hub:wikimedia/wikipedia:20231101.ja", "--data", "code:src=src/*.py"];
    let more = [
        "--data",
        "hub:HuggingFaceFW/fineweb-edu:sample-10BT",
        "--chats",
        "hub:kunishou/databricks-dolly-15k-ja",
    ];
    insta::assert_snapshot!(desk.init(&[&words[..], &texts[..], &more[..]].concat()).printed);
}

#[test]
fn a_benchmark_asks_questions_and_a_smoke_run_needs_no_network() {
    let [_, found, _] = machines();
    let printed = Desk::new(found).init(&["--goal", "benchmark", "--print"]).printed;
    assert!(printed.contains("eval_data: [packed, hellaswag, arc_easy]"), "{printed}");
    assert!(printed.contains("    eval_data: [packed]\n"), "{printed}");
    assert!(printed.contains("muse run pipelines/benchmark.yaml eval model --preset smoke"), "{printed}");
}
