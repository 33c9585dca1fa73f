const states = ["active", "pending", "used", "expired", "revoked"];
const stateName = (s) => ({ active: t("active"), pending: t("pending"), used: t("used up"), expired: t("expired"), revoked: t("revoked") })[s] || s;
const stateOf = (x) => (x.covered_by && x.state !== "revoked" ? badge("bad", t("covered by a rule")) : badge({ active: "good", revoked: "bad" }[x.state] || "", stateName(x.state)));
const usesOf = (x) => (x.max_uses ? t("{0} of {1}", x.uses, x.max_uses) : t("without limit"));

// receiptOf says what a revocation can show for itself.
function receiptOf(r, title) {
  return el("div", { class: "done", role: "status" }, el("strong", null, title), el("dl", null,
    ...entries([[t("Rule"), r.id && el("code", null, r.id)], [t("Acknowledged by"), (r.acknowledged_by || []).map(clean).join(", ")],
      [t("Leases that ran out"), (r.expired_leases || []).map(clean).join(", ")], [t("Transfers cut"), r.cut === undefined ? "" : String(r.cut)],
      [t("Uploads past stopping"), (r.committing || []).join(", ")], [t("Took"), r.took_ms === undefined ? "" : took(r.took_ms)], [t("Durability"), r.durability]])));
}
const entries = (all) => all.filter(([, value]) => value && (!Array.isArray(value) || value.length)).map(([name, value]) => el("div", null, el("dt", null, name), el("dd", null, value)));

function showTokens(root, id) {
  return id ? showToken(root, id) : listTokens(root);
}

function listTokens(root) {
  const chosen = new Set(), items = [];
  let next = "", asked = 0;
  const form = el("form", { class: "filters", submit: (event) => { event.preventDefault(); chosen.clear(); load(true); }, input: () => showLine("tokens", given(form)) },
    field("subject", t("Subject")), field("label", t("Label"), { placeholder: "team=press" }), field("bucket", t("Bucket")), field("prefix", t("Key begins with")),
    field("state", t("State"), { options: [["", t("all")], ...states.map((s) => [s, stateName(s)])] }), el("button", { type: "submit" }, t("Search")));
  const wrong = el("div"), none = empty(t("There are no such tokens.")), more = el("button", { type: "button", class: "plain", click: () => load(false) }, t("More"));
  const rows = new Rows(t("Tokens"), [el("span", { class: "unseen" }, t("Select")), t("Object"), t("For"), t("Uses"), t("Expires"), t("State")], "tokens", makeRow);
  const count = el("span"), reason = el("input", { id: "reason", type: "text", autocomplete: "off", maxlength: "255" });
  const revoke = means(twice(t("Revoke"), t("Revoke now?"), revokeChosen), "revokeTokens", () => ({ ids: [...chosen], reason: reason.value.trim() }));
  const bar = el("div", { class: "chosen", hidden: true }, count, el("label", { for: "reason" }, t("Reason")), reason, revoke), done = el("div");
  root.append(form, bar, done, wrong, none, rows.table, more);
  none.hidden = more.hidden = true;
  const ends = whenever(["token.minted", "token.changed", "rule.revoked", "rule.lifted"], () => { if (items.length <= 100) load(true, true); });
  showLine("tokens");
  load(true);
  return () => { ends(); rows.end(); };

  async function load(anew, quiet) {
    const turn = ++asked, query = new URLSearchParams({ ...given(form), limit: "100" });
    if (!anew) query.set("cursor", next);
    try {
      let page = await ask("/tokens?" + query);
      // A page may be short where a filter looks at many tokens.
      for (let i = 0; page.tokens.length === 0 && page.next && i < 20 && turn === asked; i++) {
        query.set("cursor", page.next);
        page = await ask("/tokens?" + query);
      }
      if (turn !== asked) return;
      wrong.replaceChildren();
      if (anew) items.length = 0;
      items.push(...page.tokens);
      keepShown();
      next = page.next || "";
    } catch (problem) {
      if (turn === asked && !quiet) wrong.replaceChildren(box(problem));
      return;
    }
    draw();
  }

  // keepShown gives up what was chosen and is not in the list any more: nobody revokes
  // what they do not see.
  function keepShown() {
    const shown = new Set(items.map((x) => x.id));
    for (const id of chosen) if (!shown.has(id)) chosen.delete(id);
  }

  function draw() {
    none.hidden = items.length > 0;
    rows.table.hidden = items.length === 0;
    more.hidden = !next;
    bar.hidden = chosen.size === 0;
    say(count, t("{0} selected", chosen.size));
    rows.show(items);
  }

  function makeRow(x) {
    const tick = el("input", { type: "checkbox", "aria-label": t("Select {0}", x.id), change: () => { tick.checked ? chosen.add(x.id) : chosen.delete(x.id); draw(); showLine("revokeTokens", { ids: [...chosen], reason: reason.value.trim() }); } });
    const uses = el("td", { class: "number" }), state = el("td"), until = el("td", { class: "number" }), key = x.key || x.prefix || "\u2014";
    const element = rowOf([el("td", { class: "tick" }, tick),
      el("td", { class: "two" }, el("span", { class: x.operation === "put" ? "dir up" : "dir", role: "img", "aria-label": x.operation === "put" ? t("Upload") : t("Download") }), link("tokens/" + x.id, own(key)), el("small", null, own(x.bucket), " \u00b7 ", el("code", null, x.id.slice(0, 12) + "\u2026"))),
      el("td", { class: "two" }, own(x.subject || "\u2014"), el("small", null, labelsOf(x.labels).flatMap((l, i) => (i ? [" ", l] : [l])))), uses, until, state]);
    return { element, update(now) {
      x = now;
      tick.checked = chosen.has(x.id);
      say(uses, usesOf(x));
      until.replaceChildren(when(x.expires_at));
      state.replaceChildren(stateOf(x));
    } };
  }

  async function revokeChosen() {
    const all = [...chosen], failed = [], begin = performance.now();
    let cut = 0;
    const by = new Set();
    for (const id of all) {
      try {
        const query = reason.value.trim() ? "?reason=" + encodeURIComponent(reason.value.trim()) : "";
        const r = await ask("/tokens/" + id + query, { method: "DELETE" });
        cut += r.cut;
        for (const gate of r.acknowledged_by) by.add(gate);
        chosen.delete(id);
      } catch (problem) { failed.push(problem); }
    }
    const n = all.length - failed.length;
    done.replaceChildren(...(n ? [receiptOf({ acknowledged_by: [...by], cut, took_ms: performance.now() - begin }, t("{0} tokens revoked.", n))] : []), ...failed.slice(0, 5).map(box));
    load(true);
  }
}

