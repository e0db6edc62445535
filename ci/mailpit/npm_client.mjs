// Every method of the npm package mailpit-api against the inbox, with what it must give back.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import net from 'node:net';
const { MailpitClient } = createRequire(`${process.env.NODE_MODULES}/`)('mailpit-api');
const { INBOX_WEB, INBOX_SMTP, RELAY_WEB, LINKS } = process.env;
const called = new Set();
const real = new MailpitClient(INBOX_WEB);
const client = new Proxy(real, {
  get: (_, name) => (...args) => { called.add(name); return real[name](...args); },
});
const relay = new MailpitClient(RELAY_WEB);
const refused = (promise, code) => assert.rejects(promise, error => error.message.includes(`Error: ${code} `));

// One dialogue of SMTP; gives back the codes of the answers.
const smtp = (...lines) => new Promise((done, failed) => {
  const [host, port] = INBOX_SMTP.split(':');
  const socket = net.connect(Number(port), host);
  const codes = [];
  let text = '';
  socket.on('error', failed).on('data', data => {
    text += data;
    for (let end; (end = text.indexOf('\r\n')) >= 0; text = text.slice(end + 2)) {
      if (text[3] === '-') continue;
      codes.push(Number(text.slice(0, 3)));
      if (lines.length) socket.write(`${lines.shift()}\r\n`);
      else { socket.end(); done(codes); }
    }
  });
});

const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';
const message = {
  From: { Email: 'ann@example.com', Name: 'Ann Larsen' },
  To: [{ Email: 'bob@example.com', Name: 'Bob' }],
  Cc: [{ Email: 'cc@example.com' }], Bcc: ['bcc@example.com'], ReplyTo: [{ Email: 'reply@example.com' }],
  Subject: 'Grüße', Text: `hello ${LINKS}/good`, Tags: ['orders', 'new one'], Headers: { 'X-Own': 'yes' },
  HTML: `<p style="display:grid">hello <a href="${LINKS}/good">a</a> <a href="${LINKS}/moved">b</a> <a href="${LINKS}/gone">c</a><img src="cid:dot"></p>`,
  Attachments: [
    { Content: png, Filename: 'dot.png', ContentType: 'image/png', ContentID: 'dot' },
    { Content: Buffer.from('a,b\n').toString('base64'), Filename: 'größe.csv', ContentType: 'text/csv' },
  ],
};

await client.deleteMessages();
const configuration = await client.getConfiguration();
assert.deepEqual(
  [configuration.Label, configuration.ChaosEnabled, configuration.SpamAssassin, configuration.MessageRelay.Enabled, configuration.MessageRelay.AllowedRecipients],
  ['tried', true, true, true, '@example\\.com$']);
const { ID } = await client.sendMessage(message);
const list = await client.listMessages();
assert.deepEqual([list.total, list.unread, list.messages_count, list.messages_unread, list.start, list.messages.length], [1, 1, 1, 1, 0, 1]);
assert.deepEqual(list.tags, ['new one', 'orders']);
const listed = list.messages[0];
assert.deepEqual([listed.ID, listed.Read, listed.Subject, listed.From, listed.To, listed.Attachments, listed.Tags],
  [ID, false, 'Grüße', { Name: 'Ann Larsen', Address: 'ann@example.com' }, [{ Name: 'Bob', Address: 'bob@example.com' }], 1, ['new one', 'orders']]);
assert.ok(listed.Snippet.startsWith('hello') && Math.abs(Date.now() - Date.parse(listed.Created)) < 600_000 && listed.Size > 500);

const whole = await client.getMessageSummary(ID);
assert.deepEqual([whole.ID, whole.Subject, whole.Cc[0].Address, whole.Bcc[0].Address, whole.ReplyTo[0].Address, whole.ReturnPath],
  [ID, 'Grüße', 'cc@example.com', 'bcc@example.com', 'reply@example.com', 'ann@example.com']);
