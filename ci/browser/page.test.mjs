// What the page shows of a message, and what it does with many.
import test, { beforeEach } from 'node:test';
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { readFile, writeFile, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { engine, page, browser, see, count, text, open, tabTo, mailFrame, until } from './harness.mjs';

const e = await engine();
beforeEach(() => e.clear());
const rich = async (tab, more) => { await e.mail('rich'); const p = await page(e.web + '/', more); await open(p, 'Your order 4711', tab); return p; };
const done = async p => { assert.deepEqual(p.errors, []); await p.close(); };
const items = (p, selector) => p.$$eval(selector, all => all.map(one => one.textContent));
const press = (p, selector, label) => p.evaluate((selector, label) => [...document.querySelectorAll(selector)].find(b => b.textContent === label || b.getAttribute('aria-label') === label || b.title === label).click(), selector, label);
const preview = async (p, name) => {
  await p.evaluate(name => { document.querySelector('dialog')?.close(); [...document.querySelectorAll('.file-name')].find(b => b.textContent === name).click(); }, name);
  await see(p, name => document.querySelector('dialog h2')?.textContent === name && !document.querySelector('.preview > .note'), name);
};

test('attachments are looked at: picture, PDF, text, calendar, a message and what is in it', async () => {
  const p = await rich('Files');
  const names = await items(p, '.file-name');
  for (const name of ['photo.png', 'invoice.pdf', 'list.csv', 'event.ics', 'letter.eml', 'data.bin', 'logo.png']) assert.ok(names.includes(name), name);
  await see(p, () => { const i = document.querySelector('.thumb img'); return i && i.complete && i.naturalWidth > 0; });
  await preview(p, 'photo.png');
  await see(p, () => document.querySelector('.image img').naturalWidth === 300);
  await preview(p, 'invoice.pdf');
  const pdf = await p.$eval('iframe.pdf', f => [f.src, f.getAttribute('sandbox')]);
  const answer = await fetch(pdf[0]);
  assert.equal(answer.headers.get('content-type'), 'application/pdf'); assert.equal(answer.headers.get('content-disposition'), 'inline');
  assert.match(answer.headers.get('content-security-policy'), /^default-src 'none'/);
  await until(() => browser.targets().some(t => t.url().startsWith('chrome-extension://') && t.type() !== 'service_worker'));
  await preview(p, 'list.csv');
  assert.match(await text(p, '.preview pre'), /Jürgen;9/);
  await preview(p, 'event.ics');
  assert.equal(await text(p, '.event h3'), 'Launch, at last');
  const event = await p.$$eval('.event dt', all => Object.fromEntries(all.map(dt => [dt.textContent, dt.nextSibling.textContent])));
  assert.deepEqual([event.Where, event.Organizer, event.Attendees, event.Description, event.Identifier], ['Room 7', 'Ann Example ann@example.com', 'Bob bob@example.org · accepted', 'Bring the\ncake, and a long line', '42@example.com']);
  assert.match(event.When, /2026/);
  await preview(p, 'letter.eml');
  const frame = await mailFrame(p, '.nested-body iframe');
  assert.equal(await frame.$eval('#inner', i => i.textContent), 'Words within words');
  assert.equal(await p.$eval('.nested-body iframe', f => f.getAttribute('sandbox')), 'allow-popups allow-popups-to-escape-sandbox');
  assert.equal(await text(p, '.nested .file-name'), 'deep.txt');
  await p.click('.nested .file-name'); await see(p, () => [...document.querySelectorAll('.preview pre')].some(pre => pre.textContent === 'deep'));
  await done(p);
});

test('HTML source in colours, with its words unchanged', async () => {
  const p = await rich('Source');
  const { HTML } = await e.api('/api/v1/message/latest');
  assert.equal(await text(p, 'pre.code'), HTML);
  const kinds = await p.$$eval('pre.code span', all => [...new Set(all.map(one => one.className))].sort());
  assert.deepEqual(kinds, ['h-comment', 'h-entity', 'h-name', 'h-style', 'h-tag', 'h-value']);
  assert.equal(await text(p, '.h-comment:not(:first-child)'), '<!-- greeting -->');
  await done(p);
});

test('widths of a phone, a tablet and a desktop; dark colours; remote frames stay contained', async () => {
  const p = await rich('HTML'), frame = await mailFrame(p);
  const state = () => frame.evaluate(() => [innerWidth, getComputedStyle(document.querySelector('h1')).color, matchMedia('(prefers-color-scheme: dark)').matches]);
  const wide = await state(); assert.ok(wide[0] > 600 && !wide[2]);
  await press(p, '.bar-html button', 'Phone width, 390'); await until(async () => (await state())[0] === 390);
  assert.equal((await state())[1], 'rgb(180, 35, 24)', 'the rules for narrow readers hold');
  await press(p, '.bar-html button', 'Tablet width, 768'); await until(async () => (await state())[0] === 768);
  await press(p, '.bar-html button', 'Desktop width'); await until(async () => (await state())[0] === wide[0]);
  await press(p, '.bar-html button', 'As a reader with dark colours sees it'); await until(async () => (await state())[2]);
  assert.equal(await p.$eval('.stage iframe', f => f.getAttribute('sandbox')), 'allow-popups allow-popups-to-escape-sandbox');
  await done(p);
});

test('a picture of the HTML is saved, and it prints by one script of ours in a frame', async () => {
  const p = await rich('HTML'), dir = await mkdtemp(path.join(tmpdir(), 'ringmta-pictures-'));
  const cdp = await p.createCDPSession();
  await cdp.send('Browser.setDownloadBehavior', { behavior: 'allow', browserContextId: p.context.id, downloadPath: dir });
  await press(p, '.bar-html button', 'Save a picture');
  const file = await until(async () => (await readdir(dir)).find(name => name.endsWith('.png')));
  const png = await until(async () => { const bytes = await readFile(path.join(dir, file)); return bytes.length > 100 && bytes; });
  assert.equal(png.subarray(1, 4).toString(), 'PNG'); assert.equal(png.readUInt32BE(16), 800);
  assert.ok(png.readUInt32BE(20) > 150 && png.readUInt32BE(20) < 800, 'as high as what is drawn: ' + png.readUInt32BE(20));
  await rm(dir, { recursive: true });
  const sent = p.waitForResponse(r => r.url().includes('print=1'));
  await press(p, '.bar-html button', 'Print');
  const policy = (await sent).headers()['content-security-policy'];
  assert.match(policy, /^sandbox allow-scripts allow-modals/); assert.match(policy, /script-src 'sha256-[^']+'$/); assert.doesNotMatch(policy, /unsafe-inline[^;]*script|allow-same-origin/);
  const direct = await fetch(e.web + '/view/latest.html?print=1');
  assert.doesNotMatch(direct.headers.get('content-security-policy'), /allow-scripts/, 'in a frame only');
  await p.close();
});

test('links and tokens with what they carry', async () => {
  const p = await rich('Links');
  const cards = await p.$$eval('.item', all => all.map(one => one.innerText));
  const card = words => cards.find(c => c.includes(words)) || assert.fail(words + '\n' + cards.join('\n--\n'));
  assert.match(card('X-Kumoref'), /"recipient": "bob@example\.org"/);
  assert.match(card('bounce+bob=example.org@example.com'), /Envelope sender/);
  assert.match(card('/confirm?token='), /JSON Web Token, claims[\s\S]*"scope": "reset"/);
  assert.match(card('/confirm?token='), /user=7;plan=gold/); assert.match(card('/confirm?token='), /lang\s+en/);
  assert.match(card('http://shop.example.com/help'), /not https/);
  assert.match(card('mailto:u@example.com'), /List-Unsubscribe[\s\S]*subject\s+stop/);
  assert.match(card('https://shop.example.com/u?id=7'), /List-Unsubscribe/);
  assert.ok(await p.$$eval('.item a', all => all.length > 3 && all.every(a => a.target === '_blank' && a.rel === 'noopener noreferrer')));
  await done(p);
});

test('authentication results, unsubscribing, weight, preheader, envelope', async () => {
  const p = await rich('Checks');
  assert.deepEqual(await p.$$eval('.verdict', all => all.map(v => [v.children[0].textContent, v.children[1].textContent, v.children[1].className])),
    [['SPF', 'pass', 'badge good'], ['DKIM', 'fail', 'badge bad'], ['DMARC', 'none', 'badge ']]);
  assert.match(await text(p, '#tabpanel'), /This message is not signed/); assert.match(await text(p, '#tabpanel'), /one click/);
  assert.match(await text(p, '.head .pre'), /^Your order is on its way Hello Bob /);
  await tabTo(p, 'Details');
  const weights = await p.$$eval('.weight', all => Object.fromEntries(all.map(w => [w.children[0].textContent, Number(w.querySelector('meter').value)])));
  const m = await e.api('/api/v1/message/latest');
  assert.equal(weights['As sent'], m.Size); assert.equal(weights['HTML, decoded'], Buffer.byteLength(m.HTML));
  assert.match(await text(p, '#tabpanel'), /bounce\+bob=example\.org@example\.com/);
  await done(p);
});

test('DKIM is checked with a key at hand, and a change is seen', async () => {
  const said = await e.mail('dkim'), record = said.match(/^record (.+)$/m)[1], key = Buffer.from(said.match(/^private (.+)$/m)[1], 'base64').toString();
  const p = await page(e.web + '/');
  const facts = () => p.$$eval('.signature dt', all => Object.fromEntries(all.map(dt => [dt.textContent, dt.nextSibling.textContent])));
  const give = async text => {
    await p.$eval('.signature textarea', (area, text) => { area.closest('details').open = true; area.value = text; }, text);
    await press(p, '.signature button', 'Check with this key');
  };
  await open(p, 'Signed letter', 'Checks');
  assert.deepEqual([(await facts())['Body hash'], (await facts()).Signature, (await facts())['Key is at']], ['matches', 'no key at hand: give one below', 'july._domainkey.example.com']);
  await give('v=DKIM1; p=AAAA'); await until(async () => (await facts()).Signature === 'the key cannot be read');
  await give(key); await until(async () => (await facts()).Signature === 'matches');
  assert.doesNotMatch(await p.evaluate(() => JSON.stringify({ ...localStorage })), /PRIVATE/, 'of a private key only the public part is kept');
  await give(record); await until(async () => (await facts()).Signature === 'matches');
  assert.equal(await text(p, '.signature .badge'), 'pass');
  await open(p, 'Signed, changed', 'Checks');
  assert.deepEqual([(await facts())['Body hash'], (await facts()).Signature], ['does not match', 'does not match']);
  await done(p);
});

test('DKIM is checked with the key that the engine signs with', async () => {
  const dir = await mkdtemp(path.join(tmpdir(), 'ringmta-key-')), file = path.join(dir, 'key.pem');
  await writeFile(file, generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const own = await engine({ RINGMTA_DKIM_KEY: file, RINGMTA_DKIM_SELECTOR: 'july' });
  await fetch(own.http + '/api/inject/v1', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ envelope_sender: 'hello@example.com', recipients: [{ email: 'you@example.net' }], content: { from: { email: 'hello@example.com' }, subject: 'Signed on its way', html_body: '<p>Signed</p>' } }) });
  const p = await page(own.web + '/');
  await open(p, 'Signed on its way', 'Checks');
  const facts = await p.$$eval('.signature dt', all => Object.fromEntries(all.map(dt => [dt.textContent, dt.nextSibling.textContent])));
  assert.deepEqual([facts['Body hash'], facts.Signature, facts['Key is at']], ['matches', 'matches, by the key of RINGMTA_DKIM_KEY', 'july._domainkey.example.com']);
  assert.equal(await text(p, '.signature .badge'), 'pass');
  const told = await own.api('/dkim-key'); assert.deepEqual(Object.keys(told).sort(), ['Domain', 'Record', 'Selector']); assert.match(told.Record, /^v=DKIM1; k=rsa; p=\S+$/);
  assert.equal((await fetch(e.web + '/dkim-key')).status, 404, 'no key, no answer');
  await done(p); await rm(dir, { recursive: true });
});

