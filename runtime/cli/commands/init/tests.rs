//! The whole way from words to files, with a script in the place of somebody who types.
use super::*;
use crate::app::{parse_for_tests, printed_with};
use crate::failure::CliError;
use std::collections::VecDeque;
use std::fs;
use std::path::Path;

/// Somebody who says these lines, and then goes.
#[derive(Default)]
struct Script {
    lines: VecDeque<&'static str>,
    /// All that was asked and said.
    heard: String,
}

impl Asks for Script {
    fn ask(&mut self, question: &str) -> CliResult<Option<String>> {
        let line = self.lines.pop_front();
        self.heard += &format!("{question}{}\n", line.unwrap_or("^D"));
        Ok(line.map(str::to_owned))
    }

    fn say(&mut self, text: &str) {
        self.heard += text;
        self.heard += "\n";
    }
}

/// A folder to write in, and a machine.
pub(super) struct Desk {
    folder: tempfile::TempDir,
    pub(super) found: Found,
    /// The folder that muse is called in.
    called: &'static str,
}

/// What came of a call.
pub(super) struct Came {
    pub(super) code: Result<u8, CliError>,
    pub(super) printed: String,
    heard: String,
}

impl Desk {
    pub(super) fn new(found: Found) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), found, called: "" }
    }

    /// Two cores and 8 GiB.
    pub(super) fn small() -> Self {
        Self::new(Found::of(2, 8 << 30, &[]))
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        fs::canonicalize(self.folder.path()).unwrap().join(path)
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(super) fn init(&self, words: &[&str]) -> Came {
        self.call(words, None)
    }

    fn typed(&self, words: &[&str], lines: &[&'static str]) -> Came {
        self.call(words, Some(Script { lines: lines.iter().copied().collect(), heard: String::new() }))
    }

    fn call(&self, words: &[&str], mut script: Option<Script>) -> Came {
        let args = parse_for_tests(&[&["muse", "init"], words].concat(), |command| match command {
            crate::args::Command::Init(args) => *args,
            other => panic!("{other:?}"),
        });
        let mut came = None;
        let (_, printed) = printed_with(muse_stages::BUILTIN, |app| {
            app.environment.folder = self.path(self.called);
            let asks = script.as_mut().map(|script| script as &mut dyn Asks);
            came = Some(made(app, &args, self.found.clone(), asks));
            Ok(0)
        });
        Came { code: came.unwrap(), printed, heard: script.unwrap_or_default().heard }
    }
}

fn there(folder: &Path) -> Vec<String> {
    let mut open = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() { open.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    let mut names: Vec<String> =
        files.iter().map(|file| file.strip_prefix(folder).unwrap().display().to_string()).collect();
    names.sort();
    names
}

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

#[test]
fn nothing_is_written_over_unless_somebody_says_so() {
    let desk = Desk::small();
    desk.write("pipelines/a.yaml", "mine\n");
    let error = desk.init(&["a"]).code.unwrap_err();
    assert_eq!(
        (error.code, error.to_string().as_str()),
        (2, "`pipelines/a.yaml` is there already, and stays as it is")
    );
    assert!(error.hints[0].contains("--force") && error.hints[0].contains("--to"));
    assert_eq!((desk.read("pipelines/a.yaml").as_str(), there(&desk.path("")).len()), ("mine\n", 1));
    assert_eq!(desk.init(&["a", "--force"]).code.unwrap(), exit::DONE);
    let page = desk.read("pipelines/a.yaml");
    assert!(page.contains("uses: pretrain"));
    // The same page is there already: nothing to do, and nothing wrong.
    assert_eq!(desk.init(&["a"]).code.unwrap(), exit::DONE);
    // Its own model is its own; a shared one is the project's, whatever it says.
    assert_eq!(desk.init(&["b", "--model", "2M"]).code.unwrap(), exit::DONE);
    assert!(desk.read("configs/models/b.yaml").contains("layers"));
    let error = desk.init(&["b", "--model", "3M", "--to", "other/b.yaml"]).code.unwrap_err();
    assert!(error.to_string().contains("configs/models/b.yaml"), "{error}");
    let changed = desk.read("configs/models/tiny_1m.yaml").replace("layers: 4", "layers: 5");
    desk.write("configs/models/tiny_1m.yaml", &changed);
    assert_eq!(desk.init(&["c"]).code.unwrap(), exit::DONE);
    assert!(desk.read("pipelines/c.yaml").contains("model: ../configs/models/c.yaml"));
    assert_eq!(desk.read("configs/models/tiny_1m.yaml"), changed);
    // A page may be called as a model that comes along, and its own model is another.
    for words in [&["tiny_1m"][..], &["30m", "--model", "2M"]] {
        assert_eq!(desk.init(words).code.unwrap(), exit::DONE);
        let own = format!("configs/models/{}_own.yaml", words[0]);
        assert!(desk.read(&format!("pipelines/{}.yaml", words[0])).contains(&format!("model: ../{own}")));
        assert!(desk.path(&own).exists());
    }
}

#[test]
fn a_page_stands_where_it_is_wanted() {
    let desk = Desk::small();
    desk.write("muse.toml", "");
    assert_eq!(desk.init(&["--to", "deep/er/page.yaml"]).code.unwrap(), exit::DONE);
    let page = desk.read("deep/er/page.yaml");
    assert!(page.contains("name: page") && page.contains("../../configs/models/tiny_1m.yaml"), "{page}");
    let printed = desk.init(&["x", "--print"]);
    assert!(printed.code.is_ok(), "{:?}", printed.code);
    assert!(printed.printed.contains("name: x") && !desk.path("pipelines/x.yaml").exists());
    let json: serde_json::Value = serde_json::from_str(&desk.init(&["x", "--json"]).printed).unwrap();
    assert_eq!(
        (&json["page"], &json["written"][0]),
        (&"pipelines/x.yaml".into(), &"pipelines/x.yaml".into())
    );
    assert_eq!((&json["parameters"], &json["memory"]["fits"]), (&1_279_616.into(), &true.into()));
    // Text beside the page is there where the page is.
    desk.write("pipelines/a.txt", "text\n");
    assert!(desk.init(&["x", "--print", "--data", "pipelines"]).printed.contains("paths: [\".\"]"));
}

#[test]
fn files_are_named_as_they_are_where_muse_was_called() {
    let mut desk = Desk::small();
    desk.write("muse.toml", "");
    desk.write("texts/a.txt", "one\n");
    desk.called = "texts";
    let said = desk.init(&["first", "--json", "--data", "a.txt"]).printed;
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let written: Vec<&str> =
        said["written"].as_array().unwrap().iter().filter_map(|path| path.as_str()).collect();
    let files =
        ["../pipelines/first.yaml", "../configs/models/tiny_1m.yaml", "../configs/tasks/held_out.yaml"];
    assert_eq!((&said["page"], written), (&files[0].into(), files.to_vec()));
    desk.write("configs/models/other.yaml", "mine\n");
    let error = desk.init(&["other", "--model", "2M"]).code.unwrap_err();
    assert!(error.to_string().starts_with("`../configs/models/other.yaml` is there already"), "{error}");
}

#[test]
fn behind_a_link_a_page_names_files_from_where_it_is() {
    let mut desk = Desk::small();
    desk.write("shared/by/all/pipelines/other.yaml", "");
    desk.write("project/texts/a.txt", "one\n");
    desk.write("project/muse.toml", "");
    std::os::unix::fs::symlink("../shared/by/all/pipelines", desk.path("project/pipelines")).unwrap();
    desk.called = "project";
    assert_eq!(desk.init(&["first", "--data", "texts/*.txt"]).code.unwrap(), exit::DONE);
    let page = desk.read("project/pipelines/first.yaml");
    for file in ["configs/models/tiny_1m.yaml", "configs/tasks/held_out.yaml", "texts/*.txt"] {
        let named = format!("../../../../project/{file}");
        assert!(page.contains(&named), "{named} is not in\n{page}");
        let there = desk.path("project/pipelines").join(named.replace("/*.txt", ""));
        assert!(there.exists(), "{}", there.display());
    }
}

#[test]
fn names_that_yaml_takes_for_values_are_none() {
    let desk = Desk::small();
    let files = ["2024.txt", "null.md", "1e3", "Yes.txt", "0x1f.txt"];
    let names = ["texts_2024", "texts_null", "texts_1e3", "texts_yes", "texts_0x1f"];
    let data: Vec<String> = files.iter().map(|file| format!("--data={file}")).collect();
    files.iter().for_each(|file| desk.write(file, "text\n"));
    let words: Vec<&str> = data.iter().map(String::as_str).chain(["--print", "null"]).collect();
    let came = desk.init(&words);
    assert_eq!(came.code.unwrap(), exit::DONE);
    for name in names {
        assert!(came.printed.contains(&format!("  {name}:\n    uses: download")), "{name}\n{}", came.printed);
    }
    assert!(came.printed.contains("\nname: \"null\"\n"), "{}", came.printed);
}

#[test]
fn what_cannot_be_says_what_to_do() {
    let desk = Desk::small();
    desk.write("data/a.txt", "text\n");
    let wrong = |words: &[&str]| {
        let error = desk.init(words).code.unwrap_err();
        assert_eq!(error.code, exit::USAGE, "{words:?}");
        format!("{error} {}", error.hints.join(" "))
    };
    assert!(wrong(&["--goal", "real"]).contains("--data"));
    assert!(wrong(&["--data", "no/*.txt"]).contains("no"));
    assert!(wrong(&["--data", "/etc/hostname"]).contains("ln -s"));
    assert!(wrong(&["--data", "a=data/a.txt", "--data", "a=data"]).contains("two texts are called `a`"));
    assert!(wrong(&["--data", "data/a.txt", "--mix", "b=1"]).contains("there is no text `b`: a"));
    assert!(wrong(&["--device", "cuda"]).contains("--gpu"));
    assert!(wrong(&["--gpu", "H100"]).contains("--memory"));
    assert!(wrong(&["--form", "base", "--chats", "data/a.txt"]).contains("--form"));
    assert_eq!(there(&desk.path("")), ["data/a.txt"]);
}

#[test]
fn nothing_that_is_typed_is_too_much() {
    let desk = Desk::new(Found::of(2, 8 << 30, &[("NVIDIA H100", 80 << 30)]));
    let extremes = [
        "--context=1048576",
        "--context=1",
        "--vocab=4194304 --model=20B",
        "--vocab=1",
        "--tokens=1000T",
        "--tokens=1",
        "--batch-tokens=1073741824",
        "--batch-tokens=1 --context=4096",
        "--micro-batch=1048576 --context=1048576 --batch-tokens=1G",
        "--memory=1B",
        "--memory=16777215TiB --model=20B",
        "--share=1e-300",
        "--time=1s",
        "--time=30000w",
        "--seed=18446744073709551615",
        "--lr=1e-300",
        "--lr=10",
    ];
    for extreme in extremes {
        for goal in ["--goal=try", "--goal=real --data=synthetic", "--goal=benchmark"] {
            let words: Vec<&str> = extreme.split(' ').chain(goal.split(' ')).chain(["--print"]).collect();
            // What cannot be trained is an error with its place on the page, and never more than that.
            if let Err(error) = desk.init(&words).code {
                assert_eq!(error.code, exit::USAGE, "{words:?}: {error:?}");
            }
        }
    }
}
