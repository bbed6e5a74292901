#!/bin/sh
# Downloads from the real hub: ten thousand rows of FineWeb with the bytes counted, a cut, and a resume.
#
#   cargo build --release && tests/by_hand/hub.sh [MUSE]        five minutes, some 200 MB; needs a network, no token
#
# Prints what to compare. Nothing is left behind.
set -eu
muse=$(realpath "${1:-$(dirname "$0")/../../target/release/muse}")
folder=$(mktemp -d)
trap 'chmod -R u+rwX "$folder"; rm -rf "$folder"' EXIT
mkdir "$folder/pipelines"
cd "$folder"
cat > pipelines/p.yaml <<'YAML'
muse: 1
stages:
  rows:
    uses: download
    with: { source: hub, repo: HuggingFaceFW/fineweb, config: sample-10BT, limit: 10k }
  whole:
    uses: download
    with: { source: hub, repo: roneneldan/TinyStories, files: ["TinyStoriesV2-GPT4-valid.txt"], documents: paragraph }
  model:
    uses: download
    with: { source: hub, repo: openai-community/gpt2, kind: model, as: files, files: [config.json, model.safetensors] }
YAML

say() { printf '\n== %s\n' "$*"; }
bytes() { grep -h '"name":"bytes_fetched"' "$1" | tail -n 1 | sed 's/.*"value":\([0-9.e+]*\).*/\1/'; }

say "ten thousand rows of FineWeb (the file they stand in has some 2 GB)"
time "$muse" run pipelines/p.yaml rows --json > rows.json
echo "bytes fetched: $(bytes rows.json)        compare: less than 100 MB"
"$muse" get pipelines/p.yaml rows --to rows
grep -m 1 '"documents"' rows/report.json
echo "compare: 10000 documents"
grep '"commit"\|"licence"\|"read_as"' rows/report.json
echo "compare: the commit of https://huggingface.co/datasets/HuggingFaceFW/fineweb, odc-by, text from text"

say "a second run asks nobody"
"$muse" run pipelines/p.yaml rows --offline
echo "compare: nothing to do"

say "a file of 548 MB, killed after 10 seconds, then resumed"
"$muse" run pipelines/p.yaml model --json > cut.json & run=$!
sleep 10
kill -9 $run 2>/dev/null || echo "it was done before the kill: the network is faster than this script thought"
wait $run 2>/dev/null || true
sleep 1
kept=$(find cache -name '*.part' -exec du -k {} + | awk '{ sum += $1 } END { print sum / 1024 }')
echo "kept by the kill: $kept MiB"
time "$muse" run pipelines/p.yaml model --json > resumed.json
echo "bytes fetched by the second run: $(bytes resumed.json)        compare: 548 MB less what was kept, give or take some MB"
"$muse" get pipelines/p.yaml model --to model
sha256sum model/model.safetensors
echo "compare: the SHA256 that https://huggingface.co/openai-community/gpt2/blob/main/model.safetensors shows"

say "plain text by paragraphs"
"$muse" run pipelines/p.yaml whole
"$muse" get pipelines/p.yaml whole --to whole
cat whole/report.json
