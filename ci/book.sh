#!/usr/bin/env bash
# Builds the book of docs/ into target/book and looks whether its links lead somewhere. mdbook is
# installed with cargo into target/tools the first time (some minutes; not part of all.sh).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools=${CARGO_TARGET_DIR:-target}/tools
PATH=$tools/bin:$PATH
command -v mdbook > /dev/null || cargo install --quiet --locked --root "$tools" mdbook
said=$(mdbook build docs 2>&1) || { echo "$said"; exit 1; }
# A page that cannot be included is an error for it, but no reason to fail.
if grep -E 'ERROR|WARN' <<< "$said"; then exit 1; fi
# Links within the book lead somewhere, to the place in a page too.
python3 - target/book << 'PYTHON'
import pathlib, re, sys
book = pathlib.Path(sys.argv[1]).resolve()
broken, count, places = [], 0, {}
def has(page, place):
    if page not in places:
        places[page] = set(re.findall(r'\bid="([^"]+)"', page.read_text()))
    return place in places[page]
for page in book.rglob('*.html'):
    # 404.html gives its links from the top.
    if page.name in ('404.html', 'print.html', 'toc.html'):
        continue
    for link, place in re.findall(r'(?:href|src)="([^"#]*)(?:#([^"]*))?"', page.read_text()):
        if re.match(r'[a-z]+:', link) or link.startswith('//'):
            continue
        count += 1
        target = (page.parent / link).resolve() if link else page
        if book not in target.parents or not target.exists() or place and not has(target, place):
            broken.append(f'{page.relative_to(book)}: {link}#{place}' if place else f'{page.relative_to(book)}: {link}')
print(f'{count} links, {len(broken)} broken')
sys.exit('\n'.join(broken) if broken else 0)
PYTHON
