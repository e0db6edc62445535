// What others said of the message's authentication, and what can be checked here.
const CHECKED_SOURCE = 30 << 20;
// Results of an Authentication-Results field (RFC 8601): [method, result, properties].
function authResults(value) {
  const plain = value.replace(/\((?:[^()\\]|\\.)*\)/g, ' '), [server, ...results] = plain.split(';');
  return { server: server.trim().split(/\s/)[0], results: results.map(text => {
    const found = text.trim().match(/^([\w-]+)(?:\/\d+)?\s*=\s*(\w+)\s*([\s\S]*)$/);
    return found && [found[1].toLowerCase(), found[2].toLowerCase(), found[3].replace(/\s+/g, ' ').trim()];
  }).filter(Boolean) };
}
const verdict = result => badge(result, /^pass$/.test(result) ? 'good' : /^(fail|permerror|hardfail)$/.test(result) ? 'bad' : /^(softfail|temperror|policy)$/.test(result) ? 'warn' : '');
const domainOf = address => (address || '').split('@').pop().toLowerCase().replace(/[<>\s]/g, '');
const aligned = (domain, from) => from === domain || from.endsWith('.' + domain) || domain.endsWith('.' + from);

async function showChecks(body, m) {
  const id = encodeURIComponent(m.ID);
  const [headers, raw] = await Promise.all([api(`/api/v1/message/${id}/headers`), bytesOf(`/api/v1/message/${id}/raw`, CHECKED_SOURCE)]);
  const panel = el('div', { class: 'panel' });
  panel.append(el('h2', {}, 'DKIM signatures'));
  if (raw.cut) panel.append(note('This message is too large to be checked here.'));
  else {
    const source = takeApart(latin(raw.bytes)), all = signatures(source);
    if (!all.length) panel.append(note('This message is not signed.'));
    for (const signature of all) panel.append(await signatureCard(source, signature, m));
  }
  panel.append(el('h2', {}, 'Authentication results'), ...resultCards(headers));
  panel.append(el('h2', {}, 'Unsubscribing'), unsubscribe(m, headers), ...await spamScore(m), ...await clientSupport(m));
  return panel;
}
function resultCards(headers) {
  const cards = [];
  for (const name of ['Authentication-Results', 'Arc-Authentication-Results'])
    for (const value of headers[name] || []) {
      const { server, results } = authResults(name.startsWith('Arc') ? value.replace(/^\s*i=\d+;\s*/, '') : value);
      cards.push(el('div', { class: 'item' }, el('div', { class: 'item-head' }, el('b', {}, server), el('span', { class: 'dim' }, name)),
        ...results.map(([method, result, more]) => el('div', { class: 'verdict' }, el('b', {}, method.toUpperCase()), verdict(result), el('code', {}, more)))));
    }
  for (const value of headers['Received-Spf'] || []) {
    const result = value.trim().split(/\s/)[0].toLowerCase();
    cards.push(el('div', { class: 'item' }, el('div', { class: 'verdict' }, el('b', {}, 'SPF'), verdict(result), el('code', {}, value))));
  }
  return cards.length ? cards : [note('No server has written results into this message. They say what the writer claims; anybody can write such a field.')];
}
// The engine's own key, where the policy signs with one of that name.
async function ownKey(tags) {
  const own = await api('/dkim-key').catch(() => null);
  const fits = own && own.Selector === squeezed(tags.s) && (!own.Domain || own.Domain.toLowerCase() === squeezed(tags.d).toLowerCase());
  return fits ? own.Record : '';
}
async function signatureCard(source, signature, m) {
  const card = el('div', { class: 'item signature' });
  const fill = async () => {
    const name = keyName(tagList(signature.value)), given = kept('dkim ' + name), own = given ? '' : await ownKey(tagList(signature.value)), key = given || own, done = await checkSignature(source, signature, key), tags = done.tags;
    const domain = squeezed(tags.d).toLowerCase(), ok = done.body === 'pass' && done.signature === 'pass';
    const time = tag => tags[tag] && new Date(Number(squeezed(tags[tag])) * 1000);
    const input = el('textarea', { rows: 3, 'aria-label': `Key of ${name}`, placeholder: 'v=DKIM1; k=rsa; p=…  or a PEM, public or private' });
    const use = async text => { keepKey(name, text && await publicPart(text, squeezed(tags.a).toLowerCase())); return fill(); };
    card.replaceChildren(
      el('div', { class: 'item-head' }, el('b', {}, domain), verdict(ok ? 'pass' : done.body === 'fail' || done.signature === 'fail' ? 'fail' : 'unknown'),
        badge(aligned(domain, domainOf(m.From.Address)) ? 'aligned with From' : 'not aligned with From', aligned(domain, domainOf(m.From.Address)) ? '' : 'warn'),
        time('x') && time('x') < new Date() ? badge('expired', 'bad') : null, tags.l ? badge('signs only a part of the body', 'warn') : null),
      table([['Body hash', verdictText(done.body)], ['Signature', done.signature ? verdictText(done.signature) + (own ? ', by the key of RINGMTA_DKIM_KEY' : '') : 'no key at hand: give one below'],
        ['Key is at', name], ['Algorithm', `${squeezed(tags.a)}, ${squeezed(tags.c) || 'simple/simple'}`], ['Signed fields', squeezed(tags.h).split(':').join(', ')],
        ...(time('t') ? [['Signed at', time('t').toISOString()]] : []), ...(time('x') ? [['Expires', time('x').toISOString()]] : [])]),
      el('details', {}, el('summary', {}, given ? 'Key at hand' : own ? 'Give another key' : 'Give a key'), input,
        el('div', { class: 'acts' }, el('button', { class: 'btn', type: 'button', onclick: () => guard(use(input.value.trim())) }, 'Check with this key'),
          given ? el('button', { class: 'btn quiet', type: 'button', onclick: () => guard(use('')) }, 'Forget the key') : null),
        note('The TXT record or a PEM. Nothing of it leaves this browser, which keeps the public key until it is forgotten; of a private key only the public part is kept.')));
    input.value = given || '';
  };
  await fill(); return card;
}
const verdictText = text => text === 'pass' ? 'matches' : text === 'fail' ? 'does not match' : text;
function unsubscribe(m, headers) {
  const list = m.ListUnsubscribe;
  if (!list.Header) return note('No List-Unsubscribe header.');
  const oneClick = /^\s*List-Unsubscribe=One-Click\s*$/i.test(list.HeaderPost), https = list.Links.some(url => /^https:/i.test(url));
  return el('div', { class: 'item' },
    el('div', { class: 'item-head' }, list.Errors ? badge(list.Errors, 'bad') : badge('well-formed', 'good'),
      oneClick && https ? badge('one click', 'good') : badge(oneClick ? 'one click needs https' : 'no one-click header', 'warn')),
    el('ul', { class: 'plain' }, ...list.Links.map(url => el('li', {}, /^(https?|mailto):/i.test(url) ? outside(url, url) : el('code', {}, url)))));
}
