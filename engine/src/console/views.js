// The views. Each is a function that asks what it needs and gives the elements it shows.

const SPAN = () => document.getElementById("span").value;
const link = (view, name) => make("a", { href: `#/${view}/${encodeURIComponent(name)}` }, name);
const last_of = (values) => values.findLast((value) => value != null);
const tile = (label, value, state) => make("div.tile", {}, make(state ? `b.${state}` : "b", {}, value), make("span", {}, label));
const heading = (text) => make("h1", {}, text);
const ADMIN = "/api/admin/";

let by = "provider";

async function overview() {
  const history = await ask(query("/api/console/history/v1", { seconds: SPAN(), points: 240, by }));
  const { from, step, rates, now, seconds: late } = history;
  const place = { from, step };
  const line = (name, values) => ({ name, values });
  const choice = make("select", { "aria-label": "Mail by", onchange: (event) => { by = event.target.value; refresh(); } },
    ["provider", "domain", "tenant", "source"].map((one) => make("option", { value: one, selected: one === by }, one)));
  const rows = history.names[by];
  const shards = [...history.shards.entries()], of_most = Math.max(1, ...history.shards.map((one) => one.delivered));
  const sum = (name) => history.shards.reduce((sum, one) => sum + one[name], 0);
  if (shards.length > 1) shards.push(["all", { accepted: sum("accepted"), delivered: sum("delivered"), is_sum: true }]);
  const most = Math.max(1, ...rows.map((row) => row.delivered + row.deferred + row.failed));
  const deferred = last_of(rates.deferred) || 0, delivered = last_of(rates.delivered) || 0;
  return [
    heading("Overview"),
    make("div.tiles", {},
      tile("accepted per second", short(last_of(rates.accepted))),
      tile("delivered per second", short(last_of(rates.delivered))),
      tile("deferred per second", short(last_of(rates.deferred)), deferred > delivered && deferred > 0 ? "warn" : ""),
      tile("failed per second", short(last_of(rates.failed))),
      tile("in the queues", short(last_of(now.queued))),
      tile("connections out", short(last_of(now.connections))),
      tile("99 % delivered within", seconds(last_of(late.delivery_p99)))),
    make("div.grid", {},
      plot("Recipients per second", { ...place, show: short, lines: [
        line("accepted (messages)", rates.accepted), line("delivered", rates.delivered),
        line("deferred", rates.deferred), line("failed", rates.failed), line("commands refused", rates.rejected)] }),
      plot("Messages in the queues", { ...place, show: short, lines: [
        line("all", now.queued), line("wait for their time", now.waiting), line("wait for a connection", now.ready)] }),
      plot("Latency", { ...place, show: seconds, log: true, lines: [
        line("accept, median", late.accept_p50), line("accept, 99 %", late.accept_p99),
        line("delivery, median", late.delivery_p50), line("delivery, 95 %", late.delivery_p95),
        line("delivery, 99 %", late.delivery_p99)] }),
      plot("Connections", { ...place, show: short, lines: [
        line("clients", now.sessions), line("next hops", now.connections)] }),
      plot("Memory and spool", { ...place, show: bytes, lines: [
        line("bodies in memory", now.resident_bytes), line("spool in use", now.spool_bytes)] }),
      plot(`Delivered per second, by ${by}`, { ...place, show: short,
        lines: history.series.map((one) => line(one.name, one.delivered)) })),
    make("section.card", {}, make("h2", {}, "Recipients by ", choice), table(`Recipients by ${by}`, [
      { head: by, kind: "name", cell: (row) => row.name },
      { head: "delivered", kind: "n", cell: (row) => short(row.delivered) },
      { head: "deferred", kind: "n", cell: (row) => short(row.deferred) },
      { head: "failed", kind: "n", cell: (row) => short(row.failed) },
      { head: "share", cell: (row) => bar((row.delivered + row.deferred + row.failed) / most) },
    ], rows, `No mail told apart by ${by} in this time.`)),
    make("section.card", {}, make("h2", {}, "Shards"), table("Shards", [
      { head: "shard", cell: ([index]) => index },
      { head: "accepted", kind: "n", cell: ([, row]) => short(row.accepted) },
      { head: "delivered", kind: "n", cell: ([, row]) => short(row.delivered) },
      { head: "share", cell: ([, row]) => row.is_sum ? "" : bar(row.delivered / of_most) },
    ], shards, "The first ten seconds are not over.")),
  ];
}

