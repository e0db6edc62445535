// The page starts.
function search(query) {
  S.query = query; S.most = ROWS; S.picked.clear(); $('scroller').scrollTop = 0; go(S.sel, true); load();
}
let typing;
$('q').addEventListener('input', () => { clearTimeout(typing); typing = setTimeout(() => search($('q').value.trim()), 150); });
$('clear').addEventListener('click', () => {
  const b = $('clear'), label = b.lastElementChild;
  if (!b.classList.contains('sure')) {
    b.classList.add('sure'); label.textContent = `Delete all ${many(S.total)}?`;
    clearTimeout(b.timer);
    b.timer = setTimeout(() => { b.classList.remove('sure'); label.textContent = 'Delete all'; }, 3500);
    return;
  }
  b.classList.remove('sure'); label.textContent = 'Delete all';
  guard(api('/api/v1/messages', { method: 'DELETE' }));
});
$('allread').addEventListener('click', () => {
  const n = S.unread;
  guard(send('PUT', '/api/v1/messages', { Read: true }).then(() => { toast(`${many(n)} marked as read`); return load(); }));
});
$('tags').addEventListener('click', () => guard(showTags()));
$('fold').addEventListener('click', switchFold);
$('theme').addEventListener('click', nextTheme);
$('bell').addEventListener('click', () => guard(switchBell()));
$('help').addEventListener('click', help);
$('chaos').addEventListener('click', () => guard(askChaos()));
$('home').addEventListener('click', e => { e.preventDefault(); $('q').value = ''; if (S.sel) leave(false); S.query = ''; go(null); load(); });
document.addEventListener('click', e => {
  const id = e.target.dataset && e.target.dataset.copy;
  if (id) copy($(id).textContent);
});
function route() {
  const { id, query } = place();
  if (query !== S.query) { S.query = query; $('q').value = query; load(); }
  if (id) open(id, false); else if (S.sel) leave(false);
}
addEventListener('popstate', route);
setInterval(() => { for (const x of S.byId.values()) x.row.querySelector('time').textContent = ago(x.m.Created); }, 30000);

const offered = api('/api/v1/webui').then(ui => {
  const at = ui.SMTP.lastIndexOf(':'), port = ui.SMTP.slice(at + 1);
  // Bound to every address: then the name this page was reached by is the one to use.
  let host = ui.SMTP.slice(0, at); if (host === '0.0.0.0' || host === '[::]') host = location.hostname;
  S.ui = ui;
  if (ui.ChaosEnabled) api('/api/v1/chaos').then(showChaos, () => {});
  if (ui.Label) { $('label').textContent = ui.Label; $('label').hidden = false; }
  if (ui.HideDeleteAllButton) $('clear').classList.add('never');
  $('host').textContent = host; $('port').textContent = port;
  $('cmd1').textContent = `swaks --server ${host}:${port} --from ann@example.com --to bob@example.org`;
  $('cmd2').textContent = `printf 'Subject: Hello\\n\\nA first message\\n' |\n  curl --crlf -T - smtp://${host}:${port} \\\n    --mail-from ann@example.com --mail-rcpt bob@example.org`;
}, () => {});
applyTheme(); showBell(); $('home').href = ROOT + '/';
$('q').value = S.query = place().query;
live(); offered.finally(route);
