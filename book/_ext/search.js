// What the search does here besides: statements and index entries of chapters come first, and what
// it shows of a page is its text.  Sphinx puts this file among its own.
var Scorer = {
  // Of equal matches a chapter's comes before that of a page one looks things up in.
  score: ([page, , , , score]) => score + (page.startsWith("chapters/") ? 4 : 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};

addEventListener("DOMContentLoaded", () => {
  if (typeof Search === "undefined") return;
  const NOT_TEXT =
    ".bd-header-article, #jb-print-docs-body, .onlyprint, .cell_input, pre, form, nav, noscript, .mv-reading, .mv-race";
  const text = Search.htmlToText;
  Search.htmlToText = (page, anchor) => {
    const parsed = new DOMParser().parseFromString(page, "text/html");
    parsed.querySelectorAll(NOT_TEXT).forEach((part) => part.remove());
    // A snippet shows no mathematics: formulas in words, and no two items in one word.
    for (const formula of parsed.querySelectorAll(".math"))
      formula.textContent = formula.textContent
        .replace(/\\[()[\]]/g, "")
        .replace(/\\[dt]?frac(\d)(\d)/g, "$1/$2 ")
        .replace(/\\mu\b/g, "μ")
        .replace(/\\([a-zA-Z]+|.)/g, "$1")
        .replace(/[{}]/g, "");
    parsed.querySelectorAll("li, td, th, dt, dd").forEach((item) => item.append(" "));
    // The anchor of an index entry stands empty before what it is about.
    const place = anchor && parsed.querySelector(anchor);
    if (place && !place.textContent.trim()) place.append(place.nextElementSibling ?? "");
    return text(parsed.documentElement.outerHTML, anchor);
  };
});