let searched = "";

async function queues() {
  const found = await ask(query("/api/console/queues/v1", { search: searched, limit: 200 }));
  const field = make("input", { name: "search", type: "search", value: searched, id: "search", placeholder: "example.com" });
  const form = make("form.row", {
    role: "search",
    onsubmit: (event) => {
      event.preventDefault();
      searched = field.value.trim();
      // The id of a message is no name of a queue.
      if (/^[0-9a-f]{32}$/i.test(searched)) location.hash = `#/message/${searched}`; else refresh();
    },
  }, make("label.grow", {}, make("span", {}, "A part of a queue's name, or the id of a message"), field), make("button.main", { type: "submit" }, "Find"));
  const held = (row) => row.suspended ? make("span.pill.warn", {}, "suspended") : "";
  return [
    heading("Queues"), form,
    make("section.card", {}, make("h2", {}, "Scheduled queues"), table("Scheduled queues", [
      { head: "queue", kind: "name", cell: (row) => link("queue", row.name) },
      { head: "messages", kind: "n", cell: (row) => short(row.count) },
      { head: "", say: "state", cell: held },
      { head: "last trouble", kind: "words", cell: (row) => row.last_trouble },
    ], found.scheduled, searched ? "No queue has that in its name." : "No mail waits.")),
    make("section.card", {}, make("h2", {}, "Ready queues"), table("Ready queues", [
      { head: "queue", kind: "name", cell: (row) => link("ready", row.name) },
      { head: "ready", kind: "n", cell: (row) => short(row.count) },
      { head: "connections", kind: "n", cell: (row) => short(row.connections) },
      { head: "", say: "state", cell: held },
      { head: "last trouble", kind: "words", cell: (row) => row.last_trouble },
    ], found.ready, searched ? "No ready queue has that in its name." : "Nothing waits for a connection.")),
  ];
}

/** A button that does at once what it says about the messages that `meant` names; the answer's counts are told. */
function doer(label, path, meant) {
  return make("button", { type: "button", onclick: (event) => act(event.target, label, async () =>
    counted(await ask(ADMIN + path, { method: "POST", body: meant }))) }, label);
}

/** What an act did, in words. */
function counted({ messages = 0, in_work = 0, not_looked_at: unseen = 0, held = 0, removed }) {
  if (removed) return "no order holds it by its name any more";
  const parts = [[messages, "done"], [in_work, "being delivered, not touched"], [held, "held by an order"], [unseen, "not looked at yet: do it again"]];
  return parts.filter(([count]) => count).map(([count, what]) => `${short(count)} ${what}`).join(", ");
}

/** A button that fails what `meant` names for good, when a reason is given. */
function deleter(name, meant) {
  return make("button.danger", { type: "button", onclick: () => dialog("Delete", `${name} fails for good, with a record for each message. This cannot be undone.`, [
    { name: "reason", label: "Reason (it is in the record)", required: true },
  ], "Delete", async (values) => counted(await ask(ADMIN + "delete/v1", { method: "POST", body: { ...meant, ...values } })), true) }, "Delete…");
}

/** Asks for the reason and the duration of an order about `body`, and places it. */
function order(title, explanation, path, body, is_danger) {
  dialog(title, explanation, [
    { name: "reason", label: "Reason (others will read it)", required: true },
    { name: "duration", label: "For how long", value: "1h", placeholder: "30m, 2h, 1 day" },
  ], title, async (values) => {
    await ask(ADMIN + path, { method: "POST", body: { ...body, ...values } });
    return "in force";
  }, is_danger);
}

