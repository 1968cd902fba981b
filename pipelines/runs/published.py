"""Published learning curves and scores to compare a run with.

Space Invaders: Dopamine (Castro et al. 2018, https://arxiv.org/abs/1812.06110), sticky
actions 0.25, minimal action set, skip 4; raw returns of training episodes, averaged over 5
seeds, by agent steps. Each point is Dopamine's average over the 250 000 agent steps before it.

Atari games: scores of random play and of a human tester, as used for human-normalised scores
(Wang et al. 2016, https://arxiv.org/abs/1511.06581; Badia et al. 2020,
https://arxiv.org/abs/2003.13350); episodes of at most 30 minutes.
"""

from __future__ import annotations

from typing import NamedTuple

import gymnasium as gym
import numpy as np

from envs.errors import EnvError
from envs.task import Task

_RANDOM_EPISODES = 100


class PublishedReturns(NamedTuple):
    """Published returns that a run can be compared with."""

    levels: dict[str, float]  # by name: a return that does not depend on env steps
    curves: dict[str, list[tuple[int, float]]]  # by name: (env steps, return) of each point


# ROM: (random play, human)
ATARI_SCORES = {
    'alien': (227.8, 7127.7),
    'amidar': (5.8, 1719.5),
    'assault': (222.4, 742.0),
    'asterix': (210.0, 8503.3),
    'asteroids': (719.1, 47388.7),
    'atlantis': (12850.0, 29028.1),
    'bank_heist': (14.2, 753.1),
    'battle_zone': (2360.0, 37187.5),
    'beam_rider': (363.9, 16926.5),
    'berzerk': (123.7, 2630.4),
    'bowling': (23.1, 160.7),
    'boxing': (0.1, 12.1),
    'breakout': (1.7, 30.5),
    'centipede': (2090.9, 12017.0),
    'chopper_command': (811.0, 7387.8),
    'crazy_climber': (10780.5, 35829.4),
    'defender': (2874.5, 18688.9),
    'demon_attack': (152.1, 1971.0),
    'double_dunk': (-18.6, -16.4),
    'enduro': (0.0, 860.5),
    'fishing_derby': (-91.7, -38.7),
    'freeway': (0.0, 29.6),
    'frostbite': (65.2, 4334.7),
    'gopher': (257.6, 2412.5),
    'gravitar': (173.0, 3351.4),
    'hero': (1027.0, 30826.4),
    'ice_hockey': (-11.2, 0.9),
    'jamesbond': (29.0, 302.8),
    'kangaroo': (52.0, 3035.0),
    'krull': (1598.0, 2665.5),
    'kung_fu_master': (258.5, 22736.3),
    'montezuma_revenge': (0.0, 4753.3),
    'ms_pacman': (307.3, 6951.6),
    'name_this_game': (2292.3, 8049.0),
    'phoenix': (761.4, 7242.6),
    'pitfall': (-229.4, 6463.7),
    'pong': (-20.7, 14.6),
    'private_eye': (24.9, 69571.3),
    'qbert': (163.9, 13455.0),
    'riverraid': (1338.5, 17118.0),
    'road_runner': (11.5, 7845.0),
    'robotank': (2.2, 11.9),
    'seaquest': (68.4, 42054.7),
    'skiing': (-17098.1, -4336.9),
    'solaris': (1236.3, 12326.7),
    'space_invaders': (148.0, 1668.7),
    'star_gunner': (664.0, 10250.0),
    'surround': (-10.0, 6.5),
    'tennis': (-23.8, -8.3),
    'time_pilot': (3568.0, 5229.2),
    'tutankham': (11.4, 167.6),
    'up_n_down': (533.4, 11693.2),
    'venture': (0.0, 1187.5),
    'video_pinball': (16256.9, 17667.9),
    'wizard_of_wor': (563.5, 4756.5),
    'yars_revenge': (3092.9, 54576.9),
    'zaxxon': (32.5, 9173.3),
}

_STEPS = (250_000, 500_000, 750_000, 1_000_000, 1_500_000, 2_500_000, 10_000_000, 50_000_000)
_SPACE_INVADERS = PublishedReturns(
    levels=dict(zip(('random play', 'human'), ATARI_SCORES['space_invaders'], strict=True)),
    curves={
        name: list(zip(_STEPS, returns, strict=True))
        for name, returns in (
            ('DQN (Dopamine)', (164, 242, 331, 416, 591, 690, 1426, 4006)),
            ('Rainbow (Dopamine)', (180, 233, 285, 401, 571, 723, 1777, 5016)),
            ('IQN (Dopamine)', (185, 369, 470, 551, 690, 784, 2772, 6776)),
        )
    },
)


def returns_for(task: Task) -> PublishedReturns | None:
    """Returns what is published for this game and protocol; None if nothing is known here."""
    plainly = task.atari is not None and task.atari.is_plainly('machado')
    return _SPACE_INVADERS if plainly and task.atari_game == 'space_invaders' else None


class Scale(NamedTuple):
    """A scale for returns; the normalised return is (return - zero) / (one - zero)."""

    zero: float
    one: float
    source: str


def scale(task: Task) -> Scale | None:
    """Returns the scale of a task: 0 is random play, 1 a human's score or the solved task.

    Atari games have published scores. Elsewhere random play is measured, and 1 is Gymnasium's
    `reward_threshold`. None if either is unknown.
    """
    if task.atari_game is not None:
        if task.atari_game not in ATARI_SCORES:
            return None
        return Scale(*ATARI_SCORES[task.atari_game], 'published: random play, human')
    solved = task.reward_threshold
    if solved is None:
        return None
    try:
        env = task.single_env()
    except EnvError:
        return None
    source = f'random play of {_RANDOM_EPISODES} episodes, reward_threshold of {task.env_name}'
    return Scale(round(_random_play(env), 2), solved, source)


def _random_play(env: gym.Env) -> float:
    """Plays uniformly random actions; returns the mean return, the same at every call."""
    returns = np.zeros(_RANDOM_EPISODES)
    env.action_space.seed(0)
    for episode in range(_RANDOM_EPISODES):
        env.reset(seed=0 if episode == 0 else None)
        over = False
        while not over:
            _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
            returns[episode] += float(reward)
            over = terminated or truncated
    env.close()
    return float(returns.mean())
