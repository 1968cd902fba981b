"""How close the overlapped loop comes to the limit set by its parts, on Space Invaders.

    python -m benchmarks.space_invaders_limit

Times collecting, sampling and training, each alone on all cores, and all of them together as in a
run, in interleaved rounds. Prints milliseconds per agent step, and last the loop's speed as a
share of 1 / (train + collect + sample). Exits with 1 below --goal.
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

from benchmarks import speed
from pipelines import assembly, gin_config
from pipelines.loops.turns import side_by_side
from pipelines.settings import DdqnSettings

_ROUNDS = flags.DEFINE_integer('rounds', 12, 'Rounds of each part and of the whole.')
_GOAL = flags.DEFINE_float('goal', 0.9, 'Smallest share of the limit that passes.')

_FILL_TURNS = 40


def main(_) -> None:
    """Measures, prints and exits with the verdict."""
    gin_config.parse(str(speed.HERE / 'space_invaders_nature_speed.gin'), [])
    with tempfile.TemporaryDirectory() as directory:
        parts = assembly.assemble_ddqn(DdqnSettings(), 0, pathlib.Path(directory))
        with parts.replay:
            seconds = _measure(parts)
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
    sys.exit(int(share < _GOAL.value))


def _measure(parts: assembly.DdqnParts) -> dict[str, list[float]]:
    """Returns seconds per agent step: for each part, one value per round."""
    collector, learner, ratio = parts.collector, parts.learner, parts.ratio
    collector.reset(0)
    for _ in range(_FILL_TURNS):
        collector.run(ratio.vector_steps)
    samples = parts.replay.samples()
    train_steps = tf.constant(ratio.max_train_steps)

    @tf.function(autograph=False)
    def sample():
        rows = next(samples).data
        return rows, learner.choose(rows)

    held = sample()

    def collect():
        collector.run(ratio.vector_steps)

    def train():
        learner.train_on(*held, train_steps)

    def together():
        parts.agent.publish()
        side_by_side(collect, lambda: learner.train(ratio.max_train_steps))

    measured: dict[str, Callable[[], object]] = {
        'train': train, 'collect': collect, 'sample': sample, 'together': together,
    }  # fmt: skip
    per_turn = ratio.vector_steps * parts.training.envs.batch_size
    seconds: dict[str, list[float]] = {name: [] for name in measured}
    for round_ in range(_ROUNDS.value + 1):
        for name, part in measured.items():
            began = time.perf_counter()
            part()
            if round_:  # the first round traces
                seconds[name].append((time.perf_counter() - began) / per_turn)
    return seconds


if __name__ == '__main__':
    app.run(main)
