// The console of engines with a policy of their own: who may log in, dead letters of a hook sent again, shards and their sum.
import test, { after } from 'node:test';
import assert from 'node:assert/strict';
import { createServer, request } from 'node:http';
import { engine, page, see, until } from './harness.mjs';

const policy = ({ hosts, more = '' }) => `
local kumo = require 'kumo'
kumo.on('init', function()
  for _, name in ipairs { 'data', 'meta' } do
    kumo.define_spool { name = name, path = os.getenv 'RINGMTA_SPOOL' .. '/' .. name, min_free_space = '1MB', min_free_inodes = '0%' }
  end
  kumo.configure_local_logs { log_dir = os.getenv 'RINGMTA_LOG_DIR', max_segment_duration = '1s', min_free_space = '1MB' }
  kumo.start_esmtp_listener { listen = os.getenv 'RINGMTA_SMTP_LISTEN' }
  kumo.start_http_listener { listen = os.getenv 'RINGMTA_HTTP_LISTEN', trusted_hosts = { ${hosts} }, administration_groups = { 'operators' } }
end)
kumo.on('get_queue_config', function()
  return kumo.make_queue_config { protocol = { smtp = { mx_list = { '[127.0.0.1]:1' } } }, retry_interval = '1h' }
end)
${more}`;
const LOGINS = `
kumo.on('http_server_validate_auth_basic', function(user, password)
  return password == 'right' and { identities = { user }, groups = { user } }
end)
kumo.on('http_server_validate_auth_bearer', function(token)
  return token == 'a good token' and { identities = { 'a robot' }, groups = { 'operators' } }
end)`;

// A receiver that answers as it is told, and keeps what it took.
const taken = [];
let status = 422;
const receiver = createServer((asked, answer) => {
  let body = '';
  asked.on('data', data => { body += data; });
  asked.on('end', () => { if (status < 300) taken.push(...JSON.parse(body)); answer.writeHead(status).end(); });
});
await new Promise(ok => receiver.listen(0, '127.0.0.1', ok));
after(() => receiver.close());
const HOOK = `
kumo.on('pre_init', function()
  kumo.configure_http_log_hook { name = 'webhook', url = 'http://127.0.0.1:${receiver.address().port}/', max_batch_latency = '100ms' }
end)`;

const closed = await engine({}, { policy: policy({ hosts: '', more: LOGINS }) });
const open = await engine({}, { policy: policy({ hosts: `'127.0.0.1'`, more: HOOK }), shards: 2 });
const says = (p, words) => see(p, words => document.querySelector('main').textContent.includes(words), words);
// Logs in by the form; both fields are filled anew.
async function logIn(p, user, password) {
  await p.waitForSelector('.login [name=user]');
  await p.$eval('.login [name=user]', (field, user) => { field.value = user; }, user);
  await p.$eval('.login [name=password]', (field, password) => { field.value = password; }, password);
  await see(p, () => !document.querySelector('.login [type=submit]').disabled);
  await p.click('.login [type=submit]');
}
const refused = (p, words) => see(p, words => document.querySelector('.login [role=alert]')?.textContent === words, words);
const cookies = async p => (await p.context.cookies()).filter(cookie => cookie.name.startsWith('ringmta_console'));
// A connection of its own for each message, so that they come to all shards.
const submit = domain => new Promise((ok, failed) => {
  const asked = request(`${open.http}/api/inject/v1`, { method: 'POST', agent: false, headers: { 'content-type': 'application/json' } }, answer => { answer.resume(); answer.on('end', () => ok(answer.statusCode)); });
  asked.on('error', failed);
  asked.end(JSON.stringify({ envelope_sender: 'a@src.example', recipients: [{ email: `u@${domain}` }], content: { from: { email: 'a@src.example' }, subject: 'x', text_body: 'x' } }));
});

test('who may not log in is told so, and gets no cookie', async () => {
  const p = await page(closed.http + '/#/queues');
  await logIn(p, 'operators', 'wrong'); await refused(p, 'These credentials are not taken.');
  await logIn(p, '', 'a wrong token'); await refused(p, 'These credentials are not taken.');
  await logIn(p, 'customers', 'right'); await refused(p, 'These credentials are right, but not for the console.');
  assert.deepEqual(await cookies(p), []);
  // Nothing leads away from the form, and nothing but it is shown.
  await p.evaluate(() => { location.hash = '#/engine'; });
  await p.evaluate(() => document.activeElement.blur()); await p.keyboard.press('1');
  assert.ok(await p.$('.login [name=password]'));
  assert.equal(await p.$eval('nav', nav => nav.checkVisibility()), false);
  assert.deepEqual(p.errors, []); await p.close();
});

for (const [user, password, identity] of [['operators', 'right', 'operators'], ['', 'a good token', 'a robot']]) test(`${identity}: a login shows the view that was asked for, and ends`, async () => {
  const p = await page(closed.http + '/#/queues');
  await logIn(p, user, password);
  await says(p, 'Scheduled queues');
  const [cookie, ...others] = await cookies(p);
  assert.deepEqual(others, []);
  assert.ok(cookie.httpOnly, 'no script reads it'); assert.equal(cookie.sameSite, 'Strict'); assert.equal(cookie.path, '/');
  assert.equal(await p.evaluate(() => document.cookie), '');
  assert.equal(await p.$eval('#logout', button => button.title), `logged in as ${identity}`);
  await p.reload(); await says(p, 'Scheduled queues');
  const header = `${cookie.name}=${cookie.value}`, now = () => fetch(closed.http + '/api/console/now/v1', { headers: { cookie: header } });
  assert.equal((await now()).status, 200);
  await p.click('#logout');
  await p.waitForSelector('.login [name=user]');
  assert.equal((await now()).status, 401, 'the cookie is worth nothing any more');
  assert.deepEqual(p.errors, []); await p.close();
});

