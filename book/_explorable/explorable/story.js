/* The story: moves the parts of its pictures.  Every control has a few positions; what a picture
   shows at each is stored with the page (story-data.js) and drawn at once, then computed anew in a
   worker (scenes.js) and drawn again.  Where there are no workers the pictures stand still. */
"use strict";
(function () {
  const PREFIX = "#story:";
  const NOTE = "Each picture has one control. What it shows is stored with the page, and computed anew "
    + "in your browser as you move it.";
  const STILL = "This browser has no workers, which moving the pictures needs: they stand still.";

  // -- parts of a picture: book/story.py says which value moves what --------------------------------

  function valueOf(values, name) {
    const [word, place] = name.split(".");
    return place === undefined ? values[word] : values[word][place];
  }
  function fill(values, template) {
    return template.replace(/\{([\w.]+)(%|:\d)?\}/g, (_, name, how) => {
      const value = valueOf(values, name);
      if (typeof value === "string") return value;
      return how === "%" ? `${(100 * value).toFixed(1)}%` : value.toFixed(how ? how[1] : 0);
    });
  }
  const plotOf = (node) => node.dataset.plot.split(" ").map(Number);
  const MOVES = {
    on: (node, value) => node.classList.toggle("mv-off", !value),
    bar: (node, value) =>
      node.setAttribute("width", Math.max(1, node.dataset.unit * value).toFixed(1)),
    rise(node, value) {
      const high = Math.max(0, node.dataset.unit * value);
      node.setAttribute("height", high.toFixed(1));
      node.setAttribute("y", (node.dataset.foot - high).toFixed(1));
    },
    line(node, value) {
      const [x, dx, y, dy] = plotOf(node);
      node.setAttribute("d", `M${Array.from(value, (v, t) =>
        `${(x + dx * t).toFixed(1)} ${(y - dy * v).toFixed(1)}`).join("L")}`);
    },
  };
  function draw(figure, values) {
    for (const [kind, move] of Object.entries(MOVES)) {
      for (const node of figure.querySelectorAll(`[data-${kind}]`)) {
        move(node, valueOf(values, node.dataset[kind]));
      }
    }
    for (const node of figure.querySelectorAll("[data-carried]")) {
      const [x, dx, y, dy] = plotOf(node);
      const [right, up] = node.dataset.carried.split(" ").map((name) => valueOf(values, name));
      node.setAttribute("transform",
        `translate(${(x + dx * right).toFixed(1)} ${(y - dy * up).toFixed(1)})`);
    }
    for (const node of figure.querySelectorAll("[data-text]")) {
      const said = fill(values, node.dataset.text);
      if (node.textContent !== said) node.textContent = said;
    }
    figure.values = values;
  }

  // -- the page -------------------------------------------------------------------------------------

  function start(story, note) {
    const figures = [...document.querySelectorAll("[data-scene]")];
    const of = (scene) => story.state[scene].map((name) => state[name]);
    let { state, moved } = MVAddress(PREFIX, story.controls);

    const tasks = `MVScenes(MVReduced, ${JSON.stringify(story.settings)})`;
    const sources = [MVReduced.source, MVScenes.source];
    const worker = MVWorker(sources, tasks, (scene, values, done, ms) => {
      if (done) show(scene, values, `computed here, in ${Math.max(0.01, ms / 1000).toFixed(2)} s`);
    }, stop);
    // Ten networks are work for two.
    const helper = MVWorker(sources, tasks, (_, run, done) => {
      if (!done && run.draw === state.draw) worker.ask("take", "take", run);
    }, stop);
    let helped = null;

    function show(scene, values, source) {
      const figure = figures.find((each) => each.dataset.scene === scene);
      draw(figure, values);
      figure.querySelector(".mv-source").textContent = source;
      figure.dataset.at = of(scene).join(" ");
      figure.dataset.computed = source !== "stored with the page";
    }
    function ask(scene) {
      show(scene, story.scenes[scene][of(scene).join(" ")], "stored with the page");
      if (story.state[scene].includes("draw") && helped !== state.draw) {
        helped = state.draw;
        helper.ask("later", "later", helped);
      }
      worker.ask(scene, scene, ...of(scene));
    }
    function change(name, value) {
      state[name] = value;
      const parts = Object.keys(state).filter((each) => state[each] !== story.controls[each][2])
        .map((each) => `${each}=${state[each]}`);
      const place = parts.length ? PREFIX + parts.join("&") : location.pathname + location.search;
      history.replaceState(null, "", place);
      mirror();
      figures.map((figure) => figure.dataset.scene)
        .filter((scene) => story.state[scene].includes(name)).forEach(ask);
    }
    function mirror() {
      for (const box of document.querySelectorAll("[data-control]")) {
        const value = state[box.dataset.control];
        for (const input of box.querySelectorAll("input")) {
          if (input.type === "radio") input.checked = Number(input.value) === value;
          else input.value = value;
        }
        const said = box.querySelector("output");
        if (said) said.textContent = `set ${value} of ${story.controls[box.dataset.control][1]}`;
      }
    }
    function stop() {
      document.documentElement.classList.remove("mv-moves");
      note.textContent = STILL;
    }

    for (const box of document.querySelectorAll("[data-control]")) {
      const name = box.dataset.control, [low, high] = story.controls[name];
      box.addEventListener("input", (event) => change(name, Number(event.target.value)));
      const button = box.querySelector("button");
      if (button) {
        button.addEventListener("click", () =>
          change(name, state[name] === high ? low : state[name] + 1));
      }
    }
    function restore() {
      mirror();
      figures.forEach((figure) => ask(figure.dataset.scene));
      note.textContent = moved.length ? MVMoved(moved) : NOTE;
    }
    window.addEventListener("hashchange", () => {
      if (!location.hash.startsWith(PREFIX)) return;
      ({ state, moved } = MVAddress(PREFIX, story.controls));
      restore();
    });

    // Only what the address asks for differs from the pictures in the page; the rest is computed
    // when it comes into view.
    mirror();
    if (location.hash.startsWith(PREFIX)) restore();
    else note.textContent = NOTE;
    const seen = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        seen.unobserve(target);
        if (!target.dataset.at) ask(target.dataset.scene);
      }
    });
    figures.forEach((figure) => seen.observe(figure));
  }

  document.addEventListener("DOMContentLoaded", () => {
    const note = document.getElementById("mv-note");
    if (!note) return;
    try {
      start(globalThis.MVStory, note);
    } catch (error) {
      document.documentElement.classList.remove("mv-moves");
      note.textContent = STILL;
    }
  });
})();
