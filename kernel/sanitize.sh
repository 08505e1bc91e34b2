#!/usr/bin/env bash
# Runs the kernel's smoke test under AddressSanitizer + UndefinedBehaviorSanitizer and under ThreadSanitizer; with
# `fuzz SECONDS` runs libFuzzer on the loaders of graphs and id tables instead (needs clang++).
set -euo pipefail
cd "$(dirname "$0")/.."
builds="${NEARROW_BUILD:-build}/sanitize"

build() { # name sanitizers extra…
    local name=$1 sanitizers=$2
    shift 2
    cmake -S . -B "$builds/$name" -DNEARROW_KERNEL_TESTS=ON -DNEARROW_ID_TABLE=OFF -DNEARROW_SANITIZE="$sanitizers" \
        -DCMAKE_BUILD_TYPE=Release "$@" >"$builds/$name.log" 2>&1 || { cat "$builds/$name.log"; exit 1; }
    cmake --build "$builds/$name" --parallel 2 >>"$builds/$name.log" 2>&1 || { cat "$builds/$name.log"; exit 1; }
}

mkdir -p "$builds"
if [[ ${1:-} == fuzz ]]; then
    compiler=$(command -v clang++ || command -v clang++-14 || true)
    [[ -n $compiler ]] || { echo "libFuzzer needs clang++; install it and run this again" >&2; exit 1; }
    build fuzz address,undefined,fuzzer-no-link -DCMAKE_CXX_COMPILER="$compiler" -DNEARROW_FUZZ=ON
    for target in fuzz_graph fuzz_id_table; do # half of the time each
        "$builds/fuzz/$target" -max_len=256 -max_total_time="$((${2:-60} / 2 + 1))" -print_final_stats=1
    done
    exit 0
fi
build address address,undefined
UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 "$builds/address/smoke"
build thread thread
"$builds/thread/smoke" races
