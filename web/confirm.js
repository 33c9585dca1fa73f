// Programs that open links submit forms as they find them, or call the
// button. Only a person's pointer or key makes an event that is trusted.
const form = document.forms[0], button = form.querySelector("[type=submit]");
const { challenge, gesture, passcode } = form.elements;
function answer(text) {
  let sum = 0x811c9dc5;
  for (const c of text) sum = Math.imul(sum ^ c.charCodeAt(0), 0x01000193);
  return (sum >>> 0).toString(16).padStart(8, "0");
}
for (const kind of ["pointerdown", "keydown", "click"]) {
  button.addEventListener(kind, (event) => {
    if (event.isTrusted && gesture) gesture.value = answer(challenge.value);
  });
}
form.addEventListener("submit", () => {
  document.getElementById("begun").hidden = false;
  // A second click would give up the first download and begin another.
  setTimeout(() => { button.disabled = true; });
  setTimeout(() => { button.disabled = false; }, 5000);
});

// What is typed can be looked at, until it is sent.
const reveal = document.getElementById("reveal");
if (reveal) {
  const show = (shown) => {
    passcode.type = shown ? "text" : "password";
    reveal.textContent = shown ? t("Hide") : t("Show");
    reveal.setAttribute("aria-pressed", shown);
  };
  reveal.hidden = false;
  reveal.addEventListener("click", () => { show(passcode.type === "password"); passcode.focus(); });
  form.addEventListener("submit", () => show(false));
}

// How long the link still works is said anew while the page is open.
const away = document.querySelector("[data-away]");
function sayAway() {
  const seconds = (Date.parse(away.previousElementSibling.dateTime) - Date.now()) / 1000;
  for (const [unit, size] of [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]]) {
    // As the server counts them, so that two of the larger unit are there before it is used.
    if (seconds >= 2 * size || unit === "second") {
      away.textContent = "(" + new Intl.RelativeTimeFormat(lang).format(Math.max(0, Math.floor(seconds / size)), unit) + ")";
      return;
    }
  }
}
if (away) setInterval(sayAway, 20000);
