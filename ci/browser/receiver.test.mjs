// The page of the webhook receiver: what happened to a message.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { engine, page, see, text, until, elsewhere } from './harness.mjs';

const SECRET = 'whsec_' + Buffer.from('a secret of the tests').toString('base64'), KEY = 'the key of the tests';
const e = await engine({ RINGMTA_WEBHOOK_SECRET: SECRET, X_KUMOMTA_KEY: KEY }), trap = await elsewhere();
const sign = (id, at, body) => 'v1,' + createHmac('sha256', 'a secret of the tests').update(`${id}.${at}.${body}`).digest('base64');
async function post(records, { id, at = Math.floor(Date.now() / 1000), signature, key = KEY } = {}) {
  const body = JSON.stringify(records), headers = { 'content-type': 'application/json', ...(key ? { 'x-kumomta-key': key } : {}) };
  if (id) Object.assign(headers, { 'webhook-id': id, 'webhook-timestamp': String(at), 'webhook-signature': signature || sign(id, at, body) });
  return (await fetch(e.receiver + '/hook', { method: 'POST', body, headers })).status;
}
const record = (type, id, more = {}) => ({ type, id, sender: 'news@example.com', recipient: 'no-such-user@example.org', queue: 'example.org', size: 2048, timestamp: 1783000000,
  event_time: '2026-07-02T13:46:40.000Z', headers: { Subject: 'The news of July', 'Message-ID': `<${id}@example.com>` }, num_attempts: 0, ...more });
const groups = p => p.$$eval('.summary', all => all.map(s => [s.querySelector('.badge').textContent, s.querySelector('.subject').textContent, s.querySelector('.way').textContent]));

test('a message sent through the engine: its events under one head', async () => {
  const p = await page(e.receiver + '/');
  assert.match(await text(p, '#empty'), /No events yet/);
  await fetch(e.http + '/api/inject/v1', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ envelope_sender: 'hello@example.com', recipients: [{ email: 'you@example.net' }], content: { from: { email: 'hello@example.com' }, subject: 'It works', text_body: 'x' } }) });
  await see(p, () => document.querySelector('.summary .badge')?.textContent === 'Delivery');
  assert.deepEqual(await groups(p), [['Delivery', 'It works', 'hello@example.com → you@example.net · queue example.net']]);
  await p.click('.summary');
  assert.deepEqual(await p.$$eval('.event-line', all => all.map(one => one.querySelector('.badge').textContent)), ['Reception', 'Delivery']);
  assert.match(await p.$eval('.event-line:last-child .said', s => s.textContent), /^250 2\.0\.0 OK queued as \w+/);
  assert.deepEqual(p.errors, []); await p.close();
});

test('records in the order of their time, whole, searched, filtered, with signatures', async () => {
  const later = { event_time: '2026-07-02T13:47:40.000Z', num_attempts: 2, response: { code: 550, content: 'No such user <b>here</b>', enhanced_code: { class: 5, subject: 1, detail: 1 } } };
  const greylisted = record('TransientFailure', 'm1', { event_time: '2026-07-02T13:46:50.000Z', num_attempts: 1, response: { code: 451, content: 'Come back later', enhanced_code: null } });
  assert.equal(await post([record('Bounce', 'm1', later), greylisted], { id: 'batch-1' }), 200);
  assert.equal(await post(record('Reception', 'm1', { reception_protocol: 'ESMTP' })), 200);
  assert.equal(await post(record('Delivery', 'm2', { headers: { subject: 'Other mail' } }), { id: 'batch-2', signature: 'v1,AAAA' }), 200);
  assert.equal(await post(record('Delivery', 'm3', { headers: {} }), { id: 'batch-3', at: 1000 }), 200);
  assert.equal(await post(record('Delivery', 'm4'), { key: 'wrong' }), 401);
  const p = await page(e.receiver + '/');
  await see(p, () => document.querySelectorAll('.summary').length === 4);
  const trust = await text(p, '#trust'); // the engine signs its own two
  for (const words of ['signature valid 4', 'signature wrong 1', 'signature too old 1', '1 POST refused', 'key matches']) assert.ok(trust.includes(words), words + ' in ' + trust);
  await p.type('#q', 'NEWS of july no-such'); await see(p, () => document.querySelectorAll('.summary').length === 1);
  assert.deepEqual(await groups(p), [['Bounce', 'The news of July', 'news@example.com → no-such-user@example.org · queue example.org']]);
  await p.click('.summary');
  // Another day than today's is told.
  assert.match(await p.$eval('.event-line .when', one => one.textContent), /Jul/);
  assert.deepEqual(await p.$$eval('.event-line', all => all.map(one => [one.querySelector('.badge').textContent, one.querySelector('.when').textContent.replace(/^.*\d\d:\d\d:\d\d/, ''), one.querySelector('.said').textContent])),
    [['Reception', '', 'taken by ESMTP'], ['TransientFailure', ' +10 s', '451 Come back later'], ['Bounce', ' +60 s', '550 5.1.1 No such user <b>here</b>']]);
  assert.deepEqual(await p.$$eval('.event-line .facts .badge', all => all.map(b => b.textContent)), ['not signed', 'signature valid', 'signature valid']);
  await p.click('.event-line:last-child [aria-label], .event-line:last-child .acts .btn');
  await p.evaluate(() => { if (!document.querySelector('.event-line pre')) document.querySelector('.event-line:last-child [data-key^=raw]').click(); });
  assert.deepEqual(JSON.parse(await text(p, '.event-line:last-child pre')), record('Bounce', 'm1', later));
  await p.reload(); await see(p, () => document.querySelectorAll('.summary').length === 1);
  assert.equal(await p.$eval('#q', q => q.value), 'NEWS of july no-such', 'the search is in the address');
  await p.goto(e.receiver + '/?type=Bounce'); await see(p, () => document.querySelectorAll('.summary').length === 1);
  assert.equal(await text(p, '#kinds [aria-pressed=true]'), 'Bounce 1');
  await p.goto(e.receiver + '/?q=nothing-of-that-kind'); await see(p, () => document.querySelector('#empty').textContent.includes('Nothing matches.'));
  assert.deepEqual(p.errors, []); await p.close();
});

