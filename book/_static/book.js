// What the theme does not do: formulas that fit, boxes that the keyboard can scroll, previews of
// statements and equations.  No library, nothing from elsewhere.
(() => {
  "use strict";
  const root = new URL(document.documentElement.dataset.content_root || "./", location.href);

  // -- formulas ---------------------------------------------------------------------------------

  // A formula that is wider than its place is set smaller, so that all of it is seen.  It may
  // share that place with its number.
  function fit() {
    for (const box of document.querySelectorAll("article div.math")) {
      const set = [...box.querySelectorAll("mjx-container[display] > mjx-math")];
      const share = () =>
        Math.min(1, ...set.map((part) => part.parentElement.clientWidth / part.getBoundingClientRect().width || 1));
      box.style.fontSize = "";
      for (let size = 1; share() < 1 && size > 0.3; size *= 0.97)
        box.style.fontSize = `${100 * size}%`;
    }
    reachable();
  }

  // -- boxes that scroll sideways -------------------------------------------------------------

  // Only those that do scroll and can be seen: every other one would be a needless stop of the Tab
  // key.
  const BOXES = "pre, .text_html, .mv-scroll, .pst-scrollable-table-container, div.math, .cell_output .output";
  function reachable() {
    for (const box of document.querySelectorAll(BOXES)) {
      const scrolls = box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX !== "visible";
      if (scrolls && !box.closest("details:not([open])")) {
        box.tabIndex = 0;
      } else {
        box.removeAttribute("tabindex");
      }
    }
  }

  // -- previews -------------------------------------------------------------------------------

  let data = null; // promise of what links show, fetched when first needed
  let tip = null; // the box, while it is open
  let wanted = null; // the link whose preview is to be open
  let timer = 0;

  function load(address) {
    return new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = address;
      script.onload = done;
      script.onerror = failed;
      document.head.append(script);
    });
  }

  // Formulas need MathJax, which pages without any do not load; the configuration comes with the
  // previews.
  function mathjax() {
    window.MathJax ||= window.bookMathJax;
    if (!MathJax.startup) {
      MathJax.startup = {};
      return load(new URL("mathjax/tex-chtml.js", root)).then(() => MathJax.startup.promise);
    }
    return MathJax.startup.promise;
  }

  // The page's file and the anchor: the name under which a preview is kept.
  function key(link) {
    const target = new URL(link.href);
    const path = target.pathname.startsWith(root.pathname) ? target.pathname.slice(root.pathname.length) : "";
    return decodeURIComponent(`${path || "index.html"}${target.hash}`);
  }

  async function open(link) {
    data ||= load(new URL("_static/previews-data.js", root));
    await data;
    const content = window.bookPreviews[key(link)];
    // It may have been left while its content was on the way.
    if (!content || wanted !== link) return;
    close();
    tip = document.createElement("div");
    tip.className = "mv-preview bd-article";
    tip.id = "mv-preview";
    tip.setAttribute("role", "tooltip");
    tip.innerHTML = content;
    link.setAttribute("aria-describedby", tip.id);
    tip.link = link;
    // Inside the page's main part, so that the theme's colours reach it.
    (link.closest("article") || document.body).append(tip);
    tip.addEventListener("mouseenter", () => clearTimeout(timer)); // it may be read and selected
    tip.addEventListener("mouseleave", leave);
    const mine = tip;
    if (tip.querySelector(".math")) {
      tip.style.visibility = "hidden"; // until its formulas are set
      await mathjax();
      await MathJax.typesetPromise([mine]);
      if (tip !== mine) return;
    }
    place(mine, link);
    mine.style.visibility = "";
  }

  // Below the link, or above it where there is no room, and never beyond the window's sides.
  function place(box, link) {
    const at = link.getBoundingClientRect();
    const width = document.documentElement.clientWidth;
    box.style.left = `${Math.max(8, Math.min(at.left, width - box.offsetWidth - 8))}px`;
    const below = at.bottom + 6;
    const fits = below + box.offsetHeight < innerHeight || at.top < box.offsetHeight + 6;
    box.style.top = `${fits ? below : at.top - box.offsetHeight - 6}px`;
  }

  function close() {
    if (!tip) return;
    tip.link.removeAttribute("aria-describedby");
    tip.remove();
    tip = null;
  }

  // A moment's delay: a pointer on its way elsewhere opens nothing, and may cross into the box.
  function enter(event) {
    clearTimeout(timer);
    const link = event.currentTarget;
    wanted = link;
    timer = setTimeout(() => open(link), event.type === "focus" ? 0 : 250);
  }

  function leave() {
    clearTimeout(timer);
    timer = setTimeout(dismiss, 200);
  }

  function dismiss() {
    wanted = null;
    close();
  }

  // It goes where its link goes: the Tab key scrolls a page, too.
  function follow() {
    if (!tip) return;
    const at = tip.link.getBoundingClientRect();
    if (at.bottom < 0 || at.top > innerHeight) {
      dismiss();
    } else {
      place(tip, tip.link);
    }
  }

  function previews() {
    for (const link of document.querySelectorAll("article a.reference.internal[href*='#']")) {
      link.addEventListener("mouseenter", enter);
      link.addEventListener("focus", enter);
      link.addEventListener("mouseleave", leave);
      link.addEventListener("blur", leave);
    }
    document.addEventListener("keydown", (event) => event.key === "Escape" && dismiss());
    document.addEventListener("scroll", follow, { passive: true });
  }

  // -- contents of the page ---------------------------------------------------------------------

  // The list can be longer than the window; it goes where the reader is.
  function contents() {
    const list = document.querySelector("#pst-page-toc-nav");
    const bar = list?.closest(".bd-sidebar-secondary");
    if (!bar) return;
    new MutationObserver(() => {
      const at = list.querySelector("a[aria-current]")?.getBoundingClientRect();
      const place = bar.getBoundingClientRect();
      if (at && (at.top < place.top || at.bottom > place.bottom))
        bar.scrollTop += at.top - place.top - place.height / 3;
    }).observe(list, { attributeFilter: ["aria-current"], subtree: true });
  }

  // -- print ----------------------------------------------------------------------------------

  // On paper nothing can be unfolded, so solutions are printed open.  Folded code is left out:
  // who wants to read it has the notebook.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open]):not(.hide)")];
    folded.forEach((part) => (part.open = true));
  });
  addEventListener("afterprint", () => folded.forEach((part) => (part.open = false)));

  addEventListener("DOMContentLoaded", () => {
    previews();
    contents();
    fit();
    addEventListener("resize", fit);
    // Formulas get their width when they are set, the others' fonts when they have come.
    addEventListener("load", () => {
      const setting = window.MathJax?.startup?.promise;
      document.documentElement.classList.toggle("mv-unset", !setting);
      (setting || Promise.resolve()).then(fit);
    });
    document.addEventListener("toggle", fit, true);
  });
})();
