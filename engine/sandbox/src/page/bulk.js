// Many messages at once: those chosen, or else those that match the search that is shown. What is done says first to how many.
function choose(id, on, range) {
  const ids = range && S.anchor && S.byId.has(S.anchor) ? between(S.anchor, id) : groupOf(id);
  for (const one of ids) { if (on) S.picked.add(one); else S.picked.delete(one); touch(one); }
  S.anchor = id; showBulk();
}
function between(a, b) {
  const [x, y] = [S.rows.indexOf(a), S.rows.indexOf(b)].sort((p, q) => p - q);
  return S.rows.slice(x, y + 1);
}
// A folded row stands for all of its copies.
function groupOf(id) {
  const group = fold && copies().find(one => one.ids[0] === id);
  return group && group.ids.slice(1).every(other => S.byId.get(other).row.hidden) ? group.ids : [id];
}
function chooseAll() {
  const all = S.rows.every(id => S.picked.has(id));
  for (const id of S.rows) { if (all) S.picked.delete(id); else S.picked.add(id); touch(id); }
  showBulk();
}
function chooseNone() { const ids = [...S.picked]; S.picked.clear(); ids.forEach(touch); showBulk(); }

function meant() {
  if (S.picked.size) return { ids: [...S.picked], n: S.picked.size };
  return S.query && S.matching ? { query: S.query, n: S.matching } : null;
}
function showBulk() {
  const what = meant(), bar = $('bulk');
  document.body.classList.toggle('choosing', S.picked.size > 0);
  bar.hidden = !what;
  if (!what) return;
  const key = (what.query || 'ids') + ' ' + what.n;
  if (bar.dataset.key === key) return;
  bar.dataset.key = key;
  bar.replaceChildren(el('span', { class: 'n', role: 'status' }, what.query ? `All ${what.n} that match:` : `${what.n} chosen:`),
    what.ids && what.n === 2 ? button('diff', 'Compare', 'What differs (c)', () => compare(what.ids[0], what.ids[1])) : '',
    button('check', `Read ${what.n}`, `Mark ${many(what.n)} as read`, () => guard(bulkRead(true))),
    button('dot', `Unread ${what.n}`, `Mark ${many(what.n)} as unread`, () => guard(bulkRead(false))),
    button('tag', `Tag ${what.n}`, `Tag ${many(what.n)}`, () => askTag(meant())),
    sureButton(`Delete ${what.n}`, `Delete ${many(what.n)}?`, () => guard(bulkDelete())),
    what.ids ? button('x', '', 'Choose none', chooseNone) : '');
}
// A button that asks back once: the first click only says what the second will do.
function sureButton(text, question, act) {
  const b = button('bin', text, question.replace('?', ''), () => {
    const label = b.querySelector('.label');
    if (b.classList.contains('sure')) { b.classList.remove('sure'); label.textContent = text; return act(); }
    b.classList.add('sure'); label.textContent = question;
    setTimeout(() => { b.classList.remove('sure'); label.textContent = text; }, 4000);
  }, { class: 'btn quiet danger' });
  return b;
}
async function bulkRead(read) {
  const what = meant(); if (!what) return;
  await send('PUT', '/api/v1/messages?' + ZONE, what.query ? { Read: read, Search: what.query } : { Read: read, IDs: what.ids });
  toast(`${many(what.n)} marked as ${read ? 'read' : 'unread'}`); await load();
}
async function bulkDelete() {
  const what = meant(); if (!what) return;
  if (what.query) await api(`/api/v1/search?${ZONE}&query=${encodeURIComponent(what.query)}`, { method: 'DELETE' });
  else await send('DELETE', '/api/v1/messages', { IDs: what.ids });
  S.picked.clear(); toast(`Deleted ${many(what.n)}`); await load();
}
// All messages that a search finds; an answer has so many at the most.
async function allFound(query) {
  const rows = [];
  for (;;) {
    const page = await api(`/api/v1/search?${ZONE}&query=${encodeURIComponent(query)}&start=${rows.length}&limit=1000`);
    rows.push(...page.messages);
    if (!page.messages.length || rows.length >= page.messages_count) return rows;
  }
}
// Adds a tag. The API replaces tags, so those that have the same ones are told together.
async function addTag(what, tag) {
  const rows = what.query ? await allFound(what.query)
    : what.ids.map(id => S.byId.has(id) ? S.byId.get(id).m : S.msg && S.msg.ID === id ? S.msg : null).filter(Boolean);
  const same = new Map();
  for (const m of rows) {
    const tags = m.Tags.includes(tag) ? m.Tags : [...m.Tags, tag], key = JSON.stringify(tags);
    if (!same.has(key)) same.set(key, []); same.get(key).push(m.ID);
  }
  for (const [key, ids] of same) await send('PUT', '/api/v1/tags', { Tags: JSON.parse(key), IDs: ids });
  toast(`${many(rows.length)} tagged “${tag}”`);
}
async function askTag(what) {
  if (!what) return;
  const known = await api('/api/v1/tags').catch(() => []);
  const input = el('input', { id: 'tagname', type: 'text', maxlength: 100, autocomplete: 'off', list: 'tagnames', required: true });
  const form = el('form', { class: 'ask', method: 'dialog', onsubmit: e => {
    e.preventDefault(); const tag = input.value.trim(); if (!tag) return;
    box.close(); guard(addTag(what, tag));
  } }, el('label', { for: 'tagname' }, `Tag for ${many(what.n)}`), input,
    el('datalist', { id: 'tagnames' }, ...known.map(t => el('option', { value: t }))),
    el('button', { class: 'btn main', type: 'submit' }, `Tag ${many(what.n)}`));
  const box = dialog(`Tag ${many(what.n)}`, form);
  input.focus();
}