test('dead letters of a hook are sent again', async () => {
  await submit('letters.example');
  const p = await page(open.http + '/#/hooks');
  const letters = () => see(p, () => {
    const row = [...document.querySelectorAll('main tbody tr')].find(row => row.textContent.includes('webhook'));
    return row && { n: row.querySelector('[data-head="dead letters"]').textContent, again: [...row.querySelectorAll('button')].map(b => b.textContent) };
  });
  await until(async () => { await p.keyboard.press('r'); return (await letters()).n !== '0'; });
  const before = await letters();
  assert.deepEqual(before.again, ['Send again']);
  // What was refused, and with which words, is seen before.
  await p.click('main a[href="#/letters/webhook"]');
  await says(p, 'Dead letters of webhook'); await says(p, 'Reception'); await says(p, '422');
  await p.evaluate(() => history.back());
  await see(p, () => document.querySelector('main h1')?.textContent === 'Hooks' && [...document.querySelectorAll('main button')].some(b => b.textContent === 'Send again'));
  status = 200;
  await p.evaluate(() => [...document.querySelectorAll('main button')].find(b => b.textContent === 'Send again').click());
  await see(p, () => /Send webhook again: \d+ on their way again/.test(document.querySelector('#toast').textContent));
  await until(() => taken.some(event => event.type === 'Reception' && event.recipient === 'u@letters.example' || [].concat(event.recipient).includes('u@letters.example')));
  await until(async () => { await p.keyboard.press('r'); return (await letters()).n === '0'; });
  assert.deepEqual((await letters()).again, []);
  assert.deepEqual(p.errors, []); await p.close();
});

test('each shard has its numbers, and they have a sum', async () => {
  const many = 32;
  assert.deepEqual([...new Set(await Promise.all(Array.from({ length: many }, () => submit('shards.example'))))], [200]);
  const p = await page(open.http + '/#/overview');
  const rows = await see(p, many => {
    const rows = [...document.querySelectorAll('[aria-label=Shards] tbody tr')].map(row => [...row.cells].slice(0, 3).map(cell => cell.textContent));
    const all = rows.find(([name]) => name === 'all');
    return all && Number(all[1]) >= many && rows;
  }, many);
  assert.deepEqual(rows.map(([name]) => name), ['0', '1', 'all']);
  for (const column of [1, 2]) assert.equal(Number(rows[2][column]), Number(rows[0][column]) + Number(rows[1][column]));
  assert.ok(Number(rows[0][1]) > 0 && Number(rows[1][1]) > 0, rows.join(' | '));
  // A number of the engine is a sum as well.
  assert.deepEqual([await (await fetch(open.http + '/api/console/now/v1')).json()].map(now => now.shards), [2]);
  assert.deepEqual(p.errors, []); await p.close();
});

test('a ready queue has an answer to why', async () => {
  await submit('why.example');
  const found = () => fetch(open.http + '/api/console/queues/v1?search=smtp_client&limit=10').then(answer => answer.json());
  const name = await until(async () => (await found()).ready[0]?.name);
  const p = await page(`${open.http}/#/ready/${encodeURIComponent(name)}`);
  await says(p, name);
  await see(p, () => [...document.querySelectorAll('main h2')].some(h => h.textContent === 'Why'));
  assert.ok(!/unknown kind|undefined/.test(await p.$eval('main', main => main.textContent)));
  assert.deepEqual(p.errors, []); await p.close();
});

test('what a form is refused for stands in the form', async () => {
  const p = await page(open.http + '/#/orders');
  await says(p, 'No order is in force');
  await p.evaluate(() => [...document.querySelectorAll('main button')].find(b => b.textContent.startsWith('Suspend')).click());
  await p.waitForSelector('dialog[open] [name=reason]');
  await p.type('dialog [name=reason]', 'no name'); await p.keyboard.press('Enter');
  await see(p, () => document.querySelector('dialog[open] [role=alert]').textContent === 'name a domain, a tenant or a campaign');
  assert.deepEqual(p.errors, []); await p.close();
});

for (const width of [390, 820]) test(`${width} wide, all of a table is seen`, async () => {
  const reason = 'a reason that has some words in it';
  const place = await fetch(open.http + '/api/admin/suspend/v1', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ domain: 'later.example', reason, duration: '1h' }) });
  assert.equal(place.status, 200);
  const p = await page(open.http + '/#/orders', { width });
  await says(p, reason);
  const cut = await p.$$eval('main .scroll, main td, main td button', all => all.filter(one => one.scrollWidth > one.clientWidth + 1 && one.clientWidth || one.getBoundingClientRect().right > innerWidth).length);
  assert.equal(cut, 0);
  const small = width > 640 ? [] : await p.$$eval('button, select, nav a', all => all.filter(one => one.checkVisibility() && one.getBoundingClientRect().height < 40).map(one => one.textContent));
  assert.deepEqual(small, []);
  assert.deepEqual(p.errors, []); await p.close();
});