test('copies are compared: recipients, headers, tokens of links, words', async () => {
  await e.mail('copies');
  const p = await page(e.web + '/'); await count(p, 4);
  await p.click('#list .row:nth-child(1) .pickbox input'); await p.click('#list .row:nth-child(3) .pickbox input');
  await press(p, '#bulk .btn', 'Compare'); await p.waitForSelector('dialog .compare');
  const rows = await p.$$eval('.compare tbody tr', all => all.map(tr => [...tr.children].map(c => (c.querySelector('code') || c).textContent)));
  const row = name => rows.find(r => r[0] === name) || assert.fail(name);
  assert.deepEqual(row('Envelope recipients'), ['Envelope recipients', 'reader3@example.org', 'reader1@example.org']);
  assert.deepEqual(row('X-Reader'), ['X-Reader', '3', '1']);
  assert.ok(row('Link 1: r')); assert.ok(!rows.some(r => r[0] === 'Link 1: same'), 'what is alike is not listed');
  assert.match(await text(p, '.compare'), /"reader": 3[\s\S]*"reader": 1/);
  assert.deepEqual(row('after “Dear reader”').slice(1), ['3,', '1,']);
  assert.ok(await p.$$eval('mark', all => all.length >= 6));
  await p.keyboard.press('Escape'); await see(p, () => !document.querySelector('dialog'));
  await p.keyboard.press('Escape'); await open(p, 'The news of July');
  await press(p, '.head .btn', '4 copies'); await see(p, () => document.querySelectorAll('.copies-list button').length === 3);
  await done(p);
});

