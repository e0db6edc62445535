// Links and tokens of a message, with what their parameters say.
const LINKS_SHOWN = 300;
const LINKS_READ = 4 << 20;
const LINK_KINDS = [['a[href], area[href]', 'href', 'link'], ['img[src], input[src]', 'src', 'picture'], ['form[action]', 'action', 'form'],
  ['[background]', 'background', 'background'], ['link[href]', 'href', 'style'], ['video[src], audio[src], source[src]', 'src', 'media'], ['iframe[src]', 'src', 'frame']];

// A document that loads nothing and runs nothing: only its elements are asked about.
// Its styles go by another name, for the page's policy would refuse each of them loudly.
const inert = html => new DOMParser().parseFromString(html.slice(0, LINKS_READ).replace(/<(\/?)style/gi, '<$1x-style').replace(/([\s"'\/])style(\s*=)/gi, '$1data-style$2'), 'text/html');
const isCut = m => m.HTML.length > LINKS_READ || (m.Text || '').length > LINKS_READ;
const web = url => /^(https?|mailto|tel|sms):/i.test(url.trim());

function linksOf(m) {
  const found = new Map();
  const note = (url, kind, text) => {
    url = url.trim(); if (!web(url)) return;
    const one = found.get(url) || { url, kinds: new Set(), texts: new Set(), n: 0 };
    one.kinds.add(kind); one.n++; if (text) one.texts.add(text.replace(/\s+/g, ' ').trim().slice(0, 120)); found.set(url, one);
  };
  if (m.HTML) {
    const doc = inert(m.HTML);
    for (const [which, attribute, kind] of LINK_KINDS)
      for (const e of doc.querySelectorAll(which)) note(e.getAttribute(attribute), isPixel(e) ? 'tracking pixel' : kind, e.textContent || e.getAttribute('alt') || '');
    for (const e of doc.querySelectorAll('[data-style*="url("], x-style'))
      for (const [, url] of (e.getAttribute('data-style') || e.textContent).matchAll(/url\(\s*["']?([^"')]+)/gi)) note(url, 'style', '');
  }
  for (const [url] of (m.Text || '').slice(0, LINKS_READ).matchAll(/https?:\/\/[^\s<>"'`]+/gi)) note(url.replace(/[.,;:!?)\]}]+$/, ''), 'text', '');
  for (const url of m.ListUnsubscribe.Links) note(url, 'List-Unsubscribe', '');
  return [...found.values()];
}
const isPixel = e => e.tagName === 'IMG' && ['width', 'height'].every(side => /^[01](px)?$/.test(e.getAttribute(side) || '') || new RegExp(`(^|[;\\s])${side}\\s*:\\s*[01](px)?\\s*(;|$)`).test(e.getAttribute('data-style') || ''));

// Headers that carry a token: what the sender's system wants back.
function headerTokens(m, headers) {
  const out = [];
  if (m.Envelope.From) {
    const local = m.Envelope.From.split('@')[0];
    const parts = local.split(/[+=]/).filter(part => decode(part).length);
    if (parts.length) parts.forEach(part => out.push(['Envelope sender', part]));
    else if (/[+=]/.test(local)) out.push(['Envelope sender', m.Envelope.From]);
  }
  for (const [name, values] of Object.entries(headers || {}))
    if (/^(X-|Feedback-Id)/i.test(name))
      for (const value of values) if (decode(value.replace(/\s+/g, '')).length) out.push([name, value.replace(/\s+/g, '')]);
  return out.slice(0, 100);
}
async function showLinks(body, m) {
  const headers = await api(`/api/v1/message/${encodeURIComponent(m.ID)}/headers`);
  const links = linksOf(m), tokens = headerTokens(m, headers);
  const panel = el('div', { class: 'panel' });
  if (tokens.length) panel.append(el('h2', {}, 'Tokens in headers'), el('ul', { class: 'cards' }, ...tokens.map(([name, value]) =>
    el('li', { class: 'item' }, el('div', { class: 'param' }, el('b', {}, name), el('code', {}, value), ...decoded(value))))));
  panel.append(el('h2', {}, many(links.length, 'link')));
  if (links.length && tryLinks(m)) panel.append(tryLinks(m));
  if (isCut(m)) panel.append(note(`Looked for in the first ${size(LINKS_READ)} of the message.`));
  if (!links.length) panel.append(note('No web address in this message.'));
  panel.append(el('ul', { class: 'cards' }, ...links.slice(0, LINKS_SHOWN).map(linkItem)));
  if (links.length > LINKS_SHOWN) panel.append(note(`${links.length - LINKS_SHOWN} more are not shown.`));
  return panel;
}
function linkItem({ url, kinds, texts, n }) {
  const params = carried(url);
  return el('li', { class: 'item' },
    el('div', { class: 'item-head' }, ...[...kinds].map(kind => badge(kind, kind === 'tracking pixel' ? 'warn' : '')), n > 1 ? badge(`${n} times`) : null,
      /^http:/i.test(url) ? badge('not https', 'warn') : null, el('span', { class: 'dim', dir: 'auto' }, [...texts].filter(Boolean).join(' · '))),
    /^(https?|mailto):/i.test(url) ? outside(url, url) : el('code', {}, url),
    params.length ? el('div', { class: 'params' }, ...params.map(([name, value]) =>
      el('div', { class: 'param' }, el('b', {}, name), el('code', { dir: 'auto' }, value), ...decoded(value)))) : null);
}
