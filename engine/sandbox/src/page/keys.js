// The keyboard, and what it does.
const KEYS = [
  [['j', 'ArrowDown'], 'Next message', () => step(1)],
  [['k', 'ArrowUp'], 'Previous message', () => step(-1)],
  [['/'], 'Search', () => $('q').focus()],
  [['x'], 'Choose or leave out the message shown', () => S.sel && choose(S.sel, !S.picked.has(S.sel))],
  [['a'], 'Choose all that are listed, or none', () => chooseAll()],
  [['c'], 'Compare: two chosen ones, or copies of the message shown', () => S.picked.size === 2 ? compare(...S.picked) : S.sel && pickCopy(S.sel)],
  [['d', 'Delete'], 'Delete the message shown', () => S.sel && guard(remove(S.sel))],
  [['u'], 'Mark the message shown as unread', () => S.sel && guard(unread(S.sel))],
  [['['], 'Tab to the left', () => tabBy(-1)],
  [[']'], 'Tab to the right', () => tabBy(1)],
  [['g'], 'Tags: find, rename, delete', () => guard(showTags())],
  [['f'], 'Fold copies of one mail', () => switchFold()],
  [['t'], 'Light, dark or as the system', () => nextTheme()],
  [['n'], 'Notifications', () => guard(switchBell())],
  [['?'], 'This help', () => help()],
  [['Escape'], 'Choose none; back to the list', () => S.picked.size ? chooseNone() : leave(true)],
];
function tabBy(by) {
  const all = [...document.querySelectorAll('[role=tab]:not(:disabled)')], at = all.findIndex(b => b.getAttribute('aria-selected') === 'true');
  if (all.length) all[(at + by + all.length) % all.length].click();
}
function switchFold() { fold = !fold; keep('fold', fold ? '1' : '0'); shape(); toast(fold ? 'Copies of one mail are folded' : 'Each copy is shown'); }
const SEARCHES = ['words', 'from:', 'to:', 'subject:', 'tag:', 'is:unread', 'is:tagged', 'has:attachment', 'has:inline', 'after:2026-01-31', 'before:', 'larger:1M', 'smaller:10K', 'message-id:', '-from:x', '"two words"'];
function help() {
  dialog('Keys and search', el('div', { class: 'panel help' },
    el('table', {}, el('tbody', {}, ...KEYS.map(([keys, what]) => el('tr', {}, el('th', { scope: 'row' }, ...keys.flatMap((key, i) => [i ? ' ' : '', el('kbd', {}, { ArrowDown: '↓', ArrowUp: '↑', Escape: 'Esc', Delete: 'Del' }[key] || key)])), el('td', {}, what))))),
    el('h3', {}, 'A search takes'), el('p', { class: 'words' }, ...SEARCHES.flatMap(word => [el('code', {}, word), ' '])),
    note('Shift and a click choose a range. Words are joined by and; a minus in front turns one round.')));
}
document.addEventListener('keydown', e => {
  if (e.target === $('q')) { if (e.key === 'Escape') { if ($('q').value) { $('q').value = ''; search(''); } $('q').blur(); } return; }
  if (e.ctrlKey || e.metaKey || e.altKey || document.querySelector('dialog[open]') || /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName) && e.target.type !== 'checkbox') return;
  // Text that scrolls has the arrows for itself.
  if (/^Arrow/.test(e.key) && e.target.closest('.body, [role=tablist]')) return;
  const found = KEYS.find(([keys]) => keys.includes(e.key));
  if (found) { e.preventDefault(); found[2](); }
});
