// The list of messages: its rows, and copies of one mail folded into one row.
const headerRecipients = m => [...(m.To || []), ...(m.Cc || []), ...(m.Bcc || [])];
// Who this copy was sent to: what the envelope says, which is what tells copies of one mail apart.
function receiversOf(m) {
  const sent = m.Recipients && m.Recipients.length ? m.Recipients : headerRecipients(m).map(a => a.Address);
  const all = Math.max(sent.length, m.Recipients && m.Recipients.length > 1 ? headerRecipients(m).length : 0);
  return [!sent[0] ? '' : 'To ' + sent[0], sent[0] && all > 1 ? ` +${all - 1}` : ''];
}
const receivers = m => receiversOf(m).join('');
function row(m) {
  const box = el('input', { type: 'checkbox', 'aria-label': 'Choose: ' + (m.Subject || '(no subject)'), onclick: e => choose(m.ID, e.target.checked, e.shiftKey) });
  const link = el('a', { class: 'subj', href: address(m.ID), onclick: e => {
    if (e.button || e.metaKey || e.ctrlKey) return;
    e.preventDefault(); if (e.shiftKey) choose(m.ID, true, true); else open(m.ID, true);
  } });
  const r = el('li', { class: 'row', 'data-id': m.ID },
    el('label', { class: 'pickbox' }, face(m.From), box),
    el('div', { class: 'mid' },
      el('div', { class: 'top' }, el('span', { class: 'who', dir: 'auto' }), el('time')),
      link,
      el('div', { class: 'line' }, el('span', { class: 'rcpt' }), el('span', { class: 'snip', dir: 'auto' })),
      el('div', { class: 'tags' })));
  fillRow(r, m); return r;
}
function fillRow(r, m) {
  r.classList.toggle('unread', !m.Read); r.classList.toggle('sel', m.ID === S.sel);
  const picked = S.picked.has(m.ID);
  r.classList.toggle('picked', picked); r.querySelector('input').checked = picked;
  r.querySelector('.who').textContent = who(m.From);
  r.querySelector('.who').title = m.From ? full(m.From) : '';
  const time = r.querySelector('time'); time.textContent = ago(m.Created); time.dateTime = m.Created;
  time.title = new Date(m.Created).toLocaleString();
  r.querySelector('.subj').replaceChildren(
    m.Read ? '' : el('span', { class: 'sr' }, 'Unread: '),
    el('bdi', {}, m.Subject || '(no subject)'), ...(m.Attachments ? [icon('clip'), el('span', { class: 'sr' }, many(m.Attachments, 'attachment'))] : []));
  if (m.ID === S.sel) r.querySelector('.subj').setAttribute('aria-current', 'true'); else r.querySelector('.subj').removeAttribute('aria-current');
  const [first, more] = receiversOf(m);
  r.querySelector('.rcpt').replaceChildren(el('bdi', {}, first), more && el('span', {}, more)); r.querySelector('.rcpt').title = (m.Recipients || []).join(', ');
  r.querySelector('.snip').textContent = m.Snippet;
  r.querySelector('.tags').replaceChildren(...m.Tags.map(t => tagButton(t)));
}
function touch(id) { const x = S.byId.get(id); if (x) fillRow(x.row, x.m); }
function add(m, first) {
  if (S.byId.has(m.ID)) return;
  const r = row(m); S.byId.set(m.ID, { m, row: r });
  if (first) { S.rows.unshift(m.ID); $('list').prepend(r); r.classList.add('fresh'); }
  else { S.rows.push(m.ID); $('list').append(r); }
}
function drop(id) {
  const x = S.byId.get(id); S.picked.delete(id); if (!x) return;
  x.row.remove(); S.byId.delete(id); S.rows.splice(S.rows.indexOf(id), 1);
}

// Copies: one sender, one subject, within ten minutes, and each to somebody else. The same mail to the same recipient is
// another mail.
const COPIES_WITHIN = 600000;
const copyKey = m => ((m.From && m.From.Address) || '').toLowerCase() + '\n' + m.Subject;
function copies() {
  const open = new Map(), groups = [];
  for (const id of S.rows) {
    const { m } = S.byId.get(id), key = copyKey(m), to = receivers(m).toLowerCase(), at = Date.parse(m.Created);
    let group = open.get(key);
    if (!group || !to || group.to.has(to) || group.at - at > COPIES_WITHIN) {
      group = { ids: [], to: new Set(), at }; open.set(key, group); groups.push(group);
    }
    group.ids.push(id); group.to.add(to);
  }
  return groups;
}
const copiesOf = id => (copies().find(group => group.ids.includes(id)) || { ids: [] }).ids.filter(other => other !== id);
function foldRows() {
  for (const old of $('list').querySelectorAll('.copies')) old.remove();
  for (const id of S.rows) { const r = S.byId.get(id).row; r.hidden = false; r.classList.remove('copy'); }
  if (!fold) return;
  for (const { ids } of copies()) {
    if (ids.length < 2) continue;
    const lead = S.byId.get(ids[0]).row, isOpen = S.open.has(ids[ids.length - 1]);
    const toggle = el('button', { class: 'copies', type: 'button', 'aria-expanded': isOpen, onclick: () => {
      // The oldest is the one that stays in the group when further copies come.
      const key = ids[ids.length - 1];
      if (S.open.has(key)) S.open.delete(key); else S.open.add(key);
      foldRows();
    } }, `${ids.length} copies`, icon(isOpen ? 'up' : 'dn'));
    lead.querySelector('.mid').append(toggle);
    for (const id of ids.slice(1)) { const r = S.byId.get(id).row; r.hidden = !isOpen; r.classList.add('copy'); }
  }
}
const visible = () => S.rows.filter(id => !S.byId.get(id).row.hidden);

