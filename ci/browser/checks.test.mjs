// What the page offers when others are at hand: links tried, a spam score, messages released, refusals told. Each of those others
// has a stand-in here.
import test, { after, beforeEach } from 'node:test';
import assert from 'node:assert/strict';
import { createServer as http } from 'node:http';
import { createServer as tcp, connect } from 'node:net';
import { engine, page, see, text, open, until } from './harness.mjs';

const listen = server => new Promise(ok => server.listen(0, '127.0.0.1', () => { after(() => server.close()); ok(server.address().port); }));
// A site whose pages are there, gone, elsewhere, or cut off.
const tried = [];
const site = 'http://127.0.0.1:' + await listen(http((request, response) => {
  tried.push(`${request.method} ${request.url}`);
  if (request.url === '/cut') return request.socket.destroy();
  response.writeHead({ '/fine': 200, '/gone': 410, '/moved': 302 }[request.url] || 404, request.url === '/moved' ? { location: '/fine' } : {}).end();
}));
// A spamd that says what it is told to say.
const shown = [];
let verdict = '';
const RULES = 'Content analysis details:   (6.2 points, 5.0 required)\n\n pts rule name              description\n---- ---------------------- ---------------------\n' +
  '-0.0 NO_RELAYS              Informational: message was not\n                            relayed\n 6.2 TOO_GOOD               Promises too much\n';
const spamd = await listen(tcp({ allowHalfOpen: true }, socket => {
  let asked = '';
  socket.on('error', () => {}); socket.on('data', data => { asked += data; });
  socket.on('end', () => { shown.push(asked); socket.end(verdict); });
}));
const behind = await engine();
const e = await engine({
  MP_ENABLE_LINK_CHECK: 'true', MP_ALLOW_INTERNAL_HTTP_REQUESTS: 'true', MP_ENABLE_SPAMASSASSIN: `127.0.0.1:${spamd}`,
  MP_SMTP_RELAY_HOST: '127.0.0.1', MP_SMTP_RELAY_PORT: behind.smtp, MP_SMTP_RELAY_ALLOWED_RECIPIENTS: '@example\\.org$',
  MP_SMTP_ALLOWED_RECIPIENTS: '@example\\.(org|com)$',
});
beforeEach(() => Promise.all([e.clear(), behind.clear()]));
const items = (p, selector) => p.$$eval(selector, all => all.map(one => one.textContent));

test('links are tried when that is asked for, and not before', async () => {
  await e.mail('links=' + site);
  const p = await page(e.web + '/');
  await open(p, 'Four links', 'Links');
  assert.deepEqual(tried, []);
  await p.evaluate(() => [...document.querySelectorAll('#tabpanel button')].find(b => b.textContent === 'Try the links').click());
  await see(p, () => document.querySelectorAll('#tabpanel [role=status] li').length === 4);
  const said = Object.fromEntries(await p.$$eval('#tabpanel [role=status] li', all => all.map(li => [new URL(li.querySelector('code').textContent).pathname, li.querySelector('.badge').textContent])));
  assert.deepEqual([said['/fine'], said['/gone'], said['/moved']], ['200 OK', '410 Gone', '302 Found']);
  assert.ok(said['/cut'] && !/^\d/.test(said['/cut']), said['/cut']);
  const good = await items(p, '#tabpanel [role=status] .badge.good');
  assert.deepEqual(good.sort(), ['200 OK', '302 Found']);
  assert.deepEqual([...new Set(tried)].sort(), ['HEAD /cut', 'HEAD /fine', 'HEAD /gone', 'HEAD /moved']);
  assert.deepEqual(p.errors, []); await p.close();
});

test('the spam score with its rules, and what went wrong with it', async () => {
  await e.mail('plain=Win now');
  verdict = `SPAMD/1.1 0 EX_OK\r\nContent-length: ${RULES.length}\r\nSpam: True ; 6.2 / 5.0\r\n\r\n${RULES}`;
  const p = await page(e.web + '/');
  await open(p, 'Win now', 'Checks');
  const badges = await items(p, '#tabpanel .badge');
  assert.ok(badges.includes('score 6.2') && badges.includes('spam'), badges.join(', '));
  const rows = await p.$$eval('#tabpanel *', all => all.filter(one => one.children.length === 0).map(one => one.textContent));
  assert.ok(rows.includes('6.2  TOO_GOOD') && rows.includes('Promises too much') && rows.includes('Informational: message was not relayed'), rows.join(' | '));
  assert.match(shown[0], /^REPORT SPAMC\/[\d.]+\r\nContent-length: \d+\r\n\r\n[^]*Subject: Win now/);
  for (const [answer, said] of [['what?', /cannot be understood/], ['SPAMD/1.0 69 EX_UNAVAILABLE\r\n\r\n', /EX_UNAVAILABLE/]]) {
    verdict = answer;
    await p.reload(); await open(p, 'Win now', 'Checks');
    assert.match(await text(p, '#tabpanel'), said);
  }
  assert.deepEqual(p.errors, []); await p.close();
});

test('a message is released to those who may have it', async () => {
  await e.mail('plain=To be sent on');
  const p = await page(e.web + '/');
  await open(p, 'To be sent on');
  await p.click('[title="Release: send it on"]');
  await p.waitForSelector('#release');
  assert.equal(await p.$eval('#release', input => input.value), 'bob@example.org');
  assert.match(await text(p, 'dialog'), /to recipients that match @example/);
  const give = async to => { await p.$eval('#release', (input, to) => { input.value = to; }, to); await p.click('dialog form button[type=submit]'); };
  await give('carl@elsewhere.test');
  await see(p, () => /not released.*allowlist.*carl@elsewhere\.test/.test(document.querySelector('dialog [role=status]').textContent));
  assert.equal((await behind.api('/api/v1/messages')).total, 0);
  await give('carl@example.org, dora@example.org');
  await see(p, () => document.querySelector('#toast').textContent === 'Released' && !document.querySelector('dialog[open]'));
  const [there] = (await until(async () => { const list = await behind.api('/api/v1/messages'); return list.total && list; })).messages;
  const whole = await behind.api('/api/v1/message/' + there.ID);
  assert.equal(whole.Subject, 'To be sent on'); assert.deepEqual(whole.Envelope.To, ['carl@example.org', 'dora@example.org']);
  assert.deepEqual(p.errors, []); await p.close();
});

test('what was refused over SMTP is told', async () => {
  const p = await page(e.web + '/');
  await see(p, () => document.querySelector('#live').classList.contains('on'));
  const client = connect(Number(e.smtp), '127.0.0.1');
  client.on('error', () => {}); client.write('EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<who@nowhere.test>\r\nQUIT\r\n');
  await see(p, () => /^Refused \(smtpd, 127\.0\.0\.1\): 5\.1\.1 This recipient/.test(document.querySelector('#toast').textContent));
  client.destroy(); assert.deepEqual(p.errors, []); await p.close();
});
