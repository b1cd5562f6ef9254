"""Where in a run its episodes count: by simulation, by hand, and of runs that were published with another rule."""

import shutil

import numpy as np
import pandas as pd
import pytest
from analysis_tools import as_format_1, make_run, rising

import claims
import curves
import report
import summary
from twosome.errors import UserError
from twosome.report.data import collection, episodes, published
from twosome.report.data.run import BEGAN, BIN, ENDED
from twosome.report.data.run_folder import read_folder
from twosome.report.results import notes
from twosome.report.statistics.axes import AXES

WINDOW = 4096
NOTE = "episodes count where they ended (runs published before 2026-11-22)"


def write_episodes(folder, rows, steps, envs):
    """Put other episodes into a run's folder: rows of env, env_step at the end, decisions, return."""
    table = pd.DataFrame(rows, columns=["env", "env_step", "decisions", "discounted_return"])
    table.sort_values("env_step").assign(success=True).to_csv(folder / "episodes.csv", index=False)
    head = "env_steps,optimizer_steps,rollout_seconds,update_seconds"
    (folder / "metrics.csv").write_text(f"{head}\n{steps // 2},10,1,1\n{steps},30,4,2\n")
    config = (folder / "config.yaml").read_text().replace("num_envs: 4", f"num_envs: {envs}")
    (folder / "config.yaml").write_text(config)
    return folder


