// Attachments and inline parts: what they are, and a look at them.
const FILE_TEXT = 1 << 20;
const FILES_SHOWN = 200;
const parts = m => [...m.Attachments, ...m.Inline];
const fileName = f => f.FileName || f.ContentType + ' part ' + f.PartID;
const isImage = f => /^image\/(png|jpe?g|gif|webp|avif|bmp|svg\+xml|x-icon|vnd\.microsoft\.icon)$/.test(f.ContentType);
const isMessage = f => /^message\/(rfc822|global)$/.test(f.ContentType);
const isCalendar = f => f.ContentType === 'text/calendar' || f.ContentType === 'application/ics';
const isText = f => /^text\/|[/+](json|xml|javascript)$|^message\/(delivery-status|feedback-report)$/.test(f.ContentType);
const kindIcon = f => isImage(f) ? 'image' : isMessage(f) ? 'mail' : isCalendar(f) ? 'calendar' : 'file';
const canShow = f => isImage(f) || isMessage(f) || isCalendar(f) || isText(f) || f.ContentType === 'application/pdf';

// `at` is the path of the message that the parts belong to: a message within another has its own.
function showFiles(m, at) {
  const all = parts(m);
  if (!all.length) return el('div', { class: 'panel' }, note('No attachments and no inline parts.'));
  return el('div', { class: 'panel' },
    el('ul', { class: 'files' }, ...all.slice(0, FILES_SHOWN).map((f, i) => fileCard(m, at, f, i))),
    all.length > FILES_SHOWN ? note(`${all.length - FILES_SHOWN} more parts are in the raw message.`) : null);
}
function fileCard(m, at, f, i) {
  const look = () => preview(m, at, i);
  const thumb = isImage(f) && f.Size < (4 << 20) ? el('img', { src: ROOT + at + '/part/' + encodeURIComponent(f.PartID), alt: '', loading: 'lazy' }) : icon(kindIcon(f));
  return el('li', { class: 'file' },
    el('div', { class: 'thumb' }, thumb),
    el('div', { class: 'file-what' }, canShow(f) ? el('button', { class: 'file-name', type: 'button', onclick: look, dir: 'auto' }, fileName(f)) : el('span', { class: 'file-name', dir: 'auto' }, fileName(f)),
      el('span', { class: 'dim' }, `${f.ContentType} · ${size(f.Size)}${f.ContentID ? ' · cid:' + f.ContentID : ''}`),
      el('code', { class: 'sum', title: `MD5 ${f.Checksums.MD5}\nSHA-1 ${f.Checksums.SHA1}` }, 'SHA-256 ' + f.Checksums.SHA256)),
    el('div', { class: 'file-acts' }, canShow(f) ? button('eye', 'Preview', 'Look at ' + fileName(f), look) : null, saveLink(m, at, f)));
}
function saveLink(m, at, f) {
  const name = f.FileName || 'part-' + f.PartID;
  return el('a', { class: 'btn quiet', href: ROOT + at + '/part/' + encodeURIComponent(f.PartID), download: name, title: 'Save ' + name, 'aria-label': 'Save ' + name }, icon('down'));
}
function preview(m, at, i) {
  const all = parts(m), f = all[i]; if (!f) return;
  const body = el('div', { class: 'preview' }, note('Loading …'));
  const step = by => { box.close(); preview(m, at, (i + by + all.length) % all.length); };
  const box = dialog(fileName(f), el('div', { class: 'viewer-in' },
    el('div', { class: 'bar-html' }, el('span', { class: 'dim' }, `${f.ContentType} · ${size(f.Size)}`), el('span', { class: 'gap' }),
      all.length > 1 ? button('back', '', 'Previous', () => step(-1)) : null, all.length > 1 ? button('next', '', 'Next', () => step(1)) : null, saveLink(m, at, f)), body), 'viewer');
  look(m, at, f).then(shown => body.replaceChildren(shown), e => body.replaceChildren(note(e.message)));
}
async function look(m, at, f) {
  const path = `${at}/part/${encodeURIComponent(f.PartID)}`;
  if (isImage(f)) return el('div', { class: 'image' }, el('img', { src: ROOT + path, alt: fileName(f) }));
  if (f.ContentType === 'application/pdf') return navigator.pdfViewerEnabled === false ? note('This browser shows no PDF within a page. Save it to look at it.') : el('iframe', { class: 'pdf', src: ROOT + path, title: fileName(f), referrerpolicy: 'no-referrer' });
  if (isMessage(f)) return showNested(`${at}/in/${encodeURIComponent(f.PartID)}`);
  if (!isText(f) && !isCalendar(f)) return note('There is no preview of this type.');
  const { text, cut } = await textOf(path, FILE_TEXT);
  if (isCalendar(f)) return showCalendar(text);
  const pretty = /json$/.test(f.ContentType) && !cut && asJson(text) ? JSON.stringify(asJson(text), null, 2) : text;
  return el('div', {}, el('pre', { class: 'code', tabindex: 0 }, f.ContentType === 'text/html' ? coloured(pretty.slice(0, SOURCE_SHOWN)) : linked(pretty)),
    cut ? note(`The first ${size(FILE_TEXT)} are shown.`) : null);
}
async function showNested(at) {
  const m = await api(at + '/message'), body = el('div', { class: 'nested-body' });
  const html = m.HTML ? mailFrame(at + '/html?frame=1', 'Message within the message') : el('pre', { class: 'text', dir: 'auto', tabindex: 0 }, linked((m.Text || '(no text)').slice(0, FILE_TEXT)));
  body.append(html);
  return el('div', { class: 'nested' }, table([['Subject', m.Subject || '(none)'], ['From', full(m.From)], ['To', apart(m.To.map(full))], ['Date', m.Date]]),
    body, parts(m).length ? showFiles(m, at) : null);
}
