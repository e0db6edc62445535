'use strict';
const $ = id => document.getElementById(id);
const PAGE = 100;
const S = { rows: [], byId: new Map(), total: 0, unread: 0, matching: 0, query: '', sel: null, msg: null,
  tab: localStorage.getItem('tab') || 'HTML', phone: false, smtp: '', loaded: false, turn: 0, remote: '' };

// Every text of a message goes into the page by textContent: nothing here ever parses it as HTML.
function el(tag, props, ...kids) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(props || {})) {
    if (k === 'class') e.className = v;
    else if (k.startsWith('on')) e.addEventListener(k.slice(2), v);
    else if (v === true) e.setAttribute(k, '');
    else if (v !== false && v != null) e.setAttribute(k, v);
  }
  e.append(...kids.filter(k => k != null && k !== false));
  return e;
}
function icon(name) {
  const ns = 'http://www.w3.org/2000/svg', s = document.createElementNS(ns, 'svg'), u = document.createElementNS(ns, 'use');
  s.setAttribute('class', 'i'); u.setAttribute('href', '#' + name); s.append(u); return s;
}
function toast(text) {
  const t = $('toast'); t.textContent = text; t.hidden = false;
  clearTimeout(toast.timer); toast.timer = setTimeout(() => { t.hidden = true; }, 2600);
}
async function api(path, options) {
  const r = await fetch(path, options);
  if (!r.ok) throw Object.assign(new Error((await r.text()).trim() || r.statusText), { status: r.status });
  return (r.headers.get('content-type') || '').includes('json') ? r.json() : r.text();
}
const send = (method, path, body) => api(path, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
function guard(work) { return work.catch(e => toast(e.message)); }

function face(from) {
  const name = (from && (from.Name || from.Address)) || '?';
  const f = el('div', { class: 'face', 'aria-hidden': 'true' }, (name.match(/[\p{L}\p{N}]/u) || ['?'])[0].toUpperCase());
  let h = 7; for (const c of (from && from.Address) || name) h = (h * 31 + c.codePointAt(0)) % 360;
  f.style.setProperty('--h', h);
  return f;
}
const who = a => (a && (a.Name || a.Address)) || '(no sender)';
const full = a => a.Name ? `${a.Name} <${a.Address}>` : a.Address;
function size(n) { return n < 1024 ? n + ' B' : n < 1048576 ? (n / 1024).toFixed(n < 10240 ? 1 : 0) + ' KB' : (n / 1048576).toFixed(1) + ' MB'; }
function ago(when) {
  const d = new Date(when), s = (Date.now() - d) / 1000, today = new Date().toDateString() === d.toDateString();
  if (s < 45) return 'now';
  if (s < 3570) return Math.round(s / 60) + ' min';
  return today ? d.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })
    : d.toLocaleDateString([], { day: 'numeric', month: 'short' });
}

const everyone = m => [...(m.To || []), ...(m.Cc || []), ...(m.Bcc || [])];
// Several recipients of one mail are told apart by this, also where each has a copy of its own.
function receivers(m) {
  const all = everyone(m), first = all[0] && all[0].Address;
  return !first ? '' : 'To ' + first + (all.length > 1 ? ` +${all.length - 1}` : '');
}
function row(m) {
  const r = el('div', { class: 'row', role: 'option', 'data-id': m.ID, onclick: () => open(m.ID, true) },
    face(m.From), el('div', { class: 'mid' },
      el('div', { class: 'top' }, el('span', { class: 'who', dir: 'auto' }, who(m.From)), el('time', { title: new Date(m.Created).toLocaleString() }, ago(m.Created))),
      el('div', { class: 'subj' }, el('span', { dir: 'auto' }, m.Subject || '(no subject)'), m.Attachments > 0 && icon('clip')),
      el('div', { class: 'line' }, el('span', { class: 'rcpt' }, receivers(m)), el('span', { class: 'snip', dir: 'auto' }, m.Snippet || ''))));
  r.title = 'To ' + everyone(m).map(full).join(', ');
  mark(r, m); return r;
}
function mark(r, m) {
  r.classList.toggle('unread', !m.Read);
  r.classList.toggle('sel', m.ID === S.sel);
  r.setAttribute('aria-selected', m.ID === S.sel);
}
function touch(id) { const x = S.byId.get(id); if (x) mark(x.row, x.m); }
function add(m, front) {
  if (S.byId.has(m.ID)) return;
  const x = { m, row: row(m) };
  S.byId.set(m.ID, x);
  if (front) { S.rows.unshift(m.ID); x.row.classList.add('fresh'); $('list').prepend(x.row); }
  else { S.rows.push(m.ID); $('list').append(x.row); }
}
function drop(id) {
  const x = S.byId.get(id); if (!x) return false;
  const at = S.rows.indexOf(id);
  S.byId.delete(id); S.rows.splice(at, 1); x.row.remove();
  return at;
}

