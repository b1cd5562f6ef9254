"""Behaviour cloning: its loss by hand, and its learning rate over a run."""

from math import cos, pi

import pytest
import torch
from torch import nn
from updates import agent, rollout

from twosome.algorithms.algorithm import Progress
from twosome.algorithms.bc import Demonstrations, build

OPTIONS = {
    "demonstrator": "optimal", "num_envs": 3, "num_steps": 4, "update_epochs": 1, "num_minibatches": 2, "learning_rate": 0.01,
    "schedule": "constant", "warmup": 0.0, "weight_decay": 0.0, "adam_eps": 1e-8, "max_grad_norm": 1e9,
}  # fmt: skip


@pytest.mark.parametrize("minibatches", [1, 3])
def test_an_update_descends_the_cross_entropy_of_the_demonstrated_actions(minibatches):
    algorithm, made, plain = build(**OPTIONS | {"num_minibatches": minibatches}), agent(), agent()
    batch = rollout(made)
    samples = Demonstrations(batch.decisions, batch.choices)
    metrics = algorithm.update(made, samples, algorithm.optimizers(made), Progress(0, 1), torch.Generator().manual_seed(5))

    optimizer = torch.optim.AdamW(plain.parameter_groups()["policy"], 0.01, weight_decay=0.0)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(5)) if minibatches > 1 else torch.arange(12)
    losses, right = [], 0
    for index in order.chunk(minibatches):
        terms = []
        for sample in index.tolist():
            ((_, found),) = plain.evaluate([batch.decisions[sample]])
            terms.append(nn.functional.cross_entropy(found.log_policy, batch.choices[sample : sample + 1]))
            right += int(found.log_policy.argmax()) == int(batch.choices[sample])
        loss = torch.stack(terms).mean()
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
        optimizer.zero_grad()
    assert metrics["bc_loss"] == pytest.approx(sum(losses) / minibatches, rel=1e-4)
    assert metrics["accuracy"] == pytest.approx(right / 12)
    assert metrics["policy_steps"] == minibatches
    for ours, theirs in zip(made.parameter_groups()["policy"], plain.parameter_groups()["policy"], strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", lambda done: 0.01),
        ("linear", lambda done: 0.01 * (1 - done)),
        ("cosine", lambda done: 0.005 * (1 + cos(pi * done))),
    ],
)
def test_the_learning_rate_rises_and_falls_over_the_run(schedule, expected):
    config = build(**OPTIONS | {"schedule": schedule, "warmup": 0.1}).config
    rates = [config.rate(step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx([0.001 * (step + 1) for step in range(10)])
    assert rates[10:] == pytest.approx([expected(step / 90) for step in range(90)])
