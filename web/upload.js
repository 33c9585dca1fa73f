// Sends files to the link: by tus (https://tus.io/protocols/resumable-upload),
// so that what breaks off goes on where it was, or by PUT where the gate does
// not speak tus. What was interrupted is remembered by the name that the gate
// gave it, which is worth nothing without the link.
const root = document.querySelector("#upload"), picker = root.querySelector("input"), list = root.querySelector("ul");
const zone = root.querySelector(".drop"), alertLine = root.querySelector("[role=alert]"), statusLine = root.querySelector("[role=status]");
const many = "many" in root.dataset, most = Number(root.dataset.max) || Infinity;
const left = "left" in root.dataset ? Number(root.dataset.left) : Infinity;
const leftLine = document.querySelector("#left");
const base = /^.*?\/s3g_[0-9A-Za-z]{28}/.exec(location.pathname)[0];
const ticket = new URLSearchParams(location.search).get("ticket");
const abreast = 2; // uploads at a time
const second = 1000;
const quiet = 90 * second; // without progress, before a request is given up
const patience = 300 * second; // for an answer, when everything was sent
const memory = "s3gate:" + root.dataset.link + ":";
const uploads = [];

// What was opened with a passcode asks for it again when the address is
// copied.
if (ticket) history.replaceState(null, "", location.pathname);

// Refused is an answer that asking again will not change; Later one that may,
// after so many milliseconds at least.
class Refused extends Error {}
class Later extends Error {
  constructor(message, after = 0) { super(message); this.after = after; }
}

// address is the link's, or that of a file below it, or of an upload.
function address(file, upload) {
  const query = new URLSearchParams();
  if (upload) query.set("upload", upload);
  if (ticket) query.set("ticket", ticket);
  return base + (file ? "/" + encodeURIComponent(file) : "") + (ticket || upload ? "?" + query : "");
}

// send makes one request. Without an answer it throws a Later.
function send(method, url, { headers = {}, body = null, signal, progress } = {}) {
  return new Promise((resolve, reject) => {
    const x = new XMLHttpRequest();
    let limit = body ? quiet : patience, heard = Date.now();
    const watch = setInterval(() => { if (Date.now() - heard > limit) x.abort(); }, second);
    const stop = () => x.abort();
    const lost = () => reject(new Later(navigator.onLine ? "The connection was lost." : "There is no network."));
    x.open(method, url);
    x.setRequestHeader("Accept", "application/json");
    for (const [name, value] of Object.entries(headers)) x.setRequestHeader(name, value);
    x.upload.onprogress = (e) => { heard = Date.now(); if (progress) progress(e.loaded); };
    x.upload.onload = () => { heard = Date.now(); limit = patience; };
    x.onload = () => resolve(x);
    x.onerror = x.onabort = lost;
    x.onloadend = () => { clearInterval(watch); if (signal) signal.removeEventListener("abort", stop); };
    if (signal) signal.addEventListener("abort", stop);
    x.send(body);
    if (signal && signal.aborted) x.abort();
  });
}

const tus = (method, url, headers, more) => send(method, url, { ...more, headers: { "Tus-Resumable": "1.0.0", ...headers } });

// problem reads what the gate says of a refusal (RFC 9457).
function problem(x) {
  try {
    const { code, detail } = JSON.parse(x.responseText);
    return { code, detail: detail || "" };
  } catch {
    return { code: "", detail: "" };
  }
}

// judge throws what an answer other than a success means.
function judge(x) {
  const { status } = x, { code, detail } = problem(x);
  if (status >= 200 && status < 300) return x;
  if (status === 401) throw new Refused("The passcode is needed once more. Reload this page, and choose the file again: it goes on where it was.");
  const text = detail || `The server answered ${status}.`;
  if ([408, 409, 423, 425, 429].includes(status) || status >= 500 && status !== 501 || code === "IncompleteBody") {
    throw new Later(text, (Number(x.getResponseHeader("Retry-After")) || 0) * second);
  }
  throw new Refused(text);
}

const isGone = (x) => x.status === 404 || x.status === 410;

let spoken; // whether the gate speaks tus; undefined before that is known
async function speaksTus(signal) {
  if (spoken === undefined) {
    const x = judge(await send("OPTIONS", address(), { signal }));
    spoken = (x.getResponseHeader("Tus-Version") || "").split(",").includes("1.0.0");
  }
  return spoken;
}

// sleep ends early when the network is back.
function sleep(time, signal) {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      removeEventListener("online", wake);
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, time);
    addEventListener("online", wake);
    signal.addEventListener("abort", wake);
  });
}

const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

