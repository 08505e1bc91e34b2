#!/usr/bin/env bash
# Do the NEON loops give the same bits as this machine's? Builds the kernel's smoke test for 64-bit ARM, runs it under
# qemu and compares what it prints for each set of instructions. Needs Debian's g++-aarch64-linux-gnu and qemu-user.
set -euo pipefail
cd "$(dirname "$0")/.."
builds="${NEARROW_BUILD:-build}/emulate"
compiler=aarch64-linux-gnu-g++

for tool in "$compiler" qemu-aarch64; do
    command -v "$tool" >/dev/null || { echo "skipped: $tool is missing (g++-aarch64-linux-gnu and qemu-user have it)"; exit 0; }
done

build() { # name extra…
    local name=$1
    shift
    mkdir -p "$builds"
    { cmake -S . -B "$builds/$name" -DNEARROW_KERNEL_TESTS=ON -DNEARROW_ID_TABLE=OFF -DCMAKE_BUILD_TYPE=Release "$@" &&
        cmake --build "$builds/$name" --parallel 2; } >"$builds/$name.log" 2>&1 || { cat "$builds/$name.log"; exit 1; }
}

digest() { # output of the smoke test: every set of instructions must show one and the same
    grep -oE '^[a-z0-9_]+: [0-9a-f]{16}$' <<<"$1" | cut -d' ' -f2 | sort -u
}

build here
build arm -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER="$compiler"
here=$("$builds/here/smoke")
arm=$(qemu-aarch64 -L /usr/aarch64-linux-gnu "$builds/arm/smoke")
printf 'here:\n%s\nemulated:\n%s\n' "$here" "$arm"
[[ $(digest "$here") == "$(digest "$arm")" ]] || { echo "the two machines do not agree" >&2; exit 1; }
