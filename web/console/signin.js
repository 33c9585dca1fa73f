// A browser keeps the cookie back from who comes from another site, and not from
// this page. Without a session other windows show what nobody may see any more.
fetch("/console/session").then((answer) => {
  if (answer.status === 204) location.replace(document.forms[0].elements.next.value);
  if (answer.status === 401) new BroadcastChannel("s3gate-console").postMessage("over");
});