// What stands here may be away, or forbidden.
const recall = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
const remember = (key, name) => { try { localStorage.setItem(key, name); } catch { /* then it is not resumed */ } };
const forget = (key) => { try { localStorage.removeItem(key); } catch { /* nor was it there */ } };
const keyOf = (file) => memory + file.size + ":" + file.lastModified + ":" + file.name;

// interrupted lists what is remembered of this link.
function interrupted() {
  let keys = [];
  try { keys = Object.keys(localStorage); } catch { /* nothing is */ }
  return keys.filter((key) => key.startsWith(memory)).map((key) => {
    const [size, , ...name] = key.slice(memory.length).split(":");
    return { key, size: Number(size), name: name.join(":") };
  });
}

// visible shows what turns the order of letters around, or has no shape.
const visible = (name) => name.replace(/[\p{Bidi_Control}\p{Cc}]/gu, "\ufffd") || "(no name)";

function readable(n) {
  if (n < 1000) return n === 1 ? "1 byte" : Math.round(n) + " bytes";
  let unit = 0;
  for (n /= 1000; n >= 999.95 && unit < 4; unit++) n /= 1000;
  return n.toFixed(1) + " " + ["kB", "MB", "GB", "TB", "PB"][unit];
}

const exactly = (n) => n.toLocaleString("en");

// span writes a time for people, on one line.
function span(seconds) {
  if (seconds < 60) return Math.max(1, Math.round(seconds)) + "\u00a0s";
  const minutes = Math.round(seconds / 60), hours = Math.floor(minutes / 60);
  return (hours ? hours + "\u00a0h\u00a0" : "") + minutes % 60 + "\u00a0min";
}

// Row is what the page shows of a file.
class Row {
  constructor(name, size) {
    this.name = visible(name);
    this.element = document.querySelector("#row").content.firstElementChild.cloneNode(true);
    const find = (what) => this.element.querySelector(what);
    [this.bar, this.line, this.act, this.end] = ["progress", ".state", ".act", ".end"].map(find);
    find("bdi").textContent = this.name;
    find("span").textContent = readable(size);
    this.bar.setAttribute("aria-label", "Progress of " + this.name);
    list.append(this.element);
  }

  // show sets the state, its text, how much of the whole there is, and what the
  // two buttons do; "" for a button that is not there.
  show(state, text, part, act, end) {
    this.element.dataset.state = state;
    this.line.textContent = text;
    this.bar.value = part;
    this.bar.hidden = ["stored", "refused", "cancelled"].includes(state);
    const focused = this.element.contains(document.activeElement);
    for (const [button, label] of [[this.act, act], [this.end, end]]) {
      button.hidden = !label;
      if (button.textContent === label) continue;
      button.textContent = label;
      button.setAttribute("aria-label", label + " " + this.name);
    }
    if (focused && document.activeElement.hidden) this.element.focus();
  }
}

const isOpen = (u) => ["waiting", "running", "later"].includes(u.state);
const isOver = (u) => ["stored", "refused", "cancelled"].includes(u.state);

// Upload is a file on its way. Its state is waiting, running, later (it goes on
// by itself), paused, stored, refused or cancelled.
class Upload {
  constructor(file) {
    this.file = file;
    this.key = keyOf(file);
    this.name = recall(this.key);
    this.sent = 0; // bytes
    this.sure = 0; // bytes that the gate has
    this.marks = []; // when how much was sent, lately
    this.anew = 0; // times that it had to begin again
    this.work = Promise.resolve();
    this.row = new Row(file.name, file.size);
    this.row.act.onclick = () => (isOpen(this) ? this.pause() : this.queue());
    this.row.end.onclick = () => this.cancel();
    if (file.size > most) {
      this.set("refused", `This file is too large: it has ${exactly(file.size)} bytes, and the link takes at most ${exactly(most)}.`);
      this.row.act.hidden = true;
    } else {
      this.queue();
    }
  }

  set(state, text) {
    this.state = state;
    const act = { waiting: "Pause", running: "Pause", later: "Pause", paused: "Resume", refused: "Try again" }[state] || "";
    this.row.show(state, text, this.file.size ? this.sent / this.file.size : 0, act, isOver(this) ? "" : "Cancel");
    announce();
  }

  queue() {
    alertLine.textContent = "";
    this.set("waiting", "Waiting");
    pump();
  }

  start() {
    this.stop = new AbortController();
    const { signal } = this.stop;
    this.set("running", "Beginning");
    this.work = this.work.then(() => this.run(signal)).then(pump);
  }

  pause() {
    if (this.stop) this.stop.abort();
    this.set("paused", `Paused at ${readable(this.sent)} of ${readable(this.file.size)}`);
    pump();
  }

