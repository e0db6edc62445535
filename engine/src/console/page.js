// Which view is shown, how it stays fresh, and who may see it.

const VIEWS = [
  ["overview", "Overview", overview], ["queues", "Queues", queues], ["answers", "Answers", answers],
  ["orders", "Orders", orders], ["hooks", "Hooks", hooks], ["engine", "Engine", engine],
];
const DETAILS = { queue: ["queues", queue], ready: ["queues", ready], message: ["queues", message], letters: ["hooks", letters] };
const FRESH_MS = 5000;

const main = document.getElementById("main");
let round = 0, is_shut = false, answered = 0, timer;

function place() {
  const [view, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  const name = decodeURIComponent(rest.join("/"));
  if (DETAILS[view] && name) return { tab: DETAILS[view][0], show: () => DETAILS[view][1](name), is_live: false, title: name };
  const [tab, title, show] = VIEWS.find(([id]) => id === view) || VIEWS[0];
  return { tab, show, title, is_live: true };
}

/** Shows the view of the address anew. An answer that comes after a later question is not shown. */
async function refresh() {
  clearTimeout(timer);
  if (is_shut) return;
  const mine = ++round, { tab, show, title, is_live } = place();
  for (const one of document.querySelectorAll("#nav a")) {
    if (one.dataset.view !== tab) one.removeAttribute("aria-current");
    else if (!one.hasAttribute("aria-current")) {
      one.setAttribute("aria-current", "page");
      one.scrollIntoView({ block: "nearest", inline: "center" });
    }
  }
  document.getElementById("span-of").hidden = tab !== "overview";
  document.title = `${title} · ringmta console`;
  try {
    const [shown] = await Promise.all([show(), head()]);
    answered = Date.now();
    if (mine === round && !is_shut) put(shown.flat().filter((one) => one != null));
  } catch (error) {
    if (mine === round && !asks_login(error)) {
      const lost = error instanceof TypeError || error.name === "TimeoutError";
      const text = lost ? "The engine does not answer." : error.message;
      state("bad", lost ? `does not answer${answered ? ` since ${clock(answered / 1000)}` : ""}` : "");
      if (!lost || !main.children.length) put([heading(title), make("section.card", {}, make("p.bad", {}, text))]);
    }
  }
  if (mine === round && is_live && !document.hidden) again();
}
const again = () => { timer = setTimeout(() => { if (is_busy()) again(); else refresh(); }, FRESH_MS); };

/** Someone types, or has a dialog open: nothing is taken from under their hands. */
function is_busy() {
  const active = document.activeElement;
  return document.getElementById("dialog").open || (main.contains(active) && /^(INPUT|SELECT|TEXTAREA)$/.test(active.tagName));
}

/** Puts elements in, and what had the focus and the scroll position back. */
function put(elements) {
  const active = main.contains(document.activeElement) ? document.activeElement : null;
  const at = active ? [...main.querySelectorAll("a,button,select,input,[tabindex]")].indexOf(active) : -1;
  const lefts = [...main.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
  main.replaceChildren(...elements);
  if (at >= 0) [...main.querySelectorAll("a,button,select,input,[tabindex]")][at]?.focus({ preventScroll: true });
  [...main.querySelectorAll(".scroll")].forEach((one, index) => { one.scrollLeft = lefts[index] || 0; });
}

function state(kind, text) {
  document.getElementById("state").replaceChildren(text ? make(`span.pill.${kind}`, {}, text) : "");
}

async function head() {
  const now = await ask("/api/console/now/v1");
  document.getElementById("host").textContent = now.hostname;
  document.getElementById("logout").hidden = !now.user;
  document.getElementById("logout").title = now.user ? `logged in as ${now.user}` : "";
  if (!now.ready) state("warn", "starting");
  else if (now.refuses) state("bad", "refuses mail");
  else if (now.orders.length) state("warn", `running, ${now.orders.length} order${now.orders.length > 1 ? "s" : ""} in force`);
  else state("good", "running");
}

const REFUSED = { 401: "These credentials are not taken.", 403: "These credentials are right, but not for the console." };

function show_login(error) {
  is_shut = true;
  document.body.classList.add("shut");
  clearTimeout(timer);
  state("", "");
  const submit = make("button.main", { type: "submit" }, "Log in");
  const said = make("p.bad", { role: "alert" });
  const form = make("form.stack", {
    onsubmit: async (event) => {
      event.preventDefault();
      const { user, password } = Object.fromEntries(new FormData(form));
      const text = user ? `Basic ${base64(`${user}:${password}`)}` : `Bearer ${password}`;
      submit.disabled = true;
      try {
        await ask("/api/console/session/v1", { method: "POST", authorization: text });
        is_shut = false;
        document.body.classList.remove("shut");
        main.replaceChildren();
        refresh();
        main.focus();
      } catch (refusal) {
        said.textContent = REFUSED[refusal.status] || refusal.message;
        submit.disabled = false;
      }
    },
  }, make("label", {}, "User (leave it empty for a token)", make("input", { name: "user", autocomplete: "username" })),
    make("label", {}, "Password or token", make("input", { name: "password", type: "password", required: true, autocomplete: "current-password" })),
    said, make("div.actions", {}, submit));
  const about = error.status === 403 ? error.message : "The engine wants to know who asks.";
  main.replaceChildren(make("section.card.login", {}, make("h1", {}, "Log in"), make("p.dim", {}, about), form));
  form.querySelector("input").focus();
}

const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

function help() {
  const rows = [...VIEWS.map(([, title], index) => [String(index + 1), title]), ["/", "Find a queue"], ["r", "Refresh"], ["t", "Dark or light"], ["?", "This help"]];
  const box = document.getElementById("dialog");
  box.replaceChildren(make("h2", { id: "dialog-title" }, "Keys"),
    make("dl.keys", {}, rows.flatMap(([key, what]) => [make("dt", {}, make("kbd", {}, key)), make("dd", {}, what)])),
    make("div.actions", {}, make("button.main", { type: "button", onclick: () => box.close() }, "Close")));
  box.showModal();
}

function switch_theme() {
  const root = document.documentElement;
  const is_dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme:dark)").matches;
  root.dataset.theme = is_dark ? "light" : "dark";
  try { localStorage.setItem("ringmta-theme", root.dataset.theme); } catch { /* a browser that keeps nothing forgets it */ }
}

async function log_out() {
  try { await ask("/api/console/session/v1", { method: "DELETE" }); } catch (error) { toast(error.message); }
  location.reload();
}

function on_key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
  if (is_shut || document.getElementById("dialog").open) return;
  const view = VIEWS[Number(event.key) - 1];
  if (view) location.hash = `#/${view[0]}`;
  else if (event.key === "/") { event.preventDefault(); go_search(); }
  else if (event.key === "r") refresh();
  else if (event.key === "t") switch_theme();
  else if (event.key === "?") help();
}

async function go_search() {
  if (place().tab !== "queues" || !document.getElementById("search")) { location.hash = "#/queues"; await refresh(); }
  document.getElementById("search")?.focus();
}

document.getElementById("nav").append(...VIEWS.map(([id, title]) =>
  make("li", {}, make("a", { href: `#/${id}`, "data-view": id }, title))));
try { const kept = localStorage.getItem("ringmta-theme"); if (kept) document.documentElement.dataset.theme = kept; } catch { /* as above */ }
document.getElementById("theme").addEventListener("click", switch_theme);
document.getElementById("keys").addEventListener("click", help);
document.getElementById("logout").addEventListener("click", log_out);
document.getElementById("span").addEventListener("change", refresh);
document.addEventListener("keydown", on_key);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
addEventListener("hashchange", () => { if (is_shut) return; main.replaceChildren(); refresh(); });
refresh();
