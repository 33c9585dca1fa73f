// All files together: how far they are, in the page, in its title, and said
// calmly to those who do not see it.
const totals = root.querySelector(".totals"), statusLine = root.querySelector("[role=status]");
const [files, bytes, acts] = totals.querySelectorAll("p");
const title = document.title, speed = new Speed();
let lock = null; // promises what keeps the screen on
let announced = 0, later = 0, due = 0;

// total shows them soon: of thousands of files, many change at a time.
function total() {
  due ||= setTimeout(addUp, 50);
}

function addUp() {
  due = 0;
  const taken = uploads.filter((u) => u.state !== "refused" && u.state !== "cancelled");
  const stored = taken.filter((u) => u.state === "stored").length, open = taken.some(isOpen);
  const size = taken.reduce((sum, u) => sum + u.file.size, 0), sent = taken.reduce((sum, u) => sum + u.sent, 0);
  const part = size ? sent / size : 0, percent = Math.floor(100 * part) + "%";
  if (open) speed.at(sent);
  else speed.reset();
  totals.hidden = taken.length < 2 || stored === taken.length;
  totals.querySelector("progress").value = part;
  files.textContent = t("Stored {0} of {1} files", stored, taken.length) + " · " + percent;
  bytes.textContent = t("{0} of {1}", readable(sent), readable(size)) + speed.text(size - sent);
  document.title = open ? percent + " · " + title : title;
  keepAwake(open);
  if (!open) later = clearTimeout(later); // the end is said at once
  later ||= setTimeout(announce, open ? Math.max(500, announced + 10 * second - Date.now()) : 500);
}

function announce() {
  later = 0;
  announced = Date.now();
  const count = (state) => uploads.filter((u) => u.state === state);
  const parts = [files, bytes].map((p) => (totals.hidden ? "" : p.textContent));
  for (const u of count("running")) parts.push(`${u.row.name}: ${Math.floor(100 * u.row.bar.value)}%`);
  for (const u of [...count("refused"), ...count("later")]) parts.push(`${u.row.name}: ${u.row.line.textContent}`);
  if (!receipt.hidden) parts.push(receipt.querySelector("h2").textContent);
  const text = parts.filter(Boolean).join(". ");
  if (statusLine.textContent !== text) statusLine.textContent = text;
}

// To cancel all leaves on the page what the server knew of.
acts.firstChild.onclick = () => {
  const all = uploads.filter((u) => !isOver(u));
  all.forEach((u) => u.cancel());
  all.filter((u) => !u.stop && !u.held).forEach((u) => u.remove());
  picker.focus();
};

// keepAwake holds the screen on while files are sent: a phone that sleeps sends
// nothing. A browser lets go by itself when the page is hidden.
function keepAwake(open) {
  const wanted = open && !document.hidden;
  if (!navigator.wakeLock || wanted === Boolean(lock)) return;
  if (wanted) {
    lock = navigator.wakeLock.request("screen").catch(() => null);
  } else {
    lock.then((held) => held && held.release());
    lock = null;
  }
}
document.addEventListener("visibilitychange", () => keepAwake(uploads.some(isOpen)));
