#!/usr/bin/env bash
# Sourced: builds the programs of ci/src/bin with mistakes that can be planted, and sets $planted to where they are.
# With the profile dev they are built as a part of the tests is, so that what the tests have built is used again.
build_planted() {
  local target=${CARGO_TARGET_DIR:-target}
  if [ "$1" = dev ]; then
    cargo test --quiet --locked --workspace --features ringmta-ci/planted-bugs --test fuzz_smoke --no-run
    planted=$target/debug
  else
    cargo build --quiet --locked --profile "$1" -p ringmta-ci --features planted-bugs --bins
    planted=$target/$1
  fi
}