async function load(more) {
  const known = new Set(S.rows), turn = ++S.turn, start = more === true ? S.rows.length : 0;
  const limit = start ? PAGE : Math.max(PAGE, Math.min(S.rows.length, S.most));
  const path = S.query ? `/api/v1/search?${ZONE}&query=${encodeURIComponent(S.query)}&` : '/api/v1/messages?';
  let page;
  try { page = await api(`${path}start=${start}&limit=${limit}`); }
  catch (e) {
    if (turn !== S.turn) return;
    searchFails(e.status === 400 ? e.message : '');
    if (e.status !== 400) toast('The sandbox does not answer: what is listed may be old');
    else if (!S.loaded) showNoList();
    return;
  }
  if (turn !== S.turn) return;
  searchFails('');
  const top = $('scroller').scrollTop, focused = focusIn();
  if (!start) {
    // What came since this was asked for is in front of what is told now.
    if (!S.query) fresh.unshift(...S.rows.filter(id => !known.has(id)).map(id => S.byId.get(id).m).reverse());
    S.rows = []; S.byId.clear(); $('list').replaceChildren();
  }
  for (const m of page.messages) add(m, false);
  // What somebody has asked for stays, also beyond what is shown unasked.
  if (start) S.most = Math.max(ROWS, S.rows.length);
  if (!S.query) takeFresh();
  for (const id of S.picked) if (!S.byId.has(id)) S.picked.delete(id);
  Object.assign(S, { total: page.total, unread: page.unread, matching: page.messages_count, matchingUnread: page.messages_unread, loaded: true });
  shape();
  if (!start) { $('scroller').scrollTop = top; focused(); }
}
// Rows are made anew: the one that has the focus gets it back.
function focusIn() {
  const active = document.activeElement, at = active && active.closest('#list .row');
  if (!at) return () => {};
  const which = active.matches('input') ? 'input' : '.subj';
  return () => { const x = S.byId.get(at.dataset.id); if (x && document.activeElement === document.body) x.row.querySelector(which).focus({ preventScroll: true }); };
}
// The page was opened with a search that asks for nothing there is: the rest of it is there all the same.
function showNoList() {
  $('side').hidden = $('view').hidden = false; $('allread').hidden = true;
  $('below').replaceChildren(el('p', { class: 'none' }, 'No messages are shown until the search can be understood.'));
  if (!S.sel) pick();
}
function searchFails(why) {
  $('searchbox').classList.toggle('bad', !!why); $('searchwhy').textContent = why; $('searchwhy').hidden = !why;
  $('q').setAttribute('aria-invalid', !!why);
}
let soon;
function reload() { clearTimeout(soon); soon = setTimeout(load, 200); }

function shape() {
  if (!S.loaded) return;
  const empty = S.total === 0;
  $('welcome').hidden = !empty; $('side').hidden = empty; $('view').hidden = empty; $('clear').hidden = empty || !!S.query;
  const n = S.query ? S.matching : S.total;
  $('count').replaceChildren(...(S.query ? [el('b', {}, String(n)), n === 1 ? ' match' : ' matches', ` of ${S.total}`]
    : [el('b', {}, String(n)), n === 1 ? ' message' : ' messages', S.unread ? ` · ${S.unread} unread` : '']));
  $('allread').hidden = !S.unread || !!S.query;
  $('fold').setAttribute('aria-pressed', fold);
  document.title = (S.unread ? `(${S.unread}) ` : '') + 'ringmta sandbox';
  $('below').replaceChildren(
    !S.rows.length && !empty ? el('p', { class: 'none' }, 'Nothing matches this search.') : '',
    S.rows.length < n && S.rows.length ? el('button', { class: 'more', type: 'button', onclick: () => load(true) }, `Show more (${n - S.rows.length})`) : '',
    S.evicted ? el('p', { class: 'gone' }, `${many(S.evicted, 'older message')} gave way to newer ones`) : '');
  foldRows(); showBulk();
  if (empty && S.sel) leave(false);
  if (!S.sel) pick();
}
