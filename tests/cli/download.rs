//! Downloads by the program: pinned once, made once, never half, and not at all without a network.
use crate::support::TestContext;
#[expect(dead_code, reason = "the tests of the stage use more of it")]
#[path = "../../stages/download/tests/support/hub.rs"]
mod hub;
use hub::{Hub, What};

const PAGE: &str = "stages:
  a:
    uses: download
    with: { source: hub, repo: o/r, urls: ['https://nowhere.invalid/x'], limit: 50 }
";

fn lines(count: usize) -> Vec<u8> {
    (0..count).flat_map(|at| format!("{{\"text\": \"line {at}\"}}\n").into_bytes()).collect()
}

fn project(hub: &Hub) -> TestContext {
    let mut context = TestContext::pipeline(PAGE);
    context.set("HF_ENDPOINT", hub.url());
    context
}

#[test]
fn a_branch_is_pinned_once_and_a_result_needs_no_network() {
    let hub = Hub::start();
    hub.put("datasets/o/r", "a.jsonl", lines(80), true);
    let context = project(&hub);
    context
        .muse(["run", "pipelines/p.yaml", "--offline"])
        .ends(2)
        .says("hub:datasets/o/r@main")
        .says("--offline");
    assert!(hub.state().asked.is_empty());
    context.run::<&str>([]).ok();
    let lock = std::fs::read_to_string(context.path("pipelines/p.lock")).unwrap();
    assert!(lock.contains("hub:datasets/o/r@main") && lock.contains(&"c".repeat(40)), "{lock}");
    let asked = hub.state().asked.len();
    // Fields of another source do not count.
    context.edit(&PAGE.replace(", urls: ['https://nowhere.invalid/x']", ""));
    context.muse(["run", "pipelines/p.yaml", "--offline"]).ok();
    assert_eq!(hub.state().asked.len(), asked);
    // What is pinned but not there is not fetched either, and says so.
    context.edit(&PAGE.replace("50", "60"));
    context.muse(["run", "pipelines/p.yaml", "--offline"]).ends(1).says("the network may not be used");
    assert_eq!(hub.state().asked.len(), asked);
    context.run::<&str>([]).ok();
}

#[test]
fn a_download_that_fails_makes_no_result_and_goes_on_where_it_was() {
    let hub = Hub::start();
    let bytes = lines(3000);
    hub.put("datasets/o/r", "a.jsonl", bytes.clone(), true);
    let context = project(&hub);
    context.edit(&PAGE.replace(", limit: 50", ""));
    hub.fault("/cdn/", What::Cut(1000), 1);
    hub.fault("/cdn/", What::Status(404, ""), 1);
    context.muse(["run", "pipelines/p.yaml"]).ends(1).says("answered 404");
    assert_eq!(hub.sent("/cdn/"), 1000);
    context.run::<&str>([]).ok();
    assert_eq!(hub.sent("/cdn/"), bytes.len());
}

#[test]
fn a_token_is_a_secret_that_the_stage_names() {
    let hub = Hub::start();
    hub.put("datasets/o/r", "a.jsonl", lines(3), true);
    hub.state().repos.get_mut("datasets/o/r").unwrap().token = Some("hf_s3cret".into());
    let mut context = project(&hub);
    context.set("HF_TOKEN", "hf_s3cret");
    context
        .muse(["run", "pipelines/p.yaml"])
        .ends(1)
        .says("accept its licence at")
        .says("secrets: [HF_TOKEN]");
    assert!(hub.state().asked.iter().all(|asked| asked.token.is_none()));
    context.edit(&(PAGE.to_owned() + "    secrets: [HF_TOKEN]\n"));
    context.run::<&str>([]).ok();
}

#[test]
fn what_was_fetched_to_be_pinned_is_not_fetched_again() {
    let hub = Hub::start();
    let plain =
        hub::Plain { bytes: b"some text".to_vec(), etag: Some("\"e\"".into()), ranges: true, length: true };
    hub.state().plain.insert("/t.txt".into(), plain);
    let url = format!("{}/t.txt", hub.url());
    let context = TestContext::pipeline(&format!(
        "stages:\n  a: {{ uses: download, with: {{ source: http, urls: ['{url}'], as: files }} }}\n"
    ));
    context.run::<&str>([]).ok();
    // One byte to see how long it is.
    assert_eq!(hub.sent("/t.txt"), "some text".len() + 1);
    context.muse(["get", "pipelines/p.yaml", "a", "--to", "got"]).ok();
    assert_eq!(std::fs::read_to_string(context.path("got/t.txt")).unwrap(), "some text");
}

#[test]
fn inspect_shows_what_a_data_set_holds_before_it_is_downloaded() {
    let hub = Hub::start();
    hub.put("datasets/o/r", "a.jsonl", lines(80), true);
    let context = project(&hub);
    let seen = context.muse(["inspect", "hub:o/r"]).ok();
    seen.prints("a.jsonl").prints("read_as").prints("line 0");
    let json = context.muse(["inspect", "hub:datasets/o/r@main", "--json"]).ok().json();
    assert_eq!((&json["files"], &json["commit"]), (&1.into(), &"c".repeat(40).into()), "{json}");
    context.muse(["inspect", "hub:o/none"]).ends(1).says("o/none");
}
