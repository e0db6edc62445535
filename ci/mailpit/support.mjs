// Makes engine/sandbox/data/caniemail.json.gz, the data of the inbox's HTML check, out of the npm package `caniemail`:
//   npm install --prefix DIR caniemail@2.0.2 && node ci/mailpit/support.mjs DIR
import { readFileSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
const from = `${process.argv[2]}/node_modules/caniemail/data/caniemail.json`;
const to = new URL('../../engine/sandbox/data/caniemail.json.gz', import.meta.url);
const { data, nicenames, last_update_date } = JSON.parse(readFileSync(from, 'utf8'));
const features = data
  .filter(one => ['css', 'html', 'image'].includes(one.category))
  .map(({ slug, title, description, url, category, tags, keywords, stats, notes_by_num }) =>
    ({ slug, title, description, url, category, tags, keywords, stats, notes_by_num: notes_by_num ?? {} }));
const { family, platform } = nicenames;
writeFileSync(to, gzipSync(JSON.stringify({ last_update_date, family, platform, features }), { level: 9 }));
console.log(`${features.length} features, of ${last_update_date}`);
