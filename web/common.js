// words are the texts of the scripts in the language of the page, by the English
// ones. A text with several forms has them by plural category.
const plurals = new Intl.PluralRules(lang);

// t says a text in the language of the page. {0}, {1} … stand for what follows.
function t(text, ...args) {
  let said = words[text] || text;
  if (typeof said === "object") said = said[plurals.select(args[0])] || said.other;
  return said.replace(/\{(\d)\}/g, (_, i) => (typeof args[i] === "number" ? args[i].toLocaleString(lang) : args[i]));
}

// clean shows what turns the order of letters around, or has no shape.
const clean = (text) => String(text).replace(/[\p{Bidi_Control}\p{Cc}]/gu, "\ufffd");

// readable writes a number of bytes for people.
function readable(n) {
  if (n < 1000) return t("{0} bytes", Math.round(n));
  let unit = 0;
  for (n /= 1000; n >= 999.95 && unit < 4; unit++) n /= 1000;
  return n.toLocaleString(lang, { minimumFractionDigits: 1, maximumFractionDigits: 1 }) + " " + ["kB", "MB", "GB", "TB", "PB"][unit];
}

// Times stand in the page in UTC, and are shown as the clock of the reader has
// them.
for (const time of document.querySelectorAll("time[data-local]")) {
  time.textContent = new Date(time.dateTime).toLocaleString(lang, { dateStyle: "medium", timeStyle: "short" });
}
