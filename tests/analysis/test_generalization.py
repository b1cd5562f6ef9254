"""Unseen tasks: rates, intervals and gains of synthetic records, what is missing, and what is drawn."""

import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from analysis_tools import CLAIMS, MEASURES, OVERCOOKED, PAPER, VIRTUALHOME, add_records, make_run, unseen_records
from hypothesis import given
from hypothesis import strategies as st

import generalization
import report
from twosome.errors import UserError
from twosome.report.data import collection, published
from twosome.report.data.run_folder import read_folder
from twosome.report.output.files import FIGURES, claim
from twosome.report.results import generalization_figures
from twosome.report.results.claims_table import shown_by_paper
from twosome.report.results.generalization_tables import rows as collect
from twosome.report.statistics import claims as judging
from twosome.report.statistics import measures, transfer
from twosome.report.statistics.estimates import Z95, Bootstrap, wilson

FOOD = {"id": VIRTUALHOME, "task": "food_preparation", "prompt": "default", "gamma": 0.95}


def household(folder, trained, seed=0, task="cheese", **options):
    """A run on food preparation that was tested on another task."""
    made = make_run(folder, seed=seed, task="food_preparation", env=FOOD)
    return add_records(made, unseen_records(task, trained, env=VIRTUALHOME, **options))


def made(*words):
    """What the command wrote, by name."""
    return {path.name: path for path in generalization.make(generalization.parser().parse_args(list(map(str, words))))}


def rows(*words):
    return pd.read_csv(made(*words)["generalization.csv"]).set_index(["task", "when"])


def test_wilson_by_hand():
    """Worked out from (p + z^2/2n -+ z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n); at the ends, n / (n + z^2)."""
    for successes, trials, low, high in ((5, 10, 0.2366, 0.7634), (1, 10, 0.0179, 0.4042), (66, 100, 0.5628, 0.7454)):
        found = wilson(successes, trials)
        ends = [float(end) for end in vars(found).values()]
        assert ends == pytest.approx([successes / trials, low, high], abs=1e-4)
    assert [float(end) for end in (wilson(300, 300).low, wilson(300, 300).high)] == pytest.approx([300 / (300 + Z95**2), 1])
    assert [float(end) for end in (wilson(0, 7).low, wilson(0, 7).high)] == pytest.approx([0, Z95**2 / (7 + Z95**2)])