async function queue(name) {
  const shards = [].concat(await ask(query(ADMIN + "inspect-sched-q/v1", { queue_name: name, limit: 50 })));
  const messages = shards.flatMap((one) => one.messages || []).slice(0, 100);
  const sum = shards.reduce((sum, one) => sum + (one.count || 0), 0);
  const first = shards[0] || {};
  const until = shards.map((one) => one.suspended_until).find((one) => one);
  const id = (row) => { const of = row.message || row; return of.id || row.id; };
  return [
    heading(name),
    make("div.tiles", {}, tile("messages", short(sum)), tile("suspended until", until ? when(until) : "–", until ? "warn" : "")),
    make("div.buttons", {},
      doer("Try all now", "try-now/v1", { queue_name: name }),
      make("button", { type: "button", onclick: () => order("Suspend", `No message of ${name} is tried meanwhile.`, "suspend/v1", { queue_names: [name] }) }, "Suspend…"),
      doer("Release", "release/v1", { queue_name: name }),
      deleter(`What waits in ${name}`, { queue_name: name }),
      make("button.danger", { type: "button", onclick: () => order("Bounce", `All messages of ${name}, now and for this long, fail for good. This cannot be undone.`, "bounce/v1", { queue_names: [name] }, true) }, "Bounce…")),
    await why_card(name, "queue"),
    make("section.card", {}, make("h2", {}, "Where it goes"), table("Ready queues", [
      { head: "ready queue", kind: "name", cell: (one) => link("ready", one) },
    ], [...new Set(shards.flatMap((one) => one.ready_queues || []))], "No route has been found yet.")),
    make("section.card", {}, make("h2", {}, sum > messages.length ? `Messages (${messages.length} of ${short(sum)})` : "Messages"), table("Messages", [
      { head: "message", kind: "name", cell: (row) => link("message", id(row)) },
      { head: "attempts", kind: "n", cell: (row) => row.attempts ?? row.num_attempts ?? "–" },
      { head: "due", kind: "name", cell: (row) => when(row.due) || "now" },
    ], messages, "It has no messages.")),
    make("section.card", {}, make("details", {}, make("summary", {}, "Configuration"),
      make("pre", { tabindex: 0 }, JSON.stringify(first.queue_config, null, 2) || "unknown"))),
  ];
}

