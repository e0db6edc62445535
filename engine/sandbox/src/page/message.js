// One message: its head, its tabs.
const TEXT_SHOWN = 1 << 20;
// List and message take turns.
const isNarrow = () => innerWidth <= 820;
function pick() {
  $('view').replaceChildren(el('div', { class: 'pick' }, icon('mail'), el('p', {}, S.rows.length ? 'Choose a message' : 'No message is listed'),
    el('p', {}, el('kbd', {}, 'j'), ' ', el('kbd', {}, 'k'), ' move  ', el('kbd', {}, 'x'), ' choose  ', el('kbd', {}, '?'), ' all keys')));
}
async function open(id, push) {
  const before = S.sel; S.sel = id; touch(before); touch(id);
  document.body.classList.add('reading');
  const x = S.byId.get(id); if (x) x.row.scrollIntoView({ block: 'nearest' });
  if (push) go(id);
  try {
    const m = await api('/api/v1/message/' + encodeURIComponent(id));
    if (S.sel !== id) return;
    S.sel = m.ID; S.msg = m; touch(m.ID); if (x) { x.m.Read = true; touch(id); }
    show(m);
  } catch (e) { if (S.sel === id) { leave(true); toast(e.status === 404 ? 'This message is no longer here' : e.message); } }
}
function leave(push) {
  const before = S.sel, x = S.byId.get(before), hadFocus = $('view').contains(document.activeElement); S.sel = null; S.msg = null; touch(before);
  document.body.classList.remove('reading'); pick();
  if (x && hadFocus) x.row.querySelector('.subj').focus({ preventScroll: true });
  if (push) go(null);
}
function step(by) {
  const rows = visible(); if (!rows.length) return;
  const at = rows.indexOf(S.sel), next = at < 0 ? 0 : at + by;
  if (next >= 0 && next < rows.length) open(rows[next], true);
}
async function remove(id) {
  const rows = visible(), at = rows.indexOf(id), next = rows[at + 1] || rows[at - 1];
  // Move on first: the event of the deletion may be here before the answer.
  if (S.sel === id) { if (next && at >= 0 && !isNarrow()) open(next, true); else leave(true); }
  await send('DELETE', '/api/v1/messages', { IDs: [id] });
}
async function unread(id) {
  await send('PUT', '/api/v1/messages', { Read: false, IDs: [id] });
  if (S.sel === id) leave(true);
}

