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

// Buckets: what the last verification has found.
function showBuckets(root) {
  const body = el("div", { class: "cards" }), done = el("div");
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
    verify.setAttribute("aria-label", t("Verify {0} now", clean(b.bucket)));
    const r = b.report || {};
    return el("section", { class: "card" }, el("h2", null, own(b.bucket), " ", state),
      b.error && el("p", { class: "problem" }, clean(b.error)), r.unproven && el("p", { class: "warning" }, clean(r.unproven)),
      el("dl", null, ...entries([[t("Verified"), when(b.verified_at)], [t("By the gate"), b.gate && own(b.gate)], [t("Signing"), b.signing], [t("Watched"), b.watched ? t("yes") : t("no")],
        [t("Left out by the policy"), (r.exempts || []).map(clean).join(", ")]])),
      (r.checks || []).length > 0 && el("ul", { class: "checks" }, r.checks.map((c) => el("li", { class: c.ok ? "good" : "bad" }, el("span", { "aria-hidden": "true" }, c.ok ? "\u2713" : "\u2717"), " ", own(c.name, "span"), ": ", own(c.got, "span"), c.cause ? el("small", null, clean(c.cause)) : ""))),
      b.watched && verify);
  }
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