  async cancel() {
    if (this.stop) this.stop.abort();
    this.set("cancelled", "Cancelled");
    await this.work; // in which it may have got its name
    const end = this.name ? await terminate(this.name) : "ended";
    if (end === "stored") this.finish();
    else if (end === "ended") this.drop();
    else this.set("cancelled", "Cancelled, but the server could not be told. The link may be in use for a while.");
    pump();
  }

  drop() {
    forget(this.key);
    this.name = null;
  }

  finish() {
    this.drop();
    this.sent = this.file.size;
    this.set("stored", "Stored");
  }

  // run tries until the file is stored or refused, or somebody stops it.
  async run(signal) {
    for (let failures = 0; !signal.aborted;) {
      const before = this.sure;
      try {
        await (await speaksTus(signal) ? this.sendPieces(signal) : this.sendWhole(signal));
        return this.finish();
      } catch (e) {
        if (signal.aborted) return;
        if (!(e instanceof Later) || !await this.canRead()) {
          return this.set("refused", e instanceof Later ? "The file cannot be read any more." : e.message);
        }
        failures = this.sure > before ? 1 : failures + 1;
        this.marks = [];
        const time = Math.max(e.after, Math.min(30, 2 ** (failures - 1)) * second * (0.5 + Math.random() / 2));
        this.set("later", `${e.message} It goes on by itself.`);
        await sleep(time, signal);
        if (!signal.aborted) this.set("running", "Connecting");
      }
    }
  }

  // canRead tells a file that has gone from a network that has.
  async canRead() {
    try {
      await this.file.slice(0, 1).arrayBuffer();
      return true;
    } catch {
      return false;
    }
  }

  progress(sent) {
    const now = Date.now();
    this.sent = sent;
    this.marks.push([now, sent]);
    while (this.marks.length > 2 && now - this.marks[0][0] > 5 * second) this.marks.shift();
    const [time, from] = this.marks[0], took = (now - time) / second, rate = took >= 0.5 ? (sent - from) / took : 0;
    let text = `${readable(sent)} of ${readable(this.file.size)}`;
    if (sent === this.file.size) text += ", waiting until it is stored";
    else if (rate > 0) text += ` · ${readable(rate)}/s · ${span((this.file.size - sent) / rate)}\u00a0left`;
    if (this.state === "running") this.set("running", text);
  }

  async sendPieces(signal) {
    let offset = await this.ask(signal);
    while (offset < this.file.size) {
      const from = this.sure = offset;
      this.progress(from);
      const x = await tus("PATCH", address("", this.name),
        { "Upload-Offset": from, "Content-Type": "application/offset+octet-stream" },
        { body: this.file.slice(from), signal, progress: (n) => this.progress(Math.min(from + n, this.file.size)) });
      if (isGone(x)) this.again(problem(x).detail);
      offset = Number(judge(x).getResponseHeader("Upload-Offset"));
      if (!(offset > from)) throw new Later("The upload does not get on.");
    }
  }

  // ask finds out where to go on, and begins the upload if there is none yet.
  async ask(signal) {
    if (!this.name) return this.create(signal);
    const x = await tus("HEAD", address("", this.name), {}, { signal });
    if (isGone(x)) {
      this.drop();
      return this.create(signal);
    }
    return Number(judge(x).getResponseHeader("Upload-Offset"));
  }

  again(detail) {
    this.drop();
    if (++this.anew > 2) throw new Refused(detail || "The upload was ended by the server.");
    throw new Later("The upload has to begin again.");
  }

  // create is not broken off: an upload whose name nobody has heard would hold
  // the link.
  async create(signal) {
    const { name, type, size } = this.file, pairs = ["filename " + base64(name)];
    if (type) pairs.push("filetype " + base64(type));
    const x = judge(await tus("POST", address(), { "Upload-Length": size, "Upload-Metadata": pairs.join(",") }));
    this.name = new URL(x.getResponseHeader("Location") || "", location.href).searchParams.get("upload");
    if (!this.name) throw new Refused("The server has begun the upload and not said where.");
    remember(this.key, this.name);
    if (signal.aborted) throw new Later("Stopped.");
    return 0;
  }

  async sendWhole(signal) {
    const unsure = this.sent === this.file.size && this.sent > 0;
    this.progress(0);
    const x = await send("PUT", address(many ? this.file.name : ""), {
      headers: this.file.type ? { "Content-Type": this.file.type } : {}, body: this.file, signal, progress: (n) => this.progress(n),
    });
    if (unsure && (isGone(x) || x.status === 412)) {
      throw new Refused("The connection was lost at the end, so it is not known whether this file was stored. " + problem(x).detail);
    }
    judge(x);
  }
}

