//! `muse graph` and `muse expand`: a pipeline drawn, and a pipeline spelled out.
use crate::support::TestContext;

const FORK: &str = "name: fork
params: { seeds: [1, 2] }
presets: { one: { seeds: [7] } }
stages:
  data: { uses: command, with: { run: echo > out/x, outputs: [x] } }
  base:
    uses: command
    inputs: { data: data }
    with: { run: 'echo ${matrix.seed} > out/y', outputs: [y] }
    matrix: { seed: '${params.seeds}' }
  all: { uses: command, inputs: { models: base, d: data }, with: { run: cat in/models/* > out/z, outputs: [z] }, timeout: 1h }
";

#[test]
fn a_graph_has_every_stage_and_every_flow() {
    let context = TestContext::pipeline(FORK);
    let graph = |format: &str| context.muse(["graph", "pipelines/p.yaml", "--format", format]).ok().stdout;
    let json: serde_json::Value = serde_json::from_str(&graph("json")).unwrap();
    assert_eq!(json["nodes"].as_array().unwrap().len(), 4);
    assert_eq!(json["edges"].as_array().unwrap().len(), 5);
    let dot = graph("dot");
    assert!(dot.starts_with("digraph") && dot.contains("base[seed=1]"), "{dot}");
    assert!(graph("mermaid").starts_with("flowchart") || graph("mermaid").starts_with("graph"));
    let svg = graph("svg");
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>") && svg.contains("base[seed=2]"));
    assert_eq!(context.muse(["graph", "pipelines/p.yaml"]).ok().stdout, dot);
    let one = context.muse(["graph", "pipelines/p.yaml", "data", "--format", "json"]).ok().json();
    assert_eq!(one["nodes"].as_array().unwrap().len(), 1);
}

#[test]
fn an_expanded_file_is_a_pipeline_with_the_same_keys() {
    let context = TestContext::pipeline(FORK);
    for more in [&[][..], &["--preset", "one"], &["--set", "seeds=[a, 1.50, true]"]] {
        let expanded = context.muse([&["expand", "pipelines/p.yaml"], more].concat()).ok().stdout;
        assert!(!expanded.contains("${"), "{expanded}");
        context.write("pipelines/full.yaml", &expanded);
        context.muse(["validate", "pipelines/full.yaml"]).ok();
        context.muse([&["run", "pipelines/p.yaml", "-q"], more].concat()).ok();
        let words = ["run", "pipelines/full.yaml", "--json"];
        assert!(context.muse(words).ok().ran().is_empty(), "{expanded}");
        // Its first line says which file it comes from.
        let again = context.muse(["expand", "pipelines/full.yaml"]).ok().stdout;
        assert_eq!(again.split_once('\n').unwrap().1, expanded.split_once('\n').unwrap().1);
    }
}
