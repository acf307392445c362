// Makes settings and the audit log nicer. Every flow works without it.
"use strict";

// A file comes and the page stays: the form may be sent again.
for (const form of document.querySelectorAll("form[data-download]")) {
  form.addEventListener("submit", () => setTimeout(() => {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
  }, 1500));
}
