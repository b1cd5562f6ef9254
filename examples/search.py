"""Search for a learning rate and a norm by Optuna: a trial is a run, and its score is the trained agent's mean discounted return.

    python examples/search.py 20 [model=tiny_random ...]

The trials are kept in search.db: the same command goes on after an interruption. pip install optuna.
"""

import sys

import optuna

import twosome


def score(trial: optuna.Trial) -> float:
    """Train with the values of a trial; return the score."""
    rate = trial.suggest_float("learning_rate", 1e-4, 3e-3, log=True)
    norm = trial.suggest_categorical("norm", ["word", "token"])
    words = [f"algorithm.learning_rate={rate}", f"norm={norm}", f"label='trial {trial.number}'"]
    return twosome.run(*words, *sys.argv[2:], folder=f"outputs/search/{trial.number}").score


study = optuna.create_study(
    direction="maximize",
    study_name="search",
    storage="sqlite:///search.db",
    load_if_exists=True,
    sampler=optuna.samplers.TPESampler(seed=0),
)
study.optimize(score, n_trials=int(sys.argv[1]) - len(study.trials))
print(f"{study.best_value:.4f}: {study.best_params}")
