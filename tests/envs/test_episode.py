"""Episodes: returns discounted per primitive step."""

from twosome.envs.episode import Episode


def test_rewards_are_discounted_by_the_primitive_steps_before_their_decision() -> None:
    episode = Episode()
    for reward, primitive_steps in ((8.0, 2), (4.0, 3), (16.0, 7)):
        episode.add(reward, primitive_steps, gamma=0.5)
    assert episode.discounted_return == 8 + 4 * 0.5**2 + 16 * 0.5**3
    assert episode.raw_return == 28
    assert (episode.decisions, episode.primitive_steps) == (3, 7)


def test_without_discount_both_returns_are_sums() -> None:
    episode = Episode()
    for number in range(1, 5):
        episode.add(number, 3 * number, gamma=1.0)
    assert episode.discounted_return == episode.raw_return == 10
