// What happens while the page is open.
let ws, pause = 500;
function live() {
  ws = new WebSocket((location.protocol === 'https:' ? 'wss://' : 'ws://') + location.host + ROOT + '/api/events');
  ws.onopen = () => { pause = 500; connected(true); load(); countGone(); };
  ws.onclose = () => { connected(false); setTimeout(live, pause); pause = Math.min(pause * 2, 8000); };
  ws.onmessage = e => { const { Type, Data } = JSON.parse(e.data); (on[Type] || (() => {}))(Data); };
}
function connected(yes) {
  $('live').classList.toggle('on', yes); $('live').lastElementChild.textContent = yes ? 'live' : 'offline';
  $('live').title = yes ? 'New messages appear by themselves' : 'The sandbox does not answer; trying again';
}
const on = {
  new(m) {
    announce(m);
    if (S.query) return reload();
    S.total++; S.unread++; add(m, true);
    // A flood must not make the page heavy: what is far down is fetched again when asked for.
    while (S.rows.length > ROWS) drop(S.rows[S.rows.length - 1]);
    later();
  },
  update(d) {
    const x = S.byId.get(d.ID);
    if (d.Tags && S.msg && S.msg.ID === d.ID) { S.msg.Tags = d.Tags; show(S.msg); }
    if (!x) return;
    if ('Read' in d) x.m.Read = d.Read; if (d.Tags) x.m.Tags = d.Tags;
    touch(d.ID);
  },
  delete(d) { drop(d.ID); if (S.sel === d.ID) leave(true); if (S.query) reload(); later(); },
  truncate() { S.rows = []; S.byId.clear(); S.picked.clear(); $('list').replaceChildren(); S.total = S.unread = S.matching = 0; leave(true); shape(); },
  prune() { reload(); countGone(); },
  stats(d) { S.total = d.Total; S.unread = d.Unread; later(); },
};
let frame;
function later() { if (!frame) frame = requestAnimationFrame(() => { frame = 0; shape(); }); }
// The oldest go first when there is no more room, and the page says so.
let counting;
function countGone() {
  clearTimeout(counting);
  counting = setTimeout(() => api('/api/v1/info').then(info => { S.evicted = info.RuntimeStats.MessagesEvicted || 0; later(); }, () => {}), 400);
}