/** Facts as a list of names and values; those that are not known are left out. */
function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== undefined && value !== null && value !== "");
  return make("dl", {}, known.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

/** A time of several units, such as `2s 458ms 522us`, in its first two. */
function coarse(text) {
  return String(text ?? "").split(" ").slice(0, 2).join(" ");
}

/** All that an answer says, for whoever needs more than the page shows. */
function whole(title, answer) {
  return make("details", {}, make("summary", {}, title), make("pre", { tabindex: 0 }, JSON.stringify(answer, null, 2)));
}

async function ready(name) {
  const told = await ask(query(ADMIN + "inspect-ready-q/v1", { queue_name: name, include_scheduled_queues: true }));
  const { state = {}, hosts = [], dispatchers = [], scheduled_queue_names: feeds = [] } = told;
  const held = state.suspended || {};
  const trouble = state.last_trouble;
  return [
    heading(name),
    make("div.tiles", {}, tile("messages", short(state.ready_count)), tile("connections", short(state.connection_count)),
      tile("idle connections", short(state.idle_connections)),
      tile("failed in a row", short(state.failures_in_a_row), state.failures_in_a_row ? "warn" : "")),
    make("div.buttons", {}, make("button", { type: "button", onclick: () => order("Suspend", `Nothing is sent over ${name} meanwhile.`, "suspend-ready-q/v1", { name }) }, "Suspend…")),
    await why_card(name),
    make("section.card", {}, make("h2", {}, "State"), facts([
      ["source", told.egress_pool ? `${told.egress_source} of pool ${told.egress_pool}` : told.egress_source],
      ["hosts", hosts.map((host) => host.addr && host.addr !== host.name ? `${host.name} (${host.addr})` : host.name).join(", ")],
      ["suspended", held.reason && `“${held.reason}”${held.created_by ? ` by ${held.created_by}` : ""}, for another ${coarse(held.duration)}`],
      ["limited by", [state.connection_limited, state.connection_rate_throttled].filter((one) => one).map((one) => one.context).join("; ")],
      ["last trouble", trouble],
      ["set by", told.set_by],
    ])),
    make("section.card", {}, make("h2", {}, "Connections"), table("Connections", [
      { head: "host", kind: "name", cell: (row) => row.host },
      { head: "does", kind: "words", cell: (row) => [row.phase, row.detail].filter((word) => word).join(": ") },
      { head: "for", kind: "n", cell: (row) => coarse(row.time_in_current_phase) },
      { head: "message", kind: "name", cell: (row) => (row.message ? link("message", row.message) : "") },
      { head: "delivered", kind: "n", cell: (row) => short(row.messages_delivered) },
      { head: "deferred", kind: "n", cell: (row) => short(row.messages_transfailed) },
      { head: "failed", kind: "n", cell: (row) => short(row.messages_failed) },
    ], dispatchers, "No connection is open.")),
    make("section.card", {}, make("h2", {}, "What feeds it"), table("Scheduled queues", [
      { head: "scheduled queue", kind: "name", cell: (one) => link("queue", one) },
    ], feeds, "No scheduled queue sends by it now.")),
    make("section.card", {}, whole("Configuration", told.path_config), whole("All that is known of it", told)),
  ];
}

/** Why something is where it is, in words: its states, what holds each, what comes next, what can be done. */
async function why_card(name, about) {
  let told;
  try {
    told = await ask(query(ADMIN + "why/v1", about ? { name, about } : { name }));
  } catch (error) {
    if (error.status === 401 || error.status === 403) throw error;
    return make("section.card", {}, make("h2", {}, "Why"), make("p.dim", {}, error.message));
  }
  const states = told.states || (told.state ? [told] : []);
  const texts = (list) => (list || []).map((one) => one.text || String(one));
  const shown = states.map((one) => make("div.why", {},
    make("p", {}, make("span.pill.warn", {}, one.messages ? `${short(one.messages)} × ${one.state}` : one.state), " ", one.says),
    make("dl", {}, [
      ["because", texts(one.because)], ["since", one.since ? [when(one.since)] : []],
      ["next", one.next && one.next.text ? [one.next.text] : []], ["you can", (one.can || []).map((command) => make("code", {}, command))],
    ].filter(([, list]) => list.length).flatMap(([head, list]) =>
      [make("dt", {}, head), make("dd", {}, list.map((text) => make("div", {}, text)))]))));
  return make("section.card", {}, make("h2", {}, "Why"), shown.length ? shown : make("p.dim", {}, "Nothing waits here."));
}

/** What an answer that may fail says: its failure in words, unless it is about who asks. */
async function or_words(asked) {
  try { return await asked; } catch (error) {
    if (error.status === 401 || error.status === 403) throw error;
    return error.message;
  }
}

/** Records after which a message is no longer here. */
const ENDS = ["Delivery", "Bounce", "AdminBounce", "Expiration"];

async function message(id) {
  // One that a task has in its hand is in no queue, and one that has left has its records.
  const known = await or_words(ask(query(ADMIN + "inspect-message/v1", { id })));
  const found = await or_words(ask(query(ADMIN + "find/v1", { what: id })));
  const records = typeof found === "string" ? [] : found.records || [];
  const has_left = typeof known === "string" && records.some((row) => ENDS.includes(row.type));
  return [
    heading(id),
    has_left ? make("p.dim", {}, "It has left.") : make("div.buttons", {},
      doer("Try now", "try-now/v1", { id }),
      make("button", { type: "button", onclick: () => order("Hold", "It is not tried meanwhile.", "hold/v1", { message: id }) }, "Hold…"),
      doer("Release", "release/v1", { id }),
      deleter("This message", { id })),
    has_left ? null : await why_card(id, "message"),
    make("section.card", {}, make("h2", {}, "What became of it"), table("Records", [
      { head: "when", kind: "name", cell: (row) => when(row.event_time) },
      { head: "what", cell: (row) => row.type },
      { head: "to", kind: "name", cell: (row) => [].concat(row.recipient || []).join(", ") },
      { head: "code", kind: "n", cell: (row) => (row.response || {}).code || "" },
      { head: "answer", kind: "words", cell: (row) => (row.response || {}).content || "" },
    ], records, typeof found === "string" ? found : "No record of it is in the log files.")),
    typeof known === "string" ? null : message_card(known),
  ];
}

/** What is known of a message that is here. */
function message_card(known) {
  const one = known.message || known;
  const meta = Object.entries(one.meta || {});
  const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value));
  return make("section.card", {}, make("h2", {}, "Message"), facts([
    ["from", one.sender || "<> (a report)"],
    ["to", (one.recipient || []).slice(0, 100).join(", ") + (one.recipient && one.recipient.length > 100 ? ` and ${one.recipient.length - 100} more` : "")],
    ["queue", one.queue && link("queue", one.queue)],
    ["accepted", when(one.created)],
    ["attempts", String(one.attempts ?? 0)],
    ["due", when(one.due)],
    ["bytes on disk", short(one.bytes)],
    ["last trouble", one.last_trouble],
  ]), meta.length ? [make("h2", {}, "Metadata"), facts(meta.map(([name, value]) => [name, shown(value)]))] : null, whole("All that is known of it", known));
}

