// Views have addresses of their own, and change without loading the page again.
const views = {
  transfers: [t("Transfers"), showTransfers], tokens: [t("Tokens"), showTokens], mint: [t("Mint a link"), showMint], revoke: [t("Revoke by rule"), showRevoke],
  revocations: [t("Revocations"), showRevocations], events: [t("Events"), showEvents], gates: [t("Gates"), showGates], buckets: [t("Buckets"), showBuckets], leaks: [t("Leaks"), showLeaks],
};
let leave = () => {};

function go() {
  const [name, id] = location.pathname.split("/").slice(2);
  const [title, show] = views[name] || views.transfers;
  leave();
  view.replaceChildren();
  same.hidden = true;
  document.title = title + " \u00b7 s3gate";
  document.querySelector("h1").textContent = title;
  for (const a of document.querySelectorAll("nav a")) {
    const here = a.getAttribute("href") === "/console/" + (views[name] ? name : "transfers");
    if (!here) { a.removeAttribute("aria-current"); continue; }
    a.setAttribute("aria-current", "page");
    const row = a.closest("nav");
    row.scrollLeft += a.getBoundingClientRect().left - row.getBoundingClientRect().left - (row.clientWidth - a.offsetWidth) / 2;
  }
  leave = show(view, id && decodeURIComponent(id)) || (() => {});
}

document.addEventListener("click", (event) => {
  const a = event.target.closest("a[href^='/console/']");
  if (!a || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  history.pushState(null, "", a.getAttribute("href"));
  go();
  scrollTo(0, 0);
  document.querySelector("main").focus({ preventScroll: true });
  tell(document.querySelector("h1").textContent);
});
addEventListener("popstate", go);
// The session ends at its time, whether somebody asks for something or not.
setTimeout(signIn, Math.min(1000 * document.body.dataset.left + 1000, 2 ** 31 - 1));
go();
