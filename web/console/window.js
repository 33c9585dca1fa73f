// Rows is a table of very many rows, of which only those are in the page that can be
// seen. All have the same height.
class Rows {
  // make returns the row of an item and how it is brought up to date.
  constructor(caption, heads, kind, make) {
    this.make = make;
    this.items = [];
    this.made = new Map();
    this.above = el("tr", { class: "space", "aria-hidden": "true" }, el("td", { colspan: heads.length }));
    this.below = this.above.cloneNode(true);
    this.body = el("tbody", { role: "rowgroup" }, this.above, this.below);
    this.table = el("table", { role: "table", class: "rows " + kind }, el("caption", { class: "unseen" }, caption),
      el("thead", { role: "rowgroup" }, el("tr", { role: "row", "aria-rowindex": "1" }, heads.map((h) => el("th", { role: "columnheader", scope: "col" }, h)))), this.body);
    this.soon = () => { if (!this.frame) this.frame = requestAnimationFrame(() => { this.frame = 0; this.draw(); }); };
    addEventListener("scroll", this.soon, { passive: true });
    addEventListener("resize", this.soon);
  }

  // show takes the items to show, each with an id, in their order.
  show(items) {
    this.items = items;
    this.table.setAttribute("aria-rowcount", items.length + 1);
    this.soon();
  }

  draw() {
    const height = parseFloat(getComputedStyle(this.table).getPropertyValue("--row")) * parseFloat(getComputedStyle(document.documentElement).fontSize);
    const top = this.body.getBoundingClientRect().top, n = this.items.length;
    const from = Math.min(Math.max(0, Math.floor(-top / height) - 6), Math.max(0, n - 1));
    const to = Math.min(n, from + Math.ceil(innerHeight / height) + 12);
    const seen = this.items.slice(from, to), wanted = new Set(seen.map((item) => item.id));
    for (const [id, row] of this.made) {
      if (!wanted.has(id)) { row.element.remove(); this.made.delete(id); }
    }
    this.above.firstChild.style.height = from * height + "px";
    this.below.firstChild.style.height = (n - to) * height + "px";
    let at = this.above.nextSibling;
    seen.forEach((item, i) => {
      let row = this.made.get(item.id);
      if (!row) this.made.set(item.id, row = this.make(item));
      row.element.setAttribute("aria-rowindex", from + i + 2);
      row.update(item);
      if (row.element === at) at = at.nextSibling;
      else this.body.insertBefore(row.element, at);
    });
  }

  end() {
    removeEventListener("scroll", this.soon);
    removeEventListener("resize", this.soon);
    cancelAnimationFrame(this.frame);
  }
}

const rowOf = (cells, given) => el("tr", { role: "row", ...given }, cells.map((c) => (c.tagName === "TD" ? c : el("td", null, c))).map((td) => { td.setAttribute("role", "cell"); return td; }));

// say sets a text if it is another one.
function say(element, text) { if (element.textContent !== text) element.textContent = text; }
