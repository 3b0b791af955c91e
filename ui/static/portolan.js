// What the pages do beyond links and forms; without it they work all the same.
"use strict";

(() => {
  document.documentElement.classList.add("scripted");
  const box = document.getElementById("q");
  const said = document.getElementById("said");

  // "/" goes to the search box.
  const key = document.querySelector(".slash");
  if (key) key.hidden = false;
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || !box) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    event.preventDefault();
    box.focus();
    box.select();
  });

  // Buttons that copy.
  const copy = async (text) => {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    // Where nothing is encrypted, browsers have only the old way.
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "visually-hidden";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) throw new Error("refused");
  };
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    const label = button.textContent;
    button.addEventListener("click", async () => {
      let told = "Copied";
      try {
        await copy(document.getElementById(button.dataset.copy).textContent.trim());
      } catch {
        told = "Not copied";
      }
      button.textContent = told;
      said.textContent = told;
      button.focus();
      setTimeout(() => { button.textContent = label; said.textContent = ""; }, 2000);
    });
  }

  // A menu closes when the focus or a click goes elsewhere, and by Escape.
  for (const menu of document.querySelectorAll("details.menu")) {
    document.addEventListener("click", (event) => { if (!menu.contains(event.target)) menu.open = false; });
    menu.addEventListener("focusout", (event) => {
      if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
    });
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !menu.open) return;
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  }

  // What an address points to is shown, even where it is folded away.
  const reveal = () => {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    const closed = target && target.closest("details");
    if (closed) closed.open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();

  // Suggestions: a combobox with a list (WAI-ARIA Authoring Practices, "Combobox").
  const place = box && document.getElementById(box.dataset.suggest);
  if (!place) return;
  let at = -1;
  let dismissed = false; // until more is typed: an answer that comes late does not open the list again
  const options = () => [...place.querySelectorAll("[role=option]")];
  const choose = (number) => {
    const all = options();
    at = number >= all.length ? -1 : number < -1 ? all.length - 1 : number;
    all.forEach((option, each) => option.setAttribute("aria-selected", String(each === at)));
    if (at < 0) box.removeAttribute("aria-activedescendant");
    else {
      box.setAttribute("aria-activedescendant", all[at].id);
      all[at].scrollIntoView({ block: "nearest" });
    }
  };
  const close = () => {
    place.replaceChildren();
    at = -1;
    box.setAttribute("aria-expanded", "false");
    box.removeAttribute("aria-activedescendant");
    box.removeAttribute("aria-controls");
  };
  const take = (option) => {
    if (option.dataset.fill) {
      box.value = option.dataset.query;
      close();
      box.focus();
      box.dispatchEvent(new Event("input", { bubbles: true }));
    } else location.assign(option.dataset.go);
  };
  box.setAttribute("role", "combobox");
  box.setAttribute("aria-autocomplete", "list");
  box.setAttribute("aria-expanded", "false");
  place.addEventListener("htmx:afterSwap", () => {
    if (dismissed || document.activeElement !== box) { close(); return; }
    const some = options().length > 0;
    at = -1;
    box.removeAttribute("aria-activedescendant");
    box.setAttribute("aria-expanded", String(some));
    if (some) box.setAttribute("aria-controls", "suggestion-list");
    else box.removeAttribute("aria-controls");
  });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      dismissed = true;
      if (options().length) { event.preventDefault(); close(); }
      return;
    }
    if (!options().length) return;
    if (event.key === "ArrowDown") { event.preventDefault(); choose(at + 1); }
    else if (event.key === "ArrowUp") { event.preventDefault(); choose(at - 1); }
    else if (event.key === "Enter" && at >= 0) { event.preventDefault(); take(options()[at]); }
    else if (event.key === "Tab") close();
  });
  place.addEventListener("mousedown", (event) => event.preventDefault());
  place.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) take(option);
  });
  box.addEventListener("input", () => { dismissed = false; });
  box.addEventListener("blur", close);
})();
