// Files and folders are walked through with the arrow keys, as in a window of
// files; Backspace leads to the folder above. Tab goes on as ever.
const entries = [...document.querySelectorAll("td a")];
const up = document.querySelector(".path li:last-child a");
document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.key === "Backspace" && up) {
    event.preventDefault();
    up.click();
    return;
  }
  const at = entries.indexOf(document.activeElement);
  const next = { ArrowDown: at + 1, ArrowUp: at < 0 ? entries.length - 1 : at - 1, Home: 0, End: entries.length - 1 }[event.key];
  if (next === undefined || !entries.length) return;
  event.preventDefault();
  entries[Math.min(Math.max(next, 0), entries.length - 1)].focus();
});
