// Programs that open links submit forms as they find them, or call the
// button. Only a person's pointer or key makes an event that is trusted.
const form = document.forms[0], button = form.querySelector("button");
const { challenge, gesture } = form.elements;
function answer(text) {
  let sum = 0x811c9dc5;
  for (const c of text) sum = Math.imul(sum ^ c.charCodeAt(0), 0x01000193);
  return (sum >>> 0).toString(16).padStart(8, "0");
}
for (const kind of ["pointerdown", "keydown", "click"]) {
  button.addEventListener(kind, (event) => {
    if (event.isTrusted && gesture) gesture.value = answer(challenge.value);
  });
}
form.addEventListener("submit", () => {
  const status = form.querySelector("[role=status]");
  status.textContent = status.dataset.begun;
  // A second click would give up the first download and begin another.
  setTimeout(() => { button.disabled = true; });
  setTimeout(() => { button.disabled = false; }, 5000);
});
