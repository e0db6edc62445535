// Envelope, session, and what the message weighs.
// Beyond this Gmail cuts an HTML body off.
const CLIPPED = 102 * 1024;
function showDetails(m) {
  const e = m.Envelope, s = e.Session;
  return el('div', { class: 'panel' },
    el('h2', {}, 'Weight'), weights(m),
    el('h2', {}, 'Envelope'),
    table([['Envelope sender', e.From || '<>'], ...e.To.slice(0, 200).map((to, i) => [i ? '' : 'Envelope recipients', to]),
      ...(e.To.length > 200 ? [['', `and ${e.To.length - 200} more`]] : []), ['Received', e.Received]]),
    el('h2', {}, 'Session'),
    table([['Client', s.Client || '-'], ['EHLO name', s.Helo || '-'], ['Protocol', s.Protocol],
      ['TLS', s.TLS ? `${s.TLS.Version} ${s.TLS.Cipher}` : 'no'], ['AUTH user', s.AuthUser == null ? 'none' : s.AuthUser]]),
    el('h2', {}, 'Identity'),
    table([['Message-ID', m.MessageID || '(none)'], ['Date header', m.Date], ['ID here', m.ID],
      ['Preheader', preheader(m) || '(none)'], ['List-Unsubscribe', m.ListUnsubscribe.Errors || m.ListUnsubscribe.Links.join('\n') || '(none)']]));
}
function weights(m) {
  const bytes = text => new Blob([text]).size, sum = list => list.reduce((n, f) => n + f.Size, 0);
  const rows = [['HTML', bytes(m.HTML)], ['Text', m.HTML && !m.Text ? 0 : bytes(m.Text)], [many(m.Attachments.length, 'attachment'), sum(m.Attachments)], [many(m.Inline.length, 'inline part'), sum(m.Inline)]].filter(([, n]) => n);
  const most = Math.max(m.Size, ...rows.map(([, n]) => n));
  const bar = (name, n, title) => el('div', { class: 'weight' }, el('span', {}, name), el('meter', { min: 0, max: most || 1, value: n, 'aria-label': name, title }), el('b', {}, size(n)));
  return el('div', { class: 'weights' }, bar('As sent', m.Size, `${m.Size} bytes`), ...rows.map(([name, n]) => bar(name + ', decoded', n, `${n} bytes`)),
    rows[0] && rows[0][0] === 'HTML' && rows[0][1] > CLIPPED ? note(badge('clipped', 'warn'), ` Gmail shows the first ${size(CLIPPED)} of HTML only.`) : null);
}