function showToken(root, id) {
  const done = el("div"), facts = el("div"), acts = actions(), ended = el("div"), path = "/tokens/" + encodeURIComponent(id);
  let etag;
  acts.hidden = true;
  root.append(el("p", null, link("tokens", t("All tokens"))), done, facts, acts, ended);
  const ends = whenever(["token.changed", "token.receipt", "token.redeemed", "rule.revoked", "rule.lifted"], load, (event) => event.subject === id || event.type.startsWith("s3gate.rule."));
  showLine("token", { id });
  load();
  return ends;

  // load draws what may have changed, and leaves alone what somebody is about to press
  // or to fill in.
  async function load() {
    try {
      const x = await ask(path);
      etag = x.etag;
      facts.replaceChildren(...factsOf(x));
      acts.hidden = x.state !== "active" && x.state !== "pending";
      ended.replaceChildren(...endedOf(x.receipts || []));
    } catch (problem) { facts.replaceChildren(box(problem)); }
  }

  function factsOf(x) {
    return [el("h2", { class: "name" }, own(x.bucket + "/" + (x.key || x.prefix || ""))), el("p", null, stateOf(x), " ", x.canary ? badge("", t("canary")) : ""),
      el("dl", { class: "facts" }, ...entries([
        [t("ID"), el("code", null, x.id)], [t("Permits"), x.operation === "put" ? t("Upload") : t("Download")], [t("For"), x.subject && own(x.subject)],
        [t("Labels"), labelsOf(x.labels).flatMap((l, i) => (i ? [", ", l] : [l]))], [t("Uses"), usesOf(x)], [t("In use now"), x.in_use ? String(x.in_use) : ""],
        [t("Works from"), when(x.not_before)], [t("Expires"), when(x.expires_at)], [t("Minted"), when(x.issued_at)],
        [t("Minted by"), [x.issued_by && own(x.issued_by), x.issuer && [" (", own(x.issuer), ")"]].flat().filter(Boolean)],
        [t("Passcode"), x.passcode ? t("yes") : ""], [t("Networks"), (x.clients || []).join(", ")],
        [t("Revoked"), x.revocation && [when(x.revocation.at), " ", own(x.revocation.author || ""), x.revocation.reason ? [": ", own(x.revocation.reason)] : []].flat()],
        [t("Covered by the rule"), x.covered_by && link("revocations", x.covered_by)], [t("Replaced by"), x.reissued_as && tokenLink(x.reissued_as)]]))];
  }

  function endedOf(uses) {
    return [el("h2", null, t("Uses")), uses.length === 0 ? empty(t("No use has ended yet.")) : table(t("Uses"), [t("Ended"), t("Object"), t("Size"), t("Client"), t("Outcome")],
      uses.map((u) => [when(u.ended), own(u.key), readable(u.bytes), own(u.client || ""), u.outcome === "complete" ? badge("good", t("complete")) : badge("", t("broken off"))]))];
  }

  function actions() {
    const reason = el("input", { id: "reason", type: "text", autocomplete: "off", maxlength: "255" });
    const revoke = means(twice(t("Revoke"), t("Revoke now?"), async () => {
      try {
        const query = reason.value.trim() ? "?reason=" + encodeURIComponent(reason.value.trim()) : "";
        done.replaceChildren(receiptOf(await ask(path + query, { method: "DELETE" }), t("The token is revoked.")));
      } catch (problem) { done.replaceChildren(box(problem)); }
      load();
    }), "revokeTokens", () => ({ ids: [id], reason: reason.value.trim() }));
    const narrow = el("form", { class: "filters", input: () => showLine("narrow", { id, ...given(narrow) }), submit: async (event) => {
      event.preventDefault();
      const wish = given(narrow);
      if (wish.max_uses) wish.max_uses = Number(wish.max_uses);
      try {
        await ask(path, { method: "PATCH", body: wish, match: etag });
        done.replaceChildren(el("p", { class: "done", role: "status" }, t("The token permits less now.")));
        narrow.reset();
      } catch (problem) { done.replaceChildren(box(problem)); }
      load();
    } }, field("expires_in", t("Works for"), { placeholder: "1h" }), field("max_uses", t("Uses in all"), { type: "number", min: "1" }), el("button", { type: "submit", class: "plain" }, t("Narrow")));
    return el("div", { class: "pair" }, el("section", null, el("h2", null, t("Revoke")), el("div", { class: "field" }, el("label", { for: "reason" }, t("Reason")), reason), revoke),
      el("section", null, el("h2", null, t("Make it permit less")), narrow));
  }
}
