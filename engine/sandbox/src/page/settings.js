// What the reader chose, kept by the browser: theme, folding, notifications.
const keep = (name, value) => { try { localStorage.setItem(name, value); } catch { /* a browser that keeps nothing */ } };
const kept = name => { try { return localStorage.getItem(name); } catch { return null; } };

const THEMES = { auto: ['auto', 'Colours as the system has them'], light: ['sun', 'Light colours'], dark: ['moon', 'Dark colours'] };
let theme = THEMES[kept('theme')] ? kept('theme') : 'auto';
function applyTheme() {
  document.documentElement.style.colorScheme = theme === 'auto' ? 'light dark' : theme;
  const b = $('theme'), [name, title] = THEMES[theme];
  b.replaceChildren(icon(name)); b.title = title + ' (t)'; b.setAttribute('aria-label', title);
}
function nextTheme() {
  const names = Object.keys(THEMES);
  theme = names[(names.indexOf(theme) + 1) % names.length]; keep('theme', theme); applyTheme();
}

let fold = kept('fold') === '1';
let notify = kept('notify') === '1';
const mayNotify = () => 'Notification' in window && Notification.permission === 'granted';
function showBell() {
  const on = notify && mayNotify(), b = $('bell');
  b.setAttribute('aria-pressed', on); b.replaceChildren(icon(on ? 'bell' : 'belloff'));
  b.title = on ? 'Notifications are on (n)' : 'Notify me of new messages (n)';
}
async function switchBell() {
  if (notify && mayNotify()) { notify = false; keep('notify', '0'); return showBell(); }
  if (!('Notification' in window) || !isSecureContext) return toast('Notifications need https or localhost');
  const answer = await Notification.requestPermission();
  notify = answer === 'granted'; keep('notify', notify ? '1' : '0'); showBell();
  toast(notify ? 'New messages are announced while this page is in the background' : 'The browser does not allow notifications');
}
// One at a time: a flood of mail is one notification that says how many.
let told = 0, shown = null;
function announce(m) {
  if (!notify || !mayNotify() || !document.hidden) return;
  told++;
  if (shown) shown.close();
  shown = new Notification(told > 1 ? `${told} new messages` : who(m.From), { body: m.Subject || '(no subject)', tag: 'ringmta' });
  shown.onclick = () => { focus(); open(m.ID, true); };
}
document.addEventListener('visibilitychange', () => { if (!document.hidden) { told = 0; if (shown) shown.close(); shown = null; } });
