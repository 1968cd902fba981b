"""The game of pixels pays what its description says."""

import numpy as np

from benchmarks.catch import NUM_BALLS, Catch


def played(policy, seed):
    """The return of an episode in which `policy` acts on (the ball's column, the paddle's)."""
    env, total, over = Catch(), 0.0, False
    picture, _ = env.reset(seed=seed)
    while not over:
        assert env.observation_space.contains(picture)
        ball, paddle = (int(np.argmax(picture[..., i].max(axis=0))) for i in (0, 1))
        picture, reward, _, over, _ = env.step(policy(ball, paddle))
        total += reward
    return total


def test_whoever_follows_the_balls_catches_all():
    returns = [played(lambda ball, paddle: 1 + int(np.sign(ball - paddle)), s) for s in range(50)]
    assert returns == [NUM_BALLS] * 50


def test_whoever_stands_still_catches_one_in_ten():
    returns = [played(lambda ball, paddle: 1, seed) for seed in range(400)]
    assert 0.08 < np.mean(returns) / NUM_BALLS < 0.12
