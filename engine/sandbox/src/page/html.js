// The message's HTML in a frame of its own: widths, dark colours, remote content, print, picture.
const HTML_ASKS = 5 << 20;
const WIDTHS = { full: ['wide', 'Desktop width', 0], tablet: ['tablet', 'Tablet width, 768', 768], phone: ['phone', 'Phone width, 390', 390] };
const loadsRemote = html => /(src|background|srcset|poster|<link\b[^>]*\shref|<image\b[^>]*href)\s*=\s*["']?\s*(https?:)?\/\/|url\(\s*["']?\s*(https?:)?\/\/|@import/i.test(html.slice(0, HTML_ASKS));
const SANDBOX = 'allow-popups allow-popups-to-escape-sandbox';

function mailFrame(path, title) {
  return el('iframe', { sandbox: SANDBOX, referrerpolicy: 'no-referrer', src: ROOT + path, title });
}
function showHtml(body, m, path, whole) {
  if (m.HTML.length > HTML_ASKS && !whole) {
    const again = () => body.replaceChildren(showHtml(body, m, path, true));
    return el('div', { class: 'panel' }, note(`This HTML has ${size(m.HTML.length)}. Showing it may make the browser slow.`),
      el('button', { class: 'btn', type: 'button', onclick: again }, 'Show it'));
  }
  const stage = el('div', { class: 'stage' }), bar = el('div', { class: 'bar-html', role: 'toolbar', 'aria-label': 'How the HTML is shown' });
  const frame = mailFrame(`${path}?frame=1${S.remote === path ? '&remote=1' : ''}`, 'Message');
  stage.append(frame);
  const set = () => {
    stage.dataset.width = S.width; frame.style.width = WIDTHS[S.width][2] ? WIDTHS[S.width][2] + 'px' : '';
    frame.style.colorScheme = S.night ? 'dark' : 'light'; stage.classList.toggle('night', S.night);
    for (const b of bar.querySelectorAll('[data-width]')) b.setAttribute('aria-pressed', b.dataset.width === S.width);
    bar.querySelector('[data-night]').setAttribute('aria-pressed', S.night);
  };
  const sizes = el('div', { class: 'seg', role: 'group', 'aria-label': 'Width' }, ...Object.entries(WIDTHS).map(([name, [shape, title]]) =>
    button(shape, '', title, () => { S.width = name; set(); }, { 'data-width': name })));
  const night = button('moon', '', 'As a reader with dark colours sees it', () => { S.night = !S.night; set(); }, { 'data-night': true });
  bar.append(sizes, night, el('span', { class: 'gap' }), remoteButton(body, m, path),
    button('print', '', 'Print', () => printHtml(path)), button('camera', '', 'Save a picture', () => guard(picture(m, path))),
    el('a', { class: 'btn quiet', href: ROOT + path, target: '_blank', rel: 'noopener', title: 'Open in a tab of its own', 'aria-label': 'Open in a tab of its own' }, icon('out')));
  set();
  return el('div', { class: 'html' }, bar, stage);
}
function remoteButton(body, m, path) {
  if (!loadsRemote(m.HTML)) return '';
  if (S.remote === path) return el('span', { class: 'dim remote' }, 'Remote content is loaded');
  return button('cloud', 'Load remote content', 'Pictures, styles and fonts from elsewhere: their hosts learn that this message is being read', () => {
    S.remote = path; body.replaceChildren(showHtml(body, m, path, true));
  }, { class: 'btn remote' });
}
// A frame that prints itself by the one script it may run, and goes.
function printHtml(path) {
  document.querySelectorAll('iframe.printer').forEach(old => old.remove());
  const remote = S.remote === path ? '&remote=1' : '';
  document.body.append(el('iframe', { class: 'printer', sandbox: 'allow-scripts allow-modals', referrerpolicy: 'no-referrer', title: 'Print', tabindex: -1, src: `${ROOT}${path}?print=1${remote}` }));
}
// What mail clients show beside the subject: the first words of the HTML, often put there for that alone.
function preheader(m) {
  if (!m.HTML) return '';
  const doc = inert(m.HTML.slice(0, 65536).replace(/<(\/?(?:p|div|h\d|t[dhr]|li|br|table|section|center)\b)/gi, ' <$1'));
  doc.querySelectorAll('x-style, script, title, head').forEach(e => e.remove());
  const text = (doc.body ? doc.body.textContent : '').replace(/[\u00ad\u034f\u200b-\u200f\u2060\ufeff]/g, '').replace(/\s+/g, ' ').trim();
  return [...text].slice(0, 140).join('');
}
