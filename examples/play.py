"""Play one episode in the terminal beside a trained agent: python examples/play.py outputs/2026-01-31/12-00-00

More words are options of the run's environment, such as env.task=lettuce_salad, or +env.kwargs.map=B.
Type an action's number, or q to end.
"""

import sys

import twosome


def read_choice(count: int) -> int | None:
    """Read the index of one of count actions; None for q and at the input's end."""
    while True:
        print("> ", end="", flush=True)
        line = sys.stdin.readline()
        word = line.strip()
        if not line or word == "q":
            return None
        if word.isdecimal() and 1 <= int(word) <= count:
            return int(word) - 1
        print(f"expected a number from 1 to {count}, or q")


def main() -> None:
    """Show each decision with the agent's probabilities, and do what the person chooses."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    agent = twosome.load_agent(*sys.argv[1:])
    env = agent.make_env()
    obs, info = env.reset()
    total, memory, ended = 0.0, None, False
    while not ended:
        decision = twosome.Decision.from_step(obs, info)._replace(memory=memory)
        probabilities = agent.probabilities(decision)
        print(f"\n{decision.prompt} ...")
        for number, (action, probability) in enumerate(zip(decision.action_prompts, probabilities, strict=True), 1):
            print(f"{number:>3} {probability:>7.1%}  {action}")
        choice = read_choice(len(decision.action_ids))
        if choice is None:
            break
        memory = agent.policy.remember([decision])[0]
        obs, reward, terminated, truncated, info = env.step(decision.action_ids[choice])
        total, ended = total + float(reward), terminated or truncated
        print(f"reward {float(reward):+.3f}")
    env.close()
    print(f"\n{'success' if info['success'] else 'no success'}; sum of rewards {total:+.3f}")


if __name__ == "__main__":
    main()
