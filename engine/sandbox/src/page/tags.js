// Tags: each is a way to the messages that have it; all of them in a list, to be renamed and deleted.
const tagQuery = tag => `tag:"${tag}"`;
function findTag(tag) { $('q').value = tagQuery(tag); if (isNarrow() && S.sel) leave(false); search(tagQuery(tag)); }
function tagButton(tag, className = 'tag') {
  return el('button', { class: className, type: 'button', title: `Messages tagged ${tag}`, onclick: () => findTag(tag) }, el('bdi', {}, tag));
}
async function showTags() {
  const list = el('ul', { class: 'tag-list' }), body = el('div', { class: 'panel' }, list);
  const fill = async () => {
    const all = Object.entries((await api('/api/v1/info')).Tags).sort(([a], [b]) => a.localeCompare(b));
    list.replaceChildren(...all.map(([tag, n]) => tagRow(tag, n, fill, () => box.close())));
    if (!all.length) list.replaceWith(note('No message has a tag. Tags come of X-Tags headers, of plus addresses, of rules, and by hand.'));
  };
  await fill();
  const box = dialog('Tags', body);
}
function tagRow(tag, n, fill, close) {
  const path = '/api/v1/tags/' + encodeURIComponent(tag), row = el('li', { class: 'tag-row' });
  // A search for a tag follows it to its new name, and ends with it.
  const follow = to => { if (S.query !== tagQuery(tag)) return load(); $('q').value = to ? tagQuery(to) : ''; return search($('q').value); };
  const rename = async to => { await send('PUT', path, { Name: to }); toast(`“${tag}” is now “${to}”`); await fill(); follow(to); };
  const end = async () => { await api(path, { method: 'DELETE' }); toast(`“${tag}” taken off ${many(n)}`); await fill(); follow(''); };
  const read = () => row.replaceChildren(el('button', { class: 'tag', type: 'button', title: `Messages tagged ${tag}`, onclick: () => { close(); findTag(tag); } }, el('bdi', {}, tag)),
    el('span', { class: 'dim' }, many(n)), el('span', { class: 'gap' }),
    button('pen', '', `Rename ${tag}`, write), sureButton('Delete', `Take “${tag}” off ${many(n)}?`, () => guard(end())));
  function write() {
    const input = el('input', { type: 'text', maxlength: 100, required: true, value: tag, 'aria-label': `New name of ${tag}` });
    row.replaceChildren(el('form', { class: 'tag-form', onsubmit: e => { e.preventDefault(); const to = input.value.trim(); if (to && to !== tag) guard(rename(to)); else read(); } },
      input, el('button', { class: 'btn main', type: 'submit' }, 'Rename'), button('x', '', 'Leave it as it is', read)));
    input.focus(); input.select();
  }
  read(); return row;
}