test('ids are copied', async () => {
  const p = await page(e.receiver + '/', { allow: ['clipboard-read', 'clipboard-sanitized-write'] });
  await p.goto(e.receiver + '/?q=m1'); await p.waitForSelector('.summary'); await p.click('.summary'); await p.waitForSelector('.copyable');
  await p.bringToFront(); await p.click('.copyable');
  await see(p, () => document.querySelector('#toast').textContent === 'Copied');
  assert.equal(await p.evaluate(() => navigator.clipboard.readText()), 'm1');
  await p.close();
});

test('a stored event is told again, as it came, signed anew', async () => {
  const p = await page(e.receiver + '/?q=m1');
  await p.waitForSelector('.summary'); await p.click('.summary');
  const again = async (line, to) => {
    await p.evaluate(line => document.querySelectorAll('.event-line')[line].querySelector('[title="Send this event again"]').click(), line);
    await p.waitForSelector('#to'); await p.$eval('#to', (i, to) => { i.value = to; }, to); await p.click('dialog .btn.main');
    await see(p, () => document.querySelector('dialog .note[role=status] .badge'));
    const said = await text(p, 'dialog .note[role=status]'); await p.keyboard.press('Escape'); await see(p, () => !document.querySelector('dialog')); return said;
  };
  assert.equal(await again(2, trap.base + '/mine?x=1'), '200 OK was the answer.');
  const got = await until(() => trap.asked.find(one => one.path === '/mine?x=1'));
  assert.equal(got.method, 'POST'); assert.equal(got.headers['x-kumomta-key'], KEY); assert.equal(got.headers['webhook-id'], 'batch-1');
  assert.equal(got.headers['webhook-signature'], sign('batch-1', got.headers['webhook-timestamp'], got.body));
  assert.equal(JSON.parse(got.body).length, 1); assert.equal(JSON.parse(got.body)[0].type, 'Bounce');
  await again(0, trap.base + '/single');
  assert.equal(JSON.parse((await until(() => trap.asked.find(one => one.path === '/single'))).body).type, 'Reception', 'an object stays one');
  assert.match(await again(0, 'http://example.com/'), /names are not looked up here/);
  assert.match(await again(0, 'http://127.0.0.1:1/'), /was not reached/);
  const other = await fetch(e.receiver + '/replay', { method: 'PUT', headers: { origin: 'http://evil.test', 'content-type': 'text/plain' }, body: JSON.stringify({ seq: 1, to: trap.base + '/evil' }) });
  assert.equal(other.status, 403); assert.ok(!trap.asked.some(one => one.path === '/evil'));
  assert.deepEqual(p.errors, []); await p.close();
});

test('the width of a phone', async () => {
  const p = await page(e.receiver + '/', { width: 390 });
  await p.waitForSelector('.summary'); await p.evaluate(() => document.querySelectorAll('.summary').forEach(s => s.click()));
  await p.evaluate(() => [...document.querySelectorAll('.summary')].map(s => s.dataset.key).forEach(key => { const s = document.querySelector(`[data-key="${key}"]`); if (s.getAttribute('aria-expanded') !== 'true') s.click(); }));
  await p.waitForSelector('.event-line');
  assert.equal(await p.evaluate(() => document.documentElement.scrollWidth), 390);
  await p.close();
});

test('all that is kept is searched, the oldest too', async () => {
  assert.equal(await post(record('Delivery', 'ancient', { recipient: 'needle@example.org' })), 200);
  const since = (await (await fetch(e.receiver + '/count')).json()).total;
  for (let at = 0; at < 1800; at += 300) assert.equal(await post(Array.from({ length: 300 }, (_, i) => record('Delivery', `many-${at + i}`))), 200);
  const p = await page(e.receiver + '/');
  await see(p, () => document.querySelectorAll('.summary').length === 200);
  await p.type('#q', 'needle'); await see(p, () => document.querySelectorAll('.summary').length === 1);
  assert.deepEqual((await groups(p)).map(one => one[2]), ['news@example.com → needle@example.org · queue example.org']);
  // One more than are kept, and it says how many are gone.
  assert.equal(await post(Array.from({ length: 300 }, (_, i) => record('Delivery', `more-${i}`))), 200);
  await see(p, () => document.querySelector('#empty').textContent.includes('Nothing matches.') && !document.querySelector('#empty').hidden);
  assert.match(await text(p, '#gone'), new RegExp(`${since + 2100 - 2000} older events gave way to newer ones`));
  assert.deepEqual(p.errors, []); await p.close();
});
