// What the link takes. The gate decides; to be told before anything is sent
// saves everybody the time.
const picker = root.querySelector("#files");
const many = "many" in root.dataset, most = Number(root.dataset.max) || Infinity;
const left = "left" in root.dataset ? Number(root.dataset.left) : Infinity;
const closes = "open" in root.dataset ? Date.now() + root.dataset.open * second : Infinity;
const types = picker.accept.split(",").filter(Boolean);

// endings are of files for which some systems have no type, or another.
const endings = {
  "7z": "application/x-7z-compressed", avif: "image/avif", csv: "text/csv", flac: "audio/flac", gz: "application/gzip", heic: "image/heic",
  heif: "image/heif", json: "application/json", jxl: "image/jxl", log: "text/plain", m4a: "audio/mp4", md: "text/markdown",
  mkv: "video/x-matroska", mov: "video/quicktime", opus: "audio/ogg", parquet: "application/vnd.apache.parquet", tar: "application/x-tar",
  webp: "image/webp", xml: "application/xml", yaml: "application/yaml", zip: "application/zip",
};

function permits(type) {
  const media = type.split(";")[0].trim().toLowerCase();
  return types.some((allowed) => allowed === media || allowed.endsWith("/*") && media.startsWith(allowed.slice(0, -1)));
}

// typeOf is what a file is sent as: what the browser calls it, or what its
// ending says where that is what the link takes; "" if neither is known.
function typeOf(file) {
  const known = [file.type, endings[file.name.split(".").pop().toLowerCase()]].filter(Boolean);
  return known.find(permits) || known[0] || "";
}

// refusal says why the link does not take a file; "" if it does.
function refusal(file) {
  if (file.size > most) return t("This file is too large: it has {0} bytes, and the link takes at most {1}.", file.size, most);
  const type = typeOf(file);
  if (!types.length || permits(type)) return "";
  return t("This link takes only {0}.", root.dataset.takes) + " "
    + (type ? t("This file is {0}.", type) : t("What this file is, its name does not tell."));
}

const isOpen = (u) => ["waiting", "running", "later"].includes(u.state);
const isOver = (u) => ["stored", "refused", "cancelled"].includes(u.state);

// room is how many files the link takes besides these.
function room(uploads) {
  if (Date.now() >= closes) return 0;
  const open = uploads.filter((u) => u.state !== "refused" && u.state !== "cancelled");
  const free = left - open.length;
  return many ? free : Math.min(free, open.some((u) => !isOver(u)) ? 0 : 1);
}

// tooMany says that there is room for no more than so many files, and which are
// left out.
function tooMany(space, names) {
  let text = t("This link takes only {0} more files.", space);
  if (space <= 0) text = t("This link takes no more files now.");
  else if (!many) text = t("This link takes one file. Choose one only.");
  if (!names.length) return text;
  const some = names.slice(0, 3).map(visible).join(t(", "));
  return text + " " + (names.length > 3 ? t("Left out: {0} and {1} more.", some, names.length - 3) : t("Left out: {0}.", some));
}

// closing says that the link is about to end; "" if that is far away.
function closing() {
  const rest = closes - Date.now();
  if (rest <= 0) return t("This link is closed now: it takes no more files.");
  return rest > 900 * second ? "" : t("This link closes in {0}: what has not begun by then is not taken.", span(rest / second));
}