async function load(more) {
  const turn = ++S.turn, start = more ? S.rows.length : 0;
  const limit = more ? PAGE : Math.max(PAGE, Math.min(S.rows.length, 500));
  const path = S.query ? '/api/v1/search?query=' + encodeURIComponent(S.query) + '&' : '/api/v1/messages?';
  let page;
  try { page = await api(`${path}start=${start}&limit=${limit}`); }
  catch (e) {
    if (turn === S.turn) { $('searchbox').classList.toggle('bad', e.status === 400); $('searchbox').title = e.message; if (e.status !== 400) toast('The sandbox does not answer'); }
    return;
  }
  if (turn !== S.turn) return;
  $('searchbox').classList.remove('bad'); $('searchbox').title = '';
  const top = $('list').scrollTop;
  if (!more) { S.rows = []; S.byId.clear(); $('list').replaceChildren(); }
  for (const m of page.messages) add(m, false);
  Object.assign(S, { total: page.total, unread: page.unread, matching: page.messages_count, loaded: true });
  if (!more) $('list').scrollTop = top;
  shape();
}
let soon;
function reload() { clearTimeout(soon); soon = setTimeout(load, 200); }

// With a search the buttons mean what it shows, and say how many that is.
const many = n => n === 1 ? '1 message' : n + ' messages';
function clearText(sure) {
  if (!S.query) return sure ? `Delete all ${many(S.total)}?` : 'Delete all';
  return sure ? `Delete ${many(S.matching)}?` : `Delete ${S.matching} matching`;
}
function shape() {
  if (!S.loaded) return;
  const empty = S.total === 0;
  $('welcome').hidden = !empty; $('side').hidden = empty; $('view').hidden = empty; $('clear').hidden = empty;
  const n = S.query ? S.matching : S.total;
  const text = S.query ? [el('b', {}, String(n)), n === 1 ? ' match' : ' matches', ` of ${S.total}`]
    : [el('b', {}, String(n)), n === 1 ? ' message' : ' messages', S.unread ? ` · ${S.unread} unread` : ''];
  $('count').replaceChildren(...text);
  $('allread').hidden = !S.unread;
  $('allread').title = S.query ? 'Mark what matches as read' : 'Mark all as read';
  $('clear').title = S.query ? 'Delete what matches the search' : 'Delete all messages';
  $('clear').disabled = !n;
  if (!$('clear').classList.contains('sure')) $('clear').lastChild.textContent = clearText(false);
  document.title = (S.unread ? `(${S.unread}) ` : '') + 'ringmta sandbox';
  const list = $('list');
  list.querySelectorAll('.more, .none').forEach(e => e.remove());
  if (!S.rows.length) list.append(el('div', { class: 'none' }, 'Nothing matches this search.'));
  else if (S.rows.length < n) list.append(el('button', { class: 'more', onclick: () => load(true) }, `Show more (${n - S.rows.length})`));
  if (empty && S.sel) leave(false);
  if (!S.sel) pick();
}
function pick() {
  $('view').replaceChildren(el('div', { class: 'pick' }, icon('mail'), el('p', {}, 'Choose a message'),
    el('p', {}, el('kbd', {}, 'j'), ' ', el('kbd', {}, 'k'), ' move  ', el('kbd', {}, 'u'), ' unread  ', el('kbd', {}, 'd'), ' delete')));
}

