// Transfers: what runs, as it goes on. What was cut here stays with its receipt.
function showTransfers(root) {
  const running = new Map(), endings = [];
  const filter = el("input", { id: "filter", type: "search", autocomplete: "off", input: () => draw() });
  const sum = el("p", { class: "sum" }), notes = el("div"), none = empty(t("Nothing runs at the moment."));
  const rows = new Rows(t("Transfers"), [t("Object"), t("For"), t("Progress"), t("Speed"), t("Since"), t("Gate"), t("Action")], "transfers", makeRow);
  root.append(el("div", { class: "tools" }, el("div", { class: "field" }, el("label", { for: "filter" }, t("Find a subject, key or token")), filter), sum), notes, none, rows.table);
  showLine("transfers");

  let first = true, skew = 0;
  const timer = setInterval(draw, 1000);
  const end = listen(() => "/transfers", { transfers: take }, () => { first = true; }, () => ask("/transfers").catch((problem) => { notes.replaceChildren(box(problem)); none.hidden = true; }));
  return () => { end(); clearInterval(timer); rows.end(); };

  function take(change) {
    const at = Date.parse(change.at);
    skew = at - Date.now();
    const had = first ? new Set(running.keys()) : null;
    first = false;
    for (const x of change.began || []) {
      const before = running.get(x.id);
      running.set(x.id, { ...x, at, rate: x.bytes_per_second, receipt: before && before.receipt });
      if (had) had.delete(x.id);
    }
    const moved = new Map((change.moved || []).map((m) => [m.id, m]));
    for (const x of running.values()) {
      const m = moved.get(x.id), seconds = (at - x.at) / 1000;
      if (seconds <= 0) continue;
      const now = ((m ? m.bytes : x.bytes) - x.bytes) / seconds;
      x.rate = 0.6 * now + 0.4 * x.rate;
      x.at = at;
      if (m) Object.assign(x, { bytes: m.bytes, size: m.size, committing: m.committing });
    }
    for (const id of [...(change.ended || []), ...(had || [])]) {
      const x = running.get(id);
      if (!x || x.over) continue;
      x.over = Date.now();
      x.rate = 0;
      endings.push(id);
    }
    notes.replaceChildren(...(change.silent || []).map((gate) => el("p", { class: "warning" }, t("The gate {0} does not answer. Without a lease what runs there waits.", clean(gate)))),
      ...(change.complete || change.silent ? [] : [el("p", { class: "warning" }, t("This is not all: Redis is away, or a gate has more than it tells of."))]));
    draw();
  }

  // Those that have ended stay for a moment, and longer while somebody is about to
  // press something, so that no row moves away under a finger. What has begun again
  // meanwhile, since a gate was not heard for a moment, has not ended.
  function forget() {
    const busy = rows.table.matches(":hover, :focus-within"), now = Date.now();
    while (endings.length) {
      const x = running.get(endings[0]);
      const gone = x && x.over && !x.receipt;
      if (gone && now - x.over < (busy ? 10000 : 3000)) break;
      endings.shift();
      if (gone) running.delete(x.id);
    }
    const kept = [...running.values()].filter((x) => x.receipt && x.over);
    for (const x of kept.slice(0, -50)) running.delete(x.id);
  }

  function draw() {
    forget();
    const wanted = filter.value.trim().toLowerCase();
    let n = 0, rate = 0;
    const all = [];
    for (const x of running.values()) {
      if (!x.over) { n++; rate += x.rate; }
      if (!wanted || [x.subject, x.bucket + "/" + (x.key || x.prefix || ""), x.token, x.id, x.gate].some((f) => f && f.toLowerCase().includes(wanted))) all.push(x);
    }
    say(sum, first ? "" : t("{0} transfers, {1} a second", n, readable(rate)));
    none.hidden = first || all.length > 0;
    rows.table.hidden = all.length === 0;
    rows.show(all);
  }

  function makeRow(x) {
    const bar = el("progress", { max: "1" }), amount = el("span"), speed = el("td", { class: "number" }), since = el("td", { class: "number" }), act = el("td", { class: "acts" });
    const progress = el("td", null, bar, amount), up = x.direction === "upload";
    const name = x.bucket + "/" + (x.key || x.prefix || "");
    bar.setAttribute("aria-label", t("Progress of {0}", clean(name)));
    const cut = twice(t("Cut"), t("Cut now?"), async () => {
      try {
        x.receipt = await ask("/transfers/" + encodeURIComponent(x.id), { method: "DELETE" });
        tell(outcome(x.receipt));
      } catch (problem) {
        x.receipt = { problem };
        tell(problem.message);
      }
      draw();
    });
    cut.setAttribute("aria-label", t("Cut {0}", clean(name)));
    means(cut, "cut", () => ({ id: x.id }));
    act.append(cut);
    const element = rowOf([
      el("td", { class: "two" }, el("span", { class: up ? "dir up" : "dir", role: "img", "aria-label": up ? t("Upload") : t("Download") }), own(x.key || x.prefix || "\u2014"), own(x.bucket, "small")),
      el("td", { class: "two" }, own(x.subject || "\u2014"), el("small", null, tokenLink(x.token))), progress, speed, since,
      el("td", { class: "gate" }, own(x.gate || "")), act]);
    return {
      element,
      update(now) {
        x = now;
        element.className = x.receipt ? "receipt" : x.over ? "over" : "";
        if (x.receipt) {
          progress.replaceChildren(el("span", { class: x.receipt.problem ? "bad" : "good" }, outcome(x.receipt)));
          speed.textContent = "";
          act.replaceChildren();
        } else {
          if (x.size) { bar.max = x.size; bar.value = Math.min(x.bytes, x.size); }
          bar.hidden = !x.size;
          say(amount, x.size ? t("{0} of {1}", readable(x.bytes), readable(x.size)) : readable(x.bytes));
          say(speed, x.over ? t("ended") : x.committing ? t("storing") : readable(x.rate) + "/s");
          cut.disabled = Boolean(x.over);
        }
        if (!x.over) say(since, span((Date.now() + skew - Date.parse(x.since)) / 1000));
      },
    };
  }

  function outcome(receipt) {
    if (receipt.problem) return clean(receipt.problem.message);
    const how = [readable(receipt.bytes), took(receipt.took_ms), clean(receipt.gate || "")];
    if (!receipt.cut) return t("Too late: sent in full, may be stored. {0} in {1}, {2}", ...how);
    return receipt.gate ? t("Cut after {0}. Took {1}, acknowledged by {2}", ...how) : t("Cut after {0}. Took {1}", ...how);
  }
}
