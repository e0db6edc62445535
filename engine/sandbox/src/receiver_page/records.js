// What records say: grouped by message, in words.
const COLOR = { Reception: 'in', Delivery: 'good', Bounce: 'bad', Expiration: 'bad', AdminBounce: 'bad', Rejection: 'bad', OOB: 'bad',
  TransientFailure: 'warn', Delayed: 'warn', Deferred: 'warn', Feedback: 'warn' };
const timeOf = r => { const d = r.event_time ? new Date(r.event_time) : typeof r.timestamp === 'number' ? new Date(r.timestamp * 1000) : null; return d && !isNaN(d) ? d : null; };
const textOfList = v => Array.isArray(v) ? v.map(textOfList).join(', ') : v == null ? '' : typeof v === 'object' ? JSON.stringify(v) : String(v);
// A header by its name, however it is spelt.
function headerOf(r, name) {
  const found = Object.entries(r.headers && typeof r.headers === 'object' ? r.headers : {}).find(([k]) => k.toLowerCase() === name);
  return found ? textOfList(found[1]) : '';
}
function said(r) {
  const s = r.response; if (!s || typeof s !== 'object') return '';
  const e = s.enhanced_code, code = e ? `${e.class}.${e.subject}.${e.detail} ` : '';
  return s.code || s.content ? `${s.code || ''} ${code}${s.content || ''}`.trim() : '';
}
// A code alone says no more of a reception than that there was one.
const inWords = r => r.type === 'Reception' && !(r.response && r.response.content) ? 'taken' + (r.reception_protocol ? ` by ${r.reception_protocol}` : '') : said(r);
// A time, with its day where that is another than today.
const clock = at => (at.toDateString() === new Date().toDateString() ? '' : at.toLocaleDateString([], { day: 'numeric', month: 'short' }) + ' ') + at.toLocaleTimeString([], { hour12: false });
const RECIPIENTS_SHOWN = 2;
function facts(r) {
  const peer = r.peer_address && (r.peer_address.name || r.peer_address.addr);
  return [r.queue && 'queue ' + textOfList(r.queue), peer && `${r.type === 'Reception' ? 'from' : 'to'} ${peer}`, r.egress_source && r.egress_source !== 'unspecified' && 'source ' + r.egress_source,
    r.num_attempts ? many(r.num_attempts, 'attempt') : '', r.bounce_classification && r.bounce_classification !== 'Uncategorized' && r.bounce_classification].filter(Boolean).join(' · ');
}
// Newest message first; its records in the order of their time.
function grouped(events) {
  const groups = new Map();
  for (const event of events) {
    const r = event.record, key = r.id ? String(r.id) : 'seq ' + event.seq;
    const group = groups.get(key) || { key, events: [] }; groups.set(key, group); group.events.push(event);
  }
  for (const group of groups.values()) {
    group.events.sort((a, b) => (timeOf(a.record) || 0) - (timeOf(b.record) || 0) || a.seq - b.seq);
    group.last = Math.max(...group.events.map(event => event.seq));
    const records = group.events.map(event => event.record), first = pickText => records.map(pickText).find(Boolean) || '';
    Object.assign(group, { subject: first(r => headerOf(r, 'subject')), sender: first(r => r.sender), ...recipients(first(r => r.recipient)), queue: first(r => textOfList(r.queue)), final: records[records.length - 1] });
  }
  return [...groups.values()].sort((a, b) => b.last - a.last);
}
function recipients(list) {
  const all = [].concat(list || []);
  return { to: textOfList(all.slice(0, RECIPIENTS_SHOWN)), more: Math.max(0, all.length - RECIPIENTS_SHOWN) };
}
const searched = group => (group.searched ||= group.events.map(event => JSON.stringify(event.record)).join('\n').toLowerCase());
const matchesAll = (group, words, kind) => (!kind || group.events.some(event => (event.record.type || '(none)') === kind)) && words.every(word => searched(group).includes(word));