// A few of many, and the rest when they are asked for: the message begins below them.
const PEOPLE_SHOWN = 3;
const PEOPLE_MOST = 1000;
function people(label, names) {
  if (!names.length) return null;
  const said = all => [...apart(names.slice(0, all ? PEOPLE_MOST : PEOPLE_SHOWN)), all && names.length > PEOPLE_MOST ? ` and ${names.length - PEOPLE_MOST} more` : ''];
  const few = names.length <= PEOPLE_SHOWN + 1, list = el('span', {}, few ? apart(names) : said(false));
  const more = few ? null : el('button', { class: 'rest', type: 'button', 'aria-expanded': false, onclick: () => {
    const open = more.getAttribute('aria-expanded') === 'false';
    more.setAttribute('aria-expanded', open); list.replaceChildren(...said(open)); more.textContent = open ? 'fewer' : `${names.length - PEOPLE_SHOWN} more`;
  } }, `${names.length - PEOPLE_SHOWN} more`);
  return el('div', { class: 'to' }, el('em', {}, label), list, more && [' ', more]);
}
const line = (label, list) => people(label, (list || []).map(full));
function deliveredTo(m) {
  const shown = new Set(headerRecipients(m).map(a => a.Address.toLowerCase())), sent = m.Envelope.To;
  if (sent.length === shown.size && sent.every(to => shown.has(to.toLowerCase()))) return null;
  return people('This copy went to', sent);
}
function tabsOf(m) {
  const path = view(m.ID) + '.html';
  return { HTML: m.HTML && (body => showHtml(body, m, path)), Source: m.HTML && (() => showSource(m)), Text: m.Text && (() => showText(m)),
    Links: body => showLinks(body, m), Files: parts(m).length && (() => showFiles(m, view(m.ID))), Checks: body => showChecks(body, m),
    Headers: () => showHeaders(m), Raw: () => showRaw(m), Details: () => showDetails(m) };
}
function show(m) {
  const tabs = tabsOf(m), bar = el('div', { class: 'tabs', role: 'tablist', 'aria-label': 'Views of the message' });
  const body = el('div', { class: 'body', role: 'tabpanel', id: 'tabpanel', tabindex: 0 });
  let tab = tabs[S.tab] ? S.tab : m.HTML ? 'HTML' : m.Text ? 'Text' : 'Raw';
  const choose = name => {
    tab = name;
    for (const b of bar.children) { const on = b.dataset.tab === name; b.setAttribute('aria-selected', on); b.tabIndex = on ? 0 : -1; if (on) b.scrollIntoView({ block: 'nearest', inline: 'nearest' }); }
    body.scrollTop = 0; body.setAttribute('aria-labelledby', 'tab-' + name); fill(body, m, tabs[name]);
  };
  const keys = e => {
    const all = [...bar.children].filter(b => !b.disabled), at = all.indexOf(document.activeElement), to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[e.key];
    if (to == null || at < 0) return;
    e.preventDefault(); e.stopPropagation(); const b = all[(to + all.length) % all.length]; b.click(); b.focus();
  };
  bar.addEventListener('keydown', keys);
  for (const name of Object.keys(tabs))
    bar.append(el('button', { role: 'tab', type: 'button', id: 'tab-' + name, 'data-tab': name, 'aria-controls': 'tabpanel', disabled: !tabs[name], onclick: () => { S.tab = name; keep('tab', name); choose(name); } },
      name, name === 'Files' && parts(m).length ? el('span', { class: 'n' }, ` ${parts(m).length}`) : null));
  $('view').replaceChildren(el('div', { id: 'mail' }, head(m, choose), bar, body));
  choose(tab);
  // Where the list makes room for the message, so does the focus.
  if (isNarrow() && (document.activeElement === document.body || $('side').contains(document.activeElement))) $('view').querySelector('h1').focus({ preventScroll: true });
}
function head(m, choose) {
  const others = copiesOf(m.ID), pre = preheader(m);
  return el('div', { class: 'head' },
    el('div', { class: 'tools' },
      button('back', 'Inbox', 'Back to the list', () => leave(true), { class: 'btn quiet back' }), el('span', { class: 'gap' }),
      others.length ? button('diff', many(others.length + 1, 'copy').replace(/ys$/, 'ies'), 'Compare with the other copies (c)', () => pickCopy(m.ID)) : null,
      releaseButton(m),
      button('tag', 'Tag', 'Tag', () => askTag({ ids: [m.ID], n: 1 })),
      button('dot', 'Unread', 'Mark as unread (u)', () => guard(unread(m.ID))),
      el('a', { class: 'btn quiet', title: 'Save the source', 'aria-label': 'Save the source', href: `${ROOT}/api/v1/message/${encodeURIComponent(m.ID)}/raw?dl=1`, download: m.ID + '.eml' }, icon('down')),
      button('bin', 'Delete', 'Delete (d)', () => guard(remove(m.ID)), { class: 'btn quiet danger' })),
    el('h1', { dir: 'auto', tabindex: -1 }, m.Subject || '(no subject)'),
    pre ? el('p', { class: 'pre', dir: 'auto', title: 'Preheader: what mail clients show beside the subject' }, pre) : null,
    el('div', { class: 'people' }, face(m.From),
      el('div', { class: 'from' }, el('b', { dir: 'auto' }, who(m.From)), m.From.Name ? el('span', {}, ' ', el('bdi', {}, m.From.Address)) : null),
      el('time', { datetime: m.Envelope.Received, title: 'Date header: ' + m.Date }, new Date(m.Envelope.Received).toLocaleString([], { dateStyle: 'medium', timeStyle: 'medium' }) + ' · ' + size(m.Size)),
      line('To', m.To), line('Cc', m.Cc), line('Bcc', m.Bcc), line('Reply to', m.ReplyTo), deliveredTo(m)),
    chips(m, choose));
}
const chips = (m, choose) => el('div', { class: 'chips' }, ...tagChips(m), ...fileChips(m, choose));
// Tags may change while the message is read; what is shown of it stays as it is.
function showChips(m) {
  const old = document.querySelector('#mail .chips');
  if (old) old.replaceWith(chips(m, name => document.getElementById('tab-' + name).click()));
}
function tagChips(m) {
  return m.Tags.map(t => el('span', { class: 'tag' }, tagButton(t, 'tag-name'), el('button', { type: 'button', title: 'Take this tag off', 'aria-label': `Take the tag ${t} off`, onclick: () =>
    guard(send('PUT', '/api/v1/tags', { IDs: [m.ID], Tags: m.Tags.filter(other => other !== t) })) }, icon('x'))));
}
function fileChips(m, choose) {
  const all = parts(m), chips = all.slice(0, 6).map((f, i) => el('button', { class: 'chip', type: 'button', title: f.ContentType, onclick: () => canShow(f) ? preview(m, view(m.ID), i) : choose('Files') },
    icon(kindIcon(f)), el('span', { dir: 'auto' }, fileName(f)), el('small', {}, size(f.Size))));
  if (all.length > chips.length) chips.push(el('button', { class: 'chip', type: 'button', onclick: () => choose('Files') }, `${all.length - chips.length} more`));
  return chips;
}
function pickCopy(id) {
  const others = copiesOf(id).slice(0, 200);
  if (!others.length) return toast('There is no other copy of this mail');
  if (others.length === 1) return compare(id, others[0]);
  const box = dialog('Compare with', el('ul', { class: 'copies-list' }, ...others.map(other => {
    const { m } = S.byId.get(other);
    return el('li', {}, el('button', { class: 'btn quiet', type: 'button', onclick: () => { box.close(); compare(id, other); } }, el('bdi', {}, receivers(m)), el('span', { class: 'dim' }, ago(m.Created))));
  })));
}
async function fill(body, m, make) {
  const turn = fill.turn = (fill.turn || 0) + 1;
  body.replaceChildren(); body.setAttribute('aria-busy', 'true');
  try {
    const made = await make(body);
    if (S.msg === m && turn === fill.turn) body.replaceChildren(made);
  } catch (e) { if (turn === fill.turn) body.replaceChildren(note(e.message)); }
  if (turn === fill.turn) body.removeAttribute('aria-busy');
}
function showText(m) {
  const text = m.Text.slice(0, TEXT_SHOWN);
  if (!text.trim()) return el('div', { class: 'panel' }, note('This text is empty.'));
  return el('div', {}, el('pre', { class: 'text', dir: 'auto' }, linked(text)), m.Text.length > text.length ? note(`The first ${size(TEXT_SHOWN)} are shown.`) : null);
}
async function showHeaders(m) {
  const got = await api(`/api/v1/message/${encodeURIComponent(m.ID)}/headers`);
  return table(Object.entries(got).flatMap(([k, vs]) => vs.map((v, i) => [i ? '' : k, v])));
}
async function showRaw(m) {
  const { text, cut } = await textOf(`/api/v1/message/${encodeURIComponent(m.ID)}/raw`, TEXT_SHOWN);
  return el('div', {}, el('div', { class: 'bar-html' }, el('span', { class: 'dim' }, size(m.Size)), el('span', { class: 'gap' }), button('copy', 'Copy', 'Copy the source', () => copy(text))),
    el('pre', { class: 'raw' }, text), cut ? note(`The first ${size(TEXT_SHOWN)} are shown; the whole can be saved.`) : null);
}