test('many at once, and the keyboard', async () => {
  await e.mail('plain=A', 'plain=B', 'plain=C', 'plain=D', 'plain=E');
  const p = await page(e.web + '/'); await count(p, 5);
  const chosen = () => p.$$eval('.row.picked .subj bdi', all => all.map(one => one.textContent).join(''));
  await p.click('#list .row:nth-child(2) .pickbox input');
  await p.keyboard.down('Shift'); await p.click('#list .row:nth-child(4) .pickbox input'); await p.keyboard.up('Shift');
  assert.equal(await chosen(), 'DCB'); assert.equal(await text(p, '#bulk .n'), '3 chosen:');
  await press(p, '#bulk .btn', 'Delete 3'); await press(p, '#bulk .btn', 'Delete 3 messages?'); await count(p, 2);
  await p.evaluate(() => document.activeElement.blur());
  await p.keyboard.press('?'); await p.waitForSelector('dialog .help');
  assert.ok((await items(p, '.help kbd')).includes('x')); await p.keyboard.press('Escape'); await see(p, () => !document.querySelector('dialog'));
  await p.keyboard.press('j'); await see(p, () => document.querySelector('#mail h1')?.textContent === 'E');
  await p.keyboard.press('x'); assert.equal(await chosen(), 'E');
  await p.keyboard.press('a'); assert.equal(await chosen(), 'EA'); await p.keyboard.press('Escape'); assert.equal(await chosen(), '');
  const tab = () => text(p, '[role=tab][aria-selected=true]');
  await see(p, () => document.querySelector('[role=tab][aria-selected=true]'));
  assert.equal(await tab(), 'Text'); await p.keyboard.press(']'); assert.equal(await tab(), 'Links'); await p.keyboard.press('['); assert.equal(await tab(), 'Text');
  await p.keyboard.press('j'); await see(p, () => document.querySelector('#mail h1').textContent === 'A');
  await p.keyboard.press('u'); await until(async () => (await e.api('/api/v1/messages')).unread === 1);
  await p.keyboard.press('/'); assert.equal(await p.evaluate(() => document.activeElement.id), 'q');
  await p.keyboard.press('Escape'); await p.keyboard.press('k'); await see(p, () => document.querySelector('#mail h1'));
  await p.keyboard.press('d'); await count(p, 1);
  await done(p);
});

