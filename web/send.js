// Requests to the link: by tus (https://tus.io/protocols/resumable-upload), so
// that what breaks off goes on where it was, or by PUT where the gate does not
// speak tus.
const base = /^.*?\/s3g_[0-9A-Za-z]{28}/.exec(location.pathname)[0];
const ticket = new URLSearchParams(location.search).get("ticket");
const second = 1000;
const quiet = 90 * second; // without progress, before a request is given up
const patience = 300 * second; // for an answer, when everything was sent

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
    const lost = () => reject(new Later(navigator.onLine ? t("The connection was lost.") : t("There is no network.")));
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
  if (status === 401) throw new Refused(t("The passcode is needed once more. Reload this page, and choose the file again: it goes on where it was."));
  const text = detail || t("The server answered {0}.", String(status));
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

// terminate ends an upload at the gate, as far as that can be reached; it
// returns "stored" if that came too late. To delete the link itself, or through
// a gate that does not speak tus, would revoke it.
async function terminate(upload) {
  if (!upload || !spoken) return "unknown";
  for (let tries = 0; tries < 6; tries++) {
    try {
      const x = await tus("DELETE", address("", upload));
      if (x.status === 409 && problem(x).code === "UploadComplete") return "stored";
      if (x.status < 300 || isGone(x)) return "ended";
    } catch { /* once more */ }
    await new Promise((resolve) => { setTimeout(resolve, second << tries); });
  }
  return "unknown";
}

// sleep ends early when the network is back, or somebody comes back to the page,
// as after the machine has slept.
function sleep(time, signal) {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      removeEventListener("online", wake);
      document.removeEventListener("visibilitychange", wake);
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, time);
    addEventListener("online", wake);
    document.addEventListener("visibilitychange", wake);
    signal.addEventListener("abort", wake);
  });
}

const base64 = (bytes) => btoa(String.fromCharCode(...bytes));
