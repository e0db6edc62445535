// What the browser tests share: an engine with its inbox on free ports, a browser, mail, and a log of what was asked of whom.
import { spawn, execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { createServer } from 'node:http';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { after } from 'node:test';

const here = path.dirname(fileURLToPath(import.meta.url));
const require = createRequire(path.join(process.env.BROWSER_MODULES || here, 'x.js'));
const puppeteer = require('puppeteer-core');
export const AXE = require.resolve('axe-core/axe.min.js');
const run = promisify(execFile);
// Far beyond what anything here takes: a test that reaches it has hung.
export const PATIENCE = Number(process.env.BROWSER_PATIENCE || 120000);

// With a policy, a text, it runs that instead of the shipped tree.
export async function engine(more = {}, { shards = 1, policy } = {}) {
  const dir = await mkdtemp(path.join(tmpdir(), 'ringmta-browser-')), file = path.join(dir, 'policy.lua');
  if (policy) await writeFile(file, policy);
  const any = '127.0.0.1:0';
  const child = spawn(path.join(process.env.CAMPAIGN_BIN || 'target/debug', 'ringmta'),
    ['dev', '--dir', dir, '--shards', String(shards), ...policy ? ['--policy', file] : [], '--smtp', any, '--http', any, '--sandbox-smtp', any, '--sandbox-web', any, '--receiver', any],
    { env: { ...process.env, RINGMTA_ALLOW_ROOT: '1', ...more } });
  let said = '', ended = false;
  child.on('exit', () => { ended = true; });
  for (const stream of [child.stdout, child.stderr]) stream.on('data', data => { said += data; });
  after(async () => {
    child.kill('SIGTERM');
    await until(() => ended); await rm(dir, { recursive: true, force: true });
  });
  const found = words => (said.match(new RegExp(words + '\\s+(?:http|smtp)://(\\S+?)/?\\s')) || [])[1];
  await until(() => { if (ended) throw new Error(said); return found('webhook events') && found('inbox') && said.includes('Ctrl-C'); });
  const web = 'http://' + found('inbox'), http = 'http://' + found('console'), receiver = 'http://' + found('webhook events');
  const smtp = (await (await fetch(web + '/api/v1/webui')).json()).SMTP.split(':').pop();
  const mail = async (...names) => (await run('python3', [path.join(here, 'mail.py'), smtp, ...names], { maxBuffer: 1 << 26 })).stdout;
  const api = async (at, options) => { const r = await fetch(web + at, options); const text = await r.text(); try { return JSON.parse(text); } catch { return text; } };
  return { web, http, receiver, smtp, mail, api, stop: () => child.kill('SIGKILL'), clear: () => api('/api/v1/messages', { method: 'DELETE' }) };
}

// Started here, for what is started within a test ends with it.
export const browser = await puppeteer.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--lang=en'], protocolTimeout: PATIENCE });
after(() => browser.close());
// A page with the width given, whose errors and requests are kept; one with permissions is not yet opened.
export async function page(url, { width = 1280, height = 800, allow = [] } = {}) {
  // A reader of its own: what one test's page keeps is not another's.
  const context = await browser.createBrowserContext();
  if (allow.length) await context.overridePermissions(new URL(url).origin, allow);
  const p = await context.newPage();
  p.close = () => context.close();
  p.context = context;
  p.setDefaultTimeout(PATIENCE);
  // The page may draw a place anew between the moment it is found and the click: then it is found again.
  for (const way of ['click', 'hover', 'focus', 'type']) {
    const once = p[way].bind(p);
    p[way] = async (...given) => {
      for (let tries = 0; ; tries++) {
        try { return await once(...given); } catch (error) {
          if (tries === 100 || !/detached|not clickable|No element found/i.test(error.message)) throw error;
          await new Promise(done => setTimeout(done, 50));
        }
      }
    };
  }
  await p.setViewport({ width, height });
  p.errors = []; p.asked = [];
  p.on('pageerror', error => p.errors.push(String(error)));
  p.on('console', m => { if (m.type() === 'error' && !/status of [45]|Content Security Policy|sandboxed|ERR_BLOCKED_BY/.test(m.text())) p.errors.push(m.text()); });
  // What was answered: what a policy held back never left, though the browser writes it down as asked for.
  p.on('response', response => p.asked.push(response.url()));
  if (!allow.length) await p.goto(url, { waitUntil: 'load' });
  return p;
}
export async function until(done) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const got = await done();
    if (got) return got;
    if (Date.now() > end) throw new Error('waited in vain for ' + done);
    await new Promise(ok => setTimeout(ok, 25));
  }
}
// Waits until what the page says of itself is true; a function that runs in the page.
export const see = (p, what, ...args) => p.waitForFunction(what, { polling: 50 }, ...args).then(handle => handle.jsonValue());
export const count = (p, n) => see(p, n => document.querySelectorAll('#list .row').length === n, n);
export const text = (p, selector) => p.$eval(selector, e => e.textContent);
// Opens the message with this subject, and its tab.
export async function open(p, subject, tab) {
  await see(p, s => [...document.querySelectorAll('#list .subj bdi')].some(e => e.textContent === s), subject);
  await p.evaluate(s => [...document.querySelectorAll('#list .subj')].find(e => e.querySelector('bdi').textContent === s).click(), subject);
  await see(p, s => document.querySelector('#mail h1') && document.querySelector('#mail h1').textContent === s, subject);
  if (tab) await tabTo(p, tab);
}
export async function tabTo(p, tab) {
  await p.evaluate(tab => document.querySelector(`[data-tab=${tab}]`).click(), tab);
  await see(p, () => !document.querySelector('#tabpanel').hasAttribute('aria-busy') && document.querySelector('#tabpanel').firstChild);
}
// The frame that shows the message's HTML, loaded.
export async function mailFrame(p, selector = '.stage iframe') {
  const handle = await p.waitForSelector(selector);
  return until(async () => { const f = await handle.contentFrame(); return f && f.url().startsWith('http') && await f.evaluate(() => document.readyState === 'complete').catch(() => false) && f; });
}
// A server elsewhere, which notes who asks it for what.
export async function elsewhere() {
  const asked = [];
  const server = createServer((request, response) => {
    asked.push({ path: request.url, headers: request.headers, method: request.method });
    let body = ''; request.on('data', data => { body += data; });
    request.on('end', () => { asked[asked.length - 1].body = body; response.setHeader('content-type', 'text/html'); response.setHeader('access-control-allow-origin', '*'); response.end('<title>elsewhere</title>' ); });
  });
  await new Promise(ok => server.listen(0, '127.0.0.1', ok));
  after(() => server.close());
  return { asked, base: `http://127.0.0.1:${server.address().port}` };
}
