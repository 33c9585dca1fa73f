// Files on their way, some at a time.
const abreast = 2;
const uploads = [];
const summed = "sum" in root.dataset; // the link takes nothing without its SHA-256

// Upload is a file on its way. Its state is waiting, running, later (it goes on
// by itself), paused, stored, refused or cancelled.
class Upload {
  constructor(item) {
    this.file = item.file;
    this.name = item.name;
    this.type = typeOf(item.file);
    this.key = keyOf(item);
    this.held = recall(this.key); // the name that the gate gave it
    this.sent = 0; // bytes
    this.sure = 0; // bytes that the gate has
    this.speed = new Speed();
    this.anew = 0; // times that it had to begin again
    this.work = Promise.resolve();
    this.row = new Row(this.name, this.file.size);
    this.row.act.onclick = () => (isOpen(this) ? this.pause() : this.resume());
    this.row.end.onclick = async () => {
      if (!isOver(this)) return this.cancel();
      if (this.held) { // of what was refused half-way the gate keeps the link in use
        await this.cancel();
        if (this.held || this.state === "stored") return;
      }
      const next = this.row.element.nextElementSibling || picker;
      this.remove();
      next.focus();
    };
    const reason = refusal(this.file);
    this.set(reason ? "refused" : "waiting", reason || t("Waiting"));
    if (reason) this.row.act.hidden = true;
  }

  set(state, text) {
    this.state = state;
    const act = { waiting: t("Pause"), running: t("Pause"), later: t("Pause"), paused: t("Resume"), refused: t("Try again") }[state] || "";
    const end = { stored: "", refused: t("Remove"), cancelled: t("Remove") }[state] ?? t("Cancel");
    this.row.show(state, text, this.file.size ? this.sent / this.file.size : 0, act, end);
    total();
  }

  resume() {
    complain("");
    this.set("waiting", t("Waiting"));
    pump();
  }

  start() {
    this.stop = new AbortController();
    const { signal } = this.stop;
    this.set("running", t("Beginning"));
    this.hash();
    this.work = this.work.then(() => this.run(signal)).then(pump);
  }

  // hash computes the checksum, once, while the file is sent.
  hash() {
    if (this.summing) return;
    this.unread = new AbortController();
    this.summing = sha256(this.file, this.unread.signal, (part) => {
      this.hashed = part;
      this.showSum();
    }).then((sum) => {
      this.sum = sum;
      this.showSum();
      offerReceipt();
      return sum;
    });
  }

  // showSum shows the checksum of what is stored: of what is under way it would
  // only be in the way.
  showSum() {
    if (this.state !== "stored") return;
    let text = "";
    if (this.sum === undefined) text = Math.floor(100 * (this.hashed || 0)) + "%";
    else if (!this.sum) text = t("could not be computed");
    this.row.showSum(this.sum || "", text);
  }

  // endsOpen says that all was sent and nothing heard: whether the file is stored the gate
  // alone knows, and has no name by which to ask. To send it again may store it twice,
  // which is for people to decide.
  endsOpen() {
    if (this.whole && this.state === "running" && this.file.size > 0 && this.sent === this.file.size) this.unsure = true;
    return this.unsure;
  }

  pause() {
    const open = this.endsOpen();
    if (this.stop) this.stop.abort();
    if (open) this.set("refused", unknown(""));
    else this.set("paused", t("Paused at {0} of {1}", readable(this.sent), readable(this.file.size)));
    pump();
  }

  async cancel() {
    this.endsOpen();
    if (this.stop) this.stop.abort();
    if (summed && this.unread) this.unread.abort(); // what waits for it need not
    this.set("cancelled", t("Cancelled"));
    await this.work; // in which it may have got its name
    const end = this.held ? await terminate(this.held) : "ended";
    if (end === "stored") return this.finish();
    if (this.unread) this.unread.abort();
    if (end === "ended") {
      this.drop();
      if (this.unsure) this.set("cancelled", t("Cancelled, but it is not known whether this file was stored."));
    } else this.set("cancelled", t("Cancelled, but the server could not be told. The link may be in use for a while."));
    pump();
  }

  drop() {
    forget(this.key);
    this.held = null;
  }

  // remove takes what is over, and not stored, off the page.
  remove() {
    if (this.unread) this.unread.abort();
    uploads.splice(uploads.indexOf(this), 1);
    this.row.remove();
    pump();
  }

