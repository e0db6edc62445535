#!/usr/bin/env bash
# The Kafka client against librdkafka's own brokers. It is not in the default build: librdkafka wants make and a C++ compiler.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! command -v make > /dev/null || ! command -v c++ > /dev/null; then
  echo "skipped: librdkafka cannot be built without make and a C++ compiler"
  exit 0
fi
cargo test -p ringmta-policy --locked --features kafka --lib kafka
