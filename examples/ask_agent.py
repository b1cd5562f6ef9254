"""Train an agent, play it on a task that it never saw, and watch it act: python examples/ask_agent.py total_steps=4_096"""

import sys

import twosome


def main() -> None:
    """Train with the options of the command line; print what comes of it."""
    run = twosome.run("env.task=tomato_salad", *sys.argv[1:])
    other = twosome.evaluate(run.folder, "env.task=lettuce_salad", "episodes=5")
    print(f"{run.folder}: a return of {run.score:.3f}, and of {other.score:.3f} on lettuce salad")

    agent = twosome.load_agent(run.folder)
    print(agent.probabilities("To eat something, you should first", ["open the fridge", "sleep"]))
    env = twosome.make_env("overcooked", task="tomato_salad")
    obs, info = env.reset(seed=0)
    ended = False
    while not ended:
        decision = twosome.Decision.from_step(obs, info)
        choice = agent.probabilities(decision).argmax()
        print(decision.action_prompts[choice])
        obs, _, terminated, truncated, info = env.step(decision.action_ids[choice])
        ended = terminated or truncated


if __name__ == "__main__":
    main()
