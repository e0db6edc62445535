#!/usr/bin/env bash
# The pages of the inbox and of the webhook receiver in Chromium: what each thing on them does, by value; every view in three
# widths, light and dark, for axe-core; mail that means harm, with a log of all that leaves the browser.
# Installs Chromium and Node with apt where they are missing and it may; puppeteer-core and axe-core come from npm to the build
# folder. The program of CAMPAIGN_BIN (target/debug unless given) is tried.
#
#   ci/browser.sh [--pictures DIR] [NAME ...]      NAME: faults, page, checks, receiver, console, operators, hostile, looks
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
skip() { printf '\n****** SKIPPED: browser tests: %s ******\n' "$*"; exit 0; }

names=()
while [ $# -gt 0 ]; do
  case $1 in
    --pictures) mkdir -p "$2"; BROWSER_PICTURES=$(realpath "$2"); export BROWSER_PICTURES; shift ;;
    -*) sed -n '2,/^[^#]/{/^#/p}' "$0"; exit 2 ;;
    *) names+=("$1") ;;
  esac
  shift
done

install_missing() {
  local missing=()
  command -v chromium > /dev/null || missing+=(chromium)
  # npm of Debian stands against a Node that came from elsewhere; that one brings its own.
  command -v node > /dev/null || missing+=(nodejs npm)
  [ ${#missing[@]} -gt 0 ] || return 0
  if ! command -v apt-get > /dev/null || [ "$(id -u)" != 0 ]; then return 0; fi
  DEBIAN_FRONTEND=noninteractive apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" fonts-noto-core > /dev/null || true
}
install_missing
for program in chromium node npm python3 openssl; do
  command -v "$program" > /dev/null || skip "there is no $program, and it could not be installed here"
done
[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 18 ] || skip "Node $(node --version) is older than 18"

export CAMPAIGN_BIN=${CAMPAIGN_BIN:-${CARGO_TARGET_DIR:-target}/debug}
[ -x "$CAMPAIGN_BIN/ringmta" ] || cargo build --quiet --locked -p ringmta
BROWSER_MODULES=$(realpath "${CARGO_TARGET_DIR:-target}")/browser
export BROWSER_MODULES CHROMIUM=${CHROMIUM:-$(command -v chromium)} PUPPETEER_SKIP_DOWNLOAD=1
mkdir -p "$BROWSER_MODULES"
# Pinned: what a later version finds is a change of its own.
npm install --silent --no-audit --no-fund --prefix "$BROWSER_MODULES" puppeteer-core@24.43.1 axe-core@4.14.1 ||
  skip 'puppeteer-core and axe-core could not be had from npm'

[ ${#names[@]} -gt 0 ] || names=(faults page checks receiver console operators hostile looks)
files=("${names[@]/#/ci/browser/}")
try() { node --test --test-concurrency=1 --test-reporter=spec "${files[@]/%/.test.mjs}"; }
# A browser on a machine that is busy with other things has its moods; what is wrong with the page is wrong twice.
try || { printf '\n****** browser tests: one more time, to tell a mood from a fault ******\n'; try; }
