// Questions to the engine, and what goes wrong with them.

/** An answer that is no success; `status` 401 and 403 mean that nobody has logged in who may ask. */
class Refusal extends Error {
  constructor(status, text) { super(text || `the engine answered ${status}`); this.status = status; }
}

/** Asks; gives JSON where the answer is JSON, else its text. An answer that does not come in time is an error. */
async function ask(path, { method = "GET", body, authorization } = {}) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (authorization) headers.Authorization = authorization;
  const answer = await fetch(path, {
    method, headers, credentials: "same-origin", cache: "no-store", redirect: "error",
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(30000),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Refusal(answer.status, text.trim());
  const is_json = (answer.headers.get("content-type") || "").includes("json");
  return is_json ? JSON.parse(text) : text;
}

const query = (path, pairs) => `${path}?${new URLSearchParams(pairs)}`;

/** Says something that passes. */
function toast(text) {
  const line = make("div", {}, text);
  const place = document.getElementById("toast");
  // What is shown last is above: a dialog may have come since.
  if (place.matches(":popover-open")) place.hidePopover();
  place.showPopover();
  place.append(line);
  while (place.children.length > 4) place.firstChild.remove();
  setTimeout(() => { line.remove(); if (!place.children.length) place.hidePopover(); }, 8000);
}

/** Does what a button says, once, and tells how it went; a failure at `place`, where there is one. */
async function act(button, what, work, place) {
  button.disabled = true;
  try {
    const told = await work();
    toast(`${what}: ${told || "done"}`);
    refresh();
  } catch (error) {
    if (asks_login(error)) return;
    if (place) place.textContent = error.message; else toast(`${what}: ${error.message}`);
  } finally {
    button.disabled = false;
  }
}

const asks_login = (error) => {
  if (error.status !== 401 && error.status !== 403) return false;
  document.getElementById("dialog").close();
  show_login(error);
  return true;
};

/** A form in a dialog: `fields` are {name, label, value, type, required}. `send` gets the values. */
function dialog(title, explanation, fields, label, send, is_danger) {
  const box = document.getElementById("dialog");
  const inputs = fields.map((field) => make("label", {}, field.label, make("input", {
    name: field.name, value: field.value || "", type: field.type || "text", required: !!field.required,
    placeholder: field.placeholder, autocomplete: "off",
  })));
  const submit = make(is_danger ? "button.danger" : "button.main", { type: "submit" }, label);
  const said = make("p.bad", { role: "alert" });
  const form = make("form.stack", {
    onsubmit: (event) => {
      event.preventDefault();
      said.textContent = "";
      const values = Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
      act(submit, title, async () => { const told = await send(values); box.close(); return told; }, said);
    },
  }, inputs, said, make("div.actions", {},
    make("button", { type: "button", onclick: () => box.close() }, "Cancel"), submit));
  box.replaceChildren(make("h2", { id: "dialog-title" }, title), make("p.dim", {}, explanation), form);
  box.showModal();
}
