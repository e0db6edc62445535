// Every view in three widths, light and dark: nothing serious for axe-core, nothing wider than the screen; pictures to look at
// go to BROWSER_PICTURES where that is set.
import test from 'node:test';
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { AXE, engine, page, see, open, tabTo, mailFrame } from './harness.mjs';

const AXE_TEXT = readFileSync(AXE, 'utf8');
const PICTURES = process.env.BROWSER_PICTURES;
if (PICTURES) mkdirSync(PICTURES, { recursive: true });
const e = await engine({ MP_ENABLE_CHAOS: 'true', MP_SMTP_RELAY_HOST: 'relay.example.org' });
const press = (p, selector, words) => p.evaluate((selector, words) => [...document.querySelectorAll(selector)].find(b => b.textContent === words || b.title === words).click(), selector, words);
const closed = p => p.evaluate(() => { document.querySelectorAll('dialog').forEach(d => d.close()); document.querySelectorAll('dialog').forEach(d => d.remove()); });
const file = name => async p => {
  await tabTo(p, 'Files'); await p.evaluate(name => [...document.querySelectorAll('.file-name')].find(b => b.textContent === name).click(), name);
  await see(p, () => document.querySelector('.preview') && !document.querySelector('.preview > .note'));
};
const tab = name => async p => { await open(p, 'Your order 4711', name); if (name === 'HTML') await mailFrame(p); };
const home = async p => { await closed(p); await p.goto(e.web + '/'); await p.waitForSelector('#list .row'); };
const VIEWS = [
  ['list', home],
  ['folded', async p => { await home(p); await p.click('#fold'); await p.waitForSelector('.copies'); await p.click('.copies'); }],
  ['chosen', async p => { await home(p); await p.click('#fold'); await p.evaluate(() => document.querySelectorAll('.pickbox input').forEach((b, i) => { if (i % 3 === 0) b.click(); })); }],
  ['search', async p => { await p.goto(e.web + '/search?q=subject:news'); await p.waitForSelector('#bulk .btn'); }],
  ['search-wrong', async p => { await p.goto(e.web + '/search?q=is:nonsense'); await see(p, () => !document.querySelector('#searchwhy').hidden && /until the search can be understood/.test(document.querySelector('#below').textContent)); }],
  ...['HTML', 'Source', 'Text', 'Links', 'Files', 'Checks', 'Headers', 'Raw', 'Details'].map(name => [name.toLowerCase(), async p => { if (name === 'HTML') await home(p); await tab(name)(p); }]),
  ['picture', file('photo.png')], ['calendar', async p => { await closed(p); await file('event.ics')(p); }], ['nested', async p => { await closed(p); await file('letter.eml')(p); }], ['csv', async p => { await closed(p); await file('list.csv')(p); }],
  ['arabic', async p => { await home(p); await open(p, 'مرحبا: رسالة بالعربية'); }],
  ['dkim', async p => { await home(p); await open(p, 'Signed letter', 'Checks'); await p.evaluate(() => { document.querySelector('.signature details').open = true; }); }],
  ['compare', async p => { await home(p); await p.evaluate(() => { document.querySelectorAll('.pickbox input')[0].click(); document.querySelectorAll('.pickbox input')[1].click(); }); await press(p, '#bulk .btn', 'Compare'); await p.waitForSelector('dialog .compare'); }],
  ['tag', async p => { await home(p); await open(p, 'Your order 4711'); await press(p, '.head .btn', 'Tag'); await p.waitForSelector('#tagname'); }],
  ['tags', async p => { await home(p); await p.click('#tags'); await p.waitForSelector('.tag-row'); }],
  ['tag-renamed', async p => { await p.evaluate(() => document.querySelector('.tag-row [title^=Rename]').click()); await p.waitForSelector('.tag-form input'); }],
  ['tag-end', async p => { await home(p); await p.click('#tags'); await p.waitForSelector('.tag-row .danger'); await p.click('.tag-row .danger'); await p.waitForSelector('.tag-row .sure'); }],
  ['chaos', async p => { await home(p); await see(p, () => !document.querySelector('#chaos').hidden); await p.click('#chaos'); await p.waitForSelector('dialog .chaos'); }],
  ['release', async p => { await home(p); await open(p, 'Your order 4711'); await press(p, '.head .btn', 'Release: send it on'); await p.waitForSelector('#release'); }],
  ['all-gone', async p => { await home(p); await p.click('#clear'); await p.waitForSelector('#clear.sure'); }],
  ['crowd', async p => { await home(p); await open(p, 'To very many'); }],
  ['help', async p => { await home(p); await p.click('#help'); await p.waitForSelector('dialog .help'); }],
];
const EVENTS = [
  ['events', async p => { await p.goto(e.receiver + '/'); await p.waitForSelector('.summary'); }],
  ['event', async p => { await p.evaluate(() => document.querySelector('.summary').click()); await p.waitForSelector('.event-line'); await p.evaluate(() => document.querySelector('[data-key^=raw]').click()); await p.waitForSelector('.event-line pre'); }],
  ['replay', async p => { await press(p, '.btn', 'Send this event again'); await p.waitForSelector('#to'); }],
];
const faults = [];
const flawless = () => assert.deepEqual(faults.splice(0), []);
async function looked(p, name, mode) {
  if (PICTURES) await p.screenshot({ path: `${PICTURES}/${name}-${mode}.png` });
  if (await p.evaluate(() => document.documentElement.scrollWidth > innerWidth)) faults.push(`${name} ${mode} is wider than the screen`);
  const [cut, small] = await p.evaluate(() => {
    const box = document.querySelector('dialog[open]'), cut = box && [box, ...box.children].filter(one => one.scrollWidth > one.clientWidth).map(one => one.tagName + '.' + one.className);
    // What fingers hit on a phone: a row is one link, and its circle is as large as its label.
    const controls = [...(box || document).querySelectorAll('button, input, select, textarea, summary, a.btn, a.brand')].filter(one => one.checkVisibility({ visibilityProperty: true }) && !one.closest('#list .tags, #list label'));
    return [cut || [], innerWidth > 560 ? [] : controls.filter(one => one.getBoundingClientRect().height < 40).map(one => `${one.tagName}.${one.className} ${one.textContent}`)];
  });
  if (cut.length) faults.push(`${name} ${mode}: cut: ${cut}`);
  if (small.length) faults.push(`${name} ${mode}: lower than a finger: ${small.slice(0, 5).join(' | ')}`);
  if (!await p.evaluate(() => 'axe' in window)) await (await p.createCDPSession()).send('Runtime.evaluate', { expression: AXE_TEXT });
  // The mail's own HTML is the sender's.
  const { violations } = await p.evaluate(() => axe.run(document, { iframes: false, resultTypes: ['violations'] }));
  const serious = violations.filter(v => ['serious', 'critical', 'moderate'].includes(v.impact)).map(v => `${v.id}: ${v.nodes.slice(0, 3).map(n => n.target.join(' ') + ' ' + (n.any[0]?.message || '')).join(' | ')}`);
  faults.push(...serious.map(fault => `${name} ${mode}: ${fault}`));
}

