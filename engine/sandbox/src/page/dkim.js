// DKIM signatures (RFC 6376) checked by the browser: the body's hash always, the signature with a key that is at hand.
const latin = bytes => { let out = ''; for (let i = 0; i < bytes.length; i += 32768) out += String.fromCharCode(...bytes.subarray(i, i + 32768)); return out; };
const bytesFrom = text => Uint8Array.from(text, c => c.charCodeAt(0));
const base64Bytes = text => bytesFrom(atob(text.replace(/\s+/g, '')));
const base64Text = bytes => btoa(latin(new Uint8Array(bytes)));

// Header fields with their folds, and the body, of a source as text of single bytes.
function takeApart(source) {
  const text = source.replace(/\r?\n/g, '\r\n'), end = text.startsWith('\r\n') ? 0 : text.indexOf('\r\n\r\n');
  const head = end < 0 ? text : text.slice(0, end + 2), body = end < 0 ? '' : text.slice(end ? end + 4 : 2);
  const fields = head.split(/\r\n(?![ \t])/).filter(line => line.includes(':')).map(line => {
    const at = line.indexOf(':'); return { name: line.slice(0, at), value: line.slice(at + 1) };
  });
  return { fields, body };
}
function tagList(value) {
  const tags = {};
  for (const part of value.split(';')) { const at = part.indexOf('='); if (at > 0) tags[part.slice(0, at).trim()] = part.slice(at + 1).trim(); }
  return tags;
}
const squeezed = text => (text || '').replace(/\s+/g, '');
function canonicalBody(body, relaxed) {
  const lines = body.split('\r\n').map(line => relaxed ? line.replace(/[ \t]+/g, ' ').replace(/ $/, '') : line);
  while (lines.length && lines[lines.length - 1] === '') lines.pop();
  return lines.length ? lines.join('\r\n') + '\r\n' : relaxed ? '' : '\r\n';
}
function canonicalField({ name, value }, relaxed) {
  return relaxed ? `${name.trim().toLowerCase()}:${value.replace(/\r\n/g, '').replace(/[ \t]+/g, ' ').trim()}` : `${name}:${value}`;
}
// What was signed: the named fields, the last of a name first, and the signature itself without its value.
function signedInput(fields, signature, tags, relaxed) {
  const left = fields.slice(), out = [];
  for (const name of squeezed(tags.h).toLowerCase().split(':')) {
    let at = left.length - 1;
    while (at >= 0 && left[at].name.trim().toLowerCase() !== name) at--;
    if (at >= 0) out.push(canonicalField(left.splice(at, 1)[0], relaxed) + '\r\n');
  }
  const bare = { name: signature.name, value: signature.value.replace(/((?:^|;)\s*b\s*=)[^;]*/, '$1') };
  return out.join('') + canonicalField(bare, relaxed);
}

const der = (tag, ...parts) => {
  const content = parts.flatMap(part => [...part]), n = content.length;
  return [tag, ...(n < 128 ? [n] : n < 256 ? [0x81, n] : [0x82, n >> 8, n & 255]), ...content];
};
const RSA_NAME = [0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
const ED_PREFIX = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
// A key as people have it: the TXT record, a public or a private PEM, or bare base64.
async function importKey(text, algorithm) {
  const isEd = algorithm.startsWith('ed25519'), name = isEd ? { name: 'Ed25519' } : { name: 'RSASSA-PKCS1-v1_5', hash: algorithm.endsWith('sha1') ? 'SHA-1' : 'SHA-256' };
  const pem = text.match(/-----BEGIN ([A-Z ]+)-----([\s\S]+?)-----END/);
  if (pem && /PRIVATE/.test(pem[1])) {
    let bytes = base64Bytes(pem[2]);
    if (pem[1] === 'RSA PRIVATE KEY') bytes = new Uint8Array(der(0x30, [2, 1, 0], RSA_NAME, der(4, bytes)));
    const jwk = await crypto.subtle.exportKey('jwk', await crypto.subtle.importKey('pkcs8', bytes, name, true, ['sign']));
    return crypto.subtle.importKey('jwk', { kty: jwk.kty, n: jwk.n, e: jwk.e, crv: jwk.crv, x: jwk.x }, name, true, ['verify']);
  }
  const record = pem ? pem[2] : tagList(text.replace(/"\s*"/g, '').replace(/"/g, '')).p || text;
  let bytes = base64Bytes(record);
  if (isEd && bytes.length === 32) bytes = new Uint8Array([...ED_PREFIX, ...bytes]);
  try { return await crypto.subtle.importKey('spki', bytes, name, false, ['verify']); }
  catch (e) {
    if (isEd) throw e;
    const spki = new Uint8Array(der(0x30, RSA_NAME, der(3, [0, ...bytes])));
    return crypto.subtle.importKey('spki', spki, name, false, ['verify']);
  }
}
// Of a private key only what verifies is kept.
async function publicPart(text, algorithm) {
  if (!/PRIVATE KEY/.test(text)) return text;
  const key = await importKey(text, algorithm).catch(() => { throw new Error('This key cannot be read'); });
  return `-----BEGIN PUBLIC KEY-----\n${base64Text(await crypto.subtle.exportKey('spki', key))}\n-----END PUBLIC KEY-----`;
}
function keepKey(name, text) {
  if (text) return keep('dkim ' + name, text);
  try { localStorage.removeItem('dkim ' + name); } catch { /* a browser that keeps nothing */ }
}
const keyName = tags => `${squeezed(tags.s)}._domainkey.${squeezed(tags.d)}`.toLowerCase();

// One signature: { tags, body: 'pass' | 'fail' | why, signature: 'pass' | 'fail' | null without a key | why }.
async function checkSignature(source, signature, key) {
  const tags = tagList(signature.value), out = { tags, body: '', signature: null };
  if (!globalThis.crypto || !crypto.subtle) return { ...out, body: 'needs https or localhost' };
  const algorithm = squeezed(tags.a).toLowerCase(), [header, body = 'simple'] = (squeezed(tags.c) || 'simple/simple').split('/');
  if (!/^(rsa-sha256|rsa-sha1|ed25519-sha256)$/.test(algorithm)) return { ...out, body: `algorithm ${algorithm || 'missing'}` };
  const digest = algorithm.endsWith('sha1') ? 'SHA-1' : 'SHA-256';
  let canonical = canonicalBody(source.body, body === 'relaxed');
  if (tags.l) canonical = canonical.slice(0, Number(squeezed(tags.l)));
  const hash = base64Text(await crypto.subtle.digest(digest, bytesFrom(canonical)));
  out.body = hash === squeezed(tags.bh) ? 'pass' : 'fail';
  if (!key) return out;
  try {
    const input = bytesFrom(signedInput(source.fields, signature, tags, header === 'relaxed'));
    const isEd = algorithm.startsWith('ed25519'), imported = await importKey(key, algorithm);
    const signed = isEd ? new Uint8Array(await crypto.subtle.digest('SHA-256', input)) : input;
    out.signature = await crypto.subtle.verify(isEd ? 'Ed25519' : 'RSASSA-PKCS1-v1_5', imported, base64Bytes(tags.b || ''), signed) ? 'pass' : 'fail';
  } catch { out.signature = 'the key cannot be read'; }
  return out;
}
const signatures = source => source.fields.filter(field => /^dkim-signature$/i.test(field.name.trim())).slice(0, 20);
