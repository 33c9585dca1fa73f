// What the page shows of a file, and how it writes names and times.
const root = document.querySelector("#upload"), list = root.querySelector("ul");

// visible is a name as it is shown.
const visible = (name) => clean(name) || t("(no name)");

// span writes a time for people.
function span(seconds) {
  if (seconds < 60) return t("{0} s", Math.max(1, Math.round(seconds)));
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return t("{0} min", minutes);
  return t("{0} h {1} min", Math.floor(minutes / 60), minutes % 60);
}

// Speed tells how fast something gets on, calmly.
class Speed {
  constructor() {
    this.reset();
  }

  reset() {
    this.marks = []; // when how much was done, lately
    this.rate = 0; // a second; 0 if it is not known
    this.told = 0;
  }

  at(done) {
    const now = Date.now();
    if (this.marks.length && done < this.marks.at(-1)[1]) this.reset();
    this.marks.push([now, done]);
    while (this.marks.length > 2 && now - this.marks[0][0] > 6 * second) this.marks.shift();
    const [time, from] = this.marks[0], took = (now - time) / second;
    if (took < 0.5 || now - this.told < second) return;
    this.rate = (done - from) / took;
    this.told = now;
  }

  // text says how fast it is and how long the rest will take.
  text(rest) {
    return this.rate > 0 ? " · " + t("{0}/s", readable(this.rate)) + " · " + t("{0} left", span(rest / this.rate)) : "";
  }
}

// labelled gives a button its text; "" hides it.
function labelled(button, label, name) {
  button.hidden = !label;
  if (button.textContent === label) return;
  button.textContent = label;
  button.setAttribute("aria-label", t("{0} {1}", label, name));
}

class Row {
  constructor(name, size) {
    this.name = visible(name);
    this.element = document.querySelector("#row").content.firstElementChild.cloneNode(true);
    const find = (what) => this.element.querySelector(what);
    [this.bar, this.line, this.act, this.end, this.sum, this.copy] = ["progress", ".state", ".act", ".end", ".sum", ".copy"].map(find);
    find("bdi").textContent = this.name;
    find("span").textContent = readable(size);
    this.bar.setAttribute("aria-label", t("Progress of {0}", this.name));
    this.copy.onclick = () => this.copySum();
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
    labelled(this.act, act, this.name);
    labelled(this.end, end, this.name);
    if (focused && document.activeElement.hidden) this.element.focus();
  }

  // showSum shows the checksum, or in its place what is said of it.
  showSum(sum, text) {
    this.sum.hidden = false;
    this.sum.querySelector("code").textContent = sum;
    this.sum.querySelector("span").textContent = text;
    labelled(this.copy, sum && t("Copy"), "SHA-256 " + this.name);
  }

  // copySum leaves it selected where the clipboard is not for pages.
  async copySum() {
    const code = this.sum.querySelector("code");
    getSelection().selectAllChildren(code);
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      return;
    }
    getSelection().removeAllRanges();
    labelled(this.copy, t("Copied"), "SHA-256 " + this.name);
    setTimeout(() => labelled(this.copy, t("Copy"), "SHA-256 " + this.name), 3 * second);
  }

  remove() {
    this.element.remove();
  }
}
