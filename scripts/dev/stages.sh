# stages.sh - what ./dev test runs.                                          SPDX-License-Identifier: MPL-2.0
# A stage is a function stage_NAME with a title; it leaves its counts in build/reports/results (see summary.py).
# Two lanes run side by side, since compilers leave no core idle and most tests wait more than they compute; what
# measures time runs alone at the end. A stage that cannot run has failed. Sourced by ./dev.

reports="$root/build/reports"
results="$reports/results"
python=/usr/bin/python3
fuzz_seconds=30
fault_tests="not nightly"

declare -A stage_title stage_needs stage_is_build
stage() { # stage NAME TITLE [NEEDED STAGES]
    stage_title[$1]=$2
    stage_needs[$1]=${3:-}
}
build_stage() { # a stage that tests nothing: it counts only when it fails
    stage "$@"
    stage_is_build[$1]=1
}

count() { printf '%s\n' "$1 $3" >>"$results/$2.counts"; }         # count passed|failed STAGE NAME
junit() { printf '%s' "$results/$1.${2:-tests}.xml"; }            # junit STAGE [PART]

# Tests with real processes share a machine with others, and one in thousands meets a stall that it does not expect.
# What failed is run once more, alone; the summary names what needed it, because such a test has a fault of its own.
# More failures than a few are no accident: they stand.
second_tries_max=4
failed_in() { (grep -oE '<(failure|error)[ />]' "$1" || true) | wc -l; } # failed_in REPORT

pytest_stage() { # pytest_stage STAGE PART FOLDER...
    local report again run result=0
    report=$(junit "$1" "$2") again=$(junit "$1" "$2.again")
    run=("$python" -m pytest -q -o "cache_dir=$root/build/pytest/$1-$2" "${@:3}")
    "${run[@]}" --junit-xml "$report" || result=$?
    if ((result != 1 || $(failed_in "$report") > second_tries_max)); then return "$result"; fi
    echo "Once more, what failed:"
    "${run[@]}" --last-failed --junit-xml "$again"
}

# ---- Checks of the sources

stage format "Format (clang-format 14)"
stage_format() {
    local result=0
    c_sources | xargs clang-format --dry-run --Werror || result=$?
    if ((result != 0)); then
        echo "Run ./dev fmt."
        return 1
    fi
    count passed format "every C source is formatted"
}

stage tidy "House rules (scripts/tidy)"
stage_tidy() {
    scripts/tidy --counts "$results/tidy.counts"
}

stage clang-tidy "clang-tidy" "dev-build"
stage_clang-tidy() {
    git ls-files -co --exclude-standard -- '*.c' | grep -vE '^(examples|tests/consumer)/|/fuzz_' >build/clang-tidy.files
    xargs -P "$jobs" -n 4 clang-tidy -p build/dev --quiet <build/clang-tidy.files
    count passed clang-tidy "no finding"
}

# ---- C: one build and one run of all tests per preset

for preset in dev asan tsan; do
    case $preset in
    dev) words="gcc, debug" ;;
    asan) words="address and undefined-behaviour sanitizers" ;;
    tsan) words="thread sanitizer" ;;
    esac
    build_stage "$preset-build" "Build $preset ($words)"
    stage "$preset-test" "C unit and integration tests ($words)" "$preset-build"
    eval "stage_$preset-build() { build_preset $preset; }"
    eval "stage_$preset-test() { run_ctest $preset; }"
done

# The house rules do not depend on a compiler: one preset checks them.
run_ctest() {
    local except='^$'
    if [[ $1 != dev ]]; then except='^unit\.tidy$'; fi
    local report again result=0
    report=$(junit "$1-test")
    ctest --preset "$1" --exclude-regex "$except" --output-junit "$report" || result=$?
    if ((result == 0 || $(failed_in "$report") == 0 || $(failed_in "$report") > second_tries_max)); then
        return "$result"
    fi
    echo "Once more, what failed:"
    # By name: the numbers of --rerun-failed are other tests' when some were excluded.
    again=$(grep -oP '<testcase name="\K[^"]+(?=" [^>]*status="fail")' "$report" | paste -sd'|')
    ctest --preset "$1" --tests-regex "^($again)\$" --parallel 1 --output-junit "$(junit "$1-test" again)"
}

stage unit "C unit tests" "dev-build"
stage_unit() {
    ctest --preset dev -L unit --output-junit "$(junit unit)"
}

build_stage release-build "Build release"
stage_release-build() { build_preset release; }

# A small program built against the installed tree, as a user would.
stage consumer "Install, and build a consumer against it" "release-build"
stage_consumer() {
    local prefix="$root/build/consumer/prefix"
    rm -rf build/consumer
    cmake --install build/release --prefix "$prefix"
    cmake -S tests/consumer -B build/consumer/build -G Ninja -DCMAKE_PREFIX_PATH="$prefix"
    cmake --build build/consumer/build
    ctest --test-dir build/consumer/build --output-on-failure --no-tests=error --output-junit "$(junit consumer)"
}

