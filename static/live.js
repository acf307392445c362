// What changes shows on the page by itself. Every page works without it.
"use strict";
{
  const rows = document.querySelector("[data-rows]");
  const summary = document.querySelector("[data-summary]");
  const one = document.querySelector("[data-live]");
  const first = document.querySelector("[data-first]");

  // Seconds between two looks: with the stream, which tells nothing of the clock, and without.
  const [SELDOM, OFTEN] = [60, 10];
  const SUMMARY_EVERY = 5000;
  const REST = 700;

  // --- Told to a screen reader: how something stands now, and nothing else.
  const news = document.createElement("p");
  news.className = "hidden";
  news.setAttribute("role", "status");
  document.body.append(news);
  const standing = (element) => element.querySelector(".badge")?.textContent.trim();

  // --- Only what differs is replaced, so nothing flickers; focus and scroll stay where they are.
  const FOCUSABLE = "a[href], button, input, select, summary, [tabindex]";

  function replace(old, next) {
    const at = [...old.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement);
    old.replaceWith(next);
    if (at >= 0) next.querySelectorAll(FOCUSABLE)[at]?.focus({ preventScroll: true });
  }

  function patch(old, next) {
    tellTimes(next);
    tellZones(next);
    const [before, after] = [[...old.children], [...next.children]];
    if (before.length !== after.length) return old.replaceChildren(...after);
    before.forEach((child, i) => { if (child.outerHTML !== after[i].outerHTML) replace(child, after[i]); });
  }

  function parsed(html, as = "div") {
    const element = document.createElement(as);
    element.innerHTML = html;
    return element;
  }

  async function ask(address) {
    const response = await fetch(address);
    if (response.redirected) location.reload();
    if (response.redirected || (!response.ok && response.status !== 404)) throw new Error(address);
    return response;
  }

  // --- The list: the rows on this page, and what is counted above them.
  async function showRows(ids) {
    const shown = new Map([...rows.rows].map((row) => [row.dataset.id, row]));
    const wanted = ids ? ids.filter((id) => shown.has(id)) : [...shown.keys()];
    let stale = !ids || wanted.length < ids.length;
    if (wanted.length) {
      const answer = await (await ask(`/live/rows?ids=${wanted.join("+")}`)).text();
      const found = new Map([...parsed(answer, "tbody").rows].map((row) => [row.dataset.id, row]));
      const turns = wanted.map((id) => showRow(shown.get(id), found.get(id))).filter(Boolean);
      if (turns.length) news.textContent = turns.length > 3 ? `${turns.length} statuses changed` : turns.join(". ");
      stale ||= turns.length > 0;
    }
    if (stale) await showSummary();
  }

  // What to tell, where it stands otherwise than before.
  function showRow(row, next) {
    const name = row.querySelector("th a").textContent;
    const before = standing(row);
    if (!next) {
      if (row.contains(document.activeElement)) document.getElementById("main").focus({ preventScroll: true });
      row.remove();
    } else {
      patch(row, next);
    }
    const after = next ? standing(row) : "Disconnected";
    return before === after ? undefined : `${name}: ${after}`;
  }

  let counted = 0;
  async function showSummary() {
    if (Date.now() - counted < SUMMARY_EVERY) return soon();
    counted = Date.now();
    patch(summary, parsed(await (await ask(`/live/summary${location.search}`)).text()));
  }

  let waiting;
  function soon() {
    waiting ??= setTimeout(() => { waiting = undefined; showSummary().catch(() => {}); }, SUMMARY_EVERY);
  }

  // --- The page of one connection.
  async function showOne(ids) {
    if (ids && !ids.some((id) => one.dataset.live.includes(id))) return;
    const response = await ask(one.dataset.live);
    if (response.status === 404) return location.reload();
    const version = response.headers.get("x-version");
    if (!version || version === one.dataset.version) return;
    const next = parsed(await response.text());
    const [before, generation, length] = [standing(one), told(one), one.querySelectorAll(".history li").length];
    if (generation !== told(next) || length < next.querySelectorAll(".history li").length) {
      next.querySelector(".history li")?.classList.add("fresh");
    }
    patch(one, next);
    one.dataset.version = version;
    if (before !== standing(one)) news.textContent = standing(one);
  }

  const told = (element) => element.querySelector(".facts dd")?.textContent;

  // --- The start, where nothing is connected yet.
  async function showFirst(ids) {
    if (ids) location.reload();
  }

  // --- One look at a time. `ids`: which connections changed; any may have, where none are named.
  const show = rows ? showRows : one ? showOne : showFirst;
  let changed = new Set();
  let anything = false;
  let looking = false;

  async function look(ids) {
    if (ids) ids.forEach((id) => changed.add(id));
    else anything = true;
    if (looking) return;
    looking = true;
    try {
      while (anything || changed.size) {
        const which = anything ? undefined : [...changed];
        [changed, anything] = [new Set(), false];
        await show(which);
        await new Promise((rested) => { setTimeout(rested, REST); });
      }
    } catch {
      // The next look comes by itself.
    } finally {
      looking = false;
    }
  }

  // --- The stream. A tab that nobody sees has none: a browser opens six connections to one server at most.
  let stream;
  let timer;
  let followed = false;

  function follow() {
    if (stream || document.hidden) return;
    stream = new EventSource("/live");
    stream.addEventListener("open", opened);
    stream.addEventListener("changed", (event) => look(event.data === "*" ? undefined : event.data.split(" ")));
    stream.addEventListener("error", () => wait(OFTEN));
    wait(OFTEN);
  }

  // What changed since the page was made, or since the last stream broke off.
  function opened() {
    look(rows && !followed ? [...rows.rows].map((row) => row.dataset.id) : undefined);
    followed = true;
    wait(SELDOM);
  }

  function leave() {
    stream?.close();
    stream = undefined;
    clearTimeout(timer);
  }

  function again() {
    look();
    if (stream?.readyState === EventSource.OPEN) return wait(SELDOM);
    leave();
    follow();
  }

  function wait(seconds) {
    clearTimeout(timer);
    timer = setTimeout(again, seconds * 1000);
  }

  if (rows || one || first) {
    document.addEventListener("visibilitychange", () => (document.hidden ? leave() : follow()));
    follow();
  }
}
