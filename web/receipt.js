// A receipt for those who send: what was stored, when, and its checksum.
const receipt = root.querySelector(".receipt");

// offerReceipt shows it when all is done, and hides it when that changes.
function offerReceipt() {
  const stored = uploads.filter((u) => u.state === "stored");
  const done = stored.length > 0 && !uploads.some((u) => isOpen(u) || u.state === "paused");
  const ready = done && stored.every((u) => u.sum !== undefined);
  if (done) receipt.querySelector("h2").textContent = t("{0} files stored", stored.length);
  receipt.querySelector(".act").disabled = receipt.querySelector(".end").disabled = !ready;
  receipt.hidden = !done;
}

// asked is who has asked for the files, as the page says it.
const asked = [...document.querySelectorAll(".by bdi")].map((by) => by.textContent);

// written is the receipt as text, which holds no secret: no link and no key.
function written() {
  const stored = uploads.filter((u) => u.state === "stored");
  const lines = [t("Receipt for {0} files", stored.length), location.host, ...asked, new Date().toLocaleString(lang, { dateStyle: "long", timeStyle: "long" })];
  for (const u of stored) {
    lines.push("", u.row.name);
    const facts = [
      [t("Size"), t("{0} bytes", u.file.size)], [t("Stored"), u.stored.toISOString().replace(/\.\d+/, "")],
      ["SHA-256", u.sum], ["ETag", u.etag], [t("Version"), u.version],
    ];
    for (const [name, value] of facts) if (value) lines.push("  " + t("{0}: {1}", name, value));
  }
  lines.push("", t("The SHA-256 was computed by the browser, from the files that it sent."));
  return lines.join("\r\n") + "\r\n";
}

receipt.querySelector(".act").onclick = () => {
  const a = document.createElement("a");
  a.href = URL.createObjectURL(new Blob(["\ufeff", written()], { type: "text/plain" }));
  a.download = t("receipt") + "-" + stamp(new Date()) + ".txt";
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 60 * second);
};
receipt.querySelector(".end").onclick = () => print();
