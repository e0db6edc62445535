// What the page knows, and its address: the search and the message shown survive a reload.
const PAGE = 100;
const ROWS = 1000;
// Dates of a search are those of whoever looks.
const ZONE = 'tz=' + encodeURIComponent(Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC');
const S = { most: ROWS, rows: [], byId: new Map(), total: 0, unread: 0, matching: 0, query: '', sel: null, msg: null,
  tab: kept('tab') || 'HTML', width: 'full', night: false, loaded: false, turn: 0, remote: '', picked: new Set(), anchor: null,
  open: new Set(), evicted: 0, ui: null };

function address(id) {
  const query = S.query ? '?q=' + encodeURIComponent(S.query) : '';
  return ROOT + (id ? '/view/' + encodeURIComponent(id) : S.query ? '/search' : '/') + query;
}
function go(id, replace) {
  const to = address(id);
  if (location.pathname + location.search === to) return;
  history[replace ? 'replaceState' : 'pushState'](null, '', to);
}
function place() {
  const path = location.pathname.startsWith(ROOT) ? location.pathname.slice(ROOT.length) : location.pathname;
  const found = path.match(/^\/view\/([^/.]+)$/), asked = new URLSearchParams(location.search);
  return { id: found ? decodeURIComponent(found[1]) : null, query: (asked.get('q') || asked.get('query') || '').trim() };
}
// Steps of a path below the message of an id.
const view = (id, ...rest) => ['/view', encodeURIComponent(id), ...rest.map(encodeURIComponent)].join('/');
