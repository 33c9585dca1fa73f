// Every action says how the command line does it, at the foot of the page: that of
// what has the focus, or is pointed at.
const same = document.querySelector("#same"), shownLine = document.querySelector("#line"), copy = document.querySelector("#copy");

// quote writes a word as a shell reads it: without what would end the line where it
// is pasted, or show it as another one.
function quote(word) {
  const text = clean(word);
  return /^[\w@%+:,.\/][\w@%+=:,.\/-]*$/.test(text) ? text : "'" + text.replaceAll("'", "'\\''") + "'";
}

// lineOf fills the line of an action.
function lineOf(action, values = {}) {
  const { line, flags = {} } = lines[action];
  let text = line.replace(/\{(\w+)\}/g, (_, name) => [values[name]].flat().map((v) => quote(v ?? name.toUpperCase())).join(" "));
  for (const [name, flag] of Object.entries(flags)) {
    const value = values[name];
    if (value === undefined || value === false || value === "") continue;
    if (value === true) text += " " + flag;
    else if (typeof value === "object") for (const [k, v] of Object.entries(value)) text += " " + flag + " " + quote(k + "=" + v);
    else text += " " + flag + " " + quote(value);
  }
  return text;
}

// showLine takes the values, or what reads them of a form. What is wrong in that has no
// line.
function showLine(action, values) {
  let text;
  try {
    text = lineOf(action, typeof values === "function" ? values() : values);
  } catch {
    same.hidden = true;
    return;
  }
  if (shownLine.textContent !== text) shownLine.textContent = text;
  same.hidden = false;
}

// means says which line belongs to an element.
function means(element, action, values = () => ({})) {
  for (const event of ["focus", "pointerenter"]) element.addEventListener(event, () => showLine(action, values()));
  return element;
}

async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS there is no clipboard, and what is selected can be copied by hand.
    const area = el("textarea", { class: "unseen", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  const before = button.textContent;
  if (before === t("Copied")) return;
  button.textContent = t("Copied");
  tell(t("Copied"));
  setTimeout(() => { button.textContent = before; }, 1500);
}
copy.addEventListener("click", () => copyText(shownLine.textContent, copy));

// twice is a button of which the second press counts, if it comes soon after the
// first, and not as the second half of a double click.
function twice(label, sure, act) {
  let armed = 0, timer, name;
  const b = el("button", { type: "button", class: "act" }, label);
  const disarm = () => {
    clearTimeout(timer);
    armed = 0;
    b.textContent = label;
    b.classList.remove("armed");
    if (name) b.setAttribute("aria-label", name);
  };
  b.addEventListener("click", async () => {
    const now = performance.now();
    if (!armed) {
      armed = now;
      b.textContent = sure;
      b.classList.add("armed");
      name = b.getAttribute("aria-label");
      if (name) b.setAttribute("aria-label", sure + " " + name);
      tell(sure + " " + t("Press again to confirm."));
      timer = setTimeout(disarm, 6000);
      return;
    }
    if (now - armed < 350) return;
    disarm();
    b.disabled = true;
    try { await act(); } finally { b.disabled = false; }
  });
  b.addEventListener("keydown", (event) => { if (event.key === "Escape") disarm(); });
  b.addEventListener("blur", disarm);
  return b;
}
