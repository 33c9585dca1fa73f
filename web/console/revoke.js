// Revoke: a rule is tried first, and made as it was tried.
function showRevoke(root) {
  const outcome = el("div", { "aria-live": "polite" });
  let tried = "";
  const form = el("form", { class: "rule", input: () => { outcome.replaceChildren(); showLine("revoke", wish); }, submit: attempt },
    el("p", { class: "hint" }, t("All that is filled in must match. A dry run says what the rule would hit; nothing is revoked before you press again.")),
    el("div", { class: "grid" }, field("subject", t("Subject"), { placeholder: "ada@example.com" }), field("issuer", t("Issuer of the JWT that minted")),
      field("labels", t("Labels"), { placeholder: "team=press, ticket=42" }), field("bucket", t("Bucket")), field("prefix", t("Key begins with")),
      field("issued_before", t("Minted before"), { type: "datetime-local", step: "1" })),
    field("all", t("Every token there is"), { type: "checkbox" }),
    field("standing", t("Standing: also cover later tokens, and refuse to mint them"), { type: "checkbox" }),
    field("reason", t("Reason"), { maxlength: "255", placeholder: t("laptop stolen") }),
    el("button", { type: "submit" }, t("Dry run")));
  root.append(form, outcome);
  showLine("revoke", { dry_run: true });

  function wish() {
    const all = given(form);
    if (all.labels) all.labels = pairs(all.labels);
    if (all.issued_before) all.issued_before = new Date(all.issued_before).toISOString().replace(".000Z", "Z");
    return all;
  }

  async function attempt(event) {
    event.preventDefault();
    showLine("revoke", () => ({ ...wish(), dry_run: true }));
    try {
      const rule = wish();
      tried = JSON.stringify(rule);
      const reach = await ask("/revocations", { method: "POST", body: { ...rule, dry_run: true } });
      if (tried !== JSON.stringify(wish())) return;
      const make = means(twice(t("Revoke"), t("Revoke now?"), () => revoke(rule)), "revoke", () => rule);
      outcome.replaceChildren(el("div", { class: "reach" }, el("p", null, el("strong", null, t("{0} tokens would end.", reach.tokens)), " ", t("{0} transfers would be cut on this gate.", reach.transfers)),
        reach.complete ? "" : el("p", { class: "warning" }, t("Only {0} tokens were looked at; there may be more.", reach.scanned)), hits(reach), make));
      make.focus();
    } catch (problem) { outcome.replaceChildren(box(problem)); }
  }

  async function revoke(rule) {
    try {
      const r = await ask("/revocations", { method: "POST", body: rule });
      outcome.replaceChildren(receiptOf(r, t("Revoked. The rule holds on every gate.")), el("p", null, link("revocations", t("All revocations"))));
      tell(t("Revoked. The rule holds on every gate."));
    } catch (problem) { outcome.replaceChildren(box(problem)); }
  }
}

// hits names some of the tokens that a rule would end.
function hits({ tokens, examples = [] }) {
  const more = tokens - examples.length;
  return examples.length ? el("ul", { class: "hits" }, examples.map((h) => el("li", null, tokenLink(h.id), " ", own(h.bucket + "/" + (h.key || h.prefix || "")), h.subject ? [" ", own(h.subject, "small")] : "")),
    more > 0 ? el("li", null, t("and {0} more", more)) : "") : "";
}

// selection says what a rule selects.
function selection(r) {
  const all = [[t("Token"), r.token && tokenLink(r.token)], [t("Subject"), r.subject && own(r.subject)], [t("Issuer"), r.issuer && own(r.issuer)], [t("Labels"), r.labels && labelsOf(r.labels).flatMap((l, i) => (i ? [", ", l] : [l]))],
    [t("Bucket"), r.bucket && own(r.bucket)], [t("Key begins with"), r.prefix && own(r.prefix)], [t("Minted before"), r.issued_before && when(r.issued_before)]];
  const parts = all.filter(([, value]) => value).flatMap(([name, value]) => [el("span", { class: "pick" }, el("small", null, name), " ", value)]);
  return r.all ? [el("strong", null, t("Every token there is"))] : parts;
}

function showRevocations(root) {
  const body = el("div"), done = el("div"), more = el("button", { type: "button", class: "plain", click: () => load(false) }, t("More"));
  const rules = [];
  let next = "";
  more.hidden = true;
  root.append(el("p", null, link("revoke", t("Make a rule"))), done, body, more);
  const ends = whenever(["rule.revoked", "rule.lifted"], () => load(true));
  showLine("revocations");
  load(true);
  return ends;

  async function load(anew) {
    try {
      const page = await ask("/revocations?limit=50" + (anew ? "" : "&cursor=" + encodeURIComponent(next)));
      if (anew) rules.length = 0;
      rules.push(...page.revocations);
      next = page.next || "";
      more.hidden = !next;
      body.replaceChildren(rules.length === 0 ? empty(t("Nothing was revoked.")) : table(t("Revocations"), [t("Selects"), t("Made"), t("By"), t("Reason"), t("State"), t("Action")], rules.map(cells)));
    } catch (problem) { body.replaceChildren(box(problem)); }
  }

  function cells(r) {
    const lift = means(twice(t("Lift"), t("Lift now?"), async () => {
      try {
        done.replaceChildren(receiptOf(await ask("/revocations/" + encodeURIComponent(r.id), { method: "DELETE" }), t("Lifted. What the rule covered works again.")));
        tell(t("Lifted. What the rule covered works again."));
      } catch (problem) { done.replaceChildren(box(problem)); }
      load(true);
    }), "lift", () => ({ id: r.id }));
    lift.setAttribute("aria-label", t("Lift {0}", r.id));
    return [[...selection(r), r.standing ? badge("", t("standing")) : ""], when(r.at), own(r.author || ""), own(r.reason || ""),
      r.state === "active" ? badge("bad", t("holds")) : [badge("", t("lifted")), " ", own(r.lifted_by || "", "small")], r.state === "active" ? lift : ""];
  }
}
