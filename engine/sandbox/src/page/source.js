// The HTML source with its parts in colours.
const SOURCE_SHOWN = 200 << 10;
const TOKENS = /(<!--[\s\S]*?(?:-->|$))|(<!doctype[^>]*>)|(<\/?)([a-z][^\s/>]*)|(&[#\w]+;)/gi;
const ATTRIBUTES = /([^\s=/>"']+)(?:(\s*=\s*)("[^"]*"?|'[^']*'?|[^\s>]+))?|\/?>/g;

function coloured(html) {
  const out = document.createDocumentFragment(); let at = 0;
  const put = (text, kind) => { if (text) out.append(kind ? el('span', { class: 'h-' + kind }, text) : text); };
  TOKENS.lastIndex = 0;
  for (let t; (t = TOKENS.exec(html));) {
    put(html.slice(at, t.index));
    at = TOKENS.lastIndex;
    if (t[1] || t[2]) put(t[0], 'comment');
    else if (t[5]) put(t[0], 'entity');
    else { put(t[3] + t[4], 'tag'); at = attributes(html, at, put); }
    // What stands in a style is no HTML.
    if (t[3] === '<' && /^(style|script)$/i.test(t[4])) {
      const end = html.slice(at).search(new RegExp('</' + t[4], 'i')), stop = end < 0 ? html.length : at + end;
      put(html.slice(at, stop), 'style'); at = stop;
    }
    TOKENS.lastIndex = at;
  }
  put(html.slice(at)); return out;
}
function attributes(html, from, put) {
  let at = from; ATTRIBUTES.lastIndex = from;
  for (let a; (a = ATTRIBUTES.exec(html));) {
    put(html.slice(at, a.index)); at = ATTRIBUTES.lastIndex;
    if (!a[1]) { put(a[0], 'tag'); break; }
    put(a[1], 'name'); put(a[2]);
    const url = a[3] && a[3].match(/^(["']?)(https?:\/\/[^"']+)(["']?)$/i);
    if (url) { put(url[1], 'value'); put(null); putLink(put, url[2]); put(url[3], 'value'); } else put(a[3], 'value');
  }
  return at;
}
function putLink(put, url) { put(outside(url, url), 'value'); }
function showSource(m) {
  const html = m.HTML.slice(0, SOURCE_SHOWN);
  return el('div', { class: 'source' },
    el('div', { class: 'bar-html' }, el('span', { class: 'dim' }, `${size(m.HTML.length > 8 << 20 ? m.HTML.length : new Blob([m.HTML]).size)}, ${many(html.split('\n').length, 'line')}${m.HTML.length > html.length ? ' shown' : ''}`), el('span', { class: 'gap' }),
      button('copy', 'Copy', 'Copy the HTML', () => copy(m.HTML))),
    el('pre', { class: 'code', tabindex: 0, 'aria-label': 'HTML source' }, coloured(html)),
    m.HTML.length > html.length ? note(`The first ${size(html.length)} of ${size(m.HTML.length)} are shown; the whole is in the raw message.`) : null);
}
