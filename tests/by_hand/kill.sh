#!/bin/sh
# Kills muse 1,000 times at random moments and looks after each time: whatever stays behind, the next run is right.
#
#   cargo build --release && tests/by_hand/kill.sh [KILLS] [MUSE]        about ten minutes
#
# The tests do the same 200 times (tests/trust/kills.rs). This one also kills two calls that share the store.
set -eu
kills=${1:-1000}
muse=$(realpath "${2:-$(dirname "$0")/../../target/release/muse}")
folder=$(mktemp -d)
trap 'chmod -R u+rwX "$folder"; rm -rf "$folder"' EXIT
mkdir "$folder/pipelines"
cd "$folder"
cat > pipelines/p.yaml <<'YAML'
muse: 1
params: { n: 0 }
stages:
  folder:
    uses: command
    with: { run: 'mkdir -p out/f/sub; for i in 1 2 3; do echo ${params.n} $i > out/f/sub/$i; done', outputs: [f] }
  large:
    uses: command
    with: { run: 'yes ${params.n} | head -c 400000 > out/l', outputs: [l] }
  middle:
    uses: command
    inputs: { f: folder }
    with: { run: 'cat in/f/sub/* > out/m; echo constant > out/c', outputs: [m, c] }
  end:
    uses: command
    inputs: { m: middle.m, c: middle.c, l: large }
    with: { run: '{ cat in/m in/c; wc -c < in/l; tail -c 2 in/l; } > out/e', outputs: [e] }
YAML

fail() {
    trap - EXIT
    echo "after $done kills, n=$n: $1; see $folder" >&2
    exit 1
}

done=0
late=0
while [ "$done" -lt "$kills" ]; do
    set -- $(od -An -N8 -tu2 /dev/urandom)
    n=$(($1 % 7))
    if [ $(($2 % 2)) = 0 ]; then force=folder; else force=large; fi
    for moment in "$3" "$4"; do
        "$muse" run pipelines/p.yaml -q --set n=$n --force $force > killed.txt 2>&1 &
        first=$!
        "$muse" run pipelines/p.yaml -q --set n=$n > killed-too.txt 2>&1 &
        second=$!
        sleep "0.0$(printf %05d $((moment % 65000 + moment % 30000)))"
        kill -9 $first $second 2> /dev/null || true
        for call in $first $second; do
            code=0
            wait $call 2> /dev/null || code=$?
            if [ $code = 137 ]; then done=$((done + 1)); else late=$((late + 1)); fi
        done
    done
    "$muse" run pipelines/p.yaml -q --set n=$n > run.txt 2>&1 || fail "the next run ended with $?: $(cat run.txt)"
    rm -rf got
    "$muse" get pipelines/p.yaml end --set n=$n --to got > get.txt 2>&1 || fail "its result: $(cat get.txt)"
    printf "$n 1\n$n 2\n$n 3\nconstant\n400000\n$n\n" | cmp -s - got/e || fail "a wrong result: $(cat got/e)"
    if [ $((done % 50)) -lt 4 ]; then
        "$muse" verify > verify.txt 2>&1 || fail "verify: $(cat verify.txt)"
    fi
done
"$muse" verify > verify.txt 2>&1 || fail "verify: $(cat verify.txt)"
"$muse" gc > gc.txt 2>&1 || fail "gc: $(cat gc.txt)"
"$muse" verify > verify.txt 2>&1 || fail "verify after gc: $(cat verify.txt)"
echo "$done kills, and $late calls that ended before theirs: every next run was right"
