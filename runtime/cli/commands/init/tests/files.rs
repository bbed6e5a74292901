//! Without anybody to ask: which files are written, how they are named, and what is refused.
use super::{Desk, there};
use crate::commands::init::hardware::Found;
use crate::exit;

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
    desk.write("team/by/all/pipelines/other.yaml", "");
    desk.write("project/texts/a.txt", "one\n");
    desk.write("project/muse.toml", "");
    std::os::unix::fs::symlink("../team/by/all/pipelines", desk.path("project/pipelines")).unwrap();
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
