// Files come from a dialog, a camera, the clipboard or by drop, with the folders
// that they are in.
const zone = root.querySelector(".drop"), alertLine = root.querySelector("[role=alert]");
const leftLine = document.querySelector("#left"), closingLine = root.querySelector("#closing");

const complain = (text) => { alertLine.textContent = text; };

// item is a file and what it is called: its path, without slashes, which no name
// may hold.
const item = (file, path = file.webkitRelativePath || file.name) => ({ file, name: path.split("/").filter(Boolean).join(" - ") });

// stamp writes a time for the name of a file.
const stamp = (time) => new Date(time - time.getTimezoneOffset() * 60 * second).toISOString().slice(0, 19).replace(/\D/g, "").replace(/^\d{8}/, "$&-");

// fresh names what comes from a camera or the clipboard, where all is called image.
function fresh(file) {
  const generic = /^image(\.\w+)$/i.exec(file.name);
  return item(file, generic ? t("picture") + "-" + stamp(new Date(file.lastModified)) + generic[1] : file.name);
}

// What systems leave in folders for themselves.
const litter = /(^| - )(\.DS_Store|Thumbs\.db|desktop\.ini)$/i;

// take queues files, as many as there is room for.
function take(items) {
  complain("");
  items = items.filter(({ name }) => !litter.test(name));
  const known = new Set(uploads.filter((u) => !isOver(u)).map((u) => u.key));
  items = items.filter((item) => !known.has(keyOf(item)));
  const held = many ? null : remembered.find((r) => r.open && !items.some((item) => keyOf(item) === r.key));
  if (held && items.length) return complain(t("An upload was interrupted. Go on with it, or discard it first."));
  const fits = items.filter(({ file }) => !refusal(file)), space = Math.max(0, room(uploads));
  const over = new Set(fits.slice(!many && fits.length > space ? 0 : space));
  if (over.size) complain(tooMany(space, many ? [...over].map(({ name }) => name) : []));
  for (const item of items.filter((item) => !over.has(item))) {
    const before = remembered.find((r) => r.key === keyOf(item));
    if (before) {
      before.open = false;
      before.row.remove();
    }
    uploads.push(new Upload(item));
  }
  pump();
  if (zone.hidden && list.lastElementChild) list.lastElementChild.focus();
}

// pump starts what waits, as far as there is room, and offers to choose more.
function pump() {
  const free = abreast - uploads.filter((u) => u.state === "running" || u.state === "later").length;
  uploads.filter((u) => u.state === "waiting").slice(0, Math.max(0, free)).forEach((u) => u.start());
  root.classList.toggle("some", uploads.length > 0);
  zone.hidden = room(uploads) <= 0;
  for (const input of zone.querySelectorAll("input")) input.disabled = zone.hidden;
  if (leftLine) leftLine.textContent = Math.max(0, left - uploads.filter((u) => u.state === "stored").length).toLocaleString(lang);
  closingLine.textContent = closing();
  total();
  offerReceipt();
}

// walk finds the files below a folder that was dropped.
async function walk(entry, found) {
  if (entry.isFile) {
    found.push(item(await new Promise((resolve, reject) => { entry.file(resolve, reject); }), entry.fullPath));
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); }); // a hundred at a time
    if (!some.length) return;
    for (const inner of some) await walk(inner, found);
  }
}

async function drop(data) {
  const files = [...data.files]; // gone when this function waits, as the entries are
  const entries = [...data.items].map((dropped) => dropped.webkitGetAsEntry && dropped.webkitGetAsEntry());
  if (!entries.some((entry) => entry && entry.isDirectory)) return take(files.map((file) => item(file)));
  if (!many) return complain(t("This link takes one file, and no folder."));
  const found = [];
  complain("");
  try {
    for (const entry of entries.filter(Boolean)) await walk(entry, found);
  } catch {
    return complain(t("The folder cannot be read."));
  }
  if (found.length) take(found);
  else complain(t("There are no files in this folder."));
}

for (const [id, make] of [["files", item], ["folder", item], ["camera", fresh]]) {
  const input = root.querySelector("#" + id);
  if (!input) continue;
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = ""; // so that the same file can be chosen again
    take(files.map((file) => make(file)));
  });
}
const carriesFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    root.classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop") drop(event.dataTransfer);
  });
}
addEventListener("paste", (event) => {
  const files = [...event.clipboardData.files], field = event.target instanceof Element && event.target.matches("input:not([type=file]), textarea, [contenteditable]");
  if (!files.length || field) return;
  event.preventDefault();
  take(files.map(fresh));
});
addEventListener("beforeunload", (event) => { if (uploads.some(isOpen)) event.preventDefault(); });

forgetOld();
const remembered = interrupted().map((r) => new Remembered(r));
root.hidden = false;
pump();
if (closes < Infinity) setInterval(pump, 15 * second);