// terminate ends an upload at the gate, as far as that can be reached; it
// returns "stored" if that came too late. To delete the link itself, or through
// a gate that does not speak tus, would revoke it.
async function terminate(name) {
  if (!name || !spoken) return "unknown";
  for (let tries = 0; tries < 6; tries++) {
    try {
      const x = await tus("DELETE", address("", name));
      if (x.status === 409 && problem(x).code === "UploadComplete") return "stored";
      if (x.status < 300 || isGone(x)) return "ended";
    } catch { /* once more */ }
    await new Promise((resolve) => { setTimeout(resolve, second << tries); });
  }
  return "unknown";
}

// Remembered is an upload that was interrupted, and whose file must be chosen
// again.
class Remembered {
  constructor({ key, size, name }) {
    this.key = key;
    this.size = size;
    this.row = new Row(name, size);
    this.row.end.onclick = () => this.discard();
    this.show(0);
    this.look();
  }

  show(sent) {
    const so = sent ? ` at ${readable(sent)}` : "";
    this.row.show("paused", `Interrupted${so}. Choose the same file again to go on.`, this.size ? sent / this.size : 0, "", "Discard");
  }

  async look() {
    try {
      if (!await speaksTus()) return;
      const x = await tus("HEAD", address("", recall(this.key)));
      if (x.status === 200) this.show(Number(x.getResponseHeader("Upload-Offset")));
      if (isGone(x)) this.close();
    } catch { /* what is known is shown */ }
  }

  close() {
    forget(this.key);
    this.row.element.remove();
  }

  async discard() {
    this.row.show("cancelled", "Discarded", 0, "", "");
    if (await terminate(recall(this.key)) !== "unknown") return forget(this.key);
    this.row.show("paused", "The server could not be told to discard it. Try again later.", 0, "", "Discard");
  }
}

// pump starts what waits, as far as there is room, and offers to choose more.
function pump() {
  const free = abreast - uploads.filter((u) => u.state === "running" || u.state === "later").length;
  uploads.filter((u) => u.state === "waiting").slice(0, Math.max(0, free)).forEach((u) => u.start());
  picker.disabled = room() <= 0;
  zone.hidden = picker.disabled;
  if (leftLine) leftLine.textContent = Math.max(0, left - uploads.filter((u) => u.state === "stored").length);
}

// room is how many files the link takes besides.
function room() {
  const open = uploads.filter((u) => u.state !== "refused" && u.state !== "cancelled");
  const free = left - open.length;
  return many ? free : Math.min(free, open.some((u) => !isOver(u)) ? 0 : 1);
}

function take(files) {
  alertLine.textContent = "";
  files = files.filter((file) => !uploads.some((u) => !isOver(u) && u.key === keyOf(file)));
  if (files.length > room()) {
    alertLine.textContent = room() <= 0 ? "This link takes no more files now."
      : `This link takes ${room() === 1 ? "one file" : `only ${room()} files`}${many ? " more" : ""}. Choose no more than that.`;
    return;
  }
  for (const file of files) {
    const known = remembered.find((r) => r.key === keyOf(file));
    if (known) known.row.element.remove();
    uploads.push(new Upload(file));
  }
  pump();
  if (zone.hidden) list.lastElementChild.focus();
}

picker.addEventListener("change", () => {
  const files = [...picker.files];
  picker.value = ""; // so that the same file can be chosen again
  take(files);
});
const carriesFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    root.classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind !== "drop") return;
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry());
    if (entries.some((entry) => entry && entry.isDirectory)) alertLine.textContent = "Folders cannot be uploaded. Drop the files in them.";
    else take([...event.dataTransfer.files]);
  });
}
addEventListener("beforeunload", (event) => { if (uploads.some(isOpen)) event.preventDefault(); });

// announce tells those who do not see the page, and not at every moment.
let announced = 0, later = 0;
function announce() {
  if (later) return;
  later = setTimeout(() => {
    later = 0;
    announced = Date.now();
    const stored = uploads.filter((u) => u.state === "stored").length;
    const parts = [`${stored} of ${uploads.length} files stored.`];
    for (const u of uploads) {
      const part = Math.floor(100 * u.row.bar.value);
      if (u.state === "running") parts.push(`${u.row.name}: ${part} percent.`);
      else if (u.state === "refused" || u.state === "later") parts.push(`${u.row.name}: ${u.row.line.textContent}`);
    }
    statusLine.textContent = parts.join(" ");
  }, Math.max(500, announced + 10 * second - Date.now()));
}

const remembered = interrupted().map((r) => new Remembered(r));
root.hidden = false;
pump();
