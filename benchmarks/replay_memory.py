"""Resident memory of the replay per stored transition, with real CartPole rows.

    python -m benchmarks.replay_memory --transitions_per_item=16

The overhead in pipelines/experience/memory.py was measured here.
"""

from __future__ import annotations

import pathlib
import tempfile

import psutil
import tensorflow as tf
from absl import app, flags
from tf_agents.policies import random_tf_policy
from tf_agents.specs import tensor_spec

from envs.task import Task
from pipelines.experience.minibatches import TransitionShape
from pipelines.experience.replay import Replay
from pipelines.loops import rollout
from pipelines.loops.collector import Collector

_PER_ITEM = flags.DEFINE_integer('transitions_per_item', 16, 'As in `Replay`.')
_ENV_NAME = flags.DEFINE_string('env_name', 'CartPole-v1', 'Environment to play.')
_LEAD_ROWS = flags.DEFINE_integer('lead_rows', 0, 'Stacked frames minus one: 3 for Atari.')
_TRANSITIONS = flags.DEFINE_integer('transitions', 500_000, 'Number of transitions to store.')

_NUM_ENVS = 16


def main(_) -> None:
    """Fills a replay by random play and prints its memory."""
    env = Task.configured(_ENV_NAME.value).training_envs(_NUM_ENVS)
    policy = random_tf_policy.RandomTFPolicy(
        tensor_spec.from_spec(env.time_step_spec()), tensor_spec.from_spec(env.action_spec())
    )
    shape = TransitionShape(n_step=3, gamma=0.99, frame_stack=_LEAD_ROWS.value + 1)
    with (
        tempfile.TemporaryDirectory() as directory,
        Replay(
            policy.collect_data_spec, _NUM_ENVS, shape, 8192, pathlib.Path(directory),
            capacity_transitions=_TRANSITIONS.value, transitions_per_item=_PER_ITEM.value,
        ) as replay,
    ):  # fmt: skip
        statistics = rollout.EpisodeStatistics(_NUM_ENVS)
        env_steps = tf.Variable(0, dtype=tf.int64)
        collector = Collector(env, policy, replay, statistics, env_steps)
        collector.reset(0)
        collector.run(100)
        process = psutil.Process()
        before, stored = process.memory_info().rss, replay.num_starts
        collector.run(_TRANSITIONS.value // _NUM_ENVS)
        replay.flush()
        grown = process.memory_info().rss - before
        count = replay.num_starts - stored
    print(
        f'{count:,} transitions of {replay.codec.row_bytes} bytes, {_PER_ITEM.value} per item: '
        f'{grown / count:.0f} bytes each resident, expected '
        f'{replay.forecast.table_bytes / count:.0f}'
    )


if __name__ == '__main__':
    app.run(main)