async function open(id, push) {
  const before = S.sel; S.sel = id; touch(before); touch(id);
  document.body.classList.add('reading');
  const x = S.byId.get(id); if (x) x.row.scrollIntoView({ block: 'nearest' });
  if (push && location.pathname !== '/view/' + id) history.pushState(null, '', '/view/' + encodeURIComponent(id));
  try {
    const m = await api('/api/v1/message/' + encodeURIComponent(id));
    if (S.sel !== id) return;
    S.sel = m.ID; S.msg = m; touch(m.ID); if (x) { x.m.Read = true; touch(id); }
    show(m);
  } catch (e) { if (S.sel === id) { leave(true); toast(e.status === 404 ? 'This message is no longer here' : e.message); } }
}
function leave(push) {
  const before = S.sel; S.sel = null; S.msg = null; touch(before);
  document.body.classList.remove('reading'); pick();
  if (push && location.pathname !== '/') history.pushState(null, '', '/');
}
function step(by) {
  if (!S.rows.length) return;
  const at = S.rows.indexOf(S.sel), next = at < 0 ? 0 : at + by;
  if (next >= 0 && next < S.rows.length) open(S.rows[next], true);
}
async function remove(id) {
  const at = S.rows.indexOf(id), next = S.rows[at + 1] || S.rows[at - 1];
  // Move on first: the event of the deletion may be here before the answer.
  if (S.sel === id) { if (next && at >= 0 && innerWidth > 820) open(next, true); else leave(true); }
  await send('DELETE', '/api/v1/messages', { IDs: [id] });
}
async function unread(id) {
  await send('PUT', '/api/v1/messages', { Read: false, IDs: [id] });
  if (S.sel === id) leave(true);
}

