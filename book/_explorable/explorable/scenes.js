/* What each scene of the story shows at each position of its control, in numbers:
   mvlib/reduced/story.py again, under the same names; a test compares both.  Generators: they pause
   after every step of training, and return the values.  M: reduced.js; settings: of story-data.js. */
"use strict";
(function scenes(root) {
  root.MVScenes = function (M, settings) {
    const { CLASSES, VIEWS, FOUR, FEW, MEMBERS, LEAD, RACE_SEED, RACE_NUMBER, N_TRAIN,
      STUDENT_STEPS } = settings;
    const PARAMS = { ...M.DEFAULTS, n_train: N_TRAIN }, k = PARAMS.n_classes;
    const FULL = 1, TRACE = 0.1;
    const HANDS = [[0, 2], [0, 3], [1, 2], [1, 3], null];
    const times = (n, value) => Array(n).fill(value);
    const share = (values) => values.reduce((a, b) => a + b, 0) / values.length;

    // -- by hand -------------------------------------------------------------------------------

    function* views(shows) {
      const weights = [FULL * (shows !== 2), FULL * (shows !== 1), TRACE, 0];
      return { weights, hidden: [1 - weights[0], 1 - weights[1]],
        seen: ["both of its views", ...VIEWS][shows] };
    }

    function* hand(knows) {
      const shown = [...times(80, 0), ...times(10, 1), ...times(10, 2)];
      const pairs = HANDS[knows] ? [HANDS[knows]] : HANDS.slice(0, -1);
      const known = [0, 1, 2, 3].map((f) => share(pairs.map((pair) => Number(pair.includes(f)))));
      const scores = shown.map((shows, i) => {
        const w = [FULL * (shows !== 2), FULL * (shows !== 1), TRACE * (i % 2 === 0),
          TRACE * (i % 2 === 1)];
        return [w[0] * known[0] + w[1] * known[1], w[2] * known[2] + w[3] * known[3]];
      });
      const wrong = scores.map(([car, cat]) => Number(cat >= car));
      return { known: known.map((v) => Number(v > 0)), wrong,
        right: wrong.filter((w) => !w).length, answer: [2, 2 * scores[0][1] / scores[0][0]] };
    }

    // -- trained -------------------------------------------------------------------------------

    const last = (run) => run.curve[run.curve.length - 1];
    const squares = (run) => M.learned(last(run)).map(Number);
    const wrongOf = (runs, test, p) => {
      const F = runs.map((run) => M.averagedScores(run.correlations, test, p).F);
      return [...F, M.mean(F)].map((scores) => M.errorOf(scores, test, p.n_classes));
    };

    function* four(draw) {
      const points = M.trainingPoints(FOUR, draw), fresh = M.testPoints(FOUR, draw), runs = [];
      for (let n = 0; n < FEW; n++) {
        runs.push(yield* M.training(FOUR, M.initialState(FOUR, draw, n), points));
      }
      const single = FOUR.n_single / FOUR.n_train;
      const [ones, both] = fresh.map((test) => wrongOf(runs, test, FOUR));
      return { knows: runs.flatMap(squares),
        wrong: both.map((wrong, n) => (1 - single) * wrong + single * ones[n]) };
    }

    let raced = null;
    function* race(head) {
      raced = raced || M.trainingPoints(PARAMS, RACE_SEED);
      const start = M.initialState(PARAMS, RACE_SEED, RACE_NUMBER);
      for (let r = 0; r < PARAMS.n_neurons; r++) {
        start.c[r * 2 * k] *= 1 - LEAD * head;
        start.c[r * 2 * k + 1] *= 1 + LEAD * head;
      }
      const run = yield* M.training(PARAMS, start, raced), end = last(run);
      const ahead = end[0] >= end[1] ? 0 : 1;
      return { first: run.curve.map((c) => c[0]), second: run.curve.map((c) => c[1]),
        steps: run.steps, start: [run.curve[0][0], run.curve[0][1]], end: [end[0], end[1]],
        winner: VIEWS[ahead], loser: VIEWS[1 - ahead] };
    }

    /* The networks of the draw that was asked for last; what a dropped job has trained is kept. */
    let drawn = { draw: null };
    function drawing(draw) {
      if (drawn.draw !== draw) {
        drawn = { draw, points: M.trainingPoints(PARAMS, draw), test: M.testPoints(PARAMS, draw)[0],
          runs: [] };
      }
      return drawn;
    }
    const trained = (draw, n) =>
      M.training(PARAMS, M.initialState(PARAMS, draw, n), drawing(draw).points);

    function* networks(draw) {
      const mine = drawing(draw);
      for (let n = 0; n < MEMBERS; n++) {
        const training = trained(draw, n);
        while (!mine.runs[n]) {  // another worker's may arrive meanwhile
          const { value, done } = training.next();
          if (done) mine.runs[n] = value;
          else yield;
        }
      }
      mine.F = mine.F
        || mine.runs.map((run) => M.averagedScores(run.correlations, mine.test, PARAMS).F);
      return mine;
    }
    /* What a second worker does: the later half of the networks.  The first one takes them. */
    function* later(draw) {
      for (let n = MEMBERS / 2; n < MEMBERS; n++) yield { draw, n, run: yield* trained(draw, n) };
    }
    function take({ draw, n, run }) {
      drawing(draw).runs[n] = drawing(draw).runs[n] || run;
    }

    function* board(draw) {
      const { runs, test, F } = yield* networks(draw), known = runs.map(squares);
      return { knows: known.flat(), wrong: F.map((scores) => M.errorOf(scores, test, k)),
        car: [0, 1].map((l) => known.filter((row) => row[l]).length),
        mean: known.flat().filter(Boolean).length / MEMBERS };
    }

    function* one(draw, shows) {
      const { runs, test, F } = yield* networks(draw);
      let x = 0;
      while (test.labels[x] !== 0 || test.dominant_view[x] !== shows) x++;
      const rows = [...F, M.mean(F)];
      const own = rows.map((scores) => scores[x * k]);
      const other = rows.map((scores) => M.rival(scores, x, 0, k));
      const right = own.map((score, n) => Number(score > other[n]));
      const present = new Set(Array.from(test.sights[x], (g) => (g % (2 * k)) >> 1));
      present.delete(0);
      return { own, other, right, knows: runs.flatMap((run) => squares(run).slice(0, 2)),
        count: right.slice(0, -1).filter(Boolean).length,
        hidden: [Number(shows === 1), Number(shows === 0)], view: VIEWS[shows],
        faint: CLASSES.filter((_, j) => present.has(j)).join(", ") };
    }

    function* average(draw, members) {
      const { runs, test, F } = yield* networks(draw), sum = new Float64Array(F[0].length);
      const errors = F.map((scores) => {
        scores.forEach((score, e) => { sum[e] += score; });
        return M.errorOf(sum, test, k);
      });
      const known = M.mean(runs.slice(0, members).map((run) => Float64Array.from(squares(run))));
      return { share: Array.from(known), unknown: known.filter((v) => v === 0).length, errors,
        members, at: members - 1, error: errors[members - 1] };
    }

    function* student(draw, teacher) {
      const { runs, points, test, F } = yield* networks(draw);
      const start = M.initialState(PARAMS, draw, 0, true), shown = PARAMS.n_single;
      let run, soft = Array.from({ length: k }, (_, j) => Number(j === 0));
      if (teacher === 0) {
        run = yield* M.training(PARAMS, start, points);
      } else {
        const G = teacher === 1 ? runs[0].train_scores : M.mean(runs.map((r) => r.train_scores));
        const tau = teacher === 1 ? M.SELF_TAU : M.TAU, louder = G.map((v) => M.TEACHER_SCALE * v);
        const push = M.distillation(louder, points.n, k, tau, M.RATE_RATIO);
        run = yield* M.training(PARAMS, start, points, push, STUDENT_STEPS);
        const own = louder.slice(shown * k, (shown + 1) * k);
        soft = Array.from(M.softmax(own.map((v) => Math.min(tau * tau * v, 1) / tau), 1, k));
        soft = soft.map((v) => v / Math.max(...soft));
      }
      const there = times(k, 0), wrong = F.map((scores) => M.errorOf(scores, test, k));
      for (const g of points.sights[shown]) there[(g % (2 * k)) >> 1] = 1;
      const known = squares(run);
      const { F: own } = M.averagedScores(run.correlations, test, PARAMS);
      return { says: soft, there, knows: known, count: known.filter(Boolean).length,
        wrong: [share(wrong), M.errorOf(M.mean(F), test, k), M.errorOf(own, test, k)],
        teacher: ["the labels alone", "network 1", "the average of ten"][teacher] };
    }

    return { views, hand, four, race, board, one, average, student, later, take };
  };
  root.MVScenes.source = `(${scenes})(globalThis);`;
  if (typeof module === "object") module.exports = root.MVScenes;
})(globalThis);
