/* The dynamics of training, reduced to feature space: mvlib/reduced/dynamics.py, data.py,
   race.py and portable.py again, under the same names, for the browser.  Nothing here
   knows a page; tests compare both, in node and in a browser.

   A classic script, not a module: modules do not load from file://, where books are read too. */
"use strict";
(function engine(root) {
  // -- portable.py: random numbers ---------------------------------------------------------

  const GOLDEN = 0x9e3779b9;

  function mix(x) {
    x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
    x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
    return (x ^ (x >>> 16)) >>> 0;
  }

  function uniforms(n, ...words) {
    const key = words.reduce((h, word) => mix((h + GOLDEN + word) >>> 0), 0);
    const drawn = new Float64Array(n);
    for (let j = 0; j < n; j++) {
      drawn[j] = (mix((key + Math.imul(j + 1, GOLDEN)) >>> 0) + 0.5) / 4294967296;
    }
    return drawn;
  }

  function normals(n, ...words) {
    const u = uniforms(2 * n, ...words);
    const drawn = new Float64Array(n);
    for (let j = 0; j < n; j++) {
      drawn[j] = Math.sqrt(-2 * Math.log(u[2 * j])) * Math.cos(2 * Math.PI * u[2 * j + 1]);
    }
    return drawn;
  }

  // -- data.py: points -------------------------------------------------------------

  const OWN = 0, WEAK = 1, OTHER = 2, FAINT = 3;
  const TRAIN = 1, TEST_SINGLE = 2, TEST_MULTI = 3;

  /* RaceParams with the book's setting; names, symbols and ranges are told there. */
  const DEFAULTS = Object.freeze({
    n_classes: 10, n_neurons: 5, power: 4, threshold: 1.5, init_std: 0.08, dim: 1000,
    noise_norm: 0.6, n_patches: 40, patches_per_view: 5, n_train: 2000, n_single: 10,
    sparsity: 4, own_strengths: Object.freeze([1.3, 1.3]), other_strength: 0.395,
    weak_strength: 0.15, faint_strength: 0.18, n_test: 1000,
  });

  function patchStrengths(p) {
    const views = 2 * p.n_classes;
    const z = new Float64Array(4 * views);
    for (let f = 0; f < views; f++) {
      z[OWN * views + f] = p.own_strengths[f % 2] / p.patches_per_view;
      z[WEAK * views + f] = p.weak_strength / p.patches_per_view;
      z[OTHER * views + f] = p.other_strength;
      z[FAINT * views + f] = p.faint_strength;
    }
    return z;
  }

  function patchCounts(p) {
    const views = 2 * p.n_classes;
    return Float64Array.from({ length: 4 * views }, (_, g) =>
      g < OTHER * views ? p.patches_per_view : 1);
  }

  /* sights: for each point the numbers of the sights it shows. */
  function drawPoints(p, n, nSingle, seed, what) {
    const k = p.n_classes, views = 2 * k;
    const u = uniforms(n * (views + 1), seed, what);
    const points = { n, labels: new Int32Array(n), single_view: [], dominant_view: [], sights: [] };
    for (let x = 0; x < n; x++) {
      const y = x % k, single = x < nSingle, dominant = u[n * views + x] >= 0.5 ? 1 : 0;
      const sights = [];
      for (let f = 0; f < views; f++) {
        if (f >> 1 === y) {
          sights.push((single && f % 2 !== dominant ? WEAK : OWN) * views + f);
        } else if (u[x * views + f] < p.sparsity / k) {
          sights.push((single ? FAINT : OTHER) * views + f);
        }
      }
      points.labels[x] = y;
      points.single_view.push(single);
      points.dominant_view.push(single ? dominant : -1);
      points.sights.push(Int32Array.from(sights).sort());
    }
    return points;
  }

  const trainingPoints = (p, seed) => drawPoints(p, p.n_train, p.n_single, seed, TRAIN);
  const testPoints = (p, seed) => [
    drawPoints(p, p.n_test, p.n_test, seed, TEST_SINGLE),
    drawPoints(p, p.n_test, 0, seed, TEST_MULTI),
  ];

  // -- reduced.py: dynamics ----------------------------------------------------------------

  const NODES = Float64Array.of(-4.1445471861258945, -2.8024858612875416, -1.636519042435108,
    -0.5390798113513751, 0.5390798113513751, 1.636519042435108, 2.8024858612875416,
    4.1445471861258945);
  const WEIGHTS = Float64Array.of(0.00011261453837536762, 0.009635220120788256, 0.11723990766175904,
    0.3730122576790773, 0.3730122576790773, 0.11723990766175904, 0.009635220120788256,
    0.00011261453837536762);
  const RELATIVE_CHANGE = 0.3, MAX_STEP = 3e4, FLOOR = 0.1, MAX_STEPS = 300;

  /* The smoothed ReLU's slope; its value follows: u * slope / q + max(z - varrho, 0), where u is
     z clamped to [0, varrho].  Written out in the two loops below, which are all the work. */
  function slopeOf(clamped, p) {
    const ratio = clamped / p.threshold;
    let slope = ratio;
    for (let e = p.power - 1; e > 1; e--) slope *= ratio;
    return slope;
  }

  function spread(c, p) {
    const neurons = p.n_classes * p.n_neurons, views = 2 * p.n_classes;
    const sigma = p.noise_norm / Math.sqrt(p.dim), start = p.init_std ** 2 * p.dim;
    const s = new Float64Array(neurons);
    for (let r = 0; r < neurons; r++) {
      let square = 0;
      for (let f = 0; f < views; f++) square += c[r * views + f] ** 2;
      s[r] = sigma * Math.sqrt(start + square);
    }
    return s;
  }

  /* phi(x) and phi'(x), left in `average`. */
  const average = new Float64Array(2);
  function averagedActivation(x, s, p) {
    const q = p.power, varrho = p.threshold;
    let value = 0, slope = 0;
    for (let j = 0; j < 8; j++) {
      const z = x + s * NODES[j];
      if (z <= 0) continue;
      if (z < varrho) {
        const steep = slopeOf(z, p);
        value += WEIGHTS[j] * (z * steep / q);
        slope += WEIGHTS[j] * steep;
      } else {
        value += WEIGHTS[j] * (varrho / q + z - varrho);
        slope += WEIGHTS[j];
      }
    }
    average[0] = value;
    average[1] = slope;
  }

  /* The sights that any of these points shows; with `multi`, any multi-view one. */
  function sightsShown(points, p, multi) {
    const shown = new Set();
    points.sights.forEach((sights, x) => {
      if (!(multi && points.single_view[x])) sights.forEach((g) => shown.add(g));
    });
    return Int32Array.from(shown).sort();
  }

  /* Scores F (n x k) of points and slopes (k m x sights), both for the given sights alone. */
  function averagedScores(c, points, p, sights = sightsShown(points, p, false)) {
    const k = p.n_classes, m = p.n_neurons, views = 2 * k, S = 4 * views;
    const s = spread(c, p), z = patchStrengths(p), counts = patchCounts(p);
    const slope = new Float64Array(k * m * S), gain = new Float64Array(S * k);
    const bare = new Float64Array(k);
    for (let i = 0; i < k; i++) {
      for (let r = i * m; r < (i + 1) * m; r++) {
        averagedActivation(0, s[r], p);
        bare[i] += average[0];
        for (let e = 0; e < sights.length; e++) {
          const g = sights[e];
          averagedActivation(c[r * views + (g % views)] * z[g], s[r], p);
          gain[g * k + i] += average[0];
          slope[r * S + g] = average[1];
        }
      }
      for (let g = 0; g < S; g++) gain[g * k + i] = (gain[g * k + i] - bare[i]) * counts[g];
    }
    const F = new Float64Array(points.n * k);
    for (let x = 0; x < points.n; x++) {
      const shown = points.sights[x];
      for (let i = 0; i < k; i++) F[x * k + i] = p.n_patches * bare[i];
      for (let e = 0; e < shown.length; e++) {
        const g = shown[e] * k;
        for (let i = 0; i < k; i++) F[x * k + i] += gain[g + i];
      }
    }
    return { F, slope };
  }

  /* The single-view training points patch by patch. */
  function memorised(points, noise, p) {
    const views = 2 * p.n_classes, z = patchStrengths(p), counts = patchCounts(p), P = p.n_patches;
    const rows = [];
    points.single_view.forEach((single, x) => { if (single) rows.push(x); });
    const view = new Int32Array(rows.length * P), strength = new Float64Array(rows.length * P);
    rows.forEach((x, j) => {
      let patch = j * P;
      for (const g of points.sights[x]) {
        for (let e = 0; e < counts[g]; e++, patch++) {
          view[patch] = g % views;
          strength[patch] = z[g];
        }
      }
    });
    return { rows, view, strength, noise };
  }

  function softmax(F, n, k) {
    const probability = new Float64Array(n * k);
    for (let start = 0; start < n * k; start += k) {
      let top = -Infinity, sum = 0;
      for (let e = start; e < start + k; e++) if (F[e] > top) top = F[e];
      for (let e = start; e < start + k; e++) sum += probability[e] = Math.exp(F[e] - top);
      for (let e = start; e < start + k; e++) probability[e] /= sum;
    }
    return probability;
  }

  function rival(F, x, y, k) {
    let other = -Infinity;
    for (let i = 0; i < k; i++) if (i !== y && F[x * k + i] > other) other = F[x * k + i];
    return other;
  }

  /* Share of points for which some other class scores at least as high as the label's. */
  function errorOf(F, points, k) {
    let wrong = 0;
    for (let x = 0; x < points.n; x++) {
      const y = points.labels[x];
      if (rival(F, x, y, k) >= F[x * k + y]) wrong++;
    }
    return wrong / points.n;
  }

  function ownLargest(c, p) {
    const k = p.n_classes, m = p.n_neurons, views = 2 * k;
    const own = new Float64Array(2 * k).fill(-Infinity);
    for (let i = 0; i < k; i++) {
      for (let r = i * m; r < (i + 1) * m; r++) {
        for (let l = 0; l < 2; l++) {
          own[2 * i + l] = Math.max(own[2 * i + l], c[r * views + 2 * i + l]);
        }
      }
    }
    return own;
  }

  /* What each neuron reads in each patch of the single-view training points: noise with memory in
     `reads`, slopes in `pull`; their scores go to F. */
  function readHeld(c, state, held, F, p) {
    const k = p.n_classes, m = p.n_neurons, views = 2 * k, P = p.n_patches;
    const q = p.power, varrho = p.threshold, s = spread(c, p);
    const { reads, pull, memory } = state, { noise, strength, view } = held;
    for (let j = 0, e = 0; j < held.rows.length; j++) {
      for (let i = 0; i < k; i++) {
        let score = 0;
        for (let r = i * m; r < (i + 1) * m; r++) {
          for (let at = j * P; at < (j + 1) * P; at++, e++) {
            const beside = s[r] * noise[e] + memory[e];
            const read = strength[at] * c[r * views + view[at]] + beside;
            reads[e] = beside;
            if (read <= 0) {
              pull[e] = 0;
            } else if (read < varrho) {
              pull[e] = slopeOf(read, p);
              score += read * pull[e] / q;
            } else {
              pull[e] = 1;
              score += varrho / q + read - varrho;
            }
          }
        }
        F[held.rows[j] * k + i] = score;
      }
    }
  }

  /* The pull of the single-view training points: slopes in `pull` become pulls. */
  function pullHeld(a, state, held, ascent, along, square, p) {
    const k = p.n_classes, m = p.n_neurons, views = 2 * k, P = p.n_patches;
    const nu2 = p.noise_norm ** 2, { reads, pull } = state, { strength, view } = held;
    for (let j = 0, e = 0; j < held.rows.length; j++) {
      for (let r = 0; r < k * m; r++) {
        const residual = a[held.rows[j] * k + Math.floor(r / m)] / p.n_train;
        for (let at = j * P; at < (j + 1) * P; at++, e++) {
          const push = pull[e] * residual;
          pull[e] = push;
          ascent[r * views + view[at]] += push * strength[at];
          along[r] += push * reads[e];
          square[r] += nu2 * push * push;
        }
      }
    }
  }

  /* The pull of the multi-view points, sight by sight. */
  function pullSeen(a, c, points, sights, slope, ascent, along, square, p) {
    const k = p.n_classes, m = p.n_neurons, views = 2 * k, S = 4 * views;
    const z = patchStrengths(p), counts = patchCounts(p), seen = new Float64Array(S * k);
    for (let x = 0; x < points.n; x++) {
      if (points.single_view[x]) continue;
      const shown = points.sights[x];
      for (let e = 0; e < shown.length; e++) {
        const g = shown[e] * k;
        for (let i = 0; i < k; i++) seen[g + i] += a[x * k + i];
      }
    }
    for (let r = 0; r < k * m; r++) {
      const i = Math.floor(r / m);
      for (let e = 0; e < sights.length; e++) {
        const g = sights[e];
        ascent[r * views + (g % views)] +=
          slope[r * S + g] * seen[g * k + i] / p.n_train * z[g] * counts[g];
      }
      for (let f = r * views; f < (r + 1) * views; f++) {
        along[r] += c[f] * ascent[f];
        square[r] += ascent[f] * ascent[f];
      }
    }
  }

  /* 1_{i=y} - softmax_i(F), plus what a teacher adds. */
  function residuals(F, points, extra, k) {
    const a = softmax(F, points.n, k), more = extra && extra(F);
    for (let e = 0; e < a.length; e++) a[e] = -a[e];
    if (more) for (let e = 0; e < a.length; e++) a[e] += more[e];
    for (let x = 0; x < points.n; x++) a[x * k + points.labels[x]] += 1;
    return a;
  }

  /* Gradient ascent; a generator that pauses after every step, so that a page stays alive, and
     returns the run.  extra: what a teacher adds to the residual.  steps: null until fitted. */
  function* training(p, start, points, extra = null, steps = null) {
    const k = p.n_classes, m = p.n_neurons, size = start.noise.length;
    const held = memorised(points, start.noise, p);
    const sights = sightsShown(points, p, true);  // single-view points are seen patch by patch
    const c = Float64Array.from(start.c), curve = [];
    const state = { memory: new Float64Array(size), pull: new Float64Array(size),
      reads: new Float64Array(size) };
    for (let t = 0; ; t++) {
      const { F, slope } = averagedScores(c, points, p, sights);
      readHeld(c, state, held, F, p);
      curve.push(ownLargest(c, p));
      const fitted = errorOf(F, points, k) === 0;
      if (t === MAX_STEPS || t === steps || (steps === null && fitted)) {
        return { correlations: c, curve, fitted, steps: t, train_scores: F };
      }
      const a = residuals(F, points, extra, k), ascent = new Float64Array(c.length);
      const along = new Float64Array(k * m), square = new Float64Array(k * m);
      pullHeld(a, state, held, ascent, along, square, p);
      pullSeen(a, c, points, sights, slope, ascent, along, square, p);
      advance(c, ascent, stepSize(along, square, k, m), state, p);
      yield t + 1;
    }
  }

  function advance(c, ascent, eta, state, p) {
    const nu2 = p.noise_norm ** 2;
    for (let e = 0; e < c.length; e++) c[e] += eta * ascent[e];
    for (let e = 0; e < state.memory.length; e++) state.memory[e] += eta * nu2 * state.pull[e];
  }

  function stepSize(along, square, k, m) {
    const learned = new Float64Array(k), norm = new Float64Array(k);
    for (let r = 0; r < k * m; r++) {
      const i = Math.floor(r / m), length = Math.sqrt(square[r]) + 1e-300;
      learned[i] = Math.max(learned[i], Math.abs(along[r]) / length);
      norm[i] = Math.max(norm[i], length);
    }
    const least = FLOOR * Math.max(...learned);
    let eta = Infinity;
    for (let i = 0; i < k; i++) {
      eta = Math.min(eta, RELATIVE_CHANGE * Math.max(learned[i], least) / norm[i]);
    }
    return Math.min(MAX_STEP, eta);
  }

  function distillation(teacher, n, k, tau, rateRatio) {
    const cap = (F) => F.map((v) => Math.min(tau * tau * v, 1) / tau);
    const soft = softmax(cap(teacher), n, k);
    return function (F) {
      const push = softmax(cap(F), n, k);
      for (let e = 0; e < push.length; e++) {
        push[e] = tau * tau * F[e] < 1 ? rateRatio * Math.max(soft[e] - push[e], 0) : 0;
      }
      return push;
    };
  }

  /* Which views count as learned, from the last of a curve: 2k booleans. */
  function learned(own, share = 0.3) {
    return Array.from(own, (v, f) =>
      v >= share * Math.max(own[f], own[f ^ 1], 1e-12));
  }

  // -- race.py: the game -------------------------------------------------------------

  const START = 4, NOISE = 5, STUDENT_START = 6, STUDENT_NOISE = 7;
  const TEACHER_SCALE = 8, TAU = 0.4, SELF_TAU = 0.55, RATE_RATIO = 4, STUDENT_STEPS = 150;

  function initialState(p, seed, number, student = false) {
    const neurons = p.n_classes * p.n_neurons;
    const c = normals(neurons * 2 * p.n_classes, seed, student ? STUDENT_START : START, number);
    const n = p.n_single * neurons * p.n_patches;
    return {
      c: c.map((v) => p.init_std * v),
      noise: normals(n, seed, student ? STUDENT_NOISE : NOISE, number),
    };
  }

  function mean(arrays) {
    const total = new Float64Array(arrays[0].length);
    for (const array of arrays) array.forEach((v, e) => { total[e] += v; });
    return total.map((v) => v / arrays.length);
  }

  /* A generator that pauses after every training step and hands out what there is so far:
     networks, then the student of the average, then the one of network 1, then errors. */
  function* playing(p, nNetworks, seed) {
    const k = p.n_classes, points = trainingPoints(p, seed);
    const game = { networks: [], students: [], done: false };
    for (let n = 0; n < nNetworks; n++) {
      const run = training(p, initialState(p, seed, n), points);
      game.networks.push(yield* paused(run, game));
    }
    const steps = Math.max(STUDENT_STEPS, ...game.networks.map((run) => run.steps));
    const teachers = [[mean(game.networks.map((run) => run.train_scores)), TAU],
      [game.networks[0].train_scores, SELF_TAU]];
    for (const [G, tau] of teachers) {
      const push = distillation(G.map((v) => TEACHER_SCALE * v), points.n, k, tau, RATE_RATIO);
      const run = training(p, initialState(p, seed, 0, true), points, push, steps);
      game.students.push(yield* paused(run, game));
    }
    const fresh = testPoints(p, seed);
    game.single = fresh[0];
    [game.single_scores, game.multi_scores] = fresh.map((test) => {
      const of = (run) => averagedScores(run.correlations, test, p).F;
      const members = game.networks.map(of);
      return [...members, mean(members), ...game.students.map(of)];
    });
    game.single_error = game.single_scores.map((F) => errorOf(F, fresh[0], k));
    game.multi_error = game.multi_scores.map((F) => errorOf(F, fresh[1], k));
    game.learned = [...game.networks, ...game.students].map((run) =>
      learned(run.curve[run.curve.length - 1]));
    game.done = true;
    return game;
  }

  function* paused(run, game) {
    for (;;) {
      const { value, done } = run.next();
      if (done) return value;
      yield game;
    }
  }

  function play(p, nNetworks, seed) {
    const game = playing(p, nNetworks, seed);
    for (;;) {
      const { value, done } = game.next();
      if (done) return value;
    }
  }

  /* source: this file once more, for a worker (shared.js). */
  root.MVReduced = { DEFAULTS, MAX_STEPS, NODES, WEIGHTS, TAU, SELF_TAU, RATE_RATIO, TEACHER_SCALE, mix, uniforms, normals, trainingPoints, testPoints, averagedScores, rival, softmax,
    errorOf, mean, learned, distillation, initialState, training, playing, play,
    source: `(${engine})(globalThis);` };
  if (typeof module === "object") module.exports = root.MVReduced;
})(globalThis);