async function answers() {
  const list = await ask("/api/console/answers/v1");
  return [
    heading("What next hops say"),
    make("p.dim", {}, "Refusals and failures of the last quarter of an hour. Numbers, addresses and ids within them are a #."),
    make("section.card", {}, table("Answers", [
      { head: "times", kind: "n", cell: (row) => short(row.count) },
      { head: "who", kind: "name", cell: (row) => row.who },
      { head: "code", kind: "n", cell: (row) => make(row.code >= 500 ? "span.bad" : "span.warn", {}, row.code || "") },
      { head: "words", kind: "words", cell: (row) => row.text },
    ], list, "Nobody has refused anything.")),
  ];
}

const ORDERS = { suspend: "suspend/v1", "suspend-ready-q": "suspend-ready-q/v1", bounce: "bounce/v1", hold: "hold/v1" };
const ABOUT = ["message", "name", "queue_names", "campaign", "tenant", "domain", "routing_domain"];

async function orders() {
  const { orders: list } = await ask("/api/console/now/v1");
  const about = (row) => ABOUT.filter((key) => row[key] != null && String(row[key]) !== "")
    .map((key) => `${key}: ${[].concat(row[key]).join(", ")}`).join("; ") || "all mail";
  const cancel = (row) => make("button", { type: "button", onclick: (event) => act(event.target, "Cancel", async () => {
    await ask(ADMIN + ORDERS[row.kind], { method: "DELETE", body: { id: row.id } });
    return "it is over";
  }) }, "End");
  const place = (title, explanation, path, is_danger) => dialog(title, explanation, [
    { name: "domain", label: "Domain" }, { name: "tenant", label: "Tenant" }, { name: "campaign", label: "Campaign" },
    { name: "reason", label: "Reason (others will read it)", required: true },
    { name: "duration", label: "For how long", value: "1h" },
  ], title, async (values) => {
    if (!values.domain && !values.tenant && !values.campaign) throw new Error("name a domain, a tenant or a campaign");
    await ask(ADMIN + path, { method: "POST", body: values });
    return "in force";
  }, is_danger);
  return [
    heading("Orders"),
    make("div.buttons", {},
      make("button", { type: "button", onclick: () => place("Suspend", "Mail that fits all of what is named is not tried meanwhile.", "suspend/v1") }, "Suspend mail…"),
      make("button.danger", { type: "button", onclick: () => place("Bounce", "Mail that fits all of what is named fails for good, now and for this long.", "bounce/v1", true) }, "Bounce mail…")),
    make("section.card", {}, table("Orders in force", [
      { head: "order", cell: (row) => row.kind }, { head: "about", kind: "name", cell: about },
      { head: "reason", kind: "words", cell: (row) => row.reason },
      { head: "by", cell: (row) => row.created_by || "" },
      { head: "since", cell: (row) => when(row.created) },
      { head: "left", cell: (row) => String(row.duration ?? "").replace(/ \d+ms.*/, "") },
      { head: "bounced", kind: "n", cell: (row) => row.total_bounced ?? "" },
      { head: "", say: "end it", cell: cancel },
    ], list, "No order is in force.")),
  ];
}

/** A button that sends dead letters of a hook again: all, or those of the ids. */
function replay(hook, label, ids) {
  return make("button", { type: "button", onclick: (event) => act(event.target, `Send ${hook} again`, async () => {
    const { replayed } = await ask(ADMIN + "hooks/replay/v1", { method: "POST", body: ids ? { hook, ids } : { hook } });
    return `${short(replayed)} on their way again`;
  }) }, label);
}

