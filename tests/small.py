"""The options of small runs that tests do."""

ROLLOUT = ["algorithm.num_envs=4", "algorithm.num_steps=8", "algorithm.num_minibatches=2"]
SHORT = ["evaluation.episodes=1", "evaluation.gif=false", "retention.drift=false"]
SMALL = ["model=tiny_random", "seed=3", "total_steps=96", *ROLLOUT, *SHORT]
"""A run of three updates with a language model."""
