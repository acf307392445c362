// The forms that connect and rotate: what the choices need, what answers at a base URL, what a pasted token is.
// They work without it.
"use strict";

// What is typed stays: the page is not loaded again.
const signedOut = '<div class="found"><p>You are not signed in any more. <a href="/login" target="_blank">Sign in in a new tab</a>, then go on here: what you typed is still in the form.</p></div>';

// Sends a form's answers and shows the part of a page that comes back. Only the last question counts.
function asking(form, place) {
  let current;
  const tell = (html) => { place.innerHTML = html; tellTimes(place); tellZones(place); };
  const ask = async (url, without, meanwhile) => {
    current?.abort();
    current = new AbortController();
    const { signal } = current;
    const waiting = setTimeout(() => tell(`<div class="found"><p>${meanwhile}</p></div>`), 250);
    try {
      const body = new URLSearchParams(new FormData(form));
      for (const name of without) body.delete(name);
      const response = await fetch(url, { method: "POST", body, signal });
      const html = (await response.text()).trim();
      if (response.redirected || response.status === 403) return tell(signedOut);
      if (!signal.aborted) tell(html.startsWith("<div") ? html : "");
    } catch (error) {
      if (error.name !== "AbortError") tell("");
    } finally {
      clearTimeout(waiting);
    }
  };
  const forget = () => { current?.abort(); tell(""); };
  return { ask, forget };
}

const typedUrl = (form) => form.elements.namedItem("base_url");

// A token is not sent to an address that was typed before a GitLab was found there.
function isKnown(form) {
  return !form.querySelector("[data-typed]:checked") || form.dataset.found === typedUrl(form).value.trim();
}

// --- A pasted token: what it is, before it is saved.
function watchToken(form) {
  const token = form.elements.namedItem("token");
  const name = form.elements.namedItem("name");
  const answer = form.querySelector("[data-inspected]");
  const { ask, forget } = asking(form, answer);
  let timer;

  const inspect = async () => {
    if (token.value.trim().length < 8 || !isKnown(form)) return forget();
    await ask(form.dataset.inspect, [], "Asking GitLab what this is…");
    suggest(answer.querySelector("[data-name]")?.dataset.name);
  };
  // A name that nobody typed may be replaced by a better one.
  const suggest = (text) => {
    if (!text || !name || (name.value && name.value !== name.dataset.suggested)) return;
    name.value = name.dataset.suggested = text;
  };
  const soon = (wait) => { clearTimeout(timer); timer = setTimeout(inspect, wait); };

  token.addEventListener("paste", () => soon(50));
  token.addEventListener("input", () => soon(600));
  form.addEventListener("found", () => { if (token.value) soon(0); });
  form.addEventListener("change", ({ target }) => {
    if (token.value && ![token, name, typedUrl(form)].includes(target)) soon(200);
  });
}

// --- A typed base URL: does a GitLab answer there? The token is not sent along.
function watchBaseUrl(form) {
  const url = typedUrl(form);
  const place = form.querySelector("[data-preflighted]");
  if (!url || !place) return;
  const { ask, forget } = asking(form, place);
  const isTyped = () => form.querySelector("[data-typed]:checked");
  const look = async () => {
    const typed = url.value.trim();
    if (!typed || !isTyped()) return;
    await ask(form.dataset.preflight, ["token"], "Looking for GitLab there…");
    if (!place.querySelector(".good") || typed !== url.value.trim()) return;
    form.dataset.found = typed;
    form.dispatchEvent(new Event("found"));
  };

  url.addEventListener("input", () => { delete form.dataset.found; forget(); });
  url.addEventListener("change", look);
  form.addEventListener("change", ({ target }) => { if ("typed" in target.dataset) look(); });
  if (!place.textContent.trim()) look();
  place.addEventListener("click", (event) => {
    const use = event.target.closest("[data-use]");
    if (!use) return;
    event.preventDefault();
    url.value = use.dataset.use;
    url.dispatchEvent(new Event("input", { bubbles: true }));
    url.dispatchEvent(new Event("change", { bubbles: true }));
    url.focus();
  });
}

// --- Scopes, roles and links follow what was chosen.
function followChoices(form) {
  const places = form.querySelectorAll('[name="integration"]');
  if (!places.length) return;

  const follow = () => {
    const place = form.querySelector('[name="integration"]:checked');
    const chosen = [...form.querySelectorAll('[name="use_cases"]:checked')].map((box) => JSON.parse(box.dataset.needs));
    for (const kind of ["oauth", "personal", "project", "group"]) {
      const needs = together(chosen.map((needs) => needs[kind]));
      if (kind === "oauth" && !needs.scopes.length && place?.dataset.oauth) needs.scopes = place.dataset.oauth.split(" ");
      show(kind, needs);
      link(kind, place, needs.scopes);
    }
    setups(place);
  };

  const show = (kind, { scopes, role, notes }) => {
    const unknown = "as your use cases say";
    for (const element of form.querySelectorAll(`[data-scopes="${kind}"]`)) {
      const codes = scopes.map((scope) => Object.assign(document.createElement("code"), { textContent: scope }));
      element.replaceChildren(...(codes.length ? codes.flatMap((code) => [code, " "]).slice(0, -1) : [unknown]));
    }
    for (const element of form.querySelectorAll(`[data-role="${kind}"]`)) element.textContent = role ?? unknown;
    for (const element of form.querySelectorAll(`[data-need="${kind}"]`)) {
      element.hidden = !scopes.length;
      element.querySelector("[data-role]").parentElement.hidden = !role;
    }
    for (const element of form.querySelectorAll(`[data-note="${kind}"]`)) element.textContent = notes.join(" ");
  };

  const link = (kind, place, scopes) => {
    const links = form.querySelectorAll(`[data-link="${kind}"]`);
    const url = links.length && addressOf(kind, place);
    if (url && kind === "personal") {
      url.searchParams.set("name", form.elements.namedItem("name").value.trim() || "mooring");
      url.searchParams.set("scopes", scopes.join(","));
    }
    for (const anchor of links) {
      anchor.hidden = !url;
      if (url) anchor.href = url;
    }
  };

  const addressOf = (kind, place) => {
    const base = place && "typed" in place.dataset ? form.elements.namedItem("base_url").value.trim().replace(/\/+$/, "") : "";
    try {
      const url = new URL(base + place.dataset[kind]);
      return /^https?:$/.test(url.protocol) ? url : null;
    } catch {
      return null;
    }
  };

  const setups = (place) => {
    const all = [...form.querySelectorAll("[data-setup]")];
    const isOne = all.some((setup) => setup.dataset.setup === place?.value);
    for (const setup of all) setup.hidden = isOne && setup.dataset.setup !== place.value;
  };

  form.addEventListener("change", follow);
  form.addEventListener("input", follow);
  window.addEventListener("pageshow", follow);
  follow();
}

// All scopes, the highest role, and every note.
function together(needs) {
  const highest = needs.reduce((most, one) => (most && most.level >= one.level ? most : one), null);
  return {
    scopes: [...new Set(needs.flatMap((one) => one.scopes))].sort(),
    role: highest?.role,
    notes: needs.map((one) => one.note).filter(Boolean),
  };
}

for (const form of document.querySelectorAll("form[data-inspect]")) {
  watchToken(form);
  watchBaseUrl(form);
  followChoices(form);
}
