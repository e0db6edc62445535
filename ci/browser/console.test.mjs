// The console: what it shows of an engine that has mail, and an order placed and ended by hand.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { AXE, engine, page, see } from './harness.mjs';

const e = await engine(), AXE_TEXT = await readFile(AXE, 'utf8');
const submit = domain => fetch(e.http + '/api/inject/v1', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ envelope_sender: 'a@src.example', recipients: [{ email: `u@${domain}` }], content: { from: { email: 'a@src.example' }, subject: 'x', text_body: 'x' } }) });
const says = (p, words) => see(p, words => document.querySelector('main').textContent.includes(words), words);
const button = (p, words) => p.evaluate(words => [...document.querySelectorAll('main button')].find(b => b.textContent.startsWith(words)).click(), words);
const view = async (p, name) => { await p.evaluate(name => { location.hash = `#/${name}`; }, name); await see(p, () => document.querySelector('main h1')); };
const shut = async p => { assert.deepEqual(p.errors, []); await p.close(); };

test('an order holds mail, the page says why, and the order ends', async () => {
  const p = await page(e.http + '/#/orders');
  await says(p, 'No order is in force');
  await button(p, 'Suspend mail');
  await p.waitForSelector('dialog[open] input[name=domain]');
  await p.type('dialog input[name=domain]', 'held.example');
  await p.type('dialog input[name=reason]', 'a <b>reason</b>');
  await p.keyboard.press('Enter');
  await says(p, 'a <b>reason</b>');
  await submit('held.example');
  await view(p, 'queues'); await says(p, 'held.example'); await says(p, 'suspended');
  await view(p, 'queue/held.example'); await says(p, 'An operator has suspended its scheduled queue'); await says(p, 'a <b>reason</b>');
  const id = await see(p, () => document.querySelector('main a[href^="#/message/"]')?.textContent);
  await view(p, 'queues');
  await p.waitForSelector('#search'); await p.type('#search', id); await p.keyboard.press('Enter');
  await see(p, id => document.querySelector('main h1')?.textContent === id && location.hash === `#/message/${id}`, id);
  await says(p, 'no attempt is charged meanwhile');
  // One message alone: held, let go, and deleted, each with what it says of itself.
  const toast = words => see(p, words => document.querySelector('#toast').textContent.includes(words), words);
  await button(p, 'Hold'); await p.waitForSelector('dialog[open] input[name=reason]');
  await p.type('dialog input[name=reason]', 'just this one'); await p.keyboard.press('Enter');
  await toast('Hold: in force');
  await view(p, 'orders'); await says(p, `message: ${id}`); await says(p, 'just this one');
  await view(p, `message/${id}`); await see(p, id => document.querySelector('main h1').textContent === id, id);
  await button(p, 'Release'); await toast('Release: no order holds it by its name any more');
  await view(p, 'orders'); await says(p, 'held.example');
  assert.ok(!await p.$eval('main', main => main.textContent.includes('just this one')));
  await view(p, `message/${id}`); await see(p, id => document.querySelector('main h1').textContent === id, id);
  await button(p, 'Try now'); await toast('Try now: all that is meant is held by an order');
  await button(p, 'Delete'); await p.waitForSelector('dialog[open] input[name=reason]');
  await p.type('dialog input[name=reason]', 'sent by mistake'); await p.keyboard.press('Enter');
  await toast('Delete: 1 done');
  // Its record is in the log files a moment later: asked for until it is there, as a person would.
  await see(p, words => {
    if (document.querySelector('main').textContent.includes(words)) return true;
    if (Date.now() - (window.askedAt || 0) > 500) { window.askedAt = Date.now(); document.dispatchEvent(new KeyboardEvent('keydown', { key: 'r' })); }
    return false;
  }, 'sent by mistake');
  await view(p, 'orders'); await says(p, 'held.example'); await button(p, 'End'); await says(p, 'No order is in force');
  await shut(p);
});

test('mail is counted, by name and over time', async () => {
  await submit('counted.example');
  const p = await page(e.http + '/#/overview');
  await p.waitForSelector('main select');
  await p.select('main select', 'domain');
  await see(p, () => { const row = [...document.querySelectorAll('tr')].find(row => row.textContent.includes('counted.example')); return row && row.children[1].textContent === '1'; });
  assert.ok(await p.$$eval('.plot svg[role=img]', all => all.length >= 6 && all.every(one => one.getAttribute('aria-label').includes('now:'))));
  await shut(p);
});

test('a policy is loaded anew, and keys lead to the views', async () => {
  const p = await page(e.http + '/');
  await see(p, () => document.querySelector('main h1'));
  await p.keyboard.press('6'); await says(p, 'Reload the policy');
  await button(p, 'Reload'); await see(p, () => document.querySelector('#outcome')?.textContent.includes('every shard goes by it'));
  await p.keyboard.press('?'); await p.waitForSelector('dialog[open] kbd');
  await shut(p);
});

for (const width of [390, 820, 1280]) for (const scheme of ['light', 'dark']) test(`${width} wide, ${scheme}`, async () => {
  const p = await page(e.http + '/', { width });
  await p.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
  for (const name of ['overview', 'queues', 'answers', 'orders', 'hooks', 'engine']) {
    await view(p, name); await see(p, title => document.title.toLowerCase().startsWith(title), name);
    assert.ok(await p.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} is wider than the screen`);
    if (!await p.evaluate(() => 'axe' in window)) await (await p.createCDPSession()).send('Runtime.evaluate', { expression: AXE_TEXT });
    const found = await p.evaluate(() => axe.run(document, { resultTypes: ['violations'] }));
    const bad = found.violations.filter(v => v.impact !== 'minor').map(v => `${v.id}: ${v.nodes.map(n => n.target).join(' | ')}`);
    assert.deepEqual(bad, [], name);
  }
  await shut(p);
});
