// A browser keeps the cookie back from who comes from another site, and not from
// this page.
fetch("/console/session").then((answer) => {
  if (answer.status === 204) location.replace(document.forms[0].elements.next.value);
});