  // finish has the answer by which the file was stored, if that was heard. The time is
  // that of the gate: clocks of those who send may be wrong.
  finish(x) {
    this.drop();
    this.sent = this.file.size;
    this.stored = new Date(x && Date.parse(x.getResponseHeader("Date")) || Date.now());
    this.etag = x && x.getResponseHeader("ETag") || "";
    this.version = x && x.getResponseHeader("x-amz-version-id") || "";
    this.set("stored", t("Stored: {0}", this.stored.toLocaleString(lang, { dateStyle: "medium", timeStyle: "short" })));
    this.showSum();
    offerReceipt();
  }

  // run tries until the file is stored or refused, or somebody stops it.
  async run(signal) {
    for (let failures = 0; !signal.aborted;) {
      const before = this.sure;
      try {
        this.whole = summed || !await speaksTus(signal);
        return this.finish(await (this.whole ? this.sendWhole(signal) : this.sendPieces(signal)));
      } catch (e) {
        if (signal.aborted) return;
        if (!(e instanceof Later) || !await this.canRead()) {
          return this.set("refused", e instanceof Later ? t("The file cannot be read any more.") : e.message);
        }
        failures = this.sure > before ? 1 : failures + 1;
        this.speed.reset();
        const time = Math.max(e.after, Math.min(30, 2 ** (failures - 1)) * second * (0.5 + Math.random() / 2));
        this.set("later", t("{0} It goes on by itself.", e.message));
        await sleep(time, signal);
        if (!signal.aborted) this.set("running", t("Connecting"));
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
    this.sent = sent;
    this.speed.at(sent);
    if (this.state !== "running") return;
    const { size } = this.file, part = t("{0} of {1}", readable(sent), readable(size));
    this.set("running", sent === size ? t("{0}, waiting until it is stored", part) : part + this.speed.text(size - sent));
  }

  async sendPieces(signal) {
    let [offset, x] = await this.ask(signal);
    while (offset < this.file.size) {
      const from = this.sure = offset;
      this.progress(from);
      x = await tus("PATCH", address("", this.held),
        { "Upload-Offset": from, "Content-Type": "application/offset+octet-stream" },
        { body: this.file.slice(from), signal, progress: (n) => this.progress(Math.min(from + n, this.file.size)) });
      if (isGone(x)) this.again(problem(x).detail);
      offset = Number(judge(x).getResponseHeader("Upload-Offset"));
      if (!(offset > from)) throw new Later(t("The upload does not get on."));
    }
    return x;
  }

  // ask finds out where to go on, and begins the upload if there is none yet.
  async ask(signal) {
    if (!this.held) return this.create(signal);
    const x = await tus("HEAD", address("", this.held), {}, { signal });
    if (isGone(x)) {
      this.drop();
      return this.create(signal);
    }
    return [Number(judge(x).getResponseHeader("Upload-Offset")), x];
  }

  again(detail) {
    this.drop();
    if (++this.anew > 2) throw new Refused(detail || t("The upload was ended by the server."));
    throw new Later(t("The upload has to begin again."));
  }

  // create is not broken off: an upload whose name nobody has heard would hold
  // the link.
  async create(signal) {
    const encode = (text) => base64(new TextEncoder().encode(text)), pairs = ["filename " + encode(this.name)];
    if (this.type) pairs.push("filetype " + encode(this.type));
    const x = judge(await tus("POST", address(), { "Upload-Length": this.file.size, "Upload-Metadata": pairs.join(",") }));
    this.held = new URL(x.getResponseHeader("Location") || "", location.href).searchParams.get("upload");
    if (!this.held) throw new Refused(t("The server has begun the upload and not said where."));
    remember(this.key, this.held);
    if (signal.aborted) throw new Later("");
    return [0, x];
  }

  async sendWhole(signal) {
    const headers = {};
    this.sent = 0;
    if (this.type) headers["Content-Type"] = this.type;
    if (summed) {
      this.set("running", t("Computing the checksum"));
      const sum = await this.summing;
      if (signal.aborted) throw new Later("");
      if (!sum) throw new Refused(t("The checksum, which this link wants, could not be computed."));
      headers["x-amz-checksum-sha256"] = base64(sum.match(/../g).map((byte) => parseInt(byte, 16)));
    }
    this.progress(0);
    let x;
    try {
      x = await send("PUT", address(many ? this.name : ""), { headers, body: this.file, signal, progress: (n) => this.progress(n) });
    } catch (e) {
      throw this.endsOpen() ? new Refused(unknown("")) : e;
    }
    if (problem(x).code === "OutcomeUnknown") this.unsure = true;
    if (this.unsure && x.status >= 300) throw new Refused(unknown(problem(x).detail));
    return judge(x);
  }
}

// unknown is what people hear when nobody can tell them more.
const unknown = (detail) => t("The connection was lost at the end, so it is not known whether this file was stored. {0}", detail).trim();