test('light and dark are chosen and remembered', async () => {
  const p = await page(e.web + '/');
  const colour = () => p.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const seen = {};
  for (let i = 0; i < 3; i++) { seen[await p.$eval('#theme', b => b.getAttribute('aria-label'))] = await colour(); await p.click('#theme'); }
  assert.deepEqual([seen['Light colours'], seen['Dark colours']], ['rgb(246, 247, 247)', 'rgb(16, 21, 20)']);
  await p.click('#theme'); await p.click('#theme'); await p.reload();
  assert.equal(await colour(), 'rgb(16, 21, 20)');
  await done(p);
});

test('notifications: allowed, told while the page is hidden, and one for many', async () => {
  const p = await page(e.web + '/', { allow: ['notifications'] });
  await p.evaluateOnNewDocument(() => {
    window.heard = []; const real = Notification;
    window.Notification = class { constructor(title, options) { heard.push([title, options.body]); } close() {} static get permission() { return real.permission; } static requestPermission() { return real.requestPermission(); } };
  });
  await p.goto(e.web + '/'); await p.click('#bell');
  await see(p, () => document.querySelector('#bell').getAttribute('aria-pressed') === 'true');
  await e.mail('plain=Seen'); await count(p, 1);
  assert.deepEqual(await p.evaluate(() => heard), [], 'not while it is looked at');
  await p.evaluate(() => Object.defineProperty(document, 'hidden', { value: true, configurable: true }));
  await e.mail('plain=Unseen', 'plain=Another'); await count(p, 3);
  assert.deepEqual(await p.evaluate(() => heard), [['Ann Example', 'Unseen'], ['2 new messages', 'Another']]);
  await done(p);
});

