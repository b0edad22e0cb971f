"""What the book shows of students, on made-up arrays small enough to do by hand."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mvlib.experiments.catalogue import experiments, in_steps_of
from mvlib.experiments.settings import Experiment, base_study
from mvlib.findings import report_students as report
from mvlib.findings.finding import Finding
from mvlib.paper.growth_rates import Pulls
from mvlib.paper.multi_view_data import Sample
from mvlib.store.entries import Store

STUDY: Any = base_study("smoke")
STUDY = replace(STUDY, data=replace(STUDY.data, single_view_fraction=0.1))
TAUGHT: Any = replace(experiments("smoke", "distilled")[0].study, tau=0.5, teacher_scale=2.0)
# Two classes have both views, two have one; a share of 1/2 is learned (the cut is 0.3).
TWO_NETWORKS = np.array([[[4.0, 4.0], [4.0, 2.0]], [[1.0, 4.0], [4.0, 0.0]]])


def draw(single: list[float], multi: float = 0.0, **more: Any) -> dict[str, Any]:
    """The networks of one data draw by their errors, with both views of everything."""
    n = len(single)
    return {
        "single_error": np.array(single),
        "multi_error": np.full(n, multi),
        "fitted": np.arange(n) > 0,
        "correlations": np.ones((n, 2, 2)),
        "class_error": np.zeros((n, 2, 2)),
        "ensemble_single_error": np.array(0.25),
        "ensemble_multi_error": np.array(0.0),
        "teacher_train_error": np.zeros(1),
        "stop_step": np.full(n, 60),
    } | more


def finding(claim: str, predicted: float = 0.5) -> Finding:
    return Finding(claim=claim, statement="Says so.", predicted=predicted, source="ours",
                   direction="at", turn=0.0, measured=0.4, low=0.3, high=0.5, n=7, unit="mu",
                   caveat="Seen once.")  # fmt: skip


def sample(strengths: list[list[float]], labels: list[int]) -> Sample:
    n, k = len(labels), len(strengths[0]) // 2
    return Sample(
        patches=torch.zeros(n, 1, 1), labels=torch.tensor(labels),
        single_view=torch.arange(n) == 0, dominant_view=torch.zeros(n, dtype=torch.int64),
        strengths=torch.tensor(strengths).view(n, k, 2),
        view_patches=torch.zeros(n, k, 2, 1, dtype=torch.int64),
        feature_noise=None, thinned=torch.zeros(n, dtype=torch.int64),
    )  # fmt: skip


# Class 0 in full; of the others the second view of 1, both of 2, the first of 3.  Then a plain one.
FAINT = [1.0, 1.0, 0.0, 0.3, 0.2, 0.2, 0.3, 0.0]
SAMPLE = sample([FAINT, [0.0] * 6 + [1.0, 1.0], FAINT], [0, 3, 0])


def test_families_are_loaded_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    e = experiments("smoke", "distilled")[0]
    stored = {"distilled": [draw([0.1]), draw([0.2])], "printed": [draw([0.3])]}
    monkeypatch.setattr(report, "load_family", lambda _, name, __: [(e, a) for a in stored[name]])
    assert report.load("smoke", Store(tmp_path), *stored) == stored


def test_errors_and_predictions_go_by_kind() -> None:
    found = report.errors(
        STUDY, {"single-model": [draw([0.4, 0.5])], "distilled": [draw([0], 0.1)]}
    )
    assert found["networks"][0].tolist() == [0.4, 0.5]
    assert found["distilled"][0] == pytest.approx(
        [0.9]
    )  # nine multi-view inputs for a single-view one
    claims = [finding("theorem-3", 0.001), finding("control-one-hot"), finding("lottery-winners")]
    assert report.predictions({f.claim: f for f in claims}) == {"distilled": 0.001}


def test_setting_of_distillation() -> None:
    values = report.distillation_values(STUDY, TAUGHT)
    assert values["members"] == STUDY.ensemble_size and values["tau"] == 0.5
    alone = report.distillation_values(replace(STUDY, ensemble_size=0), TAUGHT)
    assert alone["members"] == STUDY.n_networks, "all of them teach"
    assert values["cap"] == "4.00"
    assert values["paper-tau"] == "0.52"  # log 4 = 1.386, its square 1.92


def test_an_example_shows_what_one_network_lacks() -> None:
    # The network has the first view of 1, the second of 2, the second of 3.
    learned = np.array([[1, 1], [1, 0], [0, 1], [0, 1]]) == 1
    example = report.faint_example(SAMPLE, learned, np.zeros((3, 4)))
    assert (example.at, example.label) == (2, 0), "the first is a single-view input"
    assert example.visible == {1: "view 2", 2: "view 1 and 2", 3: "view 1"}
    assert example.unseen == [1, 3]
    scores = np.zeros((1, 3, 4))
    scores[0, 1, :3] = [1, 2, 9]  # classes that the second input does not show
    even = np.ones((1, 4, 2))
    students = {"train_outputs": scores, "correlations": even}
    values = report.example_values(example, SAMPLE, students)
    assert values["example-unseen"] == "1, 3" and values["floor"] == "2.0"
    # Of two multi-view inputs the first shows class 3 alone, at 0, below the others, and the
    # second every class.
    assert values["absent-ahead"] == "50%" and values["floor-late"] == "none"
    late = np.array([[[1, 1], [1, 0.5], [1, 1], [1, 1]]])
    values = report.example_values(example, SAMPLE, students | {"correlations": late})
    assert values["floor-late"] == "2.0", "of the second class alone"


def test_an_example_is_one_that_the_student_reads() -> None:
    three = sample([[*FAINT, 0.0, 0.0]] * 3, [0, 0, 0])  # a fifth class is absent
    learned = np.array([[1, 1], [1, 0], [0, 1], [0, 1], [1, 1]]) == 1
    scores = np.array([[0, 0, 0, 0, 0], [1, 9, 9, 9, 2], [3, 3, 3, 3, 2]])
    assert report.absent_ahead(three, scores).tolist() == [False, True, False]
    assert report.faint_example(three, learned, scores).at == 2, "the first is single-view"
    assert report.faint_example(three, learned, scores[[0, 1, 1]]).at == 1, "none is read"


def test_soft_labels_are_cut_at_the_cap() -> None:
    two = np.array([[[9.0, 0.0]], [[0.0, 9.0]]])
    others = np.array([[[0.0, -99.0]]] * 2)  # of another ensemble than the first student's
    all_four = {"train_outputs": np.concatenate([two, others])}
    rows = report.soft_labels(0, TAUGHT, all_four, {"train_outputs": 0 * two},
                              {"train_outputs": two[:1] / 9 * 0.5 / report.QUIET})  # fmt: skip
    assert [who for who, _ in rows][1] == "the average: the teacher"
    # tau = 1/2: the cap of 4 is passed, exp(1 / tau) against 1; the average passes it twice.
    e2, quarter = np.exp(2.0), np.exp(0.25 * 0.5 / 0.5)
    assert rows[0][1] == pytest.approx([e2 / (e2 + 1), 1 / (e2 + 1)])
    assert rows[1][1] == pytest.approx([0.5, 0.5]) and rows[2][1] == pytest.approx([0.5, 0.5])
    assert rows[3][1] == pytest.approx([quarter / (quarter + 1), 1 / (quarter + 1)])


def test_errors_over_time_and_who_fits_when() -> None:
    def watched(train: list[list[float]]) -> dict[str, Any]:
        errors = np.array(train)
        return {"steps": np.array([0, 4, 8]), "watched_single_error": errors / 2,
                "train_error": errors}  # fmt: skip

    hard = [watched([[1, 1], [0, 1], [0, 0]]), watched([[1], [0.5], [0]])]
    never = [watched([[1], [1], [1]])]
    steps, errors, fitted = report.errors_over_time({"hard-labels": hard, "distilled": never})
    assert steps.tolist() == [0, 4, 8]
    assert errors["hard labels"].tolist() == [[0.5, 0.5, 0.5], [0, 0.5, 0.25], [0, 0, 0]]
    assert fitted["hard labels"] == 7.0  # draws with means 6 and 8
    assert np.isnan(fitted["distilled"])


def test_students_that_stop_keep_their_last_error() -> None:
    def watched(steps: list[int], single: list[float]) -> dict[str, Any]:
        errors = np.array(single)[:, None]
        return {"steps": np.array(steps), "watched_single_error": errors, "train_error": errors}

    hard = [watched([0, 4, 6], [1.0, 0.5, 0.0]), watched([0, 4, 8, 9], [1.0, 0.8, 0.6, 0.0])]
    distilled = [watched([0, 4, 8, 12], [0.9, 0.3, 0.2, 0.1])]
    steps, errors, fitted = report.errors_over_time({"hard-labels": hard, "distilled": distilled})
    assert steps.tolist() == [0, 4, 8, 12]
    # At step 8 the first has stopped at 6; the second stops between 8 and 12.
    assert errors["hard labels"].T.tolist() == [[1.0, 0.5, 0.0, 0.0], [1.0, 0.8, 0.6, 0.0]]
    assert errors["distilled"].T.tolist() == [[0.9, 0.3, 0.2, 0.1]]
    assert fitted["hard labels"] == 7.5


def test_table_of_students() -> None:
    of = {"distilled": [draw([0.2, 0.4], 0.01), draw([0.3], 0.03, correlations=TWO_NETWORKS)]}
    (row,) = report.student_table(STUDY, of, {"theorem-3": finding("theorem-3")})
    assert row["students of"] == "distilled" and row["n"] == 3
    assert row["fit the training set"] == 1 and row["multi-view error"] == pytest.approx(0.02)
    assert row["test error / μ [95% interval]"] == "0.400 [0.300, 0.500]"
    assert row["classes with both views"] == 0.75 and row["average of the students"] == 0.25


def test_what_remains_is_in_the_weaker_view() -> None:
    error = np.array([[[0.0, 0.1], [0.1, 0.6]], [[0.9, 0.0], [0.0, 0.3]]])
    taught = draw([0.2, 0.4], correlations=TWO_NETWORKS, class_error=error)
    of = {"hard-labels": [draw([0.5, 0.5])], "distilled": [taught]}
    values = report.remaining_values(STUDY, of)
    assert str(values["gain"]).startswith("0.200 [")
    assert values["n-students"] == 2 and values["n-draws"] == 1
    assert values["both"] == "0.500" and values["hard-both"] == "1.000"
    # Below 0.6 of the larger: 2 of 4, 1 of 4, 0 of 4.
    assert values["uneven-share"] == "0.38" and values["uneven-error"] == "0.600"
    assert values["even-error"] == "0.040"


def run(single: list[float], train: list[float], largest: list[float]) -> dict[str, Any]:
    n = len(single)
    return {
        "steps": 4 * np.arange(n), "watched_single_error": np.array(single)[:, None],
        "watched_multi_error": np.zeros((n, 1)), "train_error": np.array(train)[:, None],
        "view_correlations": np.array(largest)[:, None, None, None] * np.array([[0.5, 1.0]]),
    }  # fmt: skip


def test_long_runs() -> None:
    capped = run([0.9, 0.04, 0.0, 0.04], [0.5, 0.1, 0.0, 0.0], [1, 2, 3, 30])
    printed = run([0.9, 0.2], [0.5, 0.012345], [1, 4e5])
    steps, error, largest = report.long_run(STUDY, capped)
    assert steps.tolist() == [0, 4, 8, 12] and error[:, 0].tolist() == [0.9, 0.04, 0.0, 0.04]
    assert largest[:, 0].tolist() == [1, 2, 3, 30]
    values = report.long_run_values(STUDY, capped, printed, draw([0.3, 0.4]))
    assert values["holds"] == "50%" and values["holds-from"] == 8 and values["long-steps"] == 12
    assert values["capped-end"] == "0.040" and values["capped-weight"] == "30"
    assert values["printed-steps"] == 4 and values["printed-end"] == "0.200"
    assert values["printed-weight"] == "4e+05" and values["printed-train"] == "0.0123"
    assert values["printed-one-hot"] == "0.350"


def test_pulls_in_words() -> None:
    rates = Pulls(own=5.0, leftover=0.123, noise=2.0, weak=3.0, confusion=4.0)
    table = report.pull_table(rates)
    assert [row["rate g r₀^(q-2)"] for row in table] == [5.0, 3.0, 4.0, 2.0, 0.123]
    assert table[3]["pull towards"] == "the noise of one sample"
    assert report.pull_values(rates) == {
        "rate-leftover": "0.12", "rate-noise": "2", "rate-weak": "3", "rate-confusion": "4"
    }  # fmt: skip


def test_room_and_hinton() -> None:
    crowded = list(
        zip(experiments("smoke", "room")[:2], [draw([0.4]), draw([0.3, 0.1])], strict=True)
    )
    base, half = report.room_table(STUDY, draw([0.5]), draw([0.1]), crowded)
    assert base["setting"] == "the book's setting" and half["setting"] == "half the samples"
    assert float(str(half["weak"])) == pytest.approx(float(str(base["weak"])) / 2)
    assert half["noise"] == base["noise"] and half["their ensemble"] == 0.25
    assert half["distilled students: single-view error"] == pytest.approx(0.2)
    assert half["fitted"] == "1 of 2"
    hinton = [(experiments("smoke", "temperature-each")[0], draw([0.2], 0.01))]
    (row,) = report.hinton_table(STUDY, hinton, {"self-distilled": [draw([0.4, 0.9]), draw([9.0])]})
    assert row["teacher"] == "one network each" and row["Hinton: test error / μ"] == pytest.approx(
        0.29
    )
    assert row["capped form, same students"] == pytest.approx(0.4), "the first student alone"


def stride_family() -> tuple[list[tuple[Any, dict[str, Any]]], ...]:
    """One length of steps and the book's on two draws, the longer first; of each student one is
    compared."""
    short = [
        replace(in_steps_of(0.2, e.study), n_students=1) for e in experiments("smoke", "frontier")
    ]
    book = [
        e.study for name in ("control-one-hot", "distilled") for e in experiments("smoke", name)
    ]

    def entries(studies: list[Any], taught: Any, control: Any) -> list[tuple[Any, dict[str, Any]]]:
        return [
            (SimpleNamespace(study=s), control if s.target == "one-hot" else taught)
            for s in studies
        ]

    one = entries(short, draw([0.02], correlations=TWO_NETWORKS[1:]),
                  draw([0.4], correlations=TWO_NETWORKS[1:], stop_step=np.array([99])))  # fmt: skip
    two = entries(book, draw([0.09, 0.9]), draw([0.05, 0.9], correlations=TWO_NETWORKS))
    return one, [(e, dict(arrays)) for e, arrays in two]


def test_the_frontier_is_walked_from_short_steps_to_long_ones() -> None:
    short, long = report.frontier(STUDY, *stride_family())
    assert (short.length, long.length) == (0.2, 0.6)
    assert (short.ours, long.ours) == (False, True) and (short.n, long.n) == (2, 2)
    assert short.steps == 60 and short.taught == pytest.approx((0.02, 0.02, 0.02))
    assert short.control[0] == pytest.approx(0.4) and short.gap[0] == pytest.approx(0.38)
    assert long.gap == pytest.approx((0.05 - 0.09,) * 3), "of each draw's first student alone"
    assert (short.faint, long.faint) == (0.5, 0.0), "two views of four are below .6 of the other"
    assert (short.spare, long.spare) == (0.0, 1.0)
    # Of TWO_NETWORKS' second the larger readings are 4 and 4, the smaller 1 and 0; varrho is 1.5.
    assert short.taught_views == pytest.approx((4 / 1.5, 0.5 / 1.5))
    assert long.control_views == pytest.approx((4 / 1.5, 3 / 1.5)), "of the first: 4, 4, 4, 2"


def test_both_sides_of_the_frontier_are_on_the_same_draws() -> None:
    tried, book = stride_family()
    for e, arrays in book:
        if e.study.base.draw > 10:
            arrays["single_error"] = np.array([9.0, 9.0])
    one = [entry for entry in tried if entry[0].study.base.draw == 10]
    assert report.frontier(STUDY, one, book)[1].taught[0] == pytest.approx(0.09)


def test_both_goals_are_wanted_at_once() -> None:
    tried, book = stride_family()
    short, long = report.frontier(STUDY, tried, book)
    good = short._replace(taught=(0.01, 0, 0), gap=(0.25, 0.25, 0.25))
    open_ = short._replace(taught=(0.02, 0.01, 0.03), gap=(0.2, 0.1, 0.25))
    assert report.may_be_in_corner(open_) and not report.in_corner(open_)
    assert not report.may_be_in_corner(open_._replace(gap=(0.2, 0.1, 0.24)))
    assert not report.may_be_in_corner(open_._replace(taught=(0.02, 0.011, 0.03)))
    assert report.in_corner(good)
    assert not report.in_corner(short), "too many errors"
    assert not report.in_corner(good._replace(gap=(0.2499, 0, 0)))
    rows = report.frontier_table([short, good, long])
    assert [row["step"] for row in rows] == ["0.2", "0.2", "0.6 (the book's)"]
    assert rows[0]["students of each kind"] == 2
    assert rows[0]["one-hot above distilled"] == "0.380 [0.380, 0.380]"
    said = report.frontier_values([short, good, long], tried)
    assert said["lengths-both"] == "0.2" and said["lengths-n"] == 3
    assert (said["lengths-students"], said["lengths-draws"]) == (1, 2)
    assert said["lengths-open"] == "0.2" and said["network-lacks"] == "0.5"
    assert said["short-taught"] == "0.020" and said["long-gap"] == "-0.040"
    assert report.frontier_values([short, long], tried)["lengths-both"] == "none"


# Students of two networks; own tickets and teachers agree in classes (0, 0) and (1, 1).
TEACHERS = [{"correlations": np.array([[[9.0, 0], [9, 0]], [[9, 0], [0, 9]]])}]
STUDENTS = [
    draw([0.1, 0.2], correlations=TWO_NETWORKS, predicted_winner=np.array([[0, 1], [1, 1]]))
]


def test_two_lotteries() -> None:
    # Same view: (0, 0) has both, (1, 1) the other one alone; else (0, 1) both, (1, 0) the own one.
    counts = report.lottery_counts(TEACHERS, STUDENTS)
    assert counts.tolist() == [[0, 1, 1], [1, 0, 1]]
    control = np.array([[6, 0, 2], [5, 1, 4]])
    values = report.lottery_values(np.array([[6, 1, 1], [2, 3, 5]]), control)
    assert values == {"n-same": 8, "n-differ": 10, "both-same": "0.12", "both-differ": "0.50",
                      "teacher-only": "0.30", "control-same": "0.25",
                      "control-differ": "0.40"}  # fmt: skip


def test_an_error_beside_its_control() -> None:
    found = [report.beside((0.0, *ends)) for ends in ((0.1, 0.2), (-0.2, -0.1), (-0.1, 0.1))]
    told = ("lower than", "higher than", "not to be told from")
    assert found == [f"{word} the control's" for word in told]


def test_self_distillation_in_the_text() -> None:
    of = {"single-model": TEACHERS, "hard-labels": [draw([0.5, 0.5])],
          "control-one-hot": [draw([9.0, 9.0])], "self-control": [draw([0.3, 0.3])],
          "self-distilled": STUDENTS}  # fmt: skip
    names = ("self-distillation", "hard-label-student", "control-one-hot", "self-control")
    values = report.self_distillation_values(STUDY, TAUGHT, of, {n: finding(n) for n in names})
    assert str(values["gain"]).startswith("0.350 [") and str(values["beyond"]).startswith("0.150 [")
    assert values["beside-control"] == "lower than the control's", "the one at its own tau"
    assert values["self-tau"] == 0.5 and values["self-cap"] == "4.0"
    # Measured .4 with an interval up to .5, and a bound of .5.
    assert values["self-bound"] == "0.5" and values["self-verdict"] == "holds"
    assert values["self-measured-is"] == values["self-high-is"] == "within"
    beyond = replace(finding("self-distillation", 0.45), direction="at most", turn=0.6)
    names_found = {n: finding(n) for n in names} | {"self-distillation": beyond}
    wide = report.self_distillation_values(STUDY, TAUGHT, of, names_found)
    assert (wide["self-measured-is"], wide["self-high-is"]) == ("within", "above")
    assert wide["self-verdict"] == "right direction"
    assert values["self-n"] == 7 and values["hard"] == "0.400 [0.300, 0.500]"
    # Half of all pairs know one view of two; 1 - (1 - s/k)^3 of the inputs show another class.
    assert values["predicted"] == f"{0.25 * (1 - (1 - STUDY.data.sparsity / 4) ** 3):.3f}"


def generations(*errors: float) -> list[tuple[Experiment, dict[str, Any]]]:
    made = []
    for e, error in zip(experiments("smoke", "chain"), errors, strict=True):
        study: Any = replace(e.study, n_students=1, tau=0.5, teacher_scale=2.0)  # type: ignore
        loud = np.zeros((1, 3, 4))
        loud[0, 1, 0] = 2.5  # one of the three classes that the second input does not show
        made.append((replace(e, study=study), draw([error], 0.01, train_outputs=loud)))
    return made


def test_chains_of_students() -> None:
    chain = generations(0.3, 0.2)
    single = draw([0.5, 0.9], correlations=TWO_NETWORKS)
    numbers, errors, both = report.chain_curves(STUDY, single, chain)
    assert numbers == [0, 1, 2] and np.concatenate(errors) == pytest.approx([0.5, 0.39, 0.29])
    assert both == [1.0, 1.0, 1.0], "the first network has all views, the second half of them"
    first, second = report.chain_table(chain, errors, both)
    assert first["generation"] == 1 and first["implicit ensemble, 2^-(g+1)"] == 0.25
    assert second["test error / μ"] == pytest.approx(0.29) and second["multi-view error"] == 0.01
    networks = {"train_outputs": np.full((2, 3, 4), 2.5)}
    networks["train_outputs"][:, :2] = 1.5
    loud = report.loud_table(SAMPLE, networks, chain)
    # c F > 1 / tau^2: networks on the last input alone, which shows every class; six are faint.
    assert [list(row.values()) for row in loud] == [
        ["generation 0, a network", 0.5, 0.0], ["generation 1", 0.0, pytest.approx(1 / 3)]
    ]  # fmt: skip
    values = report.chain_values(numbers, errors, loud)
    assert values == {"chain-means-apart": "0.100", "chain-students-apart": "0.000 to 0.000",
                      "chain-n": 1, "chain-first": "0.390", "chain-last": "0.290",
                      "chain-generations": 2, "absent-networks": "0.0%",
                      "absent-students": "33.3%"}  # fmt: skip


def test_findings_in_tables() -> None:
    ((beside,), (how,)) = report.findings_tables([finding("theorem-1", 0.5)])
    assert list(beside.values()) == ["Theorem 1: Says so.", 0.5, "0.400 [0.300, 0.500]", "mu", 7]
    assert how == {"claim": "theorem-1", "how it was measured": "Seen once."}
