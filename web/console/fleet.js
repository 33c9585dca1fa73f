// Gates: who has a lease, and how far each has applied what was revoked.
function showGates(root) {
  showLine("gates");
  const body = el("div");
  root.append(body);
  return listen(() => "/gates", { gates: ({ gates }) => body.replaceChildren(table(t("Gates"), [t("Gate"), t("Lease"), t("Revocations applied"), t("Position"), t("Durability")],
    (gates || []).map((g) => [own(g.name), g.live ? badge("good", t("renewed")) : badge("bad", t("silent: stopped, cut off or frozen")),
      g.caught_up ? badge("good", t("all")) : badge("bad", t("{0} missing", g.lag)), g.position.gen + "." + g.position.seq, g.durability === "best-effort" ? badge("bad", g.durability) : g.durability]))) },
  () => {}, () => ask("/gates").catch((problem) => body.replaceChildren(box(problem))));
}

// Buckets: what the last verification has found, and what an audit does.
function showBuckets(root) {
  const body = el("div", { class: "cards" }), done = el("div"), audits = new Map(); // by alias, for when the cards are made anew
  root.append(done, body);
  const ends = whenever(["bucket.locked", "bucket.unlocked", "bucket.unverified"], load);
  showLine("buckets");
  load();
  return ends;

  async function load() {
    try {
      const { buckets } = await ask("/buckets");
      body.replaceChildren(...(buckets.length ? buckets.map(card) : [empty(t("There are no buckets that you administer."))]));
    } catch (problem) { body.replaceChildren(box(problem)); }
  }

  function card(b) {
    const state = !b.watched ? badge("", t("not watched")) : { locked: badge("good", t("locked")), limited: badge("good", t("limited")), unlocked: badge("bad", t("not locked")), unknown: badge("bad", t("not known")) }[b.state];
    const verify = means(el("button", { type: "button", class: "plain", click: async () => {
      verify.disabled = true;
      verify.textContent = t("Verifying…");
      try {
        await ask("/buckets/" + encodeURIComponent(b.bucket) + ":verify", { method: "POST" });
        done.replaceChildren();
      } catch (problem) { done.replaceChildren(box(problem)); }
      load();
    } }, t("Verify now")), "verify", () => ({ bucket: b.bucket }));
    verify.setAttribute("aria-label", t("Verify now") + ": " + clean(b.bucket));
    const found = el("div", null, audits.get(b.bucket)), look = means(el("button", { type: "button", class: "plain", click: async () => {
      look.disabled = true;
      try {
        audits.set(b.bucket, auditOf(await ask("/buckets/" + encodeURIComponent(b.bucket) + ":audit")));
        load();
        tell(t("The audit of {0} is there.", clean(b.bucket)));
      } catch (problem) { found.replaceChildren(box(problem)); }
      look.disabled = false;
    } }, t("Audit")), "audit", () => ({ bucket: b.bucket }));
    look.setAttribute("aria-label", t("Audit") + ": " + clean(b.bucket));
    const r = b.report || {};
    return el("section", { class: "card" }, el("h2", null, own(b.bucket), " ", state),
      b.error && el("p", { class: "problem" }, clean(b.error)), r.unproven && el("p", { class: "warning" }, t("Not proven: {0}", clean(r.unproven))),
      el("dl", null, ...entries([[t("Verified"), when(b.verified_at)], [t("By the gate"), b.gate && own(b.gate)], [t("Signing"), b.signing], [t("Watched"), b.watched ? t("yes") : t("no")],
        [t("Left out by the policy"), (r.exempts || []).map(clean).join(", ")]])),
      el("p", null, b.watched && verify, " ", look), found,
      (r.checks || []).length > 0 && el("div", null, el("h3", null, t("What the verification tried")), el("ul", { class: "checks" }, r.checks.map((c, i) => el("li", { class: c.ok ? "good" : "bad" }, el("span", { "aria-hidden": "true" }, c.ok ? "\u2713" : "\u2717"), " ", own(c.name, "span"), ": ", own(c.got, "span"),
        c.cause && c.cause !== r.checks[i - 1]?.cause ? el("small", null, clean(c.cause)) : ""))))); // a cause is said once for all in a row
  }
}

// auditOf is what an audit has found, the worst of it in red.
function auditOf(a) {
  const states = { ok: t("as it should be"), weak: t("weak"), missing: t("missing"), unknown: t("the gate may not look"), unsupported: t("the store does not have it") };
  const line = (ok, bad, ...what) => el("li", { class: ok ? "good" : bad ? "bad" : "" }, el("span", { "aria-hidden": "true" }, ok ? "\u2713" : bad ? "\u2717" : "\u2013"), " ", ...what.flat());
  const findings = (title, list) => (list.length ? [el("h3", null, title), el("ul", { class: "checks" }, list.map((f) => line(f.state === "ok", f.state === "weak" || f.state === "missing",
    own(f.name, "span"), ": ", states[f.state] || f.state, f.is === "?" ? "" : [" \u00b7 ", own(f.is, "span")], f.note ? el("small", null, clean(f.note)) : "", f.fix ? el("code", null, clean(f.fix)) : "")))] : []);
  return el("div", { class: "audit" }, findings(t("Settings"), a.settings), findings(t("Lock"), a.lock), findings(t("What else the policy lets through"), a.policy),
    a.requests.length ? [el("h3", null, t("What the policy makes of requests")), el("p", { class: "hint" }, t("By its text, which proves nothing: the verification tries real requests.")),
      el("ul", { class: "checks" }, a.requests.map((q) => line(q.ok, !q.ok, own(q.text, "span"), ": ", own(q.got, "span"), el("small", null, clean(q.by)))))] : []);
}

function showLeaks(root) {
  const body = el("div"), kinds = { presigned: t("presigned URL"), form: t("POST form"), shared: t("link that many networks use"), canary: t("canary tried") };
  root.append(body);
  const ends = whenever(["leak.seen"], load);
  showLine("leaks");
  load();
  return ends;

  async function load() {
    try {
      const { leaks } = await ask("/leaks?limit=100");
      body.replaceChildren(leaks.length === 0 ? empty(t("Nothing has leaked, as far as is known.")) : table(t("Leaks"), [t("Last"), t("What"), t("Outcome"), t("Object"), t("From"), t("Times"), t("Done about it")],
        leaks.map((l) => [when(l.last), kinds[l.kind] || l.kind, l.outcome === "allowed" ? badge("bad", t("allowed")) : badge("good", t("refused")),
          [own((l.bucket || "") + "/" + (l.key || "")), l.token ? [" ", tokenLink(l.token)] : []].flat(), [own(l.client || l.network || ""), l.user_agent ? own(" " + l.user_agent, "small") : ""], String(l.count),
          (l.taken || []).map((a) => a.action + (a.dry_run ? " " + t("(only said)") : a.error ? " " + t("(failed)") : "")).join(", ")])));
    } catch (problem) { body.replaceChildren(box(problem)); }
  }
}