async function hooks() {
  const list = await ask(ADMIN + "hooks/v1");
  return [
    heading("Hooks"),
    make("section.card", {}, table("Hooks", [
      { head: "hook", kind: "name", cell: (row) => row.name },
      { head: "events that wait", kind: "n", cell: (row) => short(row.backlog) },
      { head: "in queues", kind: "n", cell: (row) => short(row.queued) },
      { head: "on disk", kind: "n", cell: (row) => bytes(row.backlog_bytes) },
      { head: "room on disk", kind: "n", cell: (row) => row.backlog_limit_bytes ? bytes(row.backlog_limit_bytes) : "–" },
      { head: "given up", kind: "n", cell: (row) => short(row.given_up) },
      { head: "dead letters", kind: "n", cell: (row) => row.dead_letters ? make("a", { href: `#/letters/${encodeURIComponent(row.name)}` }, short(row.dead_letters)) : "0" },
      { head: "", say: "send again", cell: (row) => row.dead_letters ? replay(row.name, "Send again") : "" },
    ], list, "The policy has no hooks.")),
  ];
}

/** The dead letters of one hook: what was refused, and with which words. */
async function letters(hook) {
  const { count, more, letters: list } = await ask(query(ADMIN + "hooks/dead-letters/v1", { hook, limit: 30 }));
  const what = more || count > list.length ? ` (the first ${short(list.length)} of ${more ? "more than " : ""}${short(count)})` : "";
  return [
    heading(`Dead letters of ${hook}`),
    make("p.dim", {}, "Events that the receiver has refused for good. Mend what its words complain of, then send them again."),
    list.length ? make("div.buttons", {}, replay(hook, "Send all again")) : null,
    make("section.card", {}, make("h2", {}, `Events${what}`), table("Dead letters", [
      { head: "when", kind: "name", cell: (row) => when(row.time) },
      { head: "event", cell: (row) => (row.event || {}).type || "" },
      { head: "message", kind: "name", cell: (row) => (row.event || {}).id ? link("message", row.event.id) : "" },
      { head: "refused with", kind: "words", cell: (row) => row.reason },
      { head: "", say: "send again", cell: (row) => replay(hook, "Send again", [row.id]) },
    ], list, "There are none.")),
  ];
}

async function engine() {
  const now = await ask("/api/console/now/v1");
  const pairs = (list) => make("dl", {}, list.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value ?? "–")]));
  const outcome = make("pre", { hidden: true, tabindex: 0, id: "outcome" });
  const reload = make("button", { type: "button", onclick: async (event) => {
    const button = event.target;
    button.disabled = true;
    outcome.hidden = false;
    outcome.textContent = "…";
    try { outcome.textContent = String(await ask(ADMIN + "reload/v1", { method: "POST" })).trim() + ": every shard goes by it"; }
    catch (error) { if (!asks_login(error)) outcome.textContent = `not taken, the one before stays in force:\n${error.message}`; }
    button.disabled = false;
  } }, "Reload the policy");
  const { memory, disk } = now;
  return [
    heading("Engine"),
    make("div.grid", {},
      make("section.card", {}, make("h2", {}, "Process"), pairs([
        ["version", now.version], ["host name", now.hostname], ["node id", now.node_id],
        ["running for", seconds(now.uptime_seconds)], ["shards", now.shards], ["stalls of a shard", short(now.stalls)],
        ["new mail", now.refuses ? make("span.bad", {}, `refused: ${now.refuses}`) : make("span.good", {}, "is taken")]])),
      make("section.card", {}, make("h2", {}, "Policy"), pairs([
        ["file", now.policy.file], ["loaded", now.policy.loads === 1 ? "once, at the start" : `${now.policy.loads} times`], ["epoch", now.policy.epoch]]), make("p", {}, reload), outcome),
      make("section.card", {}, make("h2", {}, "Memory"), pairs([
        ["of the process", bytes(memory.resident)], ["being received", `${bytes(memory.receiving)} of ${bytes(memory.receiving_limit)}`]]),
        bar(memory.receiving / memory.receiving_limit)),
      make("section.card", {}, make("h2", {}, "Disk of the spool"), disk ? [pairs([["used", `${bytes(disk.whole - disk.free)} of ${bytes(disk.whole)}`], ["free", bytes(disk.free)]]), bar(1 - disk.free / disk.whole)] : "unknown")),
    make("section.card", {}, make("h2", {}, "Sources with failures of their own"), table("Sources", [
      { head: "source", kind: "name", cell: (row) => row.source }, { head: "fault", kind: "name", cell: (row) => row.fault },
      { head: "times", kind: "n", cell: (row) => short(row.failed) },
      { head: "", say: "state", cell: (row) => row.suspended ? make("span.pill.warn", {}, "left alone for now") : "" },
    ], now.sources, "No source has failed.")),
  ];
}
