"""How close the overlapped loop comes to what its parts allow, on Space Invaders.

    python -m benchmarks.space_invaders_limit

Collecting, sampling and training are each timed alone, with both cores to themselves,
and then together as in a run, in turns. Prints milliseconds per agent step and, last,
the loop's speed as a share of 1 / (train + collect + sample).
"""

from __future__ import annotations

import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

import tensorflow as tf
from absl import app, flags

from agents import n_step, q_variants, torsos  # noqa: F401, for gin
from benchmarks import speed
from envs import suite
from pipelines import cli, loops, rollout, train_ddqn  # noqa: F401, its bindings are read
from pipelines.replay import Replay

_ROUNDS = flags.DEFINE_integer('rounds', 12, 'Of each part and of the whole.')
_GOAL = flags.DEFINE_float('goal', 0.9, 'The share that must be reached.')

_NUM_ENVS, _RATIO, _BATCH_SIZE, _NUM_FRAMES, _FILL_TURNS = 16, 0.25, 32, 4, 40


def main(_) -> None:
    """Measures and prints."""
    cli.parse_gin(str(speed.HERE / 'space_invaders_nature_speed.gin'), [])
    env = suite.load('ALE/SpaceInvaders-v5', _NUM_ENVS)
    env_steps = tf.Variable(0, dtype=tf.int64)
    agent, _ = q_variants.Variant(double=False, dueling=False, target='hard').make_agent(
        env.time_step_spec(),
        env.action_spec(),
        env_steps,
        frame_stack=_NUM_FRAMES,
        acts_on_a_copy=True,
    )
    turns = loops.Turns(_RATIO, _NUM_ENVS)
    per_turn = turns.vector_steps * _NUM_ENVS
    with (
        tempfile.TemporaryDirectory() as directory,
        Replay(
            agent.collect_data_spec, _NUM_ENVS, _NUM_FRAMES - 1, 1,
            turns.max_train_steps * _BATCH_SIZE, pathlib.Path(directory),
        ) as replay,
    ):  # fmt: skip
        statistics_ = rollout.EpisodeStatistics(_NUM_ENVS)
        collector = loops.Collector(env, agent.collect_policy, replay, statistics_, env_steps)
        collector.reset(0)
        learner = loops.Learner(
            agent, replay, n=1, gamma=0.99, batch_size=_BATCH_SIZE,
            max_train_steps=turns.max_train_steps, num_frames=_NUM_FRAMES, fuse=False,
        )  # fmt: skip
        for _ in range(_FILL_TURNS):
            collector.run(turns.vector_steps)
        samples = replay.samples()

        @tf.function(autograph=False)
        def sample():
            blocks = replay.codec.decode(next(samples).data)
            return blocks, n_step.plan_minibatches(blocks, **learner.plan)

        held = sample()

        def collect():
            collector.run(turns.vector_steps)

        def train():
            learner.train_on(*held, turns.max_train_steps)

        def together():
            agent.publish()
            loops.side_by_side(collect, lambda: learner.train(turns.max_train_steps))

        parts: dict[str, Callable[[], object]] = {
            'train': train, 'collect': collect, 'sample': sample, 'together': together,
        }  # fmt: skip
        seconds: dict[str, list[float]] = {name: [] for name in parts}
        for round_ in range(_ROUNDS.value + 1):
            for name, part in parts.items():
                began = time.perf_counter()
                part()
                if round_:  # the first traces
                    seconds[name].append((time.perf_counter() - began) / per_turn)
    each = {name: statistics.median(values) for name, values in seconds.items()}
    serial = each['train'] + each['collect'] + each['sample']
    slower = max(('train', 'collect'), key=lambda name: each[name])
    for name, value in each.items():
        print(f'{name:<9} {1000 * value:.3f} ms per agent step')
    print(f'limit     {1 / serial:.0f} agent steps/s, one part after the other')
    print(f'loop      {1 / each["together"]:.0f} agent steps/s')
    print(f'share of the slower part ({slower}): {each[slower] / each["together"]:.2f}')
    share = serial / each['together']
    print(f'share of the limit (goal {_GOAL.value:g}): {share:.2f}')
    sys.exit(share < _GOAL.value)


if __name__ == '__main__':
    app.run(main)
