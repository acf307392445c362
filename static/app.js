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

// --- A pasted token: what it is, before it is saved.
function watchToken(form) {
  const token = form.elements.namedItem("token");
  const answer = form.querySelector("[data-inspected]");
  let timer, asking;

  const tell = (html) => { answer.innerHTML = html; tellTimes(answer); tellZones(answer); };
  const inspect = async () => {
    asking?.abort();
    if (token.value.trim().length < 8) return tell("");
    asking = new AbortController();
    const { signal } = asking;
    const waiting = setTimeout(() => tell('<div class="found"><p>Asking GitLab what this is…</p></div>'), 250);
    try {
      const body = new URLSearchParams(new FormData(form));
      const response = await fetch(form.dataset.inspect, { method: "POST", body, signal });
      const html = await response.text();
      if (response.redirected) return location.reload();
      if (!signal.aborted) tell(html.startsWith("<div") ? html : "");
    } catch (error) {
      if (error.name !== "AbortError") tell("");
    } finally {
      clearTimeout(waiting);
    }
  };
  const soon = (wait) => { clearTimeout(timer); timer = setTimeout(inspect, wait); };

  token.addEventListener("paste", () => soon(50));
  token.addEventListener("input", () => soon(600));
  form.addEventListener("change", (event) => { if (event.target !== token && token.value) soon(200); });
}

// --- The link to GitLab's token form follows what was chosen.
function followChoices(form) {
  const link = form.querySelector("[data-token-link]");
  if (!link) return;
  const follow = () => {
    const place = form.querySelector('[name="integration"]:checked');
    link.hidden = !place?.dataset.tokenForm;
    if (link.hidden) return;
    const boxes = [...form.querySelectorAll('[name="use_cases"]:checked')];
    const scopes = new Set(boxes.flatMap((box) => box.dataset.scopes.split(", ")));
    const url = new URL(place.dataset.tokenForm);
    url.searchParams.set("name", form.elements.namedItem("name").value.trim() || "mooring");
    url.searchParams.set("scopes", [...scopes].join(","));
    link.href = url;
  };
  form.addEventListener("change", follow);
  form.addEventListener("input", follow);
  follow();
}

for (const form of document.querySelectorAll("form[data-inspect]")) {
  watchToken(form);
  followChoices(form);
}

tellTimes(document);
tellZones(document);
setInterval(() => tellTimes(document), 1000);
