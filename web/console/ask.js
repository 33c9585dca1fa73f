// Problem is what the API says went wrong (RFC 9457).
class Problem extends Error {
  constructor(message, of) {
    super(message);
    this.of = of;
  }
}

// signIn leaves for the page on which one signs in, and comes back here after.
let leaving = false;
function signIn() {
  if (leaving) return;
  leaving = true;
  location.assign("/console/sign-in?over=1&next=" + encodeURIComponent(location.pathname + location.search));
}

// checkIn signs in if there is no session.
async function checkIn() {
  const answer = await fetch("/console/session").catch(() => null);
  if (answer && answer.status === 401) signIn();
}

// Who has signed out in one window has in all.
new BroadcastChannel("s3gate-console").onmessage = checkIn;

// ask calls the API. Without a session it does not come back.
async function ask(path, { method = "GET", body, match } = {}) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-S3gate-Console"] = "1";
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (match) headers["If-Match"] = match;
  let answer;
  try {
    answer = await fetch("/console/api/v1" + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Problem(t("The gate cannot be reached. Try again."));
  }
  if (answer.status === 401) {
    signIn();
    return new Promise(() => {});
  }
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(data.detail || t("Something went wrong."), data);
  data.etag = answer.headers.get("ETag");
  return data;
}

const live = document.querySelector("#live");
function liveness(state) {
  live.className = state || "";
  live.textContent = state === "on" ? t("Live") : state === "paused" ? t("Paused") : state ? t("Connecting…") : "";
}

// listen hears server-sent events until the function is called that it returns. path
// is asked for each time that it connects. A window that nobody sees hears nothing.
function listen(path, heard, connected = () => {}, refused = () => {}) {
  let source, timer, over = false;
  const close = () => { clearTimeout(timer); if (source) source.close(); source = null; };
  const open = () => {
    close();
    if (over || document.hidden) return;
    liveness("off");
    source = new EventSource("/console/api/v1" + path());
    source.onopen = () => { liveness("on"); connected(); };
    for (const [name, hear] of Object.entries(heard)) source.addEventListener(name, (event) => hear(JSON.parse(event.data)));
    source.onerror = async () => {
      liveness("off");
      if (!source || source.readyState !== EventSource.CLOSED) return;
      close();
      await checkIn();
      if (!over && !leaving) {
        refused();
        timer = setTimeout(open, 3000);
      }
    };
  };
  document.addEventListener("visibilitychange", open);
  open();
  return () => { over = true; close(); document.removeEventListener("visibilitychange", open); liveness(); };
}

// whenever calls again, soon after one of these events has come that concerns it, and
// once a second at most.
const whenever = (types, again, concerns = () => true) => {
  let timer = 0;
  const soon = () => { timer = timer || setTimeout(() => { timer = 0; again(); }, 1000); };
  const heard = {};
  for (const type of types) heard["s3gate." + type + ".v1"] = (event) => { if (concerns(event)) soon(); };
  const end = listen(() => "/events?after=now", heard);
  return () => { clearTimeout(timer); end(); };
};