test('a tag is put on and taken off', async () => {
  await e.mail('plain=Tagged'); const p = await page(e.web + '/'); await open(p, 'Tagged');
  await press(p, '.head .btn', 'Tag'); await p.waitForSelector('#tagname'); await p.type('#tagname', 'Later'); await p.keyboard.press('Enter');
  await see(p, () => document.querySelector('.head .tag')?.textContent === 'Later' && document.querySelector('.row .tag')?.textContent === 'Later');
  await p.click('.head .tag [title="Take this tag off"]'); await see(p, () => !document.querySelector('.head .tag') && !document.querySelector('.row .tag'));
  assert.deepEqual(await e.api('/api/v1/tags'), []);
  await done(p);
});

test('the policy of the page lets nothing in and out', async () => {
  const policy = (await fetch(e.web + '/')).headers.get('content-security-policy');
  assert.match(policy, /^default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-[^']+'; connect-src 'self'; img-src 'self' data:; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/);
  const p = await rich('HTML');
  for (const tab of ['Source', 'Text', 'Links', 'Files', 'Checks', 'Headers', 'Raw', 'Details']) await tabTo(p, tab);
  assert.deepEqual(p.asked.filter(url => !url.startsWith(e.web) && !url.startsWith('data:')), []);
  await done(p);
});

test('tags lead to their messages, and are renamed and deleted', async () => {
  await e.mail('plain=First', 'plain=Second', 'plain=Third');
  const p = await page(e.web + '/'); await count(p, 3);
  const ids = (await e.api('/api/v1/messages')).messages.map(m => m.ID);
  await e.api('/api/v1/tags', { method: 'PUT', body: JSON.stringify({ IDs: ids.slice(0, 2), Tags: ['two words', 'Old'] }) });
  await see(p, () => document.querySelectorAll('.row .tag').length === 4);
  await press(p, '.row .tag', 'two words'); await count(p, 2);
  assert.equal(await p.$eval('#q', q => q.value), 'tag:"two words"'); assert.equal(await p.$('#mail'), null, 'the message below is not opened');
  assert.match(p.url(), /\/search\?q=tag/);
  await p.click('#tags'); await p.waitForSelector('.tag-row');
  assert.deepEqual(await p.$$eval('.tag-row', all => all.map(r => [r.querySelector('.tag').textContent, r.querySelector('.dim').textContent])), [['Old', '2 messages'], ['two words', '2 messages']]);
  await press(p, '.tag-row button', 'Rename two words'); await p.waitForSelector('.tag-form input');
  await p.$eval('.tag-form input', i => { i.value = 'Old'; }); await p.click('.tag-form [type=submit]');
  await see(p, () => /tag exists/.test(document.querySelector('#toast').textContent));
  await p.$eval('.tag-form input', i => { i.value = 'New name'; }); await p.click('.tag-form [type=submit]');
  await see(p, () => [...document.querySelectorAll('.tag-row .tag')].some(t => t.textContent === 'New name'));
  await see(p, () => document.querySelector('#q').value === 'tag:"New name"' && document.querySelectorAll('#list .row').length === 2);
  assert.deepEqual(await e.api('/api/v1/tags'), ['New name', 'Old']);
  await p.evaluate(() => document.querySelectorAll('.tag-row')[0].querySelector('.danger').click());
  assert.match(await text(p, '.tag-row .sure'), /^Take “New name” off 2 messages\?$/);
  assert.deepEqual(await e.api('/api/v1/tags'), ['New name', 'Old'], 'the first click only asks');
  await p.click('.tag-row .sure'); await count(p, 3);
  await see(p, () => document.querySelector('#q').value === '' && document.querySelectorAll('.tag-row').length === 1);
  assert.deepEqual(await e.api('/api/v1/tags'), ['Old']);
  await p.keyboard.press('Escape'); await see(p, () => !document.querySelector('dialog'));
  await open(p, 'Third'); await press(p, '.head .tag-name', 'Old'); await count(p, 2);
  await done(p);
});

test('the list stays where it is when it is read anew, and begins at the top for a search', async () => {
  await e.mail(...Array.from({ length: 60 }, (_, i) => 'plain=Message ' + i));
  const p = await page(e.web + '/'); await count(p, 60);
  const top = () => p.$eval('#scroller', s => s.scrollTop);
  await p.$eval('#scroller', s => { s.scrollTop = 900; }); assert.equal(await top(), 900);
  await p.evaluate(() => { document.querySelector('#list').firstChild.marked = true; });
  await p.click('#allread'); await see(p, () => !document.querySelector('#list').firstChild.marked && document.querySelectorAll('#list .row').length === 60);
  assert.equal(await top(), 900);
  await p.type('#q', 'Message'); await see(p, () => document.querySelector('#count').textContent.startsWith('60 matches'));
  assert.equal(await top(), 0);
  await done(p);
});

test('a picture is as high as the message, and says when it is not all of it', async () => {
  const html = (height, style) => `<body style="margin:0"><div style="height:${height}px;${style}">x</div><p id="end" style="margin:0;height:40px;background:red">end</p></body>`;
  for (const [Subject, HTML] of [['Long', html(9000, '')], ['Full', `<div style="height:100%;background:#eee">full</div>`], ['Endless', html(40000, 'background:repeating-linear-gradient(#fff 0 50px,#ccc 50px 100px)')]])
    await e.api('/api/v1/send', { method: 'POST', body: JSON.stringify({ From: { Email: 'a@x.test' }, To: [{ Email: 'b@x.test' }], Subject, HTML }) });
  const p = await page(e.web + '/'), dir = await mkdtemp(path.join(tmpdir(), 'ringmta-pictures-'));
  const cdp = await p.createCDPSession();
  await cdp.send('Browser.setDownloadBehavior', { behavior: 'allow', browserContextId: p.context.id, downloadPath: dir });
  const taken = async subject => {
    await open(p, subject, 'HTML'); await mailFrame(p);
    const had = await readdir(dir);
    await press(p, '.bar-html button', 'Save a picture');
    const file = await until(async () => (await readdir(dir)).find(name => name.endsWith('.png') && !had.includes(name)));
    const png = await until(async () => { const bytes = await readFile(path.join(dir, file)); return bytes.length > 100 && bytes; });
    return [png.readUInt32BE(20), await text(p, '#toast')];
  };
  const [long, said] = await taken('Long');
  assert.ok(long >= 9040 && long < 9100, String(long)); assert.equal(said, `Picture of 800 by ${long} saved`);
  const [full] = await taken('Full'); assert.ok(full < 100, 'as high as what is in it: ' + full);
  const [endless, warned] = await taken('Endless');
  assert.equal(endless, 30000); assert.equal(warned, 'Picture of the first 30000 pixels saved: the message is longer, printing gives all of it');
  await rm(dir, { recursive: true }); await done(p);
});

test('of many recipients a few are shown, and the rest when asked for', async () => {
  await e.mail('crowd');
  const p = await page(e.web + '/', { width: 390 });
  await count(p, 1);
  // How many more there are is said whole, however long the first one is.
  assert.match(await text(p, '#list .rcpt'), / \+44$/);
  assert.ok(await p.$eval('#list .rcpt span', more => { const a = more.getBoundingClientRect(), b = more.closest('.line').getBoundingClientRect(); return a.width > 0 && a.right <= b.right; }));
  await open(p, 'To very many', 'Text');
  assert.equal(await text(p, '#tabpanel'), 'This text is empty.');
  const lines = () => p.$$eval('.to', all => all.map(line => line.textContent));
  const [to, cc, sent] = await lines();
  assert.match(to, /^To ?Reader 0 <reader0@example.org>, .*Reader 2 <reader2@example.org> 37 more$/);
  assert.match(cc, /^Cc ?cc0@example.net, cc1@example.net, cc2@example.net 2 more$/);
  assert.match(sent, /^This copy went to ?reader0@example.org, .* 37 more$/);
  await p.click('.to .rest');
  assert.match((await lines())[0], /Reader 39 <reader39@example.org> fewer$/);
  await p.click('.to .rest');
  assert.equal((await lines())[0], to);
  await done(p);
});

test('on a phone: questions fit and move nothing, and the focus goes along with list and message', async () => {
  await e.mail('plain', 'plain=Another');
  const [newest] = (await e.api('/api/v1/messages?limit=1')).messages, long = 'a tag with a name that is rather long for a phone';
  await e.api('/api/v1/tags', { method: 'PUT', body: JSON.stringify({ IDs: [newest.ID], Tags: [long] }) });
  const p = await page(e.web + '/', { width: 390 });
  await count(p, 2);
  const top = () => p.$eval('#list', list => list.getBoundingClientRect().top), before = await top();
  await p.click('#clear');
  await see(p, () => document.querySelector('#clear').textContent === 'Delete all 2 messages?');
  assert.equal(await top(), before);
  await p.click('#tags'); await p.waitForSelector('.tag-row .danger'); await p.click('.tag-row .danger');
  await see(p, long => document.querySelector('.tag-row .sure')?.textContent === `Take “${long}” off 1 message?`, long);
  assert.ok(await p.evaluate(() => { const b = document.querySelector('.tag-row .sure'), box = b.closest('dialog'); return b.getBoundingClientRect().right < box.getBoundingClientRect().right && b.scrollWidth <= b.clientWidth && box.scrollWidth <= box.clientWidth; }));
  // What passes is above the dialog.
  await p.click('.tag-row .sure');
  await see(p, () => document.querySelector('#toast').matches(':popover-open') && /taken off 1 message/.test(document.querySelector('#toast').textContent) && document.querySelector('dialog[open]'));
  await p.keyboard.press('Escape'); await see(p, () => !document.querySelector('dialog'));
  await p.focus('#list .subj'); await p.keyboard.press('Enter');
  await see(p, () => document.activeElement === document.querySelector('#mail h1'));
  await p.keyboard.press('Escape');
  await see(p, () => document.activeElement === document.querySelector('#list .subj'));
  await done(p);
});

test('the search stays where it is when one is typed, and a row that has the focus keeps it when the list is read anew', async () => {
  await e.mail('copies');
  const p = await page(e.web + '/', { width: 1440 });
  await count(p, 4);
  const at = () => p.$eval('#q', q => { const r = q.getBoundingClientRect(); return [r.left, r.right]; }), before = await at();
  await p.type('#q', 'subject:news');
  await see(p, () => !document.querySelector('#bulk').hidden && document.querySelector('#clear').hidden);
  assert.deepEqual(await at(), before);
  const id = await p.$eval('#list .row', row => { row.querySelector('.subj').focus(); return row.dataset.id; });
  await e.mail('copies'); await count(p, 8);
  assert.equal(await p.evaluate(() => document.activeElement.closest('.row')?.dataset.id), id);
  await done(p);
});

test('a server that is gone is told in words', async () => {
  const own = await engine();
  await own.mail('plain');
  const p = await page(own.web + '/', { width: 390 });
  await count(p, 1);
  own.stop();
  await see(p, () => { const words = document.querySelector('#live span'); return words.textContent === 'offline' && words.checkVisibility() && words.getBoundingClientRect().width > 0; });
  await p.click('#list .subj');
  await see(p, () => document.querySelector('#toast').textContent === 'The server does not answer' && document.querySelector('#toast').matches(':popover-open'));
  await p.close();
});
