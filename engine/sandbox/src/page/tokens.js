// Values that carry something: base64, JSON, JSON Web Tokens, identifiers, times, addresses within addresses.
const printable = text => text.length > 0 && !/[^\t\n\r\x20-\x7e\u00a0-\ufffd]/.test(text) && !text.includes('\ufffd');
function fromBase64(text) {
  const plain = text.replace(/-/g, '+').replace(/_/g, '/').replace(/=+$/, '');
  if (plain.length < 8 || plain.length % 4 === 1 || !/^[A-Za-z0-9+/]+$/.test(plain)) return null;
  try { return new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(atob(plain), c => c.charCodeAt(0))); }
  catch { return null; }
}
function asJson(text) {
  try { const value = JSON.parse(text); return value && typeof value === 'object' ? value : null; } catch { return null; }
}
// What a value says when it is taken apart: [kind, text] for each layer, the outermost first.
function decode(value, depth = 3) {
  const out = [];
  if (!depth || !value || value.length > 16384) return out;
  const inner = (kind, text) => { if (asJson(text)) return [[kind + ', JSON', JSON.stringify(asJson(text), null, 2)]]; out.push([kind, text]); out.push(...decode(text, depth - 1)); return out; };
  let undone = value;
  try { undone = decodeURIComponent(value); } catch { /* no such encoding */ }
  if (undone !== value) return inner('percent-decoded', undone);
  if (/^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(value)) return [[`UUID version ${value[14]}`, value.toLowerCase()]];
  const jwt = value.match(/^(eyJ[\w-]+)\.(eyJ[\w-]+)\.([\w-]*)$/);
  if (jwt) {
    const [head, claims] = [asJson(fromBase64(jwt[1]) || ''), asJson(fromBase64(jwt[2]) || '')];
    if (head && claims) return [['JSON Web Token, header', JSON.stringify(head, null, 2)], ['JSON Web Token, claims', JSON.stringify(claims, null, 2)]];
  }
  if (asJson(value)) return depth < 3 ? [['JSON', JSON.stringify(asJson(value), null, 2)]] : out;
  if (/^1[0-9]{9}([0-9]{3})?$/.test(value)) return [['time', new Date(Number(value) * (value.length === 10 ? 1000 : 1)).toISOString()]];
  if (/^([0-9a-f]{2}){8,}$/i.test(value)) {
    const bytes = Uint8Array.from(value.match(/../g), pair => parseInt(pair, 16));
    const text = new TextDecoder().decode(bytes);
    return printable(text) ? inner('hex', text) : [['hex', `${bytes.length} bytes`]];
  }
  const text = fromBase64(value);
  // A plain word can be base64 by chance; what it then says is no text.
  if (text && printable(text) && (asJson(text) || /[^A-Za-z]/.test(value) || value.length >= 16)) return inner('base64', text);
  // Signed values of many frameworks: a payload, a dot or two, and a signature.
  const payload = value.match(/^([\w-]{8,}=*)(?:\.|--)[\w-]{8,}/), said = payload && fromBase64(payload[1]);
  if (said && printable(said)) return inner('signed, base64', said);
  return out;
}
function decoded(value) {
  return decode(value).map(([kind, text]) => el('div', { class: 'decoded' }, badge(kind), el('code', { dir: 'auto' }, text)));
}
// What a link carries, by name: its query, its fragment, and parts of its path that say something.
function carried(url) {
  const out = []; let u;
  try { u = new URL(url); } catch { return out; }
  if (u.protocol === 'mailto:') {
    out.push(['to', u.pathname]);
    for (const [k, v] of u.searchParams) out.push([k, v]);
    return out;
  }
  for (const part of u.pathname.split('/')) if (part.length >= 8 && decode(part).length) out.push(['path', part]);
  for (const [k, v] of u.searchParams) out.push([k, v]);
  if (u.hash.length > 1) out.push(['fragment', u.hash.slice(1)]);
  return out;
}