def played(random, envs, decisions, lengths):
    """Episodes of a fixed policy in environments that step together: the short ones have a return of 1, the others 0."""
    rows = []
    for env in range(envs):
        drawn = random.choice(lengths, size=decisions // min(lengths) + 1)
        for end, length in zip(np.cumsum(drawn), drawn, strict=True):
            if end <= decisions:
                rows.append((env, end * envs, length, float(length == min(lengths))))
    return rows


@pytest.mark.parametrize("envs", [4, 32])
def test_a_fixed_policy_has_the_same_return_everywhere(tmp_path, envs):
    """Half of its episodes have 5 decisions, half have 50. In its first and last window, by their end there are too many short
    ones, or, without the end of what is covered, by their beginning."""
    random, steps, found = np.random.default_rng(0), 16_384, {}
    folder = make_run(tmp_path / "run")
    for _ in range(60):
        rows = played(random, envs, steps // envs, (5, 50))
        write_episodes(folder, rows, steps, envs)
        run = read_folder(folder)
        table = pd.DataFrame(rows, columns=["env", "end", "decisions", "value"])
        began = table.end - table.decisions * envs
        middle = run.end // 2 // BIN * BIN
        for name, last in (("first", WINDOW), ("middle", middle + WINDOW // 2), ("last", run.end)):
            bins = run.bins[(run.bins.step > last - WINDOW) & (run.bins.step <= last)]
            found.setdefault(name, []).append((bins.return_sum.sum(), bins.episodes.sum()))
        for name, there in (("first by end", table.end <= WINDOW), ("last without covered", began >= steps - WINDOW)):
            found.setdefault(name, []).append((table.value[there].sum(), there.sum()))
    means = {name: np.sum(values, axis=0)[0] / np.sum(values, axis=0)[1] for name, values in found.items()}
    for name in ("first", "middle", "last"):
        assert means[name] == pytest.approx(0.5, abs=0.02), name
    assert means["first by end"] > (0.5, 0.55)[envs == 32]
    assert means["last without covered"] > (0.505, 0.55)[envs == 32]


def test_time_outs_in_step_make_no_zigzag(tmp_path):
    """Of a fixed policy a fifth of the episodes succeed after 5 decisions, the others run into their limit of 50."""
    random, envs, steps, found = np.random.default_rng(0), 128, 16_384, []
    folder = make_run(tmp_path / "run")
    for _ in range(40):
        rows = played(random, envs, steps // envs, (5, *[50] * 4))
        bins = read_folder(write_episodes(folder, rows, steps, envs)).bins
        table = pd.DataFrame(rows, columns=["env", "end", "decisions", "value"])
        by_end = table.groupby((table.end - 1) // 1024).value.agg(["sum", "size"]).reindex(range(9), fill_value=0)
        by_beginning = bins.groupby((bins.step - 1) // 1024)[["return_sum", "episodes"]].sum().reindex(range(9))
        found.append(np.stack([by_beginning.to_numpy(float), by_end.to_numpy(float)]))
    sums = np.sum(found, axis=0)
    by_beginning, by_end = (total[count >= 200] / count[count >= 200] for total, count in np.moveaxis(sums, 2, 1))
    assert by_beginning == pytest.approx(np.full(len(by_beginning), 0.2), abs=0.07)
    assert len(by_beginning) >= 4
    assert np.ptp(by_end) > 0.5


def test_bins_by_hand(tmp_path):
    """Two environments, of which the first had an episode of 100 decisions, one of 200 and one of 20; the other three of 150."""
    rows = [
        (0, 200, 100, 0.25),
        (0, 600, 200, 0.5),
        (0, 640, 20, 1.0),
        (1, 300, 150, 2.0),
        (1, 600, 150, 4.0),
        (1, 900, 150, 8.0),
    ]
    run = read_folder(write_episodes(make_run(tmp_path / "run"), rows, 1000, 2))
    assert (run.covered, run.end, run.binned, run.steps) == (640, 512, BEGAN, 1000)
    assert run.bins.step.tolist() == [256, 512]
    assert run.bins.episodes.tolist() == [3, 1]  # began at 0, 200 and 0; at 300. Those that began at 600 are in no whole bin
    assert run.bins.return_sum.tolist() == [0.25 + 0.5 + 2.0, 4.0]
    assert run.bins.optimizer_steps.tolist() == pytest.approx([10 * 256 / 500, 10 + 20 * 12 / 500], rel=1e-5)
    assert run.bins.seconds.tolist() == pytest.approx([2 * 256 / 500, 2 + 6 * 12 / 500], rel=1e-5)


@pytest.mark.parametrize(
    ("rows", "covered"),
    [
        ([(0, 100, 10, 1.0), (1, 900, 90, 1.0)], 100),
        ([(0, 100, 10, 1.0), (0, 900, 80, 1.0)], 0),  # the other environment finished none
        ([(0, 1400, 10, 1.0), (1, 1300, 90, 1.0)], 1000),  # of an update that metrics.csv does not have
    ],
)
def test_covered(tmp_path, rows, covered):
    assert read_folder(write_episodes(make_run(tmp_path / "run"), rows, 1000, 2)).covered == covered


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"algorithm": {"num_envs": 32}}, 32),
        ({"algorithm": {"rate": 1}}, "algorithm.num_envs"),
        ({"algorithm": {"num_envs": "4"}}, "algorithm.num_envs"),
    ],
)
def test_how_many_environments_step_together(config, found):
    if isinstance(found, int):
        assert episodes.num_envs(config, "config.yaml") == found
        return
    with pytest.raises(UserError, match=f"config.yaml: {found}: expected how many environments stepped together.*; run it again"):
        episodes.num_envs(config, "config.yaml")


def test_format_2_keeps_each_runs_rule(tmp_path):
    """And so does publishing it again, of old runs beside new ones."""
    old = as_format_1(written([make_run(tmp_path / "runs" / "ppo", "ppo")], tmp_path / "old"))
    make_run(tmp_path / "runs" / "word")
    runs = collection.read([old, tmp_path / "runs" / "word"])
    assert {run.method: (run.binned, run.covered) for run in runs} == {"ppo": (ENDED, 8192), "twosome-word": (BEGAN, 8192)}
    published.write(runs, tmp_path / "both")
    again = collection.read([tmp_path / "both"])
    for ours, theirs in zip(runs, again, strict=True):
        pd.testing.assert_frame_equal(ours.bins, theirs.bins)
        for name in ("binned", "covered", "steps", "seconds", "end"):
            assert getattr(ours, name) == getattr(theirs, name)
    assert set(pd.read_csv(tmp_path / "both" / "runs.csv").format) == {2}
    both = collection.read([old, tmp_path / "runs"])  # the run's own folder says where episodes began
    assert [run.binned for run in both] == [BEGAN, BEGAN]


def written(folders, out):
    published.write([read_folder(folder) for folder in folders], out)
    return out


def test_format_1_and_2_in_one_file_are_refused(tmp_path):
    folder = written([make_run(tmp_path / "a"), make_run(tmp_path / "b", "ppo")], tmp_path / "published")
    text = (folder / "runs.csv").read_text()
    (folder / "runs.csv").write_text(text.replace("\n2,", "\n1,", 1))
    with pytest.raises(UserError, match="expected format 2, or 1, in all rows, found 2"):
        published.read(folder)


def test_copies_of_a_run_differ_by_its_curve_but_not_by_its_time(tmp_path):
    one = make_run(tmp_path / "one")
    two = shutil.copytree(one, tmp_path / "two")
    (two / "metrics.csv").write_text((two / "metrics.csv").read_text().replace(",1.5,", ",2.5,"))
    assert len(collection.read([one, two])) == 1
    (two / "metrics.csv").write_text((two / "metrics.csv").read_text().replace(",24,", ",25,"))
    with pytest.raises(UserError, match="with different results"):
        collection.read([one, two])


@pytest.fixture
def mixed(tmp_path):
    """Folders of a study whose PPO was published in format 1, and one seed of two of word."""
    for seed in (0, 1):
        make_run(tmp_path / "runs" / f"word-{seed}", seed=seed, curve=rising(0.9, 1000), before=0.0)
        make_run(tmp_path / "later" / f"ppo-{seed}", "ppo", seed, curve=rising(0.8, 2000))
    shutil.move(tmp_path / "runs" / "word-1", tmp_path / "later" / "word-1")
    old = as_format_1(written(sorted((tmp_path / "later").iterdir()), tmp_path / "old"))
    return [str(tmp_path / "runs"), str(old), "--window", "512", "--bootstrap-samples", "5", "--out", str(tmp_path / "out")]


def test_the_note_names_the_runs(mixed, tmp_path, capsys):
    named = "Tomato salad (TWOSOME, word, seed 1; PPO from scratch)"
    for command, table in ((summary, "summary.md"), (claims, "claims.md")):
        assert command.main(mixed) == 0
        assert f"{named}: {NOTE}" in (tmp_path / "out" / table).read_text()
    assert report.main(mixed) == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count(f"{named}: {NOTE}") == 3  # of the curves, the summary and the claims
    assert f"{named}: left out, since seconds of training are not recorded" in page
    assert f"warning: {named}: left out, since optimiser steps of the policy are not recorded" in capsys.readouterr().err


def test_the_note_is_short_where_it_holds_for_all(tmp_path):
    folders = [
        make_run(tmp_path / f"{task}-{method}", method, task=task) for task in ("a", "b") for method in ("ppo", "twosome-word")
    ]
    runs = published.read(as_format_1(written(folders, tmp_path / "old")))
    assert notes.counted(collection.by_task(runs)) == [f"A, B (all trained methods): {NOTE}."]
    assert notes.counted(collection.by_task(collection.read(folders))) == []


def test_figures_have_the_note(mixed, monkeypatch):
    """Of what they show."""
    for against, why in (("env_steps", NOTE), ("seconds", "left out, since seconds of training are not recorded")):
        figures = drawn([*mixed, "--against", against], monkeypatch)
        said = {name: " ".join(figure.axes[-1].get_xlabel().split()) for name, figure in figures.items()}
        norms, baselines = (said[f"curves_{name}{AXES[against].suffix}"] for name in ("norms", "baselines"))
        assert f"Tomato salad (TWOSOME, word, seed 1): {why}" in norms
        assert f"Tomato salad (TWOSOME, word, seed 1; PPO from scratch): {why}" in baselines
        assert (NOTE in norms) == (NOTE in baselines) == (against == "env_steps")


def drawn(words, monkeypatch):
    """The figures of a command line, by name."""
    figures = {}
    monkeypatch.setattr(curves.Folder, "figure", lambda out, name, figure: figures.setdefault(name, figure))
    assert curves.main(words) == 0
    return figures
