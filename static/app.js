// Makes pages nicer. Every flow works without it.
"use strict";

// --- Times: near words stay current, the exact time is told in the reader's own zone.
const UNITS = [
  [5, 0, ""], [60, 1, "second"], [3600, 60, "minute"], [172800, 3600, "hour"], [5184000, 86400, "day"],
  [63072000, 2592000, "month"], [Infinity, 31536000, "year"],
];

// The same words as in src/web/pages/moment.rs.
function relative(seconds) {
  const size = Math.abs(seconds);
  const [, divisor, unit] = UNITS.find(([below]) => size < below);
  if (!divisor) return "just now";
  const count = Math.floor(size / divisor);
  const words = `${count} ${unit}${count === 1 ? "" : "s"}`;
  return seconds < 0 ? `${words} ago` : `in ${words}`;
}

function tellTimes(root) {
  for (const time of root.querySelectorAll("time[data-relative]")) {
    const seconds = Math.trunc((Date.parse(time.dateTime) - Date.now()) / 1000);
    const text = time.dataset.relative === "due" && seconds < 5 ? "any moment" : relative(seconds);
    if (time.textContent !== text) time.textContent = text;
  }
}

function tellZones(root) {
  const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  for (const time of root.querySelectorAll("time")) {
    const own = `${local.format(new Date(time.dateTime))} (your time)`;
    if (!time.title.includes(own)) time.title = time.title ? `${time.title} · ${own}` : own;
  }
}

// --- Copying
for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    const said = button.textContent;
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = said; }, 2000);
  });
}

// --- Forms: never send twice, and a choice in a filter acts at once.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  if (event.target.dataset.sent) return event.preventDefault();
  event.target.dataset.sent = "yes";
  // Who stopped the browser may send it again.
  setTimeout(() => { delete event.target.dataset.sent; }, 8000);
  event.submitter?.setAttribute("aria-busy", "true");
});

// Back from another page: the form may be sent again.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  for (const button of document.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
});

for (const select of document.querySelectorAll("[data-submit]")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}

document.querySelector("[data-focus]")?.focus();

tellTimes(document);
tellZones(document);
setInterval(() => tellTimes(document), 1000);
