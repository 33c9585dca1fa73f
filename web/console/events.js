// Events: what happens, as it happens, the latest first.
function showEvents(root) {
  const types = ["token.minted", "token.changed", "token.redeemed", "token.receipt", "token.refused", "rule.revoked", "rule.lifted", "transfer.cut", "bucket.locked", "bucket.unlocked", "bucket.unverified", "leak.seen"];
  let items = [], held = [], paused = false, type = "", after = "now", end;
  const filter = el("select", { id: "type", change: () => { type = filter.value; items = []; held = []; after = "now"; begin(); } },
    el("option", { value: "" }, t("all")), types.map((name) => el("option", { value: name }, name)));
  const pause = el("button", { type: "button", class: "plain", "aria-pressed": "false", click: () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", paused);
    pause.textContent = paused ? t("Go on") : t("Pause");
    liveness(paused ? "paused" : "on");
    if (!paused) { items = held.concat(items).slice(0, 2000); held = []; draw(); }
  } }, t("Pause"));
  const none = empty(t("Nothing has happened since you came here."));
  const rows = new Rows(t("Events"), [t("Time"), t("Type"), t("Token"), t("What")], "events", (e) => {
    const open = el("button", { type: "button", class: "open", click: () => whole(e) }, own(summary(e)));
    return { element: rowOf([el("td", { class: "number" }, when(e.time, seconds)), el("td", null, badge(/refused|unlocked|leak|cut|revoked/.test(e.type) ? "bad" : "", short(e.type))), el("td", null, e.subject ? tokenLink(e.subject) : "\u2014"), el("td", null, open)]), update() {} };
  });
  root.append(el("div", { class: "tools" }, el("div", { class: "field" }, el("label", { for: "type" }, t("Type")), filter), pause), none, rows.table);
  begin();
  return () => { end(); rows.end(); };

  function begin() {
    if (end) end();
    showLine("events", type ? { type: "s3gate." + type + ".v1" } : {});
    const heard = {};
    for (const name of [...types, "events.gap"]) heard["s3gate." + name + ".v1"] = take;
    end = listen(() => "/events?after=" + encodeURIComponent(after) + (type ? "&type=s3gate." + type + ".v1" : ""), heard);
    draw();
  }

  function take(e) {
    after = e.position || after;
    const list = paused ? held : items;
    list.unshift(e);
    if (list.length > 2000) list.length = 2000;
    if (paused) say(pause, t("Go on ({0} new)", held.length));
    else draw();
  }

  function draw() {
    none.hidden = items.length > 0;
    rows.table.hidden = items.length === 0;
    rows.show(items);
  }
}

const short = (type) => type.replace(/^s3gate\.|\.v1$/g, "");

// summary writes the data of an event on one line.
function summary(e) {
  const d = e.data || {}, parts = [];
  for (const name of ["bucket", "key", "subject", "reason", "status", "outcome", "author", "client", "request", "error", "state", "kind"]) if (d[name] !== undefined && d[name] !== "") parts.push(name + " " + d[name]);
  if (d.bytes !== undefined) parts.push(readable(d.bytes));
  return parts.join(" \u00b7 ") || e.id;
}

// whole shows all of an event.
function whole(e) {
  const dialog = document.querySelector("#whole");
  dialog.querySelector("h2").textContent = short(e.type);
  dialog.querySelector("pre").textContent = JSON.stringify(e, null, 2).replace(/\p{Bidi_Control}/gu, "\ufffd");
  dialog.showModal();
}