# ---- Fuzzing

build_stage fuzz-build "Build fuzz targets (clang, libFuzzer)"
stage_fuzz-build() { build_preset fuzz fuzz_targets; }

fuzz_targets() { find build/fuzz/tests/fuzz -maxdepth 1 -type f -executable -name 'fuzz_*' -printf '%f\n' | sort; }

# First everything that was ever kept (inputs and past crashes), then new inputs for a while.
fuzz_one() {
    local target=$1 seconds=$2 found="build/fuzz/found/${1#fuzz_}" log="$logs/$1.log" kept=()
    mkdir -p "$found" "$logs" build/fuzz/crashes
    if [[ -d tests/fuzz/corpus/${1#fuzz_} ]]; then kept=("tests/fuzz/corpus/${1#fuzz_}"); fi
    local flags=(-timeout=10 -rss_limit_mb=2048 -print_final_stats=1 "-artifact_prefix=$root/build/fuzz/crashes/$target-")
    if nice "build/fuzz/tests/fuzz/$target" "${flags[@]}" -runs=0 "$found" "${kept[@]}" >"$log" 2>&1 &&
        nice "build/fuzz/tests/fuzz/$target" "${flags[@]}" "-max_total_time=$seconds" "$found" "${kept[@]}" >>"$log" 2>&1; then
        printf 'ok %s: %s inputs tried\n' "$target" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)"
        count passed fuzz "$target"
    else
        printf 'FAILED %s (log: %s)\n' "$target" "${log#"$root"/}"
        grep -E 'SUMMARY|ERROR|Test unit written|runtime error' "$log" | head -n 20 || true
        count failed fuzz "$target"
        return 1
    fi
}
export_for_fuzz() {
    export -f fuzz_one count
    export root logs results
}

stage fuzz "Fuzzing" "fuzz-build"
stage_fuzz() {
    export_for_fuzz
    local targets
    targets=$(fuzz_targets)
    if [[ -z $targets ]]; then
        echo "there is no fuzz target"
        return 1
    fi
    xargs -P "$jobs" -I {} bash -c "fuzz_one {} $fuzz_seconds" <<<"$targets"
}

# ---- The other languages, and everything together

stage python "Python: client, backend kit, example's API"
stage_python() {
    local result=0
    pytest_stage python client clients/python || result=1
    pytest_stage python example examples/projects/api || result=1
    return "$result"
}

stage typescript "TypeScript client, React hooks and page"
stage_typescript() {
    local result=0
    npm test || result=$?
    if [[ -f $reports/vitest.json ]]; then mv "$reports/vitest.json" "$results/typescript.tests.json"; fi
    return "$result"
}

build_stage page-build "Build the page"
stage_page-build() { build_page; }

stage e2e "End to end: real processes, real Redis, real browser" "release-build page-build"
stage_e2e() {
    pytest_stage e2e tests tests/e2e
}

stage faults "Faults under load: killed, stopped, cut off, flooded" "release-build"
stage_faults() {
    pytest_stage faults tests tests/faults -m "$fault_tests"
}

# The dev and sanitizer presets run 500 and 60 worlds of each; these are more, optimised, and on every core.
simulated_worlds=20000
stage simulation "Simulation: $simulated_worlds random worlds" "release-build"
stage_simulation() {
    local result=0 name
    build_preset release test_simulation test_simulation_cache
    export FRESHWIRE_SEEDS=$simulated_worlds FRESHWIRE_CACHE_SEEDS=$simulated_worlds
    for name in test_simulation test_simulation_cache; do
        if nice "build/release/tests/$name"; then
            count passed simulation "$name: $simulated_worlds worlds"
        else
            count failed simulation "$name: $simulated_worlds worlds"
            result=1
        fi
    done
    return "$result"
}

stage blackbox "Black box: nothing stale on the real stack, whatever goes wrong" "release-build"
stage_blackbox() {
    pytest_stage blackbox tests tests/blackbox -m "$fault_tests"
}

stage run "./dev run: starts, answers, stops" "release-build page-build"
stage_run() {
    pytest_stage run tests tests/dev
}

stage deploy "Deployment files" "release-build"
stage_deploy() {
    pytest_stage deploy tests tests/deploy -m "not image"
}

stage image "Container image: built and run" "release-build"
stage_image() {
    pytest_stage image tests tests/deploy -m image
}

# ---- Running them

# What a task's line says after its time (see terminal.sh).
task_note() {
    if [[ -n ${stage_title[$1]:-} && -z ${stage_is_build[$1]:-} ]]; then
        "$python" scripts/dev/summary.py note "$results" "$1"
    fi
}

# Called when a task has ended, before its line is printed.
task_record() {
    if [[ -n ${stage_title[$1]:-} && (-z ${stage_is_build[$1]:-} || $2 -ne 0) ]]; then
        printf 'exit code %s\n' "$2" | sed 's/^exit code 0$/0/' >"$results/$1.exit"
    fi
}

stage_begin() {
    task_start "$1" "${stage_title[$1]}" "$reports/$1.log" "stage_$1"
}

# May this stage begin? 0 yes, 1 not yet, 2 never: something it needs has failed.
stage_ready() {
    local need
    for need in ${stage_needs[$1]}; do
        if [[ -z ${task_result[$need]:-} ]]; then return 1; fi
        if ((${task_result[$need]} != 0)); then return 2; fi
    done
    return 0
}

stage_give_up() {
    task_result[$1]=1 task_took_ms[$1]=0
    printf 'not run: it needs %s\n' "${stage_needs[$1]}" >"$results/$1.exit"
    say "${red}${bold}NOT RUN${plain}  ${stage_title[$1]}: it needs ${stage_needs[$1]}"
}

# run_lanes LANE...: each lane is a list of stages that run one after the other; the lanes run side by side.
run_lanes() {
    local lanes=("$@") current=() index left=1 next rest verdict
    while ((left)); do
        left=0
        for index in "${!lanes[@]}"; do
            if [[ -n ${current[$index]:-} && -n ${task_result[${current[$index]}]:-} ]]; then current[$index]=''; fi
            while [[ -z ${current[$index]:-} && -n ${lanes[$index]} ]]; do
                read -r next rest <<<"${lanes[$index]}"
                verdict=0
                stage_ready "$next" || verdict=$?
                if ((verdict == 1)); then break; fi
                lanes[$index]=$rest
                if ((verdict == 2)); then
                    stage_give_up "$next"
                else
                    stage_begin "$next"
                    current[$index]=$next
                fi
            done
            if [[ -n ${current[$index]:-} || -n ${lanes[$index]} ]]; then left=1; fi
        done
        if ((${#tasks_running[@]} > 0)); then
            task_wait_any
        elif ((left)); then
            die "Stages wait for each other: ${lanes[*]}"
        fi
    done
}

begin_test() {
    rm -rf "$reports"
    mkdir -p "$results"
    test_began_ms=$(now_ms)
}

finish_test() {
    say ''
    say "Logs and reports: build/reports   all in all: $(duration $(($(now_ms) - test_began_ms)))"
    local result=0
    "$python" scripts/dev/summary.py all "$results" || result=$?
    exit "$result"
}

command_test() {
    local tier=${1:-full}
    test_began_ms=$(now_ms)
    setup_all
    setup_kubectl
    begin_test
    case $tier in
    quick)
        run_lanes "format dev-build unit" "typescript python"
        ;;
    full)
        run_lanes "format dev-build dev-test asan-build asan-test tsan-build tsan-test" \
            "typescript page-build python release-build consumer deploy fuzz-build fuzz"
        run_lanes "e2e faults blackbox run"
        ;;
    nightly)
        fuzz_seconds=600
        fault_tests=""
        setup_packages "Install what images are built with" scripts/apt-packages-image.txt
        run_lanes "format dev-build dev-test asan-build asan-test tsan-build tsan-test clang-tidy" \
            "typescript page-build python release-build consumer deploy image simulation fuzz-build fuzz"
        run_lanes "e2e faults blackbox run"
        ;;
    *) die "./dev test $tier: there is no such tier." "The tiers are quick, full and nightly." ;;
    esac
    finish_test
}

command_fuzz() {
    local only=${1:-} failed=0 target
    if [[ $only =~ ^[0-9]+$ ]]; then set -- '' "$only" && only=''; fi
    fuzz_seconds=${2:-30}
    setup_all
    mkdir -p "$results"
    rm -f "$results"/fuzz.*
    must_run fuzz-build "${stage_title[fuzz-build]}" "$logs/build-fuzz.log" build_preset fuzz fuzz_targets
    for target in $(fuzz_targets); do
        if [[ -n $only && $target != "fuzz_${only#fuzz_}" ]]; then continue; fi
        run_task "$target" "$target for $fuzz_seconds s" "$logs/run-$target.log" fuzz_one "$target" "$fuzz_seconds"
        if ((${task_result[$target]} != 0)); then failed=1; fi
    done
    return "$failed"
}

command_image() {
    setup_packages "Install what images are built with" scripts/apt-packages-image.txt
    task_hint[image]="deploy/README.md says what the build needs"
    must_run image "Build the image freshwire:dev" "$logs/image.log" deploy/build-image "$@"
    tail -n 3 "$logs/image.log"
}
