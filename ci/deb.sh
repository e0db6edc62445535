#!/usr/bin/env bash
# Makes the Debian package, and one with its debug symbols, of a program that is built already.
#
#   ci/deb.sh PROGRAM FOLDER [VERSION]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ $# -ge 2 ] || { sed -n '2,/^[^#]/{/^#/p}' "$0"; exit 2; }
program=$1 out=$2
version=${3:-$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)}
arch=$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The same sources give the same bytes.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
umask 022
put() { install -D -m "$1" "$2" "$work/ringmta/$3"; }

put 755 "$program" usr/bin/ringmta
strip "$work/ringmta/usr/bin/ringmta"
id=$(readelf -n "$program" | sed -n 's/.*Build ID: //p' | head -1)
# Where debuggers look for the symbols of a program with this build id.
debug=$work/debug/usr/lib/debug/.build-id/${id:0:2}/${id:2}.debug
[ -n "$id" ] || debug=$work/debug/usr/lib/debug/usr/bin/ringmta.debug
mkdir -p "$(dirname "$debug")"
objcopy --only-keep-debug --compress-debug-sections "$program" "$debug"

put 644 local/ringmta.service usr/lib/systemd/system/ringmta.service
put 644 local/ringmta.socket usr/lib/systemd/system/ringmta.socket
put 644 local/ringmta.sysusers usr/lib/sysusers.d/ringmta.conf
put 644 local/ringmta.tmpfiles usr/lib/tmpfiles.d/ringmta.conf
put 644 local/sysctl.conf usr/lib/sysctl.d/90-ringmta.conf
put 600 local/debian/environment etc/ringmta/environment
while read -r file; do
  put 644 "policy/example/$file" "etc/ringmta/policy/$file"
done < <(cd policy/example && find . -type f | sort)
put 644 README.md usr/share/doc/ringmta/README.md
put 644 LICENSE usr/share/doc/ringmta/copyright
for file in policy/types/*.lua; do
  put 644 "$file" "usr/share/ringmta/types/${file##*/}"
done
# The helpers carry their own annotations.
for file in policy/lua/policy-extras/*.lua; do
  put 644 "$file" "usr/share/ringmta/types/policy-extras/${file##*/}"
done
complete() { mkdir -p "$(dirname "$work/ringmta/$2")"; "$program" print completions "$1" > "$work/ringmta/$2"; }
complete bash usr/share/bash-completion/completions/ringmta
complete zsh usr/share/zsh/vendor-completions/_ringmta
complete fish usr/share/fish/vendor_completions.d/ringmta.fish
"$program" print man "$work/ringmta/usr/share/man/man1"
gzip -9n "$work"/ringmta/usr/share/man/man1/*.1

glibc=$(objdump -T "$program" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -1 | cut -d_ -f2)
install -d "$work/ringmta/DEBIAN" "$work/debug/DEBIAN"
sed "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@GLIBC@/$glibc/" local/debian/control.in > "$work/ringmta/DEBIAN/control"
# The client of Kafka, where it is built in, has TLS of the system.
if readelf -d "$program" | grep -q 'libssl.so.3'; then
  sed -i 's/^Depends: /Depends: libssl3, /' "$work/ringmta/DEBIAN/control"
fi
install -m 755 local/debian/postinst local/debian/prerm local/debian/postrm "$work/ringmta/DEBIAN/"
(cd "$work/ringmta" && find etc -type f | sort | sed 's,^,/,') > "$work/ringmta/DEBIAN/conffiles"
cat > "$work/debug/DEBIAN/control" << CONTROL
Package: ringmta-dbgsym
Version: $version
Architecture: $arch
Section: debug
Priority: optional
Maintainer: The ringmta authors <ringmta@localhost>
Depends: ringmta (= $version)
Description: debug symbols of ringmta
CONTROL
mkdir -p "$out"
dpkg-deb --root-owner-group -Zxz -z1 -b "$work/ringmta" "$out/ringmta_${version}_$arch.deb" > /dev/null
dpkg-deb --root-owner-group -Zxz -z0 -b "$work/debug" "$out/ringmta-dbgsym_${version}_$arch.deb" > /dev/null
ls -sh "$out"/ringmta*_"${version}_$arch.deb"
