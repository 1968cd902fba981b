import pytest

from pipelines.loops.episode_losses import EpisodeLosses, Turn
from pipelines.loops.rollout import Episode


def turn(env_steps, train_steps=0, loss=None):
    return Turn(env_steps, train_steps, {'loss': loss} if train_steps else {})


def episodes(*env_steps):
    return [Episode(i + 1, steps, 0.0, 1) for i, steps in enumerate(env_steps)]


def losses(turns, ended):
    return [loss for _, loss in EpisodeLosses().join(turns, ended)]


def test_an_episode_has_the_mean_loss_of_the_train_steps_since_the_one_before():
    turns = [turn(10), turn(20, 2, 1.0), turn(30, 2, 3.0), turn(40, 6, 5.0), turn(50, 1, 9.0)]
    assert losses(turns, episodes(4, 9)) == [None, None]  # training had not started
    assert losses(turns, episodes(15)) == [1.0]
    assert losses(turns, episodes(21)) == [2.0]
    assert losses(turns, episodes(40)) == [pytest.approx((2 * 1 + 2 * 3 + 6 * 5) / 10)]
    assert losses(turns, episodes(4, 15, 38, 41)) == [None, 1.0, pytest.approx(36 / 8), 9.0]


def test_episodes_that_end_in_one_turn_share_its_loss_and_what_came_before_it():
    """Several environments: two end at once, and a third later in the same turn."""
    turns = [turn(8, 1, 1.0), turn(16, 1, 3.0), turn(24, 1, 7.0), turn(32, 1, 9.0)]
    assert losses(turns, episodes(12, 12, 16, 24)) == [2.0, 2.0, 2.0, 7.0]


def test_what_no_episode_has_taken_waits_for_the_next_call():
    joined = EpisodeLosses()
    assert not list(joined.join([turn(10, 1, 1.0)], []))
    first, second = episodes(11, 14)
    assert list(joined.join([turn(12, 3, 5.0)], [first])) == [(first, 4.0)]
    assert list(joined.join([turn(14)], [second])) == [(second, None)]  # a turn without a step
