// What differs between two copies of one mail: headers, links and their parameters, words of the text.
const COMPARE_WORDS = 3000;
const COMPARE_ROWS = 200;
async function compare(a, b) {
  const load = async id => ({ m: await api('/api/v1/message/' + encodeURIComponent(id)), headers: await api(`/api/v1/message/${encodeURIComponent(id)}/headers`) });
  const [x, y] = await Promise.all([load(a), load(b)]).catch(e => { toast(e.message); return []; });
  if (!x) return;
  const name = m => m.Envelope.To[0] || full(m.To[0] || m.From);
  const heads = [name(x.m), name(y.m)];
  const sections = [['Envelope and headers', compareHeaders(x, y)], ['Links', compareLinks(x.m, y.m)], ['Text', compareText(x.m, y.m)]];
  dialog('What differs', el('div', { class: 'panel compare' },
    ...sections.flatMap(([title, rows]) => [el('h3', {}, `${title}: ${rows.length ? many(rows.length, 'difference') : 'alike'}`), rows.length ? compareTable(title, heads, rows.slice(0, COMPARE_ROWS)) : '',
      rows.length > COMPARE_ROWS ? note(`${rows.length - COMPARE_ROWS} more are not shown.`) : '']),
    [x, y].some(one => isCut(one.m) || words(one.m).length > COMPARE_WORDS) ? note(`Compared are the first ${COMPARE_WORDS} words, and the links of the first ${size(LINKS_READ)}.`) : ''), 'viewer');
}
function compareTable(title, heads, rows) {
  return el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': title }, el('table', {}, el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, 'Where'), ...heads.map(h => el('th', { scope: 'col', dir: 'auto' }, h)))),
    el('tbody', {}, ...rows.map(([where, a, b]) => el('tr', {}, el('th', { scope: 'row' }, where), ...marked(a, b))))));
}
// Both values with what they do not share marked, and what it says when it is a token.
function marked(a, b) {
  if (a == null || b == null) return [a, b].map(v => el('td', {}, v == null ? badge('absent', 'warn') : el('code', { dir: 'auto' }, v)));
  let from = 0, end = 0; const least = Math.min(a.length, b.length);
  while (from < least && a[from] === b[from]) from++;
  while (end < least - from && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  return [a, b].map(v => el('td', {}, el('code', { dir: 'auto' }, v.slice(0, from), el('mark', {}, v.slice(from, v.length - end)), v.slice(v.length - end)), ...decoded(v)));
}
function compareHeaders(x, y) {
  const rows = [], pair = (where, a, b) => { if (a !== b) rows.push([where, a, b]); };
  pair('Envelope sender', x.m.Envelope.From, y.m.Envelope.From);
  pair('Envelope recipients', x.m.Envelope.To.join(', '), y.m.Envelope.To.join(', '));
  for (const name of [...new Set([...Object.keys(x.headers), ...Object.keys(y.headers)])].sort()) {
    const a = x.headers[name] || [], b = y.headers[name] || [];
    for (let i = 0; i < Math.max(a.length, b.length); i++) pair(name, a[i], b[i]);
  }
  return rows;
}
// Links in the order of the message: of two that only differ in what they carry, each parameter for itself.
function compareLinks(x, y) {
  const urls = m => [...inert(m.HTML || '').querySelectorAll('a[href], area[href], img[src]')].map(e => e.getAttribute('href') || e.getAttribute('src')).filter(web)
    .concat(m.HTML ? [] : [...m.Text.matchAll(/https?:\/\/[^\s<>"'`]+/gi)].map(found => found[0]));
  const a = urls(x), b = urls(y), rows = [];
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    if (a[i] === b[i]) continue;
    const where = `Link ${i + 1}`; let p, q;
    try { p = new URL(a[i]); q = new URL(b[i]); } catch { rows.push([where, a[i], b[i]]); continue; }
    if (p.origin + p.pathname !== q.origin + q.pathname) { rows.push([where, a[i], b[i]]); continue; }
    for (const name of new Set([...p.searchParams.keys(), ...q.searchParams.keys()]))
      if (p.searchParams.get(name) !== q.searchParams.get(name)) rows.push([`${where}: ${name}`, p.searchParams.get(name), q.searchParams.get(name)]);
    if (p.hash !== q.hash) rows.push([`${where}: fragment`, p.hash, q.hash]);
  }
  return rows;
}
const words = m => (m.Text ? m.Text.slice(0, LINKS_READ) : m.HTML ? inert(m.HTML).body.textContent : '').split(/\s+/).filter(Boolean);
// Runs of words that are not shared, by the longest common subsequence of what is between the shared ends.
function compareText(x, y) {
  const a = words(x).slice(0, COMPARE_WORDS), b = words(y).slice(0, COMPARE_WORDS), rows = [], n = a.length, k = b.length, width = k + 1, best = new Uint16Array((n + 1) * width);
  for (let i = n - 1; i >= 0; i--) for (let j = k - 1; j >= 0; j--)
    best[i * width + j] = a[i] === b[j] ? best[(i + 1) * width + j + 1] + 1 : Math.max(best[(i + 1) * width + j], best[i * width + j + 1]);
  for (let i = 0, j = 0; i < n || j < k;) {
    if (i < n && j < k && a[i] === b[j]) { i++; j++; continue; }
    const [p, q] = [i, j];
    while ((i < n || j < k) && !(i < n && j < k && a[i] === b[j])) {
      if (j >= k || (i < n && best[(i + 1) * width + j] >= best[i * width + j + 1])) i++; else j++;
    }
    rows.push([`after “${a.slice(Math.max(0, p - 3), p).join(' ')}”`, a.slice(p, i).join(' '), b.slice(q, j).join(' ')]);
  }
  return rows;
}