function line(label, list) {
  return list && list.length ? el('div', { class: 'to' }, el('em', {}, label), el('bdi', {}, list.map(full).join(', '))) : null;
}
function show(m) {
  const id = encodeURIComponent(m.ID), files = [...m.Attachments, ...m.Inline];
  const tabs = { HTML: m.HTML, Text: m.Text, Headers: true, Raw: true, Session: true };
  let tab = tabs[S.tab] ? S.tab : m.HTML ? 'HTML' : 'Text';
  const body = el('div', { class: 'body' }), bar = el('div', { class: 'tabs', role: 'tablist' });
  const sizes = el('div', { class: 'size' });
  const loadRemote = () => { S.remote = m.ID; remote.disabled = true; remote.textContent = 'Remote content is loaded'; fill(body, m, tab); };
  const remote = el('button', { class: 'remote', title: 'Pictures, styles and fonts from elsewhere: their hosts learn that this message is being read', onclick: loadRemote }, 'Load remote content');
  if (S.remote === m.ID) { remote.disabled = true; remote.textContent = 'Remote content is loaded'; }
  const loads = /(src|background)\s*=\s*["']?\s*(https?:)?\/\/|url\(\s*["']?\s*(https?:)?\/\//i.test(m.HTML);
  const pickSize = () => { sizes.hidden = tab !== 'HTML'; remote.hidden = !loads || tab !== 'HTML'; body.classList.toggle('phone', S.phone && tab === 'HTML');
    [...sizes.children].forEach((b, i) => b.setAttribute('aria-pressed', S.phone === (i === 1))); };
  for (const [at, name] of [[0, 'wide'], [1, 'phone']])
    sizes.append(el('button', { title: at ? 'Phone width' : 'Full width', onclick: () => { S.phone = at === 1; pickSize(); } }, icon(name)));
  const choose = name => {
    tab = name;
    for (const b of bar.querySelectorAll('[role=tab]')) b.setAttribute('aria-selected', b.textContent === name);
    pickSize(); body.scrollTop = 0; fill(body, m, name);
  };
  for (const name of Object.keys(tabs))
    bar.append(el('button', { role: 'tab', disabled: !tabs[name], onclick: () => { S.tab = name; localStorage.setItem('tab', name); choose(name); } }, name));
  bar.append(el('span', { class: 'gap' }), remote, sizes);
  const extra = [
    ...files.map(f => el('a', { class: 'chip', href: `/api/v1/message/${id}/part/${encodeURIComponent(f.PartID)}`, download: f.FileName || 'part-' + f.PartID, title: `${f.ContentType}\nSHA-256 ${f.Checksums.SHA256}` },
      icon('clip'), el('span', {}, f.FileName || f.ContentType), el('small', {}, size(f.Size)))),
    ...m.Tags.map(t => el('span', { class: 'tag' }, t))];
  $('view').replaceChildren(el('div', { id: 'mail' },
    el('div', { class: 'head' },
      el('div', { class: 'tools' },
        el('button', { class: 'btn quiet back', title: 'Back', onclick: () => leave(true) }, icon('back'), 'Inbox'),
        el('span', { class: 'gap' }),
        el('button', { class: 'btn quiet', title: 'Mark as unread (u)', onclick: () => guard(unread(m.ID)) }, icon('dot'), el('span', { class: 'wide' }, 'Unread')),
        el('a', { class: 'btn quiet', title: 'Download the source', href: `/api/v1/message/${id}/raw?dl=1`, download: m.ID + '.eml' }, icon('down'), el('span', { class: 'wide' }, 'Download')),
        el('button', { class: 'btn quiet danger', title: 'Delete (d)', onclick: () => guard(remove(m.ID)) }, icon('bin'), el('span', { class: 'wide' }, 'Delete'))),
      el('h1', { dir: 'auto' }, m.Subject || '(no subject)'),
      el('div', { class: 'people' }, face(m.From),
        el('div', { class: 'from' }, el('b', { dir: 'auto' }, who(m.From)), m.From.Name ? el('span', {}, ' ' + m.From.Address) : null),
        el('time', { title: 'Date header: ' + m.Date }, new Date(m.Envelope.Received).toLocaleString([], { dateStyle: 'medium', timeStyle: 'medium' }) + ' · ' + size(m.Size)),
        line('To', m.To), line('Cc', m.Cc), line('Bcc', m.Bcc), line('Reply to', m.ReplyTo)),
      extra.length ? el('div', { class: 'chips' }, ...extra) : null,
      bar),
    body));
  choose(tab);
}
function table(pairs) {
  return el('dl', {}, ...pairs.flatMap(([k, v]) => [el('dt', {}, k), el('dd', {}, v)]));
}
// Web addresses in a text become links, which learn as little as those in HTML do.
function linked(text) {
  const parts = []; let at = 0;
  for (const found of text.matchAll(/https?:\/\/[^\s<>"'`]+/gi)) {
    const url = found[0].replace(/[.,;:!?)\]}]+$/, '');
    parts.push(text.slice(at, found.index), el('a', { href: url, target: '_blank', rel: 'noopener noreferrer' }, url));
    at = found.index + url.length;
  }
  parts.push(text.slice(at)); return parts;
}
async function fill(body, m, tab) {
  const id = encodeURIComponent(m.ID);
  if (tab === 'HTML') return body.replaceChildren(el('iframe', { sandbox: 'allow-popups allow-popups-to-escape-sandbox', referrerpolicy: 'no-referrer', src: `/view/${id}.html${S.remote === m.ID ? '?remote=1' : ''}`, title: 'Message' }));
  if (tab === 'Text') return body.replaceChildren(el('pre', { class: 'text', dir: 'auto' }, ...linked(m.Text || '(no text)')));
  if (tab === 'Session') {
    const e = m.Envelope, s = e.Session;
    return body.replaceChildren(table([
      ['Envelope sender', e.From || '<>'], ...e.To.map((to, i) => [i ? '' : 'Envelope recipients', to]),
      ['Received', e.Received], ['Client', s.Client], ['EHLO name', s.Helo || '-'], ['Protocol', s.Protocol],
      ['TLS', s.TLS ? `${s.TLS.Version} ${s.TLS.Cipher}` : 'no'], ['AUTH user', s.AuthUser == null ? 'none' : s.AuthUser],
      ['Message-ID', m.MessageID || '(none)'], ['Date header', m.Date],
      ['List-Unsubscribe', m.ListUnsubscribe.Errors || m.ListUnsubscribe.Links.join('\n') || '(none)'], ['Size', m.Size + ' bytes']]));
  }
  body.replaceChildren();
  try {
    const got = await api(`/api/v1/message/${id}/${tab === 'Raw' ? 'raw' : 'headers'}`);
    if (S.msg !== m || body.childNodes.length) return;
    body.replaceChildren(tab === 'Raw' ? el('pre', { class: 'raw' }, got)
      : table(Object.entries(got).flatMap(([k, vs]) => vs.map((v, i) => [i ? '' : k, v]))));
  } catch (e) { toast(e.message); }
}

