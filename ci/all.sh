#!/usr/bin/env bash
# All checks in order, each with its time. On a fresh machine with Rust, a C compiler, Python and apt.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
step() {
  local name=$1 start; shift
  start=$(date +%s)
  printf '\n== %s\n' "$name"
  "$@"
  printf '== %s: %s s\n' "$name" $(($(date +%s) - start))
}
step 'peers' ci/peers.sh
step 'format' cargo fmt --all --check
# A workspace of its own, which no other step builds.
step 'lock file of the fuzz targets' sh -c 'cargo metadata --locked --format-version 1 --manifest-path ci/fuzz/Cargo.toml > /dev/null'
step 'clippy' cargo clippy --workspace --all-targets --locked -- -D warnings
step 'build' cargo test --workspace --locked --no-run
# The tests' engines write through to the disk: gigabytes of fresh binaries would be written in front of them.
step 'settle' sync
# They wait more than they work: with more of them at once than there are cores they take half the time.
step 'tests' env RUST_TEST_THREADS="${RUST_TEST_THREADS:-$(($(nproc) * 2))}" cargo test --workspace --locked
step 'simulation' ci/simulation.sh
step 'wake-ups' ci/wakeups.sh
# With the programs that the tests were run with.
step 'crash campaign' env CAMPAIGN_BIN="${CARGO_TARGET_DIR:-target}/debug" ci/crash_campaign.sh --rounds 5
step 'clients of Mailpit' env MAILPIT_BIN="${CARGO_TARGET_DIR:-target}/debug" ci/mailpit.sh
# With the engine that the tests were run with, as the steps below.
step 'API' env CAMPAIGN_BIN="${CARGO_TARGET_DIR:-target}/debug" ci/api.sh
step 'browser' env CAMPAIGN_BIN="${CARGO_TARGET_DIR:-target}/debug" ci/browser.sh
step 'containers' env CAMPAIGN_BIN="${CARGO_TARGET_DIR:-target}/debug" ci/containers.sh
step 'package' env CAMPAIGN_BIN="${CARGO_TARGET_DIR:-target}/debug" ci/package.sh
