// What a sandbox may offer besides, as its API says: support of HTML in mail clients, links tried, spam score, release, chaos.
const WARNINGS_SHOWN = 100;
const LINKS_TRIED = 200;
const offers = name => !!(S.ui && S.ui[name]);

// How well mail clients support the HTML; nothing where the sandbox has no such check.
async function clientSupport(m) {
  if (!m.HTML) return [];
  const got = await api(`/api/v1/message/${encodeURIComponent(m.ID)}/html-check`).catch(e => e);
  if (got.status === 404) return [];
  // What else is checked stands beside it.
  if (!got.Total) return [el('h2', {}, 'HTML in mail clients'), note(got.message)];
  const percent = n => `${Math.round(n)} %`, { Supported, Partial, Unsupported } = got.Total;
  return [el('h2', {}, 'HTML in mail clients'), el('div', { class: 'item' },
    el('div', { class: 'item-head' }, badge(`supported ${percent(Supported)}`, 'good'), badge(`partly ${percent(Partial)}`, Partial ? 'warn' : ''), badge(`not ${percent(Unsupported)}`, Unsupported ? 'bad' : ''),
      el('span', { class: 'dim' }, `${many(got.Total.Tests, 'test')}`)),
    ...got.Warnings.slice(0, WARNINGS_SHOWN).map(supportWarning), got.Warnings.length ? null : note('Nothing in it is known to fail anywhere.'))];
}
function supportWarning(w) {
  const failing = kind => [...new Set(w.Results.filter(r => r.Support === kind).map(r => r.Name))];
  const line = (what, names) => names.length ? el('p', { class: 'note' }, badge(what, what === 'not' ? 'bad' : 'warn'), ' ' + names.join(', ')) : null;
  return el('details', {}, el('summary', {}, w.Title, ' ', el('span', { class: 'dim' }, `${Math.round(w.Score.Supported)} % support, ${w.Score.Found} in this message`)),
    w.Description ? note(w.Description) : null, line('not', failing('no')), line('partly', failing('partial')),
    w.URL && /^https?:/i.test(w.URL) ? el('p', { class: 'note' }, outside(w.URL, w.URL)) : null);
}
async function spamScore(m) {
  if (!offers('SpamAssassin')) return [];
  const got = await api(`/api/v1/message/${encodeURIComponent(m.ID)}/sa-check`).catch(e => ({ Error: e.message }));
  const card = got.Error ? note(got.Error) : el('div', { class: 'item' },
    el('div', { class: 'item-head' }, badge(`score ${got.Score}`, got.IsSpam ? 'bad' : 'good'), badge(got.IsSpam ? 'spam' : 'no spam', got.IsSpam ? 'bad' : 'good')),
    table((got.Rules || []).map(r => [`${r.Score}  ${r.Name}`, r.Description])));
  return [el('h2', {}, 'Spam'), card];
}
// Asks the sandbox to try the links; only then does anything leave it.
function tryLinks(m) {
  if (!offers('LinkCheck')) return null;
  const out = el('div', { role: 'status' });
  const run = async () => {
    out.replaceChildren(note('Trying …'));
    const got = await api(`/api/v1/message/${encodeURIComponent(m.ID)}/link-check`);
    out.replaceChildren(el('ul', { class: 'plain' }, ...got.Links.map(l => el('li', {}, badge(l.StatusCode ? `${l.StatusCode} ${l.Status}` : l.Status, l.StatusCode >= 200 && l.StatusCode < 400 ? 'good' : 'bad'), ' ', el('code', {}, l.URL)))),
      got.Links.length < LINKS_TRIED ? '' : note(`No more than ${LINKS_TRIED} are tried.`));
  };
  return el('div', { class: 'item' }, el('div', { class: 'item-head' }, el('button', { class: 'btn', type: 'button', onclick: () => guard(run()) }, 'Try the links'),
    el('span', { class: 'dim' }, 'The sandbox asks for each of them; their hosts see that.')), out);
}
function releaseButton(m) {
  return S.ui && S.ui.MessageRelay && S.ui.MessageRelay.Enabled ? button('send', 'Release', 'Release: send it on', () => askRelease(m)) : null;
}
function askRelease(m) {
  const relay = S.ui.MessageRelay, sent = m.Envelope.To.length ? m.Envelope.To : headerRecipients(m).map(a => a.Address);
  const input = el('input', { id: 'release', type: 'text', required: true, value: sent.join(', ') }), answer = el('p', { class: 'note', role: 'status' });
  const form = el('form', { class: 'ask', onsubmit: async e => {
    e.preventDefault(); answer.textContent = 'Sending …';
    try { await send('POST', `/api/v1/message/${encodeURIComponent(m.ID)}/release`, { To: input.value.split(/[,;\s]+/).filter(Boolean) }); box.close(); toast('Released'); }
    catch (failed) { answer.replaceChildren(badge('not released', 'bad'), ' ' + failed.message); }
  } }, el('label', { for: 'release' }, 'Recipients'), input,
    note(`It goes through ${relay.SMTPServer}${relay.AllowedRecipients ? `, to recipients that match ${relay.AllowedRecipients}` : ''}: to real people, if that is who they are.`),
    el('button', { class: 'btn main', type: 'submit' }, 'Release'), answer);
  const box = dialog('Release the message', form); input.focus();
}
const CHAOS = { Sender: 'MAIL FROM', Recipient: 'RCPT TO', Authentication: 'AUTH' };
async function askChaos() {
  const now = await api('/api/v1/chaos'), fields = {};
  const rows = Object.entries(CHAOS).map(([name, what]) => {
    const number = (key, min, max) => (fields[name + key] = el('input', { type: 'number', min, max, required: true, value: now[name][key], 'aria-label': `${what}: ${key === 'ErrorCode' ? 'answer' : 'per cent'}` }));
    return [el('b', {}, what), number('ErrorCode', 400, 599), number('Probability', 0, 100)];
  });
  const form = el('form', { class: 'ask', onsubmit: async e => {
    e.preventDefault();
    // What is not asked for here stays as it is: texts, other steps, the seed.
    const wanted = { ...now };
    for (const name of Object.keys(CHAOS)) wanted[name] = { ...now[name], ErrorCode: Number(fields[name + 'ErrorCode'].value), Probability: Number(fields[name + 'Probability'].value) };
    await guard(send('PUT', '/api/v1/chaos', wanted).then(() => { box.close(); showChaos(wanted); toast('Set'); }));
  } }, note('Mail is refused on purpose, so that you see how its sender takes it. With 0 % none is.'),
    el('div', { class: 'chaos' }, ...['Command', 'Answer', 'How often, %'].map(head => el('span', { class: 'dim', 'aria-hidden': 'true' }, head)), ...rows.flat()),
    el('button', { class: 'btn main', type: 'submit' }, 'Set'));
  const box = dialog('Chaos: refuse some mail', form);
}
// Whoever wonders about refused mail sees why.
function showChaos(now) {
  const on = Object.values(now).some(one => one && one.Probability > 0), b = $('chaos');
  b.hidden = false; b.setAttribute('aria-pressed', on); b.title = on ? 'Chaos is on: some mail is refused on purpose' : 'Chaos: refuse some mail on purpose';
}
