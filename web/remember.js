// What was interrupted is remembered by the name that the gate gave it, which is
// worth nothing without the link, and the time when it began. What stands there may be
// away, or forbidden.
const memories = "s3gate:", memory = memories + root.dataset.link + ":";
const recall = (key) => { try { return localStorage.getItem(key).split(" ")[0]; } catch { return null; } };
const remember = (key, upload) => { try { localStorage.setItem(key, upload + " " + Date.now()); } catch { /* then it is not resumed */ } };
const forget = (key) => { try { localStorage.removeItem(key); } catch { /* nor was it there */ } };
const keyOf = ({ file, name }) => memory + file.size + ":" + file.lastModified + ":" + name;

// forgetOld drops what nobody came back to for a month, of other links too.
function forgetOld() {
  try {
    const oldest = Date.now() - 30 * 24 * 3600 * second;
    const old = (key) => !(Number(localStorage.getItem(key).split(" ")[1]) > oldest);
    Object.keys(localStorage).filter((key) => key.startsWith(memories) && old(key)).forEach(forget);
  } catch { /* nothing is there */ }
}

// interrupted lists what is remembered of this link.
function interrupted() {
  let keys = [];
  try { keys = Object.keys(localStorage); } catch { /* nothing is */ }
  return keys.filter((key) => key.startsWith(memory)).map((key) => {
    const [size, , ...name] = key.slice(memory.length).split(":");
    return { key, size: Number(size), name: name.join(":") };
  });
}

// Remembered is an upload that was interrupted, and whose file must be chosen
// again.
class Remembered {
  constructor({ key, size, name }) {
    this.key = key;
    this.size = size;
    this.open = true; // the gate keeps the link in use for it
    this.row = new Row(name, size);
    this.row.end.onclick = () => this.discard();
    this.show(0);
    this.look();
  }

  show(sent) {
    const text = sent ? t("Interrupted at {0}. Choose the same file again to go on.", readable(sent)) : t("Interrupted. Choose the same file again to go on.");
    this.row.show("paused", text, this.size ? sent / this.size : 0, "", t("Discard"));
  }

  async look() {
    try {
      if (!await speaksTus()) return;
      const upload = recall(this.key), x = await tus("HEAD", address("", upload));
      if (x.status === 200) {
        if (recall(this.key) === upload) remember(this.key, upload); // and not what has ended meanwhile
        this.show(Number(x.getResponseHeader("Upload-Offset")));
      }
      if (isGone(x)) this.close();
    } catch { /* what is known is shown */ }
  }

  close() {
    this.open = false;
    forget(this.key);
    this.row.remove();
  }

  async discard() {
    this.row.show("cancelled", t("Discarded"), 0, "", "");
    if (await terminate(recall(this.key)) !== "unknown") {
      this.open = false;
      return forget(this.key);
    }
    this.row.show("paused", t("The server could not be told to discard it. Try again later."), 0, "", t("Discard"));
  }
}
