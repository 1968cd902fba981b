"""Prioritised against uniform replay where priorities matter: the Blind Cliffwalk.

    python -m benchmarks.blind_cliffwalk

Schaul, Quan, Antonoglou and Silver 2016, section 3.1 and appendix B.1, with this project's
replay, learner and agent: replay holds the transitions of all 2^n sequences of actions;
linear Q-learning on one-hot states and a bias, weights from N(0, 0.1), gamma 1 - 1/n, step
size 1/4, one transition per update; counted are the updates until the mean squared error
of Q is below 1e-3. Uniform replay is sampled 128 updates at a time, prioritised replay one
at a time, each update's new priority written before the next but one is sampled. Alpha, beta
and the minimum priority are chosen for this task, whose rewards have no noise. Exits 1 where
priorities need more than a fifth of uniform's updates (medians), or a run was given up.
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
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import policy_step, trajectory

from agents import ddqn, prioritisation, q_network, torsos
from envs import blind_cliffwalk, suite
from pipelines import loops
from pipelines.replay import Replay

_SEEDS = flags.DEFINE_integer('seeds', 20, 'Runs of each kind.', lower_bound=2)
_ALPHA = flags.DEFINE_float('alpha', 1.0, 'How much priorities matter.')
_BETA = flags.DEFINE_float('beta', 0.0, 'How much of their bias is corrected.')
_MIN_PRIORITY = flags.DEFINE_float('min_priority', 1e-4, 'Added to every |TD error|.')
_GOAL = flags.DEFINE_float('goal', 0.2, 'The share of the updates that must be reached.')
_MAX_UPDATES = flags.DEFINE_integer('max_updates', 2_000_000, 'Where a run is given up.')

_N, _STEP_SIZE, _CONVERGED = 12, 0.25, 1e-3
_UNIFORM_UPDATES_PER_SAMPLE = 128
_GAMMA = 1 - 1 / _N


def _agent(env, seed: int) -> ddqn.QLearningAgent:
    tf.keras.utils.set_random_seed(seed)
    time_step_spec = tensor_spec.from_spec(env.time_step_spec())
    action_spec = tensor_spec.from_spec(env.action_spec())
    network = q_network.PlainQNetwork(
        time_step_spec.observation,
        action_spec,
        torso=lambda spec, dtype: torsos.mlp_torso(spec, dtype, units=()),
    )
    agent = ddqn.QLearningAgent(
        time_step_spec, action_spec, network,
        tf.keras.optimizers.legacy.SGD(_STEP_SIZE / 2),  # the gradient of delta^2 is 2 delta
        tf.Variable(0, dtype=tf.int64), double=False, target='none', loss='mse',
    )  # fmt: skip
    agent.initialize()
    for variable in network.variables:
        variable.assign(tf.random.normal(variable.shape, stddev=0.1))
    return agent


def _fill(replay: Replay, env, seed: int):
    """Every sequence of actions until its episode ends, in random order."""
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
    assert replay.num_transitions == 2 ** (_N + 1) - 2


def _updates(prioritised: bool, seed: int) -> float:
    """Until Q is right; infinite where that is given up."""
    env = suite.load('BlindCliffwalk-v0', 1)
    agent = _agent(env, seed)
    per_sample = 1 if prioritised else _UNIFORM_UPDATES_PER_SAMPLE
    priorities = None
    if prioritised:
        priorities = prioritisation.Prioritisation(
            tf.Variable(0),
            alpha=_ALPHA.value,
            beta=_BETA.value,
            min_priority=_MIN_PRIORITY.value,
        )
    q_star = blind_cliffwalk.solve(_N, _GAMMA)
    states = tf.eye(_N)
    with (
        tempfile.TemporaryDirectory() as directory,
        Replay(
            agent.collect_data_spec, 1, 0, 1, per_sample, pathlib.Path(directory),
            priorities.alpha if priorities else None, capacity_transitions=20_000,
            transitions_per_item=1,
        ) as replay,
    ):  # fmt: skip
        _fill(replay, env, seed)
        learner = loops.Learner(
            agent, replay, n=1, gamma=_GAMMA, batch_size=1, max_train_steps=per_sample,
            num_frames=None, fuse=False, prioritisation=priorities,
        )  # fmt: skip
        updates = 0
        while updates < _MAX_UPDATES.value:
            for _ in range(max(1, 16 // per_sample)):
                learner.train(per_sample)
                updates += per_sample
            q_values, _ = agent.q_network(states)
            if np.square(q_values - q_star).mean() < _CONVERGED:
                return updates
    return math.inf


def _share(prioritised, uniform) -> float:
    return float(np.median(prioritised) / np.median(uniform))


def main(_) -> None:
    """Runs, prints a table and judges."""
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