test('the page before the first message', async () => {
  for (const width of [390, 820, 1280]) for (const scheme of ['light', 'dark']) {
    const p = await page(e.web + '/', { width });
    await p.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
    await see(p, () => !document.querySelector('#welcome').hidden && document.querySelector('#cmd1').textContent);
    await looked(p, 'welcome', `${width}-${scheme}`);
    await p.goto(e.receiver + '/'); await looked(p, 'no-events', `${width}-${scheme}`);
    await p.close();
  }
  flawless();
});

for (const width of [390, 820, 1280]) for (const scheme of ['light', 'dark']) test(`${width} wide, ${scheme}`, async () => {
  await e.clear(); await e.mail('charsets', 'names', 'plain', 'dkim', 'rich', 'copies', 'crowd');
  const [newest] = (await e.api('/api/v1/messages?limit=1')).messages;
  await e.api('/api/v1/tags', { method: 'PUT', body: JSON.stringify({ IDs: [newest.ID], Tags: ['orders', 'a tag with a name that is rather long for a phone'] }) });
  const record = (type, at, content, code) => ({ type, id: 'f3a1c0de', sender: 'news@example.com', recipient: 'no-such-user@example.org', queue: 'example.org', size: 2048, event_time: new Date(1783000000000 + at).toISOString(),
    headers: { Subject: 'The news of July, with a subject that is rather long for a phone' }, response: { code, content, enhanced_code: null }, num_attempts: at ? 1 : 0 });
  await fetch(e.receiver + '/', { method: 'POST', headers: { 'x-kumomta-key': process.env.X_KUMOMTA_KEY || 'reloop' }, body: JSON.stringify([record('Reception', 0, '', 250), record('TransientFailure', 900, 'Greylisted', 451), record('Bounce', 65000, 'No such user', 550)]) });
  const p = await page(e.web + '/', { width });
  await p.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
  for (const [name, go] of [...VIEWS, ...EVENTS]) { await go(p); await looked(p, name, `${width}-${scheme}`); }
  assert.deepEqual(p.errors.filter(error => !/status of/.test(error)), []);
  await p.close(); flawless();
});
