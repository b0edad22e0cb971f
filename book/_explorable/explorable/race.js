/* The race between two views: sliders, pictures, a link that remembers them.  All numbers come from
   reduced.js. */
"use strict";
(function () {
  const M = globalThis.MVReduced;
  const WAIT_MS = 120;
  const STANDARD = M.DEFAULTS;

  /* One slider each: the address word, what it is, its symbol, range, and where it goes.  The first
     few are always in view. */
  const MAIN = "Main sliders", NETWORK = "The network", DATA = "The data";
  const CONTROLS = [
    { group: MAIN, key: "L", symbol: "L", label: "networks", min: 1, max: 30, step: 1, value: 6 },
    { group: MAIN, key: "sigma0", symbol: "σ₀", label: "size of the random start",
      min: 0.03, max: 0.6, step: 0.01, at: "init_std" },
    { group: MAIN, key: "view1", symbol: "z₁", label: "strength of view 1",
      min: 1, max: 1.8, step: 0.05, at: "own_strengths", index: 0 },
    { group: MAIN, key: "Gamma", symbol: "Γ", label: "faint traces of other classes",
      min: 0.03, max: 0.6, step: 0.03, at: "faint_strength" },
    { group: NETWORK, key: "varrho", symbol: "ϱ", label: "threshold from which answers grow evenly",
      min: 0.25, max: 3, step: 0.05, at: "threshold" },
    { group: NETWORK, key: "q", symbol: "q", label: "power with which they grow below it",
      min: 2, max: 5, step: 1, at: "power" },
    { group: NETWORK, key: "seed", symbol: "seed", label: "number of the draw",
      min: 1, max: 99, step: 1, value: 1 },
    { group: DATA, key: "view2", symbol: "z₂", label: "strength of view 2",
      min: 1, max: 1.8, step: 0.05, at: "own_strengths", index: 1 },
    { group: DATA, key: "rho", symbol: "ρ", label: "the other own view, where one view shows",
      min: 0.05, max: 0.5, step: 0.05, at: "weak_strength" },
    { group: DATA, key: "other", symbol: "z′", label: "other classes, where both views show",
      min: 0.1, max: 0.5, step: 0.005, at: "other_strength" },
    { group: DATA, key: "s", symbol: "s", label: "how many views of other classes",
      min: 0, max: 8, step: 0.5, at: "sparsity" },
    { group: DATA, key: "noise", symbol: "ν", label: "noise",
      min: 0, max: 1.6, step: 0.1, at: "noise_norm" },
  ];
  for (const c of CONTROLS) {
    if (c.at) c.value = c.index === undefined ? STANDARD[c.at] : STANDARD[c.at][c.index];
    c.digits = (String(c.step).split(".")[1] || "").length;
  }
  const PRESETS = [
    ["The book’s setting", {}],
    ["Start too large", { sigma0: 0.5 }],
    ["Threshold too small", { varrho: 0.25 }],
    ["No race: q = 2", { q: 2 }],
    ["View 1 stronger", { view1: 1.5 }],
    ["Nothing to tell", { other: 0.2 }],
    ["Easy test", { s: 0.5 }],
  ];
  const FIRST = Object.fromEntries(CONTROLS.map((c) => [c.key, c.value]));
  const RANGES = Object.fromEntries(CONTROLS.map((c) =>
    [c.key, [c.min, c.max, c.value, c.step, c.digits]]));
  const PREFIX = "#race:";
  const STILL = "This browser has no workers, which the sliders need. The pictures and tables below "
    + "show the book’s own setting.";

  /* In the worker: what there is so far after every run, then all. */
  function* played(p, L, seed) {
    const slim = (runs) => runs.map(({ curve, steps, fitted }) => ({ curve, steps, fitted }));
    const playing = globalThis.MVReduced.playing(p, L, seed);
    for (let shown = 0; ;) {
      const { value: game, done } = playing.next();
      const runs = game.networks.length + game.students.length;
      if (!done && runs === shown) {
        yield;
        continue;
      }
      shown = runs;
      const found = { ...game, networks: slim(game.networks), students: slim(game.students),
        params: p, L, seed };
      if (done) return found;
      yield found;
    }
  }

  // -- little helpers ------------------------------------------------------------------------

  function el(tag, attributes = {}, ...children) {
    const svg = ["svg", "path", "line", "rect", "title"].includes(tag);
    const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag)
      : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== null && value !== false) node.setAttribute(name, value);
    }
    node.append(...children.filter((child) => child !== null));
    return node;
  }
  const percent = (share) => `${(100 * share).toFixed(1)}%`;
  const average = (values) => values.reduce((a, b) => a + b, 0) / values.length;
  const show = (c, value) => Number(value).toFixed(c.digits);

  // -- state: a value for every slider, kept in the address ------------------------------------

  function addressOf(state) {
    const parts = CONTROLS.filter((c) => state[c.key] !== FIRST[c.key])
      .map((c) => `${c.key}=${show(c, state[c.key])}`);
    return PREFIX + parts.join("&");
  }
  function paramsOf(state) {
    const p = { ...STANDARD, own_strengths: [state.view1, state.view2] };
    for (const c of CONTROLS) if (c.at && c.index === undefined) p[c.at] = state[c.key];
    return p;
  }

  // -- the page ----------------------------------------------------------------------------------

  function start(root) {
    let { state, moved } = MVAddress(PREFIX, RANGES);
    let game = null, done = null;  // what there is of the newest game, and the last complete one
    let timer = 0, chosen = 0, example = { label: 0, view: 0, nth: 0 };
    const inputs = {}, outputs = {};
    const worker = MVWorker([M.source], `{ played: ${played} }`, arrive, stop);

    const box = (group) => el("fieldset", {}, el("legend", {}, group),
      ...CONTROLS.filter((each) => each.group === group).map((c) => {
        const id = `mv-race-${c.key}`;
        outputs[c.key] = el("output", { for: id });
        inputs[c.key] = el("input", { type: "range", id, min: c.min, max: c.max, step: c.step,
          oninput: () => change({ [c.key]: Number(inputs[c.key].value) }) });
        return el("div", { class: "mv-control" },
          el("label", { for: id }, `${c.label} `, el("b", {}, c.symbol)), outputs[c.key],
          inputs[c.key]);
      }));
    const note = el("p", { class: "mv-note", role: "status" });
    const actions = el("div", { class: "mv-actions" },
      el("button", { type: "button", id: "mv-race-again",
        onclick: () => change({ seed: (state.seed % 99) + 1 }) }, "Draw again"),
      el("button", { type: "button", id: "mv-race-reset", onclick: () => reset() }, "Reset"),
      el("button", { type: "button", id: "mv-race-share", onclick: share }, "Copy link"));
    const all = el("summary", {});
    const controls = el("div", { class: "mv-side" }, box(MAIN), actions, note,
      el("details", {}, all, box(NETWORK), box(DATA)));

    const presets = el("div", { class: "mv-presets", role: "group", "aria-label": "Settings" });
    for (const [name, changes] of PRESETS) {
      presets.append(el("button", { type: "button", "aria-pressed": "false",
        onclick: () => change({ ...FIRST, seed: state.seed, L: state.L, ...changes }) }, name));
    }
    const bar = el("span");
    const progress = el("div", { class: "mv-progress", "aria-hidden": "true" }, bar);
    const summary = el("p", { class: "mv-summary", "aria-live": "polite" });
    // Every picture keeps its place, and what it showed until there is something newer.
    const [lotteryAt, raceAt, errorsAt, inputAt] = ["lottery", "race", "errors", "input"].map((name) =>
      el("div", { class: `mv-at-${name}` }));
    // The figures of the summary once more, in sight while sliders move.
    const board = el("div", { class: "mv-board", "aria-hidden": "true" });
    root.replaceChildren(presets, el("div", { class: "mv-desk" }, controls,
      el("div", { class: "mv-pictures" }, progress, lotteryAt, raceAt)), summary,
    el("div", { class: "mv-pictures" }, errorsAt, inputAt), board);

    function change(changes, linked = false) {
      state = { ...state, ...changes };
      note.textContent = "";
      // The address never says what the sliders do not: the same link can be followed again.
      if (!linked && location.hash.startsWith(PREFIX)) {
        history.replaceState(null, "", location.pathname + location.search);
      }
      example.nth = 0;
      mirror();
      root.dataset.state = "waiting";
      clearTimeout(timer);
      timer = setTimeout(compute, WAIT_MS);
    }
    function reset() {
      chosen = 0;
      example = { label: 0, view: 0, nth: 0 };
      change(FIRST);
    }
    function mirror() {
      for (const c of CONTROLS) {
        inputs[c.key].value = state[c.key];
        outputs[c.key].textContent = show(c, state[c.key]);
        inputs[c.key].setAttribute("aria-valuetext", show(c, state[c.key]));
        inputs[c.key].classList.toggle("mv-moved", state[c.key] !== FIRST[c.key]);
      }
      const away = CONTROLS.filter((c) => c.group !== MAIN && state[c.key] !== FIRST[c.key]).length;
      all.textContent = `All parameters${away ? ` (${away} moved)` : ""}`;
      [...presets.children].forEach((button, j) => {
        const wanted = { ...FIRST, seed: state.seed, L: state.L, ...PRESETS[j][1] };
        const on = CONTROLS.every((c) => wanted[c.key] === state[c.key]);
        button.setAttribute("aria-pressed", String(on));
      });
    }
    function share() {
      const text = location.href.split("#")[0] + addressOf(state);
      history.replaceState(null, "", addressOf(state));
      const shown = () => { note.textContent = "The address bar now holds the link."; };
      if (navigator.clipboard && window.isSecureContext) {
        navigator.clipboard.writeText(text)
          .then(() => { note.textContent = "Link copied."; }, shown);
      } else shown();
    }

    function compute() {
      root.dataset.state = "computing";
      bar.style.width = "0";
      worker.ask("played", "play", paramsOf(state), state.L, state.seed);
    }
    function arrive(_, found, complete) {
      game = found;
      chosen = Math.min(chosen, game.L + 1);
      const runs = game.networks.length + game.students.length;
      bar.style.width = percent(complete ? 1 : runs / (game.L + 4));
      if (complete) finish();
      else if (runs > chosen) render();
    }
    function stop() {
      root.replaceChildren(el("p", { class: "mv-still" }, STILL));
    }
    function finish() {
      const { L } = done = game;
      render();
      root.dataset.result = JSON.stringify({
        params: game.params, n_networks: L, seed: game.seed,
        single_error: game.single_error, multi_error: game.multi_error,
        steps: [...game.networks, ...game.students].map((run) => run.steps),
        ends: [...game.networks, ...game.students].map((run) => Array.from(run.curve[run.steps])),
      });
      summary.replaceChildren(...sentences(L));
      board.replaceChildren(...scores(L).map(({ short, error, colour }) => el("div", {},
        el("span", {}, short), el("b", {}, percent(error)),
        el("div", { class: "mv-track" }, el("span", { class: `mv-bar ${colour}`,
          style: `width:${percent(Math.min(1, error / 0.6))}` })))));
      root.dataset.state = "done";
    }

    function sentences(L) {
      const k = STANDARD.n_classes;
      let first = 0, both = 0;
      done.networks.forEach((run, n) => {
        const own = run.curve[run.steps];
        for (let i = 0; i < k; i++) {
          if (done.learned[n][2 * i] && done.learned[n][2 * i + 1]) both++;
          else if (own[2 * i] > own[2 * i + 1]) first++;
        }
      });
      const late = done.networks.filter((run) => !run.fitted).length;
      const unfit = late ? `${late} of ${L} networks do not fit their training points in `
        + `${M.MAX_STEPS} steps. ` : "";
      const parts = [`${unfit}Of ${L * k} races, view 1 won ${first} alone, view 2 won `
        + `${L * k - first - both} alone, in ${both} both were learned. Errors on single-view test `
        + "inputs: "];
      scores(L).forEach(({ name, error }, n) => {
        parts.push(n ? ", " : "", el("b", {}, name), ` ${percent(error)}`);
      });
      return [...parts, "."];
    }

    /* Long ones take two lines where there is little room, but no number stands alone. */
    const rowName = (n, L) => n < L ? `network\u00a0${n + 1}`
      : n === L ? "student of the average" : "student of network\u00a01";

    function render() {
      const focused = document.activeElement && document.activeElement.dataset.focus;
      lotteryAt.replaceChildren(lottery(game.L));
      raceAt.replaceChildren(race(game.L));
      if (game === done) {
        errorsAt.replaceChildren(errors(done.L));
        inputAt.replaceChildren(input(done.L));
      }
      if (focused) {
        const again = root.querySelector(`[data-focus="${focused}"]`);
        if (again) again.focus({ preventScroll: true });
      }
    }

    /* Another input of the same game. */
    function inspect() {
      const { focus } = document.activeElement.dataset;
      inputAt.replaceChildren(input(done.L));
      const again = inputAt.querySelector(`[data-focus="${focus}"]`);
      if (again) again.focus({ preventScroll: true });
    }

    /* Who learned what: a table, two squares a cell. */
    function lottery(L) {
      const k = STANDARD.n_classes, runs = [...game.networks, ...game.students];
      const head = el("tr", {}, el("th", { scope: "col" }, "class"));
      for (let i = 0; i < k; i++) head.append(el("th", { scope: "col" }, String(i)));
      const body = el("tbody");
      const knows = runs.map((run) => M.learned(run.curve[run.curve.length - 1]));
      const row = (name, known, n) => {
        const label = n === null ? name : el("button", { type: "button", "data-focus": `row${n}`,
          "aria-pressed": String(n === chosen), disabled: known ? false : "",
          onclick: () => { chosen = n; render(); } }, name);
        const line = el("tr", { class: n === chosen ? "mv-chosen" : "" },
          el("th", { scope: "row" }, label));
        for (let i = 0; i < k; i++) {
          const has = [0, 1].map((l) => Boolean(known && known[2 * i + l]));
          const words = !known ? "not yet" : has[0] && has[1] ? "both views"
            : has[0] ? "view 1" : has[1] ? "view 2" : "neither";
          line.append(el("td", {}, el("span", { class: "mv-hidden" }, words),
            el("i", { class: has[0] ? "mv-view1" : "mv-none" }),
            el("i", { class: has[1] ? "mv-view2" : "mv-none" })));
        }
        body.append(line);
      };
      for (let n = 0; n < L; n++) row(rowName(n, L), knows[n], n);
      if (L > 1) {
        const all = game.networks.length === L;
        row("together", all ? knows[0].map((_, f) => knows.slice(0, L).some((v) => v[f])) : null,
          null);
      }
      row(rowName(L, L), knows[L], L);
      row(rowName(L + 1, L), knows[L + 1], L + 1);
      return figure("Which views did each network learn?",
        el("div", { class: "mv-across", tabindex: "0", role: "region",
          "aria-label": "Views learned" },
          el("table", { class: "mv-lottery" }, el("thead", {}, head), body)),
        [key("mv-view1", "view 1"), key("mv-view2", "view 2"),
          " A filled square is a view that is learned. Choose a row to see its race."]);
    }

    /* The race of one network: correlations with both views, a panel a class. */
    function race(L) {
      const run = [...game.networks, ...game.students][Math.min(chosen,
        game.networks.length + game.students.length - 1)];
      const k = STANDARD.n_classes, w = 132, h = 66, top = Math.max(1, ...run.curve[run.steps]);
      const panels = el("div", { class: "mv-panels" });
      for (let i = 0; i < k; i++) {
        const own = run.curve[run.steps], first = own[2 * i] >= own[2 * i + 1];
        const path = (l) => run.curve.map((c, t) => {
          const x = 2 + (w - 4) * t / Math.max(1, run.steps);
          const y = h - 3 - (h - 8) * Math.max(0, c[2 * i + l]) / top;
          return `${t ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
        }).join("");
        const alt = `Class ${i}: view 1 ends at ${own[2 * i].toFixed(1)}, view 2 at `
          + `${own[2 * i + 1].toFixed(1)}.`;
        panels.append(el("div", {}, el("div", { class: "mv-panel-title" }, `class ${i}`,
          el("i", { class: first ? "mv-view1" : "mv-view2" }), `view ${first ? 1 : 2}`),
          el("svg", { viewBox: `0 0 ${w} ${h}`, role: "img", "aria-label": alt },
            el("path", { class: "mv-axis", d: `M2 2V${h - 3}H${w - 2}` }),
            el("path", { class: first ? "mv-line2" : "mv-line1", d: path(first ? 1 : 0) }),
            el("path", { class: first ? "mv-line1" : "mv-line2", d: path(first ? 0 : 1) }))));
      }
      return figure(`The race in ${rowName(chosen, L)}`, panels,
        [key("mv-view1", "view 1"), key("mv-view2", "view 2"),
          ` Largest correlation of the class’s neurons with each view, from 0 to ${top.toFixed(1)},`
          + ` over ${run.steps} steps.`]);
    }

    /* Who errs how often: mean of the networks, their average, the students. */
    function scores(L) {
      const single = done.single_error, multi = done.multi_error, members = single.slice(0, L);
      const rows = [
        { name: L > 1 ? "one network, mean" : "the network", short: "one network",
          error: average(members), other: average(multi.slice(0, L)), colour: "mv-single",
          theory: 0.5, dots: members },
        { name: `average of ${L}`, short: `average of ${L}`, error: single[L], other: multi[L],
          colour: "mv-ensemble", theory: 0, dots: [] },
        { name: "student of the average", short: "its student", error: single[L + 1],
          other: multi[L + 1], colour: "mv-student", theory: 0, dots: [] },
        { name: "student of network 1", short: "student of one", error: single[L + 2],
          other: multi[L + 2], colour: "mv-student", theory: 0.25, dots: [] },
      ];
      return L > 1 ? rows : [rows[0], rows[3]];  // the average of one is that one
    }

    /* Errors: a table with bars. */
    function errors(L) {
      const rows = scores(L), full = Math.max(0.6, ...done.single_error);
      const place = (v) => `left:${percent(v / full)}`;
      const body = el("tbody");
      for (const { name, error, other, colour, theory, dots } of rows) {
        const track = el("div", { class: "mv-track", "aria-hidden": "true" },
          el("span", { class: `mv-bar ${colour}`, style: `width:${percent(error / full)}` }),
          ...(dots.length > 1 ? dots.map((v) => el("span", { class: "mv-dot", style: place(v) })) : []),
          el("span", { class: "mv-theory", style: place(theory) }));
        body.append(el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: "mv-wide" }, track),
          el("td", {}, percent(error)), el("td", {}, percent(other))));
      }
      return figure("What they get wrong",
        el("table", { class: "mv-errors" }, el("thead", {}, el("tr", {},
          el("th", { scope: "col" }, "who"), el("td", {}),
          el("th", { scope: "col" }, "single-view"),
          el("th", { scope: "col" }, "multi-view"))), body),
        [`Errors on ${STANDARD.n_test} fresh inputs of each kind. Dots: the networks, one by one. `
          + "Dashed: what the theory says of many classes (½, 0, 0, ¼)."]);
    }

    /* One test input, and what everybody makes of it. */
    function input(L) {
      const k = STANDARD.n_classes, fresh = done.single, views = 2 * k;
      const places = [];
      for (let x = 0; x < fresh.n; x++) {
        if (fresh.labels[x] === example.label && fresh.dominant_view[x] === example.view) places.push(x);
      }
      const x = places[example.nth % places.length], y = example.label;
      const others = {};
      for (const g of fresh.sights[x]) {
        const f = g % views;
        if (f >> 1 !== y) (others[f >> 1] = others[f >> 1] || []).push((f % 2) + 1);
      }
      const faint = Object.entries(others).map(([j, l]) =>
        `class ${j} (view${l.length > 1 ? "s" : ""} ${l.join(" and ")})`).join(", ") || "none";
      const rows = [...Array(L).keys()].map((n) => [rowName(n, L), n, "mv-single"]);
      if (L > 1) rows.push([`average of ${L}`, L, "mv-ensemble"]);
      rows.push([rowName(L, L), L + 1, "mv-student"], [rowName(L + 1, L), L + 2, "mv-student"]);
      const scores = rows.map(([, at]) => {
        const F = done.single_scores[at];
        return [F[x * k + y], M.rival(F, x, y, k)];
      });
      const top = Math.max(...scores.flat(), 1e-9);
      const body = el("tbody");
      rows.forEach(([name, , colour], n) => {
        const [own, rival] = scores[n];
        body.append(el("tr", {}, el("th", { scope: "row" }, name),
          el("td", { class: "mv-wide" }, el("div", { class: "mv-pair", "aria-hidden": "true" },
            el("span", { class: `mv-bar ${colour}`, style: `width:${percent(own / top)}` }),
            el("span", { class: "mv-bar mv-rival", style: `width:${percent(rival / top)}` }))),
          el("td", {}, own.toFixed(2)), el("td", {}, rival.toFixed(2)),
          el("td", { class: own > rival ? "" : "mv-wrong" }, own > rival ? "right" : "wrong")));
      });
      const again = () => { example.nth = 0; inspect(); };
      const classes = el("select", { id: "mv-race-class", "data-focus": "class",
        onchange: () => { example.label = Number(classes.value); again(); } });
      for (let i = 0; i < k; i++) {
        classes.append(el("option", { value: i, selected: i === y ? "" : null }, String(i)));
      }
      const shown = el("select", { id: "mv-race-shown", "data-focus": "shown",
        onchange: () => { example.view = Number(shown.value); again(); } },
        ...[0, 1].map((l) =>
          el("option", { value: l, selected: l === example.view ? "" : null }, `view ${l + 1}`)));
      return figure("One test input", el("div", {},
        el("div", { class: "mv-choose" }, el("label", { for: "mv-race-class" }, "class"), classes,
          el("label", { for: "mv-race-shown" }, "showing"), shown,
          el("button", { type: "button", "data-focus": "next",
            onclick: () => { example.nth++; inspect(); } }, "Another one")),
        el("p", {}, `Shows view ${example.view + 1} of class ${y} at full strength and its view `
          + `${2 - example.view} only weakly (ρ). Faintly there as well (Γ): ${faint}.`),
        el("table", { class: "mv-errors" }, el("thead", {}, el("tr", {},
          el("th", { scope: "col" }, "who"), el("td", {}),
          el("th", { scope: "col" }, `score of class ${y}`),
          el("th", { scope: "col" }, "highest other"), el("th", { scope: "col" }, "verdict"))), body)),
        ["Upper bar: the right class; lower, grey bar: the highest of the others. The average "
          + "follows the networks that answer loudly."]);
    }

    function key(colour, name) {
      return el("span", { class: "mv-key" }, el("i", { class: colour }), name);
    }
    function figure(title, content, caption) {
      return el("figure", {}, el("h2", {}, title), content, el("figcaption", {}, ...caption));
    }

    window.addEventListener("hashchange", () => {
      if (!location.hash.startsWith(PREFIX)) return;
      const asked = MVAddress(PREFIX, RANGES);
      change(asked.state, true);
      note.textContent = asked.moved.length ? MVMoved(asked.moved) : "";
      come();
    });
    function come() {
      const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
      root.scrollIntoView({ behavior: still ? "auto" : "smooth", block: "start" });
    }
    if (location.hash.startsWith(PREFIX)) come();
    if (moved.length) note.textContent = MVMoved(moved);
    mirror();
    compute();
  }

  document.addEventListener("DOMContentLoaded", () => {
    const root = document.getElementById("mv-race");
    if (!root) return;
    try {
      start(root);
    } catch (error) {
      if (typeof Worker === "function") throw error;
      root.replaceChildren(el("p", { class: "mv-still" }, STILL));
    }
  });
})();
