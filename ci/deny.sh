#!/usr/bin/env bash
# Licences and sources of all dependencies (ci/deny.toml), by cargo-deny: it is installed if it is not there, which takes
# some minutes. Known faults and withdrawn versions are looked up where their database can be reached, else that is said.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! cargo deny --version > /dev/null 2>&1; then
  echo 'cargo-deny is not there: it is installed'
  if ! CARGO_TARGET_DIR= cargo install --quiet --locked cargo-deny; then
    echo 'skipped: cargo-deny cannot be installed'
    exit 0
  fi
fi
check() { cargo deny --locked --all-features --config ci/deny.toml check --hide-inclusion-graph "$@"; }
check licenses bans sources
if timeout 60 git ls-remote -q https://github.com/RustSec/advisory-db HEAD > /dev/null 2>&1; then
  check advisories
else
  echo 'known faults and withdrawn versions were not looked up: their database cannot be reached'
fi
