#!/usr/bin/env bash
# Where the CPU of a relayed message goes: receive, policy, spool, queue, egress, events, io and executor, and the kernel
# under each, in microseconds; with system calls by kind, context switches, syncs and allocations per message.
#
#   bench/budget.sh [--count N] [--connections N] [--shards N] [--size BYTES] [--policy FILE] [--only loadgen|smtp-source]
#
# Builds the engine with frame pointers in a folder of its own (target/frames), so that perf can follow its stacks. With
# BIN=DIR it takes ringmta and loadgen of that folder as they are, and copies stacks instead, which disturbs more. Root.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
if [ -n "${BIN:-}" ]; then
  cargo build --release -p ringmta-bench --bin budget
  exec "$target/release/budget" --bin "$BIN" --stacks dwarf,16384 "$@"
fi
CARGO_TARGET_DIR=$target/frames RUSTFLAGS="-C force-frame-pointers=yes" CFLAGS="-fno-omit-frame-pointer" \
  cargo build --release -p ringmta -p loadgen -p ringmta-bench --bin ringmta --bin loadgen --bin budget
exec "$target/frames/release/budget" --bin "$target/frames/release" "$@"
