'use strict';
// What everything else stands on: elements, requests, words for numbers.
const ROOT = document.documentElement.dataset.root || '';
const $ = id => document.getElementById(id);
const SVG = 'http://www.w3.org/2000/svg';

// Every text of a message goes into the page by textContent: nothing here ever parses it as HTML that is shown.
function el(tag, props, ...kids) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(props || {})) {
    if (k === 'class') e.className = v;
    else if (k.startsWith('on')) e.addEventListener(k.slice(2), v);
    else if (k.startsWith('aria-') && v != null) e.setAttribute(k, v);
    else if (v === true) e.setAttribute(k, '');
    else if (v !== false && v != null) e.setAttribute(k, v);
  }
  e.append(...kids.flat().filter(k => k != null && k !== false));
  return e;
}
function icon(name) {
  const s = document.createElementNS(SVG, 'svg'), u = document.createElementNS(SVG, 'use');
  s.setAttribute('class', 'i'); s.setAttribute('aria-hidden', 'true'); u.setAttribute('href', '#i-' + name);
  s.append(u); return s;
}
// A button: with a text, or with an icon alone, which then has its title for a name.
function button(name, text, title, onclick, more) {
  const props = { class: 'btn quiet', type: 'button', title, onclick, 'aria-label': text ? null : title, ...more };
  return el('button', props, name && icon(name), text && el('span', { class: 'label' }, text));
}
// A link of the message's: a tab of its own, which learns neither who opened it nor from where.
function outside(url, ...kids) {
  return el('a', { href: url, target: '_blank', rel: 'noopener noreferrer', class: 'outside' }, ...kids);
}

function toast(text) {
  const t = $('toast');
  // What is shown last is above: a dialog may have come since.
  if (t.matches(':popover-open')) t.hidePopover();
  t.showPopover(); t.textContent = text;
  clearTimeout(toast.timer); toast.timer = setTimeout(() => t.hidePopover(), Math.max(3200, 60 * text.length));
}
const fetched = (path, options) => fetch(ROOT + path, options).catch(e => { throw e instanceof TypeError ? new Error('The server does not answer') : e; });
async function api(path, options) {
  const r = await fetched(path, options);
  if (!r.ok) throw Object.assign(new Error((await r.text()).trim() || r.statusText), { status: r.status });
  return (r.headers.get('content-type') || '').includes('json') ? r.json() : r.text();
}
const send = (method, path, body) => api(path, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
function guard(work) { return work.catch(e => toast(e.message)); }

// At most `most` bytes of what is at a path: a large message must not fill the page.
async function bytesOf(path, most) {
  const r = await fetched(path);
  if (!r.ok) throw new Error((await r.text()).trim() || r.statusText);
  const reader = r.body.getReader(), parts = []; let length = 0, cut = false;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value); length += value.length;
    if (length > most) { cut = true; reader.cancel().catch(() => {}); break; }
  }
  const all = new Uint8Array(Math.min(length, most)); let at = 0;
  for (const part of parts) { const piece = part.subarray(0, all.length - at); all.set(piece, at); at += piece.length; }
  return { bytes: all, cut };
}
async function textOf(path, most) {
  const { bytes, cut } = await bytesOf(path, most);
  return { text: new TextDecoder().decode(bytes), cut };
}
function save(blob, name) {
  const url = URL.createObjectURL(blob), a = el('a', { href: url, download: name });
  document.body.append(a); a.click(); a.remove(); setTimeout(() => URL.revokeObjectURL(url), 30000);
}
function copy(text) {
  if (!navigator.clipboard) return toast('Copying needs https or localhost');
  return navigator.clipboard.writeText(text).then(() => toast('Copied'), () => toast('The browser does not allow copying'));
}

function face(from) {
  const name = (from && (from.Name || from.Address)) || '?';
  const f = el('span', { class: 'face', 'aria-hidden': 'true' }, (name.match(/[\p{L}\p{N}]/u) || ['?'])[0].toUpperCase());
  let h = 7; for (const c of (from && from.Address) || name) h = (h * 31 + c.codePointAt(0)) % 360;
  f.style.setProperty('--h', h);
  return f;
}
const who = a => (a && (a.Name || a.Address)) || '(no sender)';
// Names beside each other, each in its own direction.
const apart = names => names.flatMap((name, i) => [i ? ', ' : '', el('bdi', {}, name)]);
const full = a => a.Name ? `${a.Name} <${a.Address}>` : a.Address;
function size(n) { return n < 1024 ? n + ' B' : n < 1048576 ? (n / 1024).toFixed(n < 10240 ? 1 : 0) + ' KB' : (n / 1048576).toFixed(1) + ' MB'; }
const many = (n, what = 'message') => n === 1 ? '1 ' + what : `${n} ${what}s`;
function ago(when) {
  const d = new Date(when), s = (Date.now() - d) / 1000, today = new Date().toDateString() === d.toDateString();
  if (s < 45) return 'now';
  if (s < 3570) return Math.round(s / 60) + ' min';
  return today ? d.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })
    : d.toLocaleDateString([], { day: 'numeric', month: 'short' });
}
function table(pairs) {
  return el('dl', {}, ...pairs.flatMap(([k, v]) => [el('dt', {}, k), el('dd', { dir: 'auto' }, v)]));
}
// Web addresses in a text become links, which learn as little as those in HTML do.
function linked(text) {
  const parts = []; let at = 0;
  for (const found of text.matchAll(/https?:\/\/[^\s<>"'`]+/gi)) {
    const url = found[0].replace(/[.,;:!?)\]}]+$/, '');
    parts.push(text.slice(at, found.index), outside(url, url));
    at = found.index + url.length;
  }
  parts.push(text.slice(at)); return parts;
}
const badge = (text, kind) => el('span', { class: 'badge ' + (kind || '') }, text);
const note = (...kids) => el('p', { class: 'note' }, ...kids);

// A dialog with a heading and a way out.
function dialog(title, content, className) {
  const close = button('x', '', 'Close', () => box.close());
  const box = el('dialog', { class: className || '', 'aria-label': title },
    el('div', { class: 'dialog-head' }, el('h2', { dir: 'auto' }, title), close), content);
  box.addEventListener('close', () => box.remove());
  // A click beside it closes it; a text that is marked beyond its edge does not.
  let pressed; box.addEventListener('pointerdown', e => { pressed = e.target; });
  box.addEventListener('click', e => { if (e.target === box && pressed === box) box.close(); });
  // What scrolls can be scrolled by the keyboard.
  if (content.classList.contains('panel')) content.tabIndex = 0;
  document.body.append(box); box.showModal();
  return box;
}