let ws, pause = 500;
function live() {
  ws = new WebSocket((location.protocol === 'https:' ? 'wss://' : 'ws://') + location.host + '/api/events');
  ws.onopen = () => { pause = 500; $('live').classList.add('on'); $('live').lastChild.textContent = 'live'; load(); };
  ws.onclose = () => {
    $('live').classList.remove('on'); $('live').lastChild.textContent = 'offline';
    setTimeout(live, pause); pause = Math.min(pause * 2, 8000);
  };
  ws.onmessage = e => { const { Type, Data } = JSON.parse(e.data); (on[Type] || (() => {}))(Data); };
}
const on = {
  new(m) {
    if (S.query) return reload();
    S.total++; S.unread++; add(m, true);
    // A flood must not make the page heavy: what is far down is fetched again when asked for.
    while (S.rows.length > 1000) drop(S.rows[S.rows.length - 1]);
    later();
  },
  update(d) {
    const x = S.byId.get(d.ID); if (!x) return;
    if ('Read' in d) x.m.Read = d.Read; if (d.Tags) x.m.Tags = d.Tags;
    touch(d.ID);
  },
  delete(d) { drop(d.ID); if (S.sel === d.ID) leave(true); if (S.query) reload(); },
  truncate() { S.rows = []; S.byId.clear(); $('list').replaceChildren(); S.total = S.unread = S.matching = 0; leave(true); shape(); },
  prune() { reload(); },
  stats(d) { S.total = d.Total; S.unread = d.Unread; later(); },
};
let frame;
function later() { if (!frame) frame = requestAnimationFrame(() => { frame = 0; shape(); }); }

let typing;
$('q').addEventListener('input', () => { clearTimeout(typing); typing = setTimeout(() => { S.query = $('q').value.trim(); $('list').scrollTop = 0; load(); }, 150); });
$('clear').addEventListener('click', () => {
  const b = $('clear'), text = b.lastChild, query = S.query;
  if (!b.classList.contains('sure') || b.dataset.query !== query) {
    b.classList.add('sure'); b.dataset.query = query; text.textContent = clearText(true);
    clearTimeout(b.timer);
    b.timer = setTimeout(() => { b.classList.remove('sure'); text.textContent = clearText(false); }, 3500);
    return;
  }
  b.classList.remove('sure'); text.textContent = clearText(false);
  if (!query) return guard(api('/api/v1/messages', { method: 'DELETE' }));
  const n = S.matching;
  guard(api('/api/v1/search?query=' + encodeURIComponent(query), { method: 'DELETE' }).then(() => { toast(`Deleted ${many(n)}`); return load(); }));
});
$('allread').addEventListener('click', () => {
  const query = S.query, n = query ? S.matching : S.total;
  guard(send('PUT', '/api/v1/messages', { Read: true, Search: query }).then(() => { toast(`${many(n)} marked as read`); return load(); }));
});
document.addEventListener('click', e => {
  const id = e.target.dataset && e.target.dataset.copy;
  if (id && navigator.clipboard) navigator.clipboard.writeText($(id).textContent).then(() => toast('Copied'), () => toast('The browser does not allow copying'));
});
document.addEventListener('keydown', e => {
  if (e.target === $('q')) { if (e.key === 'Escape') { if ($('q').value) { $('q').value = ''; S.query = ''; load(); } $('q').blur(); } return; }
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  const act = { j: () => step(1), k: () => step(-1), ArrowDown: () => step(1), ArrowUp: () => step(-1), '/': () => $('q').focus(),
    d: () => S.sel && guard(remove(S.sel)), Delete: () => S.sel && guard(remove(S.sel)), u: () => S.sel && guard(unread(S.sel)),
    Escape: () => leave(true) }[e.key];
  if (act) { e.preventDefault(); act(); }
});
function route() {
  const m = location.pathname.match(/^\/view\/([^/.]+)$/);
  if (m) open(decodeURIComponent(m[1]), false); else if (S.sel) leave(false);
}
addEventListener('popstate', route);
setInterval(() => { for (const x of S.byId.values()) x.row.querySelector('time').textContent = ago(x.m.Created); }, 30000);

api('/api/v1/webui').then(ui => {
  const at = ui.SMTP.lastIndexOf(':'), port = ui.SMTP.slice(at + 1);
  // Bound to every address: then the name this page was reached by is the one to use.
  let host = ui.SMTP.slice(0, at); if (host === '0.0.0.0' || host === '[::]') host = location.hostname;
  $('host').textContent = host; $('port').textContent = port;
  $('cmd1').textContent = `swaks --server ${host}:${port} --from ann@example.com --to bob@example.org`;
  $('cmd2').textContent = `printf 'Subject: Hello\\n\\nA first message\\n' |\n  curl --crlf -T - smtp://${host}:${port} \\\n    --mail-from ann@example.com --mail-rcpt bob@example.org`;
}, () => {});
const asked = new URLSearchParams(location.search).get('q');
if (asked) { S.query = asked; $('q').value = asked; }
live(); route();
