// Mint: the link is shown once, here, and kept nowhere.
function showMint(root) {
  const made = el("div", { "aria-live": "polite" });
  const form = el("form", { class: "rule", submit: mint, input: () => { turn(); showLine("mint", line); } },
    el("div", { class: "grid" },
      field("operation", t("Permits"), { options: [["get", t("Download")], ["put", t("Upload")]] }),
      field("bucket", t("Bucket"), { required: true, list: "aliases" }),
      field("key", t("Key"), { required: true, placeholder: "reports/2030.pdf" }, t("Of one object; or what all keys begin with, for everything below.")),
      field("expires_in", t("Works for"), { placeholder: "1h" }, t("Such as 90s, 1h or 30d. One hour if left out.")),
      field("max_uses", t("Uses"), { type: "number", min: "0" }, t("Without limit for downloads, once for uploads, if left out.")),
      field("subject", t("For whom"), { placeholder: "ada@example.com" }),
      field("shared_by", t("Shared by, or requested by"), { maxlength: 100 }, t("The page of the link says it, and nobody checks it.")),
      field("message", t("Message"), { maxlength: 1000 }, t("The page of the link shows it.")),
      field("labels", t("Labels"), { placeholder: "team=press, ticket=42" }),
      field("passcode", t("Passcode"), { type: "password", autocomplete: "new-password" }),
      field("filename", t("Name to save under")),
      field("confirm", t("Page before the download"), { options: [["", t("for limited tokens")], ["always", t("always")], ["never", t("never")]] }),
      field("max_bytes", t("Largest upload in bytes"), { type: "number", min: "1" })),
    field("below", t("Everything below the key"), { type: "checkbox" }), field("list", t("May be listed"), { type: "checkbox" }), field("previews", t("Previews of images"), { type: "checkbox" }), field("overwrite", t("May replace an object"), { type: "checkbox" }),
    el("button", { type: "submit" }, t("Mint")));
  const aliases = el("datalist", { id: "aliases" });
  root.append(form, aliases, made);
  turn();
  showLine("mint", line);
  ask("/buckets").then(({ buckets }) => aliases.append(...buckets.map((b) => el("option", { value: b.bucket }))), () => {}); // it can be typed, too

  // turn shows the fields that belong to the operation.
  function turn() {
    const put = form.elements.operation.value === "put";
    for (const [name, shown] of [["filename", !put], ["confirm", !put], ["list", !put && form.elements.below.checked], ["previews", !put && form.elements.below.checked && form.elements.list.checked], ["max_bytes", put], ["overwrite", put && !form.elements.below.checked]]) {
      const f = form.elements[name];
      f.closest(".field").hidden = !shown;
      f.disabled = !shown;
    }
  }

  function values() {
    const all = {};
    for (const [name, value] of Object.entries(given(form))) if (!form.elements[name].disabled) all[name] = value;
    if (all.labels) all.labels = pairs(all.labels);
    return all;
  }

  function line() {
    const all = values();
    return { ...all, target: (all.bucket || "BUCKET") + "/" + (all.key || "KEY"), passcode_file: all.passcode ? "-" : undefined };
  }

  function wish() {
    const { below, key, filename, max_bytes, overwrite, max_uses, ...all } = values();
    all[below ? "prefix" : "key"] = key;
    if (max_uses !== undefined) all.max_uses = Number(max_uses);
    if (filename) all.response = { filename };
    if (max_bytes || overwrite) all.upload = { ...(max_bytes && { max_bytes: Number(max_bytes) }), ...(overwrite && { overwrite }) };
    if (below && all.operation === "put") all.upload = { ...all.upload, key_template: key + "{uuid}/{filename}" };
    return all;
  }

  async function mint(event) {
    event.preventDefault();
    try {
      const token = await ask("/tokens", { method: "POST", body: wish() });
      const url = el("input", { id: "url", readonly: true, type: "text", focus: (e) => e.target.select() });
      url.value = token.url;
      const take = el("button", { type: "button", click: () => copyText(token.url, take) }, t("Copy the link"));
      made.replaceChildren(el("section", { class: "card made" }, el("h2", null, t("The link")), el("p", { class: "hint" }, t("It is not shown again.")),
        el("label", { for: "url" }, t("Link")), url, take, await picture(token.url), el("dl", null, ...entries([[t("Token"), tokenLink(token.id)], [t("Expires"), when(token.expires_at)], [t("Uses"), token.max_uses ? String(token.max_uses) : t("without limit")]]))));
      tell(t("The link"));
      take.focus();
    } catch (problem) { made.replaceChildren(box(problem)); }
    showLine("mint", line);
  }
}

// picture draws the QR code of a link.
async function picture(url) {
  const answer = await fetch("/console/qr", { method: "POST", headers: { "X-S3gate-Console": "1" }, body: url }).catch(() => null);
  if (!answer || !answer.ok) return "";
  const code = await answer.json(), svg = (name, given) => {
    const e = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(given)) e.setAttribute(key, value);
    return e;
  };
  const whole = svg("svg", { viewBox: "0 0 " + code.size + " " + code.size, class: "qr", role: "img", "aria-label": t("QR code of the link"), "shape-rendering": "crispEdges" });
  whole.append(svg("rect", { width: code.size, height: code.size, fill: "#fff" }), svg("path", { d: code.path, fill: "#000" }));
  return whole;
}
