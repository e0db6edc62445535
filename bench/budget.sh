#!/usr/bin/env bash
# Where the CPU of a relayed message goes: receive, policy, spool, queue, egress, events, io and executor, and the kernel
# under each, in microseconds; with system calls by kind, context switches, syncs and allocations per message.
#
#   bench/budget.sh [--count N] [--connections N] [--shards N] [--size BYTES] [--policy FILE] [--only loadgen|smtp-source]
#
# Root and perf. BIN=DIR takes ringmta and loadgen of that folder.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${BIN:-target/dist}
[ -x "$bin/ringmta" ] && [ -x "$bin/loadgen" ] || cargo build --profile dist -p ringmta -p loadgen
exec cargo run --profile dist --quiet -p ringmta-bench --bin budget -- --bin "$bin" "$@"
