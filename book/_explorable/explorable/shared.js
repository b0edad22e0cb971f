/* What the story and the page "Play" share: work beside the page, and a state in the address. */
"use strict";
(function (root) {
  /* Runs in the worker.  A breath after every slice: what was asked meanwhile is heard. */
  function main(tasks, slice) {
    const jobs = new Map();
    let busy = false;
    globalThis.onmessage = ({ data: { name, key, id, args } }) => {
      const run = tasks[name](...args);
      if (!run) return;
      jobs.set(key, { id, run, began: performance.now() });
      if (!busy) work();
    };
    function work() {
      const [[key, job]] = jobs, end = performance.now() + slice;
      let turn;
      do {
        turn = job.run.next();
        // Objects are told; what else is yielded is a place to pause.
        if (turn.done || typeof turn.value === "object") {
          globalThis.postMessage({ key, id: job.id, value: turn.value, done: turn.done,
            ms: performance.now() - job.began });
        }
      } while (!turn.done && performance.now() < end);
      if (turn.done) jobs.delete(key);
      busy = jobs.size > 0;
      if (busy) setTimeout(work);
    }
  }

  /* A worker made from functions, not from a file, because pages opened as files may not load
     workers.  It runs the scripts `sources`, and then `tasks`, the text of an expression that gives
     generators by name, or functions that return nothing.  ask(name, key, args) calls one; objects
     that it yields, and what it returns, are told: report(key, value, done, ms).  Asking again under a key drops what was asked before.  Throws
     where there are no workers. */
  root.MVWorker = function (sources, tasks, report, failed) {
    const text = `${sources.join("\n")}\n(${main})(${tasks}, 30);`;
    const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    const worker = new Worker(address), asked = new Map();
    worker.onerror = failed;
    worker.onmessage = ({ data: { key, id, value, done, ms } }) => {
      if (asked.get(key) === id) report(key, value, done, ms);
    };
    return {
      ask(name, key, ...args) {
        asked.set(key, (asked.get(key) || 0) + 1);
        worker.postMessage({ name, key, id: asked.get(key), args });
      },
    };
  };

  /* The state in an address like #story:draw=3&seen=0.  controls: name -> [least, most, first, step,
     digits].  What does not fit a control is moved to where one can stand; `moved` says what was. */
  root.MVAddress = function (prefix, controls) {
    const state = {}, moved = [], hash = decodeURIComponent(location.hash);
    for (const [name, [, , first]] of Object.entries(controls)) state[name] = first;
    const parts = hash.startsWith(prefix) ? hash.slice(prefix.length).split("&") : [];
    for (const part of parts.filter(Boolean)) {
      const [name, text] = part.split("="), value = Number(text || NaN);
      if (Object.hasOwn(controls, name) && Number.isFinite(value)) {
        const [low, high, , step = 1, digits = 0] = controls[name];
        const whole = Math.round((Math.min(high, Math.max(low, value)) - low) / step);
        state[name] = Number((low + whole * step).toFixed(digits));
      }
      if (state[name] !== value) moved.push(part);
    }
    return { state, moved };
  };
  root.MVMoved = (moved) => `The link asked for ${moved.join(", ")}, which is not to be had here; `
    + "you see what comes nearest.";
})(globalThis);
