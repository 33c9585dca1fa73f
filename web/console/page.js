const view = document.querySelector("#view"), said = document.querySelector("#said");

// el makes an element. What is in it is text or elements, never markup; what is a
// function hears an event.
function el(name, given, ...inside) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(given || {})) {
    if (typeof value === "function") e.addEventListener(key, value);
    else if (value === true) e.setAttribute(key, "");
    else if (value !== false && value != null) e.setAttribute(key, value);
  }
  e.append(...inside.flat().filter((x) => x != null && x !== false && x !== ""));
  return e;
}

// own is what somebody else has chosen: a name, a key, a label.
const own = (text, name = "bdi") => el(name, { title: clean(text) }, clean(text));

const link = (path, ...inside) => el("a", { href: "/console/" + path }, ...inside);
const tokenLink = (id) => link("tokens/" + encodeURIComponent(id), el("code", { title: id }, id.slice(0, 12) + "\u2026"));

// when writes a time as the reader's clock has it.
const clock = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "short" }), seconds = new Intl.DateTimeFormat(lang, { timeStyle: "medium" });
const when = (text, format = clock) => (text ? el("time", { datetime: text, title: text }, format.format(new Date(text))) : "");

// span writes how long something has lasted.
function span(seconds) {
  const s = Math.max(0, Math.floor(seconds)), two = (n) => String(n).padStart(2, "0");
  const time = two(Math.floor(s / 60) % 60) + ":" + two(s % 60);
  return s < 3600 ? time : Math.floor(s / 3600) + ":" + time;
}

const took = (ms) => t("{0} ms", ms < 10 ? Number(ms.toFixed(1)) : Math.round(ms));
const labelsOf = (labels) => Object.entries(labels || {}).map(([name, value]) => own(name + "=" + value, "bdi"));
const tell = (text) => { said.textContent = text; };

// box says what went wrong, by the problem that the API answers.
function box(problem) {
  const more = problem.of || {};
  return el("div", { class: "problem", role: "alert" },
    el("p", null, more.title ? el("strong", null, more.title + ". ") : "", own(problem.message, "span")),
    more.request_id && el("p", { class: "hint" }, more.request_id));
}

// table makes one of rows that are lists of cells. The roles keep it one where style
// makes it something else.
function table(caption, heads, rows) {
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", { role: "table" }, el("caption", { class: "unseen" }, caption),
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, heads.map((h) => el("th", { role: "columnheader", scope: "col" }, h)))),
      el("tbody", { role: "rowgroup" }, rows.map((cells) => el("tr", { role: "row" }, cells.map((c, i) => el("td", { role: "cell", "data-head": heads[i] }, c)))))));
}

const badge = (kind, text) => el("span", { class: "badge " + kind }, text);
const empty = (text) => el("p", { class: "empty" }, text);

// field makes a labelled input, and fields that change call changed.
function field(name, label, given = {}, hint) {
  const { options, ...rest } = given, id = "f-" + name;
  const input = options
    ? el("select", { id, name }, options.map(([value, text]) => el("option", { value }, text)))
    : el("input", { id, name, autocomplete: "off", autocapitalize: "none", spellcheck: "false", type: "text", ...rest, "aria-describedby": hint ? id + "-hint" : null });
  if (rest.type === "checkbox") return el("div", { class: "field check" }, input, el("label", { for: id }, label), hint && el("p", { class: "hint", id: id + "-hint" }, hint));
  return el("div", { class: "field" }, el("label", { for: id }, label), input, hint && el("p", { class: "hint", id: id + "-hint" }, hint));
}

// pairs reads labels, as name=value with commas between. One name twice is a Problem:
// without one of the two a rule would be wider than what was written.
function pairs(text) {
  const all = Object.create(null);
  for (const part of text.split(",").filter((part) => part.trim())) {
    const [name, ...value] = part.split("=");
    if (name.trim() in all) throw new Problem(t("The label {0} is there twice. A token has one value of it.", clean(name.trim())));
    all[name.trim()] = value.join("=").trim();
  }
  return all;
}

// given reads a form: what is filled in, trimmed, with true for a tick.
function given(form) {
  const all = {};
  for (const f of form.elements) {
    if (!f.name) continue;
    if (f.type === "checkbox") { if (f.checked) all[f.name] = true; } else if (f.value.trim() !== "") all[f.name] = f.value.trim();
  }
  return all;
}
