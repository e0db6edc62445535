// What happens while the page is open.
let ws, pause = 500;
function live() {
  ws = new WebSocket((location.protocol === 'https:' ? 'wss://' : 'ws://') + location.host + ROOT + '/api/events');
  ws.onopen = () => { pause = 500; connected(true); load(); countGone(); };
  // What lies in between may let no such connection through: the list is shown all the same.
  ws.onclose = () => { connected(false); if (!S.loaded) load(); setTimeout(live, pause); pause = Math.min(pause * 2, 8000); };
  ws.onmessage = e => { const { Type, Data } = JSON.parse(e.data); (on[Type] || (() => {}))(Data); };
}
function connected(yes) {
  $('live').classList.toggle('on', yes); $('live').classList.toggle('off', !yes); $('live').lastElementChild.textContent = yes ? 'live' : 'offline';
  $('live').title = yes ? 'New messages appear by themselves' : 'The sandbox does not answer; trying again';
}
const on = {
  new(m) {
    announce(m);
    if (S.query) return reload();
    S.total++; S.unread++; fresh.push(m);
    if (fresh.length > PAGE) { fresh.shift(); flooded = true; }
    later();
  },
  update(d) {
    const x = S.byId.get(d.ID), waiting = fresh.find(m => m.ID === d.ID);
    if (waiting) Object.assign(waiting, d);
    if (d.Tags && S.msg && S.msg.ID === d.ID) { S.msg.Tags = d.Tags; showChips(S.msg); }
    if (!x) return;
    if ('Read' in d) x.m.Read = d.Read; if (d.Tags) x.m.Tags = d.Tags;
    touch(d.ID);
  },
  delete(d) { fresh = fresh.filter(m => m.ID !== d.ID); drop(d.ID); if (S.sel === d.ID) leave(true); if (S.query) reload(); later(); },
  truncate() { fresh = []; S.rows = []; S.byId.clear(); S.picked.clear(); $('list').replaceChildren(); S.total = S.unread = S.matching = 0; leave(true); shape(); },
  prune() { reload(); countGone(); },
  // Whoever wonders where a message is sees why it was refused.
  error(d) { toast(`Refused (${d.Type}${d.IP ? `, ${d.IP}` : ''}): ${d.Message}`); },
  stats(d) { S.total = d.Total; S.unread = d.Unread; later(); },
};
let frame, fresh = [], flooded = false;
function later() { if (!frame) frame = requestAnimationFrame(() => { frame = 0; takeFresh(); shape(); }); }
// A flood must not make the page heavy: rows are made once a frame, for the newest messages; what is below is fetched again
// when it is asked for.
function takeFresh() {
  if (flooded) { flooded = false; S.rows = []; S.byId.clear(); $('list').replaceChildren(); }
  for (const m of fresh.splice(0)) add(m, true);
  while (S.rows.length > S.most) drop(S.rows[S.rows.length - 1]);
}
// The oldest go first when there is no more room, and the page says so.
let counting;
function countGone() {
  clearTimeout(counting);
  counting = setTimeout(() => api('/api/v1/info').then(info => { S.evicted = info.RuntimeStats.MessagesEvicted || 0; later(); }, () => {}), 400);
}