assert.ok(whole.HTML.includes('cid:dot') && whole.Text.startsWith('hello') && whole.ListUnsubscribe.Links.length === 0);
const [inline] = whole.Inline, [file] = whole.Attachments;
assert.deepEqual([inline.FileName, inline.ContentID, inline.ContentType], ['dot.png', 'dot', 'image/png']);
assert.deepEqual([file.FileName, file.ContentType, file.Size, file.Checksums.MD5], ['größe.csv', 'text/csv', 4, 'f69f5b72bc79a92dc70c63c9aa142e36']);
assert.equal((await client.getMessageSummary()).ID, ID);
assert.equal((await client.listMessages()).unread, 0, 'it is read by now');
assert.equal(await (await client.getMessageAttachment(ID, file.PartID)).text(), 'a,b\n');
const thumbnail = Buffer.from(await (await client.getAttachmentThumbnail(ID, inline.PartID)).arrayBuffer());
assert.deepEqual([...thumbnail.subarray(0, 3)], [0xff, 0xd8, 0xff], 'JPEG');
const headers = await client.getMessageHeaders(ID);
assert.deepEqual([headers['X-Own'], headers.To], [['yes'], ['"Bob" <bob@example.com>']]);
assert.ok((await client.getMessageSource(ID)).includes('\r\nX-Own: yes\r\n'));
assert.ok((await client.renderMessageHTML(ID)).includes('display:grid'));
assert.ok((await client.renderMessageHTML('latest', 1)).includes('rel='));
assert.ok((await client.renderMessageText(ID)).startsWith('hello'));

// Read state, by ids, by a search, and of all.
const second = (await client.sendMessage({ From: { Email: 'x@example.com' }, To: [{ Email: 'y@example.com' }], Subject: 'second' })).ID;
assert.equal(await client.setReadStatus({ IDs: [ID], Read: false }), 'ok');
assert.equal((await client.listMessages()).unread, 2);
assert.equal(await client.setReadStatus({ Search: 'subject:second', Read: true }, { tz: 'Europe/Berlin' }), 'ok');
assert.deepEqual((await client.searchMessages({ query: 'is:read' })).messages.map(one => one.ID), [second]);
await client.setReadStatus({ Read: true });
assert.equal((await client.listMessages(1, 1)).messages[0].ID, ID);
await refused(client.setReadStatus({ IDs: [ID], Search: 'x' }), 400);
const found = await client.searchMessages({ query: 'addressed:bob after:2020-01-01', tz: 'Pacific/Auckland', start: 0, limit: 10 });
assert.deepEqual([found.total, found.messages_count, found.messages[0].ID], [2, 1, ID]);
await refused(client.searchMessages({ query: 'x', tz: 'Mars/Base' }), 400);

// Waiting.
assert.equal((await client.waitForMessage({ query: 'subject:second' })).ID, second);
assert.equal((await client.waitForMessages({ count: 2 })).messages_count, 2);
assert.equal((await client.waitForMessages({ query: 'nothing', count: 0 })).messages_count, 0);

// Tags.
assert.deepEqual(await client.getTags(), ['new one', 'orders']);
assert.equal(await client.setTags({ IDs: [second], Tags: ['orders', 'a/b'] }), 'ok');
assert.deepEqual(await client.getTags(), ['a b', 'new one', 'orders']);
assert.equal(await client.renameTag('new one', 'newer'), 'ok');
assert.equal(await client.deleteTag('a b'), 'ok');
assert.deepEqual(await client.getTags(), ['newer', 'orders']);
await refused(client.renameTag('absent', 'x'), 400);
await refused(client.deleteTag('absent'), 400);

// Checks.
const html = await client.htmlCheck(ID);
assert.ok(html.Total.Tests > 250 && html.Total.Nodes === 5 && Array.isArray(html.Platforms.ios), JSON.stringify(html.Total));
assert.ok(Math.abs(html.Total.Supported + html.Total.Partial + html.Total.Unsupported - 100) < 0.01);
const grid = html.Warnings.find(one => one.Slug === 'css-display-grid');
assert.ok(grid.Score.Found === 1 && grid.Results.some(one => one.Support === 'no' && one.Family === 'outlook') && grid.URL.startsWith('https://'));
await refused(client.htmlCheck(second), 400);
const links = await client.linkCheck(ID);
assert.deepEqual([links.Errors, links.Links.map(one => [one.URL.slice(LINKS.length), one.StatusCode, one.Status])],
  [1, [['/gone', 404, 'Not Found'], ['/good', 200, 'OK'], ['/moved', 302, 'Found']]]);
