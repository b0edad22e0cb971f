/* Figures in which time passes (mvlib.figures.moving): draws the stored steps, with a slider and a play
   button, in the place of the still, which stays for print. */
(function () {
  "use strict";
  const NS = "http://www.w3.org/2000/svg";
  const W = 560, H = 440, LEFT = 60, BOTTOM = 52, PAD = 14;
  const FRAME_MS = 160;

  function make(name, attributes, parent, text) {
    const svg = ["svg", "g", "line", "path", "circle", "rect", "text"].includes(name);
    const node = svg ? document.createElementNS(NS, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    if (parent) parent.appendChild(node);
    return node;
  }

  function niceTicks(top) {
    const raw = top / 4, size = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * size).find((s) => s >= raw);
    const ticks = [];
    for (let v = 0; v <= top; v += step) ticks.push(+v.toPrecision(6));
    return ticks;
  }

  function frame(svg, data, top, x, y) {
    for (const v of niceTicks(top)) {
      make("line", { x1: x(0), x2: W - PAD, y1: y(v), y2: y(v), class: "mv-grid" }, svg);
      make("line", { x1: x(v), x2: x(v), y1: y(0), y2: PAD, class: "mv-grid" }, svg);
      make("text", { x: x(v), y: H - BOTTOM + 18, "text-anchor": "middle" }, svg, v);
      make("text", { x: LEFT - 8, y: y(v) + 4, "text-anchor": "end" }, svg, v);
    }
    make("text", { x: (LEFT + W) / 2, y: H - 10, "text-anchor": "middle" }, svg, data.axes[0]);
    make("text", { x: 0, y: 0, "text-anchor": "middle",
      transform: `translate(16 ${(H - BOTTOM) / 2}) rotate(-90)` }, svg, data.axes[1]);
  }

  function legend(svg) {
    for (const view of [0, 1]) {
      const y = PAD + 10 + 20 * view;
      mark(svg, view, W - 150, y);
      make("text", { x: W - 138, y: y + 4 }, svg, `view ${view + 1} ends ahead`);
    }
  }

  function mark(parent, view, x, y) {
    const node = view === 0
      ? make("circle", { r: 5 }, parent)
      : make("rect", { x: -4.5, y: -4.5, width: 9, height: 9 }, parent);
    node.setAttribute("class", `mv-view-${view + 1}`);
    node.setAttribute("transform", `translate(${x} ${y})`);
    return node;
  }

  function build(box) {
    const data = JSON.parse(box.dataset.steps);
    const all = data.paths.flat(2), top = Math.max(...all) * 1.05, low = Math.min(0, ...all);
    const x = (v) => LEFT + ((v - low) / (top - low)) * (W - LEFT - PAD);
    const y = (v) => H - BOTTOM - ((v - low) / (top - low)) * (H - BOTTOM - PAD);
    const live = make("div", { class: "mv-live" });
    const svg = make("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": data.alt }, live);
    frame(svg, data, top, x, y);
    legend(svg);
    const tails = data.ahead.map((view) =>
      make("path", { class: `mv-tail mv-tail-${view + 1}` }, svg));
    const dots = data.ahead.map((view) => mark(svg, view, 0, 0));

    const controls = make("div", { class: "mv-controls" }, live);
    const play = make("button", { type: "button" }, controls, "Play");
    const label = make("label", {}, controls, "step ");
    const slider = make("input", { type: "range", min: 0, max: data.steps.length - 1, step: 1,
      value: data.steps.length - 1 }, label);
    const shown = make("output", {}, label);

    function draw() {
      const t = +slider.value;
      shown.textContent = data.steps[t];
      slider.setAttribute("aria-valuetext", `step ${data.steps[t]}`);
      dots.forEach((dot, i) => {
        const at = data.paths[t][i];
        dot.setAttribute("transform", `translate(${x(at[0])} ${y(at[1])})`);
        const way = data.paths.slice(0, t + 1).map((record) =>
          `${x(record[i][0]).toFixed(1)} ${y(record[i][1]).toFixed(1)}`);
        tails[i].setAttribute("d", "M" + way.join("L"));
      });
    }

    let timer = null;
    function stop() {
      clearInterval(timer);
      timer = null;
      play.textContent = "Play";
    }
    play.addEventListener("click", () => {
      if (timer) return stop();
      if (+slider.value === data.steps.length - 1) slider.value = 0;
      play.textContent = "Stop";
      draw();
      timer = setInterval(() => {
        slider.value = +slider.value + 1;
        draw();
        if (+slider.value === data.steps.length - 1) stop();
      }, FRAME_MS);
    });
    slider.addEventListener("input", () => { stop(); draw(); });
    draw();
    box.classList.add("mv-alive");
    box.prepend(live);
  }

  function start() { document.querySelectorAll(".mv-steps").forEach(build); }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
