"""Prioritised and uniform replay on the Blind Cliffwalk, where priorities matter.

    python -m benchmarks.blind_cliffwalk

Repeats section 3.1 and appendix B.1 of Schaul, Quan, Antonoglou and Silver 2016
(https://arxiv.org/abs/1511.05952) with this project's replay, learner and agent. The replay
holds the transitions of all 2^n sequences of actions. Q-learning is linear in one-hot states
and a bias, with weights from N(0, 0.1), gamma 1 - 1/n, step size 1/4 and one transition per
update. The result is the number of updates until the mean squared error of Q is below 1e-3.

Uniform replay is sampled for 128 updates at a time. Prioritised replay is sampled for one, and
its new priority is written before the sample after next is drawn. Alpha, beta and the minimum
priority suit this task, whose rewards have no noise. Exits with 1 if priorities need more than a
fifth of the updates of uniform replay (medians), or if a run was given up.
"""

from __future__ import annotations

import itertools
import math
import pathlib
import sys
import tempfile
import time

import numpy as np
import tensorflow as tf
from absl import app, flags
from scipy import stats
from tf_agents.trajectories import policy_step, trajectory

from envs import blind_cliffwalk
from pipelines import assembly, gin_config
from pipelines.experience.replay import Replay
from pipelines.settings import DdqnSettings

_SEEDS = flags.DEFINE_integer('seeds', 20, 'Runs of each kind.', lower_bound=2)
_ALPHA = flags.DEFINE_float('alpha', 1.0, 'Exponent of the priorities.')
_BETA = flags.DEFINE_float('beta', 0.0, 'Share of their bias that is corrected.')
_MIN_PRIORITY = flags.DEFINE_float('min_priority', 1e-4, 'Added to every |TD error|.')
_GOAL = flags.DEFINE_float('goal', 0.2, 'Largest share of the updates that passes.')
_MAX_UPDATES = flags.DEFINE_integer('max_updates', 2_000_000, 'Updates after which to give up.')

_N, _STEP_SIZE, _CONVERGED = 12, 0.25, 1e-3
_UNIFORM_UPDATES_PER_SAMPLE = 128
_GAMMA = 1 - 1 / _N


def _fill(replay: Replay, env, seed: int):
    """Plays every sequence of actions until its episode ends, in random order."""
    sequences = np.array(list(itertools.product((0, 1), repeat=_N)))
    step = env.reset(seed=seed)
    for actions in np.random.default_rng(seed).permutation(sequences):
        # The action after the last state only starts the next episode.
        for action in (*actions, 0):
            before, step = step, env.step(np.array([action]))
            row = trajectory.from_transition(before, policy_step.PolicyStep([action]), step)
            replay.append(replay.codec.encode(row))
            if before.is_last()[0]:
                break
    replay.flush()
    assert replay.num_starts == 2 ** (_N + 1) - 2


def _assemble(prioritised: bool, seed: int, directory: str) -> assembly.DdqnParts:
    """Builds linear Q-learning on one-hot states and a bias, with weights from N(0, 0.1)."""
    gin_config.parse(
        None,
        [
            'make_q_network.plain_units = ()',
            'mlp_torso.units = ()',
            "QLearningAgent.loss = 'mse'",
            'Replay.capacity_transitions = 20_000',
            'Replay.transitions_per_item = 1',
            f'Prioritisation.alpha = {_ALPHA.value}',
            f'Prioritisation.beta = {_BETA.value}',
            f'Prioritisation.min_priority = {_MIN_PRIORITY.value}',
        ],
    )
    settings = DdqnSettings(
        env_name='BlindCliffwalk-v0', num_envs=1, double=False, dueling=False, target='none',
        gamma=_GAMMA, prioritised=prioritised, batch_size=1, fuse_train_steps=False,
        max_train_steps_per_turn=1 if prioritised else _UNIFORM_UPDATES_PER_SAMPLE,
    )  # fmt: skip
    optimizer = tf.keras.optimizers.legacy.SGD(_STEP_SIZE / 2)  # delta^2 has the gradient 2 delta
    parts = assembly.assemble_ddqn(settings, seed, pathlib.Path(directory), optimizer=optimizer)
    for variable in parts.agent.q_network.variables:
        variable.assign(tf.random.normal(variable.shape, stddev=0.1))
    return parts


def _updates(prioritised: bool, seed: int) -> float:
    """Counts updates until Q is right; infinite if the run is given up."""
    q_star = blind_cliffwalk.solve(_N, _GAMMA)
    states = tf.eye(_N)
    with tempfile.TemporaryDirectory() as directory:
        parts = _assemble(prioritised, seed, directory)
        per_sample = parts.ratio.max_train_steps
        with parts.replay as replay:
            _fill(replay, parts.training.envs, seed)
            updates = 0
            while updates < _MAX_UPDATES.value:
                for _ in range(max(1, 16 // per_sample)):
                    parts.learner.train(per_sample)
                    updates += per_sample
                q_values, _ = parts.agent.q_network(states)
                if np.square(q_values - q_star).mean() < _CONVERGED:
                    return updates
    return math.inf


def _share(prioritised, uniform) -> float:
    return float(np.median(prioritised) / np.median(uniform))


def main(_) -> None:
    """Runs both kinds of replay, prints a table and exits with the verdict."""
    counts = {}
    print(f'| Blind Cliffwalk, n = {_N} | updates, median | each run | seconds |')
    print('|---|---|---|---|')
    for name, prioritised in (('uniform', False), ('prioritised', True)):
        began = time.perf_counter()
        updates = [_updates(prioritised, seed) for seed in range(_SEEDS.value)]
        counts[name] = updates
        each = ', '.join(f'{count:,}' for count in updates)
        seconds = time.perf_counter() - began
        print(f'| {name} | {np.median(updates):,.0f} | {each} | {seconds:.0f} |', flush=True)
    if any(math.isinf(count) for each in counts.values() for count in each):
        print(f'\ninf: given up after {_MAX_UPDATES.value:,} updates')
        sys.exit(1)
    share = _share(counts['prioritised'], counts['uniform'])
    interval = stats.bootstrap(
        (counts['prioritised'], counts['uniform']), _share, n_resamples=9_999, vectorized=False,
        method='percentile', random_state=0,
    ).confidence_interval  # fmt: skip
    print(
        f'\nprioritised replay needs {share:.3f} of the updates '
        f'(95 % interval {interval.low:.3f} to {interval.high:.3f}; goal: {_GOAL.value:g})'
    )
    sys.exit(0 if share <= _GOAL.value else 1)


if __name__ == '__main__':
    app.run(main)
