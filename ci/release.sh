#!/usr/bin/env bash
# What a release is made of, into target/release-files: an archive (program, unit, policy, completions, manual pages), the
# Debian packages, an SBOM, the changes since the tag before, checksums. Everything is built twice, in folders of different
# names, and must come out the same byte for byte.
#
#   ci/release.sh [--profile dist|release|dev] [--features full] [--once]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

profile=dist features=() once=''
while [ $# -gt 0 ]; do
  case $1 in
    --profile) profile=$2; shift ;;
    --features) features=(--features "$2"); shift ;;
    --once) once=yes ;;
    *) sed -n '2,/^[^#]/{/^#/p}' "$0"; exit 2 ;;
  esac
  shift
done
[ -z "$(git status --porcelain)" ] || echo 'not all is committed: what is released is the commit alone'
out=$PWD/target/release-files
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
commit=$(git rev-parse --short=12 HEAD)
arch=$(uname -m)
name=ringmta-$version-linux-$arch
work=$(mktemp -d -p /var/tmp)
trap 'rm -rf "$work"' EXIT
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH RINGMTA_COMMIT=$commit LC_ALL=C TZ=UTC

# build FOLDER: the commit, checked out and built there.
build() {
  local tree=$work/$1 folder=$profile home=${CARGO_HOME:-$HOME/.cargo}
  [ "$folder" != dev ] || folder=debug
  mkdir -p "$tree" && git archive "$commit" | tar -x -C "$tree"
  # Neither the place of the sources nor that of the crates is in what is built.
  local flags="--remap-path-prefix=$tree=/ringmta --remap-path-prefix=$home=/cargo"
  (cd "$tree" && RUSTFLAGS=$flags CFLAGS="-ffile-prefix-map=$tree=/ringmta -ffile-prefix-map=$home=/cargo" \
    CARGO_INCREMENTAL=0 cargo build --quiet --locked --profile "$profile" -p ringmta "${features[@]}" --target-dir "$tree/target")
  case $("$tree/target/$folder/ringmta" --version) in
    *simulation*) echo 'failed: the simulated world is in what is shipped'; exit 1 ;;
  esac
  archive "$tree" "$tree/target/$folder/ringmta" "$work/$1.out"
  rm -rf "$tree"
}

# archive TREE PROGRAM FOLDER
archive() {
  local tree=$1 program=$2 folder=$3 root=$3/$name shell
  mkdir -p "$root/bin" "$root/completions" "$root/man"
  install -m 755 "$program" "$root/bin/ringmta"
  strip "$root/bin/ringmta"
  for shell in bash zsh fish; do "$program" print completions "$shell" > "$root/completions/ringmta.$shell"; done
  "$program" print man "$root/man"
  cp -r "$tree/README.md" "$tree/LICENSE" "$tree/COMPAT.md" "$tree/local" "$tree/docs" "$root/"
  mkdir -p "$root/policy" && cp -r "$tree/policy/example" "$tree/policy/types" "$tree/policy/reference" "$root/policy/"
  tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" --mode='u=rwX,go=rX' -C "$folder" -c "$name" \
    | gzip -9n > "$folder/$name.tar.gz"
  rm -rf "$root"
  (cd "$tree" && ci/deb.sh "$program" "$folder" "$version" > /dev/null)
}

build first
if [ -z "$once" ]; then
  build second-under-another-name
  diff <(cd "$work/first.out" && sha256sum -- *) <(cd "$work/second-under-another-name.out" && sha256sum -- *) \
    || { echo 'failed: two builds differ'; exit 1; }
  echo 'two builds, the same bytes'
fi
rm -rf "$out" && mkdir -p "$out"
cp "$work"/first.out/* "$out/"

# Everything that is linked in, with versions, licences and checksums, as CycloneDX has it; of the commit, in a place of its own.
sbom() {
  local tools=$PWD/target/tools tree=$work/sbom
  [ -x "$tools/bin/cargo-cyclonedx" ] || cargo install --quiet --locked --root "$tools" cargo-cyclonedx
  mkdir -p "$tree" && git archive "$commit" | tar -x -C "$tree"
  (cd "$tree" && PATH=$tools/bin:$PATH cargo cyclonedx --quiet --format json --manifest-path engine/Cargo.toml \
    --override-filename sbom --target "$(rustc -vV | sed -n 's/^host: //p')" "${features[@]}")
  sed "s,file://$tree,file:///ringmta,g" "$tree/engine/sbom.json" > "$out/$name.cdx.json"
}
sbom

since=$(git describe --tags --abbrev=0 "$commit^" 2> /dev/null || true)
{ echo "# ringmta $version ($commit)"; echo; git log --no-merges --format='- %s' ${since:+"$since.."}"$commit"; } > "$out/CHANGES.md"
(cd "$out" && sha256sum -- * > SHA256SUMS)
cat "$out/SHA256SUMS"