const followed = await client.linkCheck(ID, true);
assert.equal(followed.Links.find(one => one.URL.endsWith('/moved')).StatusCode, 200);
const ham = await client.spamAssassinCheck(ID);
assert.deepEqual([ham.Error, ham.IsSpam, ham.Score, ham.Rules.length], ['', false, 0.5, 2]);
assert.deepEqual(ham.Rules[0], { Score: 6, Name: 'GTUBE', Description: 'BODY: Generic Test for Unsolicited Bulk Email' });
await client.sendMessage({ ...message, Attachments: [], HTML: '', Subject: 'spam' });
assert.equal((await client.spamAssassinCheck()).IsSpam, true);

// Release.
await relay.deleteMessages();
assert.equal(await client.releaseMessage(ID, { To: ['out@example.com', 'Other <two@example.com>'] }), 'ok');
const released = (await relay.waitForMessage({ query: 'addressed:out@example.com' }));
assert.deepEqual([released.Subject, released.Envelope.To, released.Bcc.length], ['Grüße', ['out@example.com', 'two@example.com'], 2]);
assert.notEqual(released.MessageID, whole.MessageID);
await refused(client.releaseMessage(ID, { To: ['out@elsewhere.test'] }), 400);
await refused(client.releaseMessage(ID, { To: ['blocked@example.com'] }), 400);
await refused(client.releaseMessage(ID, { To: [] }), 400);
await refused(client.releaseMessage(ID, { To: ['nonsense'] }), 400);

// Chaos.
const off = { ErrorCode: 451, Probability: 0 };
assert.deepEqual(await client.getChaosTriggers(), { Sender: off, Recipient: off, Authentication: { ErrorCode: 535, Probability: 0 } });
const set = await client.setChaosTriggers({ Sender: { ErrorCode: 552, Probability: 100 } });
assert.deepEqual(set.Sender, { ErrorCode: 552, Probability: 100 });
assert.deepEqual(await smtp('EHLO x', 'MAIL FROM:<a@b.test>'), [220, 250, 552]);
await client.setChaosTriggers({ Recipient: { ErrorCode: 450, Probability: 100 }, Authentication: { ErrorCode: 454, Probability: 100 } });
assert.deepEqual(await smtp('EHLO x', 'AUTH PLAIN AGEAYg==', 'MAIL FROM:<a@b.test>', 'RCPT TO:<a@b.test>'), [220, 250, 454, 250, 450]);
await refused(client.setChaosTriggers({ Sender: { ErrorCode: 250, Probability: 1 } }), 400);
await client.setChaosTriggers();
assert.deepEqual(await smtp('EHLO x', 'MAIL FROM:<a@b.test>', 'RCPT TO:<a@b.test>'), [220, 250, 250, 250]);

// Deleting.
assert.equal(await client.deleteMessagesBySearch({ query: 'subject:spam' }), 'ok');
assert.equal(await client.deleteMessages({ IDs: [second] }), 'ok');
const info = await client.getInfo();
assert.deepEqual([info.Messages, info.Unread, info.Tags], [1, 0, { newer: 1, orders: 1 }]);
assert.ok(info.RuntimeStats.SMTPAccepted >= 3 && info.RuntimeStats.MessagesDeleted >= 2 && info.RuntimeStats.SMTPRejected >= 3
  && info.RuntimeStats.Memory > 1_000_000 && info.DatabaseSize > 0 && info.Version && info.Database);
await refused(client.getMessageSummary(second), 404);
assert.equal(await client.deleteMessages(), 'ok');
assert.equal((await client.listMessages()).total, 0);
await refused(client.getMessageSummary(), 404);

const methods = Object.getOwnPropertyNames(MailpitClient.prototype).filter(name => !['constructor', 'request'].includes(name));
assert.deepEqual(methods.filter(name => !called.has(name)), [], 'methods that were not tried');
console.log(`mailpit-api: ${methods.length} methods`);
