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

// --- Forms: ask first, never send twice, and a choice in a filter acts at once.
document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm;
  if (question && !confirm(question)) return event.preventDefault();
  if (event.target.method !== "post") return;
  if (event.target.dataset.sent) return event.preventDefault();
  event.target.dataset.sent = "yes";
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

// --- A connection's page follows what happens, while somebody looks.
const live = document.querySelector("[data-live]");
const PERIOD = 3000;

async function showNews() {
  if (document.hidden) return;
  const response = await fetch(live.dataset.live);
  if (response.redirected || response.status === 404) return location.reload();
  const version = response.headers.get("x-version");
  if (!response.ok || !version || version === live.dataset.version) return;
  const next = document.createElement("div");
  next.innerHTML = await response.text();
  const before = live.querySelectorAll(".history li").length;
  const generation = live.querySelector(".facts dd")?.textContent;
  tellTimes(next);
  tellZones(next);
  if (generation !== next.querySelector(".facts dd")?.textContent || before < next.querySelectorAll(".history li").length) {
    next.querySelector(".history li")?.classList.add("fresh");
  }
  swap(live, next);
  live.dataset.version = version;
}

// Only what differs is replaced: nothing flickers, and a screen reader is told of the status alone.
function swap(old, next) {
  const [a, b] = [[...old.children], [...next.children]];
  if (a.length !== b.length) return old.replaceChildren(...b);
  a.forEach((child, i) => { if (child.innerHTML !== b[i].innerHTML || child.className !== b[i].className) replace(child, b[i]); });
}

function replace(child, next) {
  const [status, other] = [child.querySelector("[role=status]"), next.querySelector("[role=status]")];
  if (status && other && status.textContent === other.textContent) other.replaceWith(status);
  child.replaceWith(next);
}

if (live) {
  let failures = 0;
  const again = async () => {
    try { await showNews(); failures = 0; } catch { failures += 1; }
    setTimeout(again, PERIOD * Math.min(2 ** failures, 20));
  };
  setTimeout(again, PERIOD);
  document.addEventListener("visibilitychange", () => { showNews().catch(() => {}); });
}

tellTimes(document);
tellZones(document);
setInterval(() => tellTimes(document), 1000);
