// Mail that means harm: the page stays alive, and nothing leaves the browser.
import test, { beforeEach } from 'node:test';
import assert from 'node:assert/strict';
import { engine, page, see, count, text, open, tabTo, mailFrame, elsewhere, until } from './harness.mjs';

const e = await engine(), trap = await elsewhere();
beforeEach(() => e.clear());
const TABS = ['HTML', 'Source', 'Text', 'Links', 'Files', 'Checks', 'Headers', 'Raw', 'Details'];
// The page answers: a script runs and the list can be moved in.
const alive = async p => { assert.equal(await p.evaluate(() => 6 * 7), 42); };

test('mail that calls home in every way asks nobody, until it is asked to', async () => {
  await e.mail('calls=' + trap.base);
  const p = await page(e.web + '/');
  const own = url => url.startsWith(e.web) || url.startsWith('data:') || url.startsWith('about:') || url.startsWith('blob:');
  for (const tab of TABS) { await open(p, 'Calls home', tab); if (tab === 'HTML') await mailFrame(p); }
  await tabTo(p, 'Files');
  for (const name of ['picture.svg', 'page.html']) {
    await p.evaluate(name => { document.querySelector('dialog')?.close(); [...document.querySelectorAll('.file-name')].find(b => b.textContent === name).click(); }, name);
    await see(p, () => document.querySelector('.preview img, .preview pre')); await see(p, () => !document.querySelector('.preview img') || document.querySelector('.preview img').complete);
  }
  await p.evaluate(() => document.querySelector('dialog').close());
  await tabTo(p, 'HTML'); await mailFrame(p);
  await p.evaluate(() => { document.querySelector('[title="Save a picture"]').click(); document.querySelector('[title="Print"]').click(); });
  await p.waitForSelector('iframe.printer'); await mailFrame(p, 'iframe.printer');
  await see(p, () => /saved|cannot/.test(document.querySelector('#toast').textContent));
  for (const direct of ['/view/latest.html', '/view/latest.html?frame=1', '/view/latest.html?print=1', '/view/latest/part/2', '/view/latest/part/3', '/view/latest.txt']) {
    const other = await page(e.web + direct);
    await see(other, () => document.readyState === 'complete'); assert.equal(other.url(), e.web + direct);
    assert.deepEqual(other.asked.filter(url => !own(url)), [], direct); assert.ok(other.asked.length > 0);
    await other.close();
  }
  assert.deepEqual(p.asked.filter(url => !own(url)), []); assert.deepEqual(trap.asked.map(one => one.path), []);
  // The trap works: with remote content it is asked, for what is loaded and for nothing that runs.
  await p.click('button.remote');
  await until(() => ['/img', '/css', '/link', '/import'].every(path => trap.asked.some(one => one.path.endsWith(path))));
  const ran = trap.asked.map(one => one.path).filter(path => /script|inline|onload|onerror|parent|refresh|iframe|object|embed|form|ping|prefetch|modulepreload/.test(path));
  assert.deepEqual(ran, []);
  await alive(p); assert.match(p.url(), new RegExp('^' + e.web)); await p.close();
});

test('a message of 100,000 parts', async () => {
  await e.mail('parts');
  const p = await page(e.web + '/');
  for (const tab of TABS.filter(tab => tab !== 'HTML' && tab !== 'Source')) { await open(p, 'Very many parts', tab); await alive(p); }
  await tabTo(p, 'Files');
  assert.equal(await p.$$eval('.file', all => all.length), 200); assert.match(await text(p, '#tabpanel'), /800 more parts are in the raw message/);
  await tabTo(p, 'Raw'); await see(p, () => document.querySelector('#tabpanel')?.textContent.includes('are shown; the whole can be saved'));
  assert.ok(await p.evaluate(() => document.querySelectorAll('*').length) < 20000);
  assert.deepEqual(p.errors, []); await p.close();
});

test('HTML as large as a message may be', async () => {
  await e.mail('huge', 'plain=After it');
  const p = await page(e.web + '/');
  await open(p, 'A very large table', 'HTML');
  assert.match(await text(p, '#tabpanel'), /This HTML has 4[89]\.\d MB/, 'it asks before it shows'); assert.equal(await p.$('.stage iframe'), null);
  for (const tab of TABS.filter(tab => !['HTML', 'Files'].includes(tab))) { await tabTo(p, tab); await alive(p); }
  await tabTo(p, 'Source'); assert.ok((await text(p, 'pre.code')).length <= 200 << 10);
  assert.match(await text(p, '.source .bar-html'), /^4[89]\.\d MB, \d+ lines shown/);
  await tabTo(p, 'Links'); assert.match(await text(p, '#tabpanel'), /Looked for in the first 4\.0 MB/);
  // What is too long for one check leaves the others where they are.
  await tabTo(p, 'Checks'); assert.match(await text(p, '#tabpanel'), /DKIM signatures.*Authentication results.*HTML beyond 5242880 bytes is not checked/s);
  await open(p, 'After it', 'Text'); assert.match(await text(p, 'pre.text'), /reset/);
  assert.deepEqual(p.errors, []); await p.close();
});

test('the oldest give way, and the page says so', async () => {
  const p = await page(e.web + '/');
  for (let i = 0; i < 6; i++) await e.mail(...Array(100).fill('plain=Flood'));
  await see(p, () => /older messages gave way to newer ones/.test(document.querySelector('#below').textContent));
  await see(p, () => document.querySelector('#count').textContent.startsWith('500 messages'));
  await alive(p); assert.deepEqual(p.errors, []); await p.close();
});
