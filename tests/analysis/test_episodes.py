"""Where in a run its episodes count: by simulation and by hand."""

import numpy as np
import pandas as pd
import pytest
from analysis_tools import make_run

from twosome.report.records import BIN
from twosome.report.runs import read_folder

WINDOW = 4096


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
    assert (run.covered, run.end, run.steps, run.seconds, run.optimizer_steps) == (640, 512, 1000, 8, 30)
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
