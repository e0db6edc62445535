// Events of an iCalendar part (RFC 5545), as people read them.
function calendarLines(text) {
  return text.replace(/\r?\n[ \t]/g, '').split(/\r?\n/).map(line => {
    const found = line.match(/^([\w-]+)((?:;[\w-]+=(?:"[^"]*"|[^";:]*))*):(.*)$/);
    if (!found) return null;
    const params = {};
    for (const [, k, v] of found[2].matchAll(/;([\w-]+)=("[^"]*"|[^";:]*)/g)) params[k.toUpperCase()] = v.replace(/"/g, '');
    return { name: found[1].toUpperCase(), params, value: found[3] };
  }).filter(Boolean);
}
const calendarText = value => value.replace(/\\([nN,;\\])/g, (_, c) => /n/i.test(c) ? '\n' : c);
function calendarTime({ value, params }) {
  const t = value.match(/^(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)?(Z)?)?$/);
  if (!t) return value;
  const [, y, mo, d, h, mi, s, utc] = t;
  if (h == null) return new Date(y, mo - 1, d).toLocaleDateString([], { dateStyle: 'full' });
  const parts = [+y, mo - 1, +d, +h, +mi, +(s || 0)];
  const show = date => date.toLocaleString([], { dateStyle: 'full', timeStyle: 'short' });
  return utc ? show(new Date(Date.UTC(...parts))) : show(new Date(...parts)) + (params.TZID ? ` (${params.TZID})` : ' (local time)');
}
function calendarEvents(text) {
  const lines = calendarLines(text), events = []; let event = null, depth = 0;
  const method = (lines.find(line => line.name === 'METHOD') || {}).value;
  for (const line of lines) {
    if (line.name === 'BEGIN') { if (/^(VEVENT|VTODO)$/i.test(line.value)) { event = { method, lines: [] }; depth = 0; } else if (event) depth++; }
    else if (line.name === 'END') { if (/^(VEVENT|VTODO)$/i.test(line.value)) { if (event) events.push(event); event = null; } else if (event) depth--; }
    else if (event && !depth) event.lines.push(line);
  }
  return events.slice(0, 50);
}
function showCalendar(text) {
  const events = calendarEvents(text);
  if (!events.length) return el('pre', { tabindex: 0 }, text);
  return el('div', { class: 'panel' }, ...events.map(event => {
    const all = name => event.lines.filter(line => line.name === name), one = name => all(name)[0];
    const say = name => one(name) ? calendarText(one(name).value) : null;
    const person = line => (line.params.CN ? line.params.CN + ' ' : '') + line.value.replace(/^mailto:/i, '');
    const rows = [['When', one('DTSTART') ? calendarTime(one('DTSTART')) : null], ['Until', one('DTEND') ? calendarTime(one('DTEND')) : say('DURATION')],
      ['Repeats', say('RRULE')], ['Where', say('LOCATION')], ['Organizer', one('ORGANIZER') ? person(one('ORGANIZER')) : null],
      ...all('ATTENDEE').slice(0, 100).map((line, i) => [i ? '' : 'Attendees', `${person(line)}${line.params.PARTSTAT ? ' · ' + line.params.PARTSTAT.toLowerCase() : ''}`]),
      ['Status', say('STATUS')], ['Description', say('DESCRIPTION')], ['Identifier', say('UID')]];
    return el('article', { class: 'event' },
      el('div', { class: 'event-head' }, icon('calendar'), el('h3', { dir: 'auto' }, say('SUMMARY') || '(no title)'), event.method ? badge(event.method.toLowerCase()) : null),
      table(rows.filter(([, v]) => v).map(([k, v]) => [k, linked(v)])));
  }), el('details', {}, el('summary', {}, 'Source'), el('pre', { tabindex: 0 }, text)));
}
