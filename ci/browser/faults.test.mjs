// What people meet first: links, deletion, charsets, copies, names, remote content.
import test, { beforeEach } from 'node:test';
import assert from 'node:assert/strict';
import { engine, page, browser, see, count, text, open, tabTo, mailFrame, elsewhere, until } from './harness.mjs';

const e = await engine(), trap = await elsewhere();
beforeEach(() => e.clear());

test('links of HTML and of text open a tab of their own, which learns nothing', async () => {
  const html = `<p>x</p><a id="l" href="${trap.base}/from-html" target="_self" rel="opener">go</a>`;
  await e.api('/api/v1/send', { method: 'POST', body: JSON.stringify({ From: { Email: 'a@x.test' }, To: [{ Email: 'b@x.test' }], Subject: 'Linked', HTML: html, Text: `see ${trap.base}/from-text.` }) });
  const p = await page(e.web + '/'), b = browser;
  await open(p, 'Linked', 'HTML');
  const frame = await mailFrame(p);
  await frame.hover('#l');
  const status = await frame.$eval('#l', a => { const s = getComputedStyle(a, '::after'); return [s.content, s.position, s.bottom, s.color]; });
  assert.match(status[0], /^"The message's own link: /); assert.ok(status[0].includes('/from-html'), status[0]);
  assert.deepEqual(status.slice(1, 3), ['fixed', '0px']);
  for (const [from, click] of [['/from-html', () => frame.click('#l')], ['/from-text', async () => { await tabTo(p, 'Text'); await p.click('pre.text a'); }]]) {
    const opened = b.waitForTarget(t => t.url() === trap.base + from);
    await click();
    const other = await (await opened).page();
    assert.equal(await other.evaluate(() => opener), null);
    const { headers } = await until(() => trap.asked.find(one => one.path === from));
    assert.equal(headers.referer, undefined);
    await other.close();
  }
  assert.equal(p.url().replace(e.web, '').startsWith('/view/'), true, 'the inbox stays where it is');
  assert.deepEqual(p.errors, []); await p.close();
});

test('delete, read and tag mean what matches, and say how many first', async () => {
  await e.mail('plain=Keep', 'plain=Keep', 'plain=Go away', 'plain=Go away', 'plain=Go away');
  const p = await page(e.web + '/search?q=' + encodeURIComponent('subject:"go away"'));
  await count(p, 3);
  assert.equal(await p.$eval('#q', q => q.value), 'subject:"go away"', 'the search is in the address');
  assert.equal(await p.$eval('#clear', b => getComputedStyle(b).display), 'none', 'no Delete all under a search');
  const labels = await p.$$eval('#bulk .btn .label', all => all.map(one => one.textContent));
  assert.deepEqual(labels, ['Read 3', 'Unread 3', 'Tag 3', 'Delete 3']);
  const press = label => p.evaluate(label => [...document.querySelectorAll('#bulk .btn')].find(b => b.textContent === label).click(), label);
  await press('Read 3');
  await until(async () => (await e.api('/api/v1/messages')).unread === 2);
  await press('Tag 3');
  await p.waitForSelector('#tagname');
  assert.match(await text(p, 'dialog h2'), /^Tag 3 messages$/);
  await p.type('#tagname', 'old'); await p.keyboard.press('Enter');
  await until(async () => (await e.api('/api/v1/search?query=tag:old')).messages_count === 3);
  await p.reload(); await count(p, 3);
  await press('Delete 3');
  assert.equal(await p.$eval('#bulk .sure .label', l => l.textContent), 'Delete 3 messages?');
  assert.equal((await e.api('/api/v1/messages')).total, 5, 'the first click only asks');
  await press('Delete 3 messages?');
  await until(async () => (await e.api('/api/v1/messages')).total === 2);
  assert.deepEqual((await e.api('/api/v1/messages')).messages.map(m => m.Subject), ['Keep', 'Keep']);
  assert.deepEqual(p.errors, []); await p.close();
});

test('a search and the message shown survive a reload and the way back', async () => {
  await e.mail('plain=One', 'plain=Two');
  const p = await page(e.web + '/');
  await count(p, 2);
  await p.type('#q', 'One'); await count(p, 1);
  await open(p, 'One');
  assert.match(p.url(), /\/view\/\w+\?q=One$/);
  await p.reload(); await count(p, 1);
  await see(p, () => document.querySelector('#mail h1')?.textContent === 'One');
  await p.goBack(); await see(p, () => location.pathname === '/search' && !document.querySelector('#mail'));
  assert.equal(await p.$eval('#q', q => q.value), 'One');
  await p.$eval('#q', q => { q.value = 'is:nonsense'; q.dispatchEvent(new Event('input')); });
  await see(p, () => !document.querySelector('#searchwhy').hidden && document.querySelector('#searchwhy').textContent.includes('is:nonsense'));
  assert.deepEqual(p.errors, []); await p.close();
});

test('thirteen charsets are read in list, text and HTML', async () => {
  await e.mail('charsets');
  const p = await page(e.web + '/');
  await count(p, 13);
  const wanted = { shift_jis: '日本語のメール', 'euc-jp': '日本語のメール', 'iso-2022-jp': '日本語のメール', big5: '中文信件', gb2312: '中文邮件', gbk: '中文邮件', gb18030: '中文邮件',
    'euc-kr': '한국어 편지', 'ks_c_5601-1987': '한국어 편지', 'windows-874': 'จดหมายไทย', 'koi8-r': 'Письмо', 'windows-1256': 'رسالة عربية', 'iso-8859-8': 'מכתב' };
  const rows = await p.$$eval('#list .row', all => all.map(r => [r.dataset.id, r.querySelector('.who').textContent, r.querySelector('.subj bdi').textContent]));
  for (const [id, who, subject] of rows) {
    const charset = (await e.api(`/api/v1/message/${id}/headers`))['X-Charset'][0];
    assert.deepEqual([who, subject], [wanted[charset], wanted[charset]], charset);
    await p.goto(`${e.web}/view/${id}`); await see(p, () => document.querySelector('#mail h1'));
    await tabTo(p, 'Text'); assert.equal((await text(p, 'pre.text')).trim(), wanted[charset], charset);
    await tabTo(p, 'HTML'); const frame = await mailFrame(p);
    assert.equal(await frame.$eval('#w', w => w.textContent), wanted[charset], charset);
  }
  await p.close();
});

test('copies are told apart, and fold into one', async () => {
  await e.mail('copies', 'plain=Twice', 'plain=Twice');
  const p = await page(e.web + '/');
  await count(p, 6);
  assert.deepEqual(await p.$$eval('#list .rcpt', all => all.map(one => one.textContent)),
    ['To bob@example.org', 'To bob@example.org', 'To reader3@example.org', 'To reader2@example.org', 'To reader1@example.org', 'To reader0@example.org']);
  const shown = () => p.$$eval('#list .row', all => all.filter(r => !r.hidden).length);
  await p.click('#fold');
  assert.equal(await shown(), 3, 'the same mail to the same reader twice is no copy');
  assert.equal(await text(p, '.copies'), '4 copies');
  await p.click('.copies'); assert.equal(await shown(), 6);
  await p.click('.copies'); await p.click('#list .row:nth-child(3) .pickbox input');
  await see(p, () => document.querySelector('#bulk .n').textContent === '4 chosen:');
  await p.reload(); await see(p, () => document.querySelector('.copies'));
  assert.equal(await shown(), 3, 'folding is remembered');
  await p.click('#fold'); assert.equal(await shown(), 6);
  assert.deepEqual(p.errors, []); await p.close();
});

test('text has its own direction, and long names push nothing away', async () => {
  await e.mail('names');
  for (const width of [390, 1280]) {
    const p = await page(e.web + '/', { width });
    await count(p, 1);
    const at = await p.evaluate(() => {
      const box = s => document.querySelector(s).getBoundingClientRect(), side = box('#side');
      return { list: side.right, time: box('.row time').right, wide: box('.row time').width, page: document.documentElement.scrollWidth, subject: getComputedStyle(document.querySelector('.row .subj bdi')).direction };
    });
    assert.ok(at.time <= at.list && at.wide > 10, JSON.stringify(at)); assert.equal(at.page, width); assert.equal(at.subject, 'rtl');
    await p.click('.row .subj'); await see(p, () => document.querySelector('#mail h1'));
    assert.equal(await p.$eval('#mail h1', h => getComputedStyle(h).direction), 'rtl');
    assert.equal(await p.$eval('pre.text', t => t.dir), 'auto');
    assert.equal(await p.evaluate(() => document.documentElement.scrollWidth), width);
    await p.close();
  }
 
});

test('remote content is loaded when asked for, message by message', async () => {
  trap.asked.length = 0;
  const html = `<p>x</p><img src="${trap.base}/picture.png"><style>@font-face{font-family:f;src:url(${trap.base}/font)}p{font-family:f}</style>`;
  for (const Subject of ['First', 'Second']) await e.api('/api/v1/send', { method: 'POST', body: JSON.stringify({ From: { Email: 'a@x.test' }, To: [{ Email: 'b@x.test' }], Subject, HTML: html }) });
  const p = await page(e.web + '/');
  await open(p, 'First', 'HTML'); await mailFrame(p);
  assert.deepEqual(trap.asked, []);
  await p.click('button.remote');
  await until(() => trap.asked.some(one => one.path === '/picture.png') && trap.asked.some(one => one.path === '/font'));
  assert.ok(trap.asked.every(one => one.headers.referer === undefined));
  const before = trap.asked.length;
  await open(p, 'Second', 'HTML'); await mailFrame(p);
  assert.ok(await p.$('button.remote'), 'the next message asks again'); assert.equal(trap.asked.length, before);
  assert.deepEqual(p.errors, []); await p.close();
});
