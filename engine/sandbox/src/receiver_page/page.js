// The page of the webhook receiver.
// Events that are asked for at once; all that are kept are asked for.
const AT_ONCE = 500;
const SHOWN = 200;
const E = { events: [], last: 0, kept: 0, counts: {}, refused: 0, secret: false, open: new Set(), raw: new Set(), busy: false };
const asked = new URLSearchParams(location.search);
let query = asked.get('q') || '', kind = asked.get('type') || '';
$('q').value = query;

async function look() {
  if (E.busy) return; E.busy = true;
  try {
    let got = await newer(E.last);
    if (got.last < E.last) { E.events = []; E.last = 0; got = await newer(0); }
    const changed = got.events.length || got.refused !== E.refused || !E.drawn;
    E.events = [...got.events, ...E.events].slice(0, got.kept);
    Object.assign(E, { last: got.last, counts: got.counts, refused: got.refused, secret: got.secret, kept: got.kept, drawn: true });
    state(true); if (changed) draw();
  } catch { state(false); }
  E.busy = false;
}
// What came after an event, the newest first, some at a time.
async function newer(since) {
  const first = await api(`/events.json?since=${since}&limit=${AT_ONCE}`);
  for (let more = first.events; more.length === AT_ONCE;) {
    more = (await api(`/events.json?since=${since}&limit=${AT_ONCE}&before=${more[more.length - 1].seq}`)).events;
    first.events.push(...more);
  }
  return first;
}
function state(yes) { $('live').classList.toggle('on', yes); $('live').classList.toggle('off', !yes); $('live').lastElementChild.textContent = yes ? 'live' : 'offline'; }
function remember() {
  const p = new URLSearchParams(); if (query) p.set('q', query); if (kind) p.set('type', kind);
  history.replaceState(null, '', '?' + p);
}
function draw() {
  const all = Object.values(E.counts).reduce((a, b) => a + b, 0);
  $('kinds').replaceChildren(...[['', 'All', all], ...Object.entries(E.counts).map(([k, n]) => [k, k, n])].map(([value, name, n]) =>
    el('button', { type: 'button', 'aria-pressed': kind === value, onclick: () => { kind = value; remember(); draw(); } }, name + ' ', el('b', {}, String(n)))));
  const marks = count(E.events.map(event => event.post.signature));
  $('trust').replaceChildren(badge('key matches', 'good'), ...Object.entries(marks).map(([name, n]) => signatureBadge(name, n)),
    E.refused ? badge(`${many(E.refused, 'POST')} refused: wrong or no key`, 'bad') : '',
    el('span', {}, E.secret ? 'Signatures are checked with RINGMTA_WEBHOOK_SECRET.' : 'Set RINGMTA_WEBHOOK_SECRET to have signatures checked.'));
  const words = query.toLowerCase().split(/\s+/).filter(Boolean), groups = grouped(E.events), found = groups.filter(group => matchesAll(group, words, kind));
  const focused = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.key : null;
  $('messages').replaceChildren(...found.slice(0, SHOWN).map(messageRow));
  if (focused) { const again = document.querySelector(`[data-key="${CSS.escape(focused)}"]`); if (again) again.focus(); }
  $('empty').hidden = found.length > 0;
  $('trust').hidden = !E.events.length && !E.refused;
  $('empty').firstElementChild.textContent = E.events.length ? 'Nothing matches.' : 'No events yet.';
  $('empty').lastElementChild.hidden = E.events.length > 0;
  const more = found.length - SHOWN, older = all - E.events.length;
  $('gone').hidden = more <= 0 && older <= 0;
  $('gone').textContent = [more > 0 ? `${many(more, 'more message')} match: search for them` : '', older > 0 ? `${many(older, 'older event')} gave way to newer ones` : ''].filter(Boolean).join(' · ');
}
const count = list => list.reduce((n, name) => ({ ...n, [name]: (n[name] || 0) + 1 }), {});
const SIGNATURES = { valid: ['signature valid', 'good'], wrong: ['signature wrong', 'bad'], stale: ['signature too old', 'warn'], unchecked: ['signature not checked', ''], none: ['not signed', ''] };
const signatureBadge = (name, n) => badge(SIGNATURES[name][0] + (n ? ` ${n}` : ''), SIGNATURES[name][1]);
function copyable(label, text) {
  return el('span', {}, label + ' ', el('button', { class: 'copyable', type: 'button', title: 'Copy', onclick: () => copy(text) }, el('code', {}, text), icon('copy')));
}
function messageRow(group) {
  const isOpen = E.open.has(group.key), at = timeOf(group.final);
  const head = el('button', { class: 'summary', type: 'button', 'aria-expanded': isOpen, 'data-key': group.key, onclick: () => { if (isOpen) E.open.delete(group.key); else E.open.add(group.key); draw(); } },
    badge(group.final.type || '(none)', COLOR[group.final.type] || ''),
    el('span', { class: 'what' }, el('bdi', { class: 'subject' }, group.subject || '(no subject)'),
      el('span', { class: 'way' }, el('bdi', {}, group.sender || '<>'), ' → ', el('bdi', {}, group.to || '-'), group.more ? ` and ${group.more} more` : '', group.queue ? ` · queue ${group.queue}` : '')),
    el('span', { class: 'side' }, at ? el('time', { datetime: at.toISOString(), title: at.toLocaleString() }, clock(at)) : '', many(group.events.length, 'event'), icon('dn')));
  return el('li', { class: 'message' }, head, isOpen ? messageBody(group) : null);
}
function messageBody(group) {
  const r = group.final, first = timeOf(group.events[0].record);
  return el('div', { class: 'more-of' },
    el('div', { class: 'ids' }, r.id ? copyable('id', String(r.id)) : null, headerOf(r, 'message-id') ? copyable('Message-ID', headerOf(r, 'message-id')) : null,
      r.size ? el('span', {}, size(r.size)) : null, r.nodeid ? copyable('node', String(r.nodeid)) : null),
    ...group.events.map(event => eventLine(event, first)));
}
function eventLine(event, first) {
  const r = event.record, at = timeOf(r), isRaw = E.raw.has(event.seq);
  const after = at && first && at > first ? ` +${at - first < 10000 ? (at - first) + ' ms' : Math.round((at - first) / 1000) + ' s'}` : '';
  return el('div', { class: 'event-line', 'data-seq': event.seq },
    el('div', {}, badge(r.type || '(none)', COLOR[r.type] || ''), el('span', { class: 'when', title: at ? at.toISOString() : '' }, at ? clock(at) + after : '')),
    el('div', {}, el('div', { class: 'said', dir: 'auto' }, inWords(r)), el('div', { class: 'facts' }, facts(r)),
      el('div', { class: 'facts' }, signatureBadge(event.post.signature), event.post.id ? [' ', copyable('webhook-id', event.post.id)] : null)),
    el('div', { class: 'acts' },
      button('braces', 'Record', 'The whole record', () => { if (isRaw) E.raw.delete(event.seq); else E.raw.add(event.seq); draw(); }, { 'aria-expanded': isRaw, 'data-key': 'raw ' + event.seq }),
      button('copy', '', 'Copy the record', () => copy(JSON.stringify(r, null, 2))),
      button('again', 'Replay', 'Send this event again', () => replay(event))),
    isRaw ? el('pre', { tabindex: 0, 'aria-label': 'Record' }, JSON.stringify(r, null, 2)) : null);
}
function replay(event) {
  const input = el('input', { id: 'to', type: 'url', required: true, placeholder: 'http://127.0.0.1:3000/webhook', value: kept('replay') || '' });
  const key = el('input', { id: 'key', type: 'password', autocomplete: 'off' }), ask = el('label', { for: 'key', hidden: true }, 'Key of this receiver'); key.hidden = true;
  const answer = el('p', { class: 'note', role: 'status' });
  const form = el('form', { class: 'ask', onsubmit: async e => {
    e.preventDefault(); keep('replay', input.value); answer.textContent = 'Sending …';
    try {
      const got = await api('/replay', { method: 'PUT', headers: { 'content-type': 'application/json', ...(key.value ? { 'x-kumomta-key': key.value } : {}) }, body: JSON.stringify({ seq: event.seq, to: input.value.trim() }) });
      answer.replaceChildren(badge(got.status, /^2/.test(got.status) ? 'good' : 'bad'), ' was the answer.');
    } catch (failed) { if (failed.status === 401) key.hidden = ask.hidden = false; answer.replaceChildren(badge('not sent', 'bad'), ' ' + failed.message); }
  } }, el('label', { for: 'to' }, 'Receiver'), input, ask, key,
    note(`The record goes there as it came, with this receiver's key${E.secret ? ', a fresh signature' : ''} and the same webhook-id.`),
    el('button', { class: 'btn main', type: 'submit' }, 'Send'), answer);
  dialog(`Replay ${event.record.type || 'event'}`, form); input.focus();
}
$('q').addEventListener('input', () => { query = $('q').value.trim(); remember(); draw(); });
$('theme').addEventListener('click', nextTheme);
document.addEventListener('keydown', e => {
  if (e.key === '/' && !/^(INPUT|TEXTAREA)$/.test(e.target.tagName)) { e.preventDefault(); $('q').focus(); }
  if (e.key === 'Escape' && e.target === $('q')) { $('q').value = query = ''; remember(); draw(); }
});
setInterval(() => { if (!document.hidden) look(); }, 1500);
document.addEventListener('visibilitychange', look);
applyTheme(); look();