@given(st.integers(1, 500).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_wilson_holds_what_a_score_test_would_not_reject(counts):
    """Its ends p solve (share - p)^2 = z^2 p (1 - p) / n."""
    successes, trials = counts
    found = wilson(successes, trials)
    assert 0 <= found.low <= found.center <= found.high <= 1
    for end in map(float, (found.low, found.high)):
        assert (float(Fraction(successes, trials)) - end) ** 2 == pytest.approx(Z95**2 * end * (1 - end) / trials, abs=1e-9)


def test_episodes_are_pooled_over_seeds_and_seeds_are_shown(tmp_path):
    for seed, rate in enumerate((1.0, 0.9, 0.5)):
        household(tmp_path / str(seed), rate, seed)
    found = rows(tmp_path, "--out", tmp_path)
    after, before = found.loc["cheese", "after"], found.loc["cheese", "before"]
    assert (after.seeds, after.episodes, after.successes, after.rate) == (3, 300, 240, 0.8)
    assert (after.low, after.high) == pytest.approx((0.7510, 0.8414), abs=1e-4)  # by hand: (0.8 + 0.0064 -+ 0.0458) / 1.0128
    assert (after.seed_low, after.seed_high, after.by_seed) == (0.5, 1.0, "1 0.9 0.5")
    assert (after.gain, after.gain_low, after.gain_high) == pytest.approx((0.3, 0.0, 0.5), abs=1e-6)
    assert (before.paper, after.paper, after.paper_tag) == (0.66, 1.0, "F")
    assert math.isnan(found.loc["cheese", "random"].paper)
    text = (tmp_path / "generalization.md").read_text()
    assert "0.80 [0.75, 0.84] | 1.00 0.90 0.50 | +0.30 (+0.00 to +0.50) | 0.66 [F] | 1.00 [F] |" in text
    assert "ignore that agents differ from seed to seed" in text


def test_what_does_not_depend_on_the_seed_counts_once(tmp_path):
    for seed in range(3):
        household(tmp_path / str(seed), 1.0, seed)  # the trained agents succeed alike, but are three
    found = rows(tmp_path, "--out", tmp_path)
    assert found.episodes.to_dict() == {("cheese", "random"): 100, ("cheese", "before"): 100, ("cheese", "after"): 300}
    household(tmp_path / "3", 1.0, 3, untrained=0.7)  # another machine, say
    found = rows(tmp_path, "--out", tmp_path)
    assert found.loc["cheese", "before"][["episodes", "successes"]].tolist() == [200, 120]


def test_greedy_is_another_evaluation(tmp_path):
    household(tmp_path / "0", 0.8)
    found = rows(tmp_path, "--out", tmp_path, "--mode", "greedy")
    assert found.rate.tolist() == [0.1, 0.25, 0.4]
    assert found.paper.isna().all()


def test_matrix_has_own_and_foreign_tasks_and_the_other_table_neither(tmp_path):
    for seed in range(2):
        made_run = household(tmp_path / str(seed), 0.8, seed)
        add_records(made_run, unseen_records("tomato_salad", 0.4, env=OVERCOOKED))
        add_records(made_run, unseen_records("food_preparation", 1.0, env=VIRTUALHOME))
        pizza = unseen_records("pizza", 1.0, env=VIRTUALHOME)
        add_records(made_run, [record | {"options": {"kwargs.max_primitive_steps": 9}} for record in pizza])  # not as in training
    written = made(tmp_path, "--out", tmp_path)
    assert pd.read_csv(written["generalization.csv"]).task.unique().tolist() == ["cheese"]
    whole = pd.read_csv(written["transfer.csv"]).set_index("task")
    assert whole.own.to_dict() == {"cheese": False, "tomato_salad": False, "food_preparation": True}
    assert whole.gain.to_dict() == pytest.approx({"cheese": 0.3, "tomato_salad": -0.1, "food_preparation": 0.5})
    assert "| Tomato salad | 0.40 (-0.10) |" in written["transfer.md"].read_text()


@pytest.mark.filterwarnings("error:constrained_layout not applied")
def test_matrix_of_tasks_with_long_names_is_laid_out():
    tasks = [f"{name} (explicit)" for name in ("tomato_lettuce_salad", "tomato_salad")]
    found = [(each, other, each == other, 0.5, 0.1) for each in tasks for other in tasks]
    data = pd.DataFrame(found, columns=["trained_on", "task", "own", "rate", "gain"]).assign(env=OVERCOOKED)
    figure = generalization_figures.matrix(data)
    figure.draw_without_rendering()
    assert all(each.get_window_extent().height > 20 for each in figure.axes)


def refused(*words):
    """The one line of an error."""
    with pytest.raises(UserError) as caught:
        made(*words, "--out", "nowhere")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_seed_without_records_is_refused(tmp_path):
    household(tmp_path / "0", 0.8)
    make_run(tmp_path / "1", seed=1, task="food_preparation", env=FOOD)
    message = refused(tmp_path)
    assert f"{tmp_path / '1'}: expected food_preparation/twosome-word/1 to have a sampled evaluation on cheese by" in message
    assert message.endswith("suite=unseen")
    assert len(rows(tmp_path, "--out", tmp_path / "out", "--seeds", "0")) == 3


def test_an_agent_that_was_not_tested_untrained_is_refused(tmp_path):
    made_run = make_run(tmp_path / "0", task="food_preparation", env=FOOD)
    add_records(made_run, [record for record in unseen_records("cheese", 0.8, env=VIRTUALHOME) if record["when"] != "before"])
    assert "on cheese by the untrained policy, as other records call for, found none; make it with" in refused(tmp_path)


def test_nothing_tested_is_refused_and_a_task_that_lacks_it_is_left_out(tmp_path, capsys):
    make_run(tmp_path / "0")
    assert refused(tmp_path).startswith("--method twosome-word: expected a run of it that was tested on other tasks, found none")
    household(tmp_path / "1", 0.8)
    assert set(rows(tmp_path, "--out", tmp_path / "out").trained_on) == {"food_preparation"}
    assert "warning: tomato_salad: left out" in capsys.readouterr().err
    assert refused(tmp_path, "--method", "ppo").startswith("--method ppo: expected")


def test_a_copy_that_was_evaluated_further_counts(tmp_path):
    make_run(tmp_path / "a" / "0", task="food_preparation", env=FOOD)
    household(tmp_path / "b" / "0", 0.8)
    for folders in ([tmp_path / "a", tmp_path / "b"], [tmp_path / "b", tmp_path / "a"]):
        (run,) = collection.read(folders)
        assert len(transfer.played(run)) == 4  # the own task after training, and cheese by three
    published.write([run], tmp_path / "published")
    (again,) = collection.read([tmp_path / "published"])
    pd.testing.assert_frame_equal(transfer.played(again), transfer.played(run))
    household(tmp_path / "c", 0.7)
    with pytest.raises(UserError, match="with different results"):
        collection.read([tmp_path / "b", tmp_path / "c"])


def test_bars_show_every_rate_and_the_paper(tmp_path):
    for seed, rate in enumerate((1.0, 0.6)):
        household(tmp_path / str(seed), rate, seed)
    data = collect(collection.by_task(collection.read([tmp_path])), PAPER, generalization.parser().parse_args([str(tmp_path)]))
    (axes,) = generalization_figures.bars(data[~data.own], "twosome-word", PAPER.model).axes
    assert [bar.get_width() for bar in axes.patches] == [0.2, 0.5, 0.8]
    marks = [sorted(group.get_offsets()[:, 0].tolist()) for group in axes.collections if len(group.get_offsets())]
    assert marks == [[0.6, 1.0], [0.6, 1.0], [0.66], [1.0]]  # seeds, a dark mark on a white one; the paper's
    intervals = [(np.nanmin(line.get_xdata()), np.nanmax(line.get_xdata())) for line in axes.get_lines()]
    assert intervals == list(data[~data.own][["low", "high"]].itertuples(index=False, name=None))


def test_claims_of_unseen_tasks(tmp_path):
    for seed, rate in enumerate((1.0, 0.98, 0.99)):
        run = household(tmp_path / str(seed), rate, seed)
        add_records(run, unseen_records("entertainment", 0.1, untrained=0.3, env=VIRTUALHOME))
        add_records(run, unseen_records("pizza", 1.0, untrained=0.9, env=VIRTUALHOME))
    runs = [read_folder(tmp_path / str(seed)) for seed in range(3)]
    assert MEASURES["gain on new tasks"](runs[1], 256) == pytest.approx((0.48 + 0.1) / 2)
    checks = [check for claim in CLAIMS for check in claim.checks if "the cross" in check.measure or "new tasks" in check.measure]
    found = {check.says: judging.judge(check, {"twosome-word": runs}, 256, Bootstrap(100), MEASURES) for check in checks}
    assert {says: outcome.verdict for says, outcome in found.items()} == {
        "succeeds more often on the six new tasks": judging.SUPPORTED,
        "succeeds more often on the other trained task": judging.CONTRADICTED,
        "succeeds on the six new tasks": judging.SUPPORTED,
    }
    shown = [shown_by_paper(check, "food_preparation", PAPER) for check in checks]
    assert shown == ["0.34, from 0.66 to 1.00 [F]", "0.93, from 0.04 to 0.97 [F]", "1.00 [F]"]
    assert shown_by_paper(checks[1], "entertainment", PAPER) == "0.11, from 0.66 to 0.77 [F]"
    assert shown_by_paper(checks[0], "tomato_salad", PAPER) == "—"
    assert not any(check.concerns("tomato_salad") for check in checks)


def test_untested_runs_give_no_verdict(tmp_path):
    make_run(tmp_path, task="food_preparation", env=FOOD)
    assert math.isnan(MEASURES["success on new tasks"](read_folder(tmp_path), 256))


@pytest.mark.parametrize("task", PAPER.content["unseen"]["tasks"])
def test_rates_of_the_paper_are_possible(task):
    assert task in PAPER.content["tasks"]
    assert all(0 <= before <= after <= 1 for before, after in PAPER.unseen(task, "twosome-word").values())
    assert PAPER.unseen(task, "ppo") == {}


def test_agents_that_were_played_in_another_environment_only(tmp_path, capsys):
    """Nothing of the first table and figure, which the report then does not have either, whatever an earlier one left."""
    add_records(make_run(tmp_path / "run", steps=1024), unseen_records("cheese", 0.9, env=VIRTUALHOME))
    claim(tmp_path / "out", FIGURES)
    (tmp_path / "out" / "generalization.md").write_text("of other runs")
    names = {f"transfer.{suffix}" for suffix in ("csv", "md", "tex", "pdf", "png")}
    assert set(made(tmp_path / "run", "--out", tmp_path / "out")) == names
    assert "no run of twosome-word was tested on them (src/evaluate.py, suite=unseen)" in capsys.readouterr().err
    assert report.main([str(tmp_path / "run"), "--out", str(tmp_path / "out"), "--bootstrap-samples", "2"]) == 0
    text = (tmp_path / "out" / "report.html").read_text()
    assert "transfer.csv" in text
    assert "generalization.csv" not in text


def test_of_two_records_of_the_same_the_last_counts(tmp_path):
    folder = add_records(make_run(tmp_path / "run"), unseen_records("lettuce_salad", 0.1))
    add_records(folder, unseen_records("lettuce_salad", 0.9))
    run = read_folder(folder)
    assert transfer.pooled([run]).set_index(["task", "when"]).rate["lettuce_salad", "after"] == 0.9
    assert measures.unseen(run, 4096, PAPER.tasks, crossover=False, gain=True) == pytest.approx(0.4)
