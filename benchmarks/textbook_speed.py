"""Env steps per second in the order of a textbook, compared with a plain Keras loop.

    python -m benchmarks.textbook_speed
    python -m benchmarks.textbook_speed --base_dir=/another/checkout

Both sides do the work of configs/ddqn_noisy_cartpole_tutorial.gin: one environment (CartPole-v0
with noisy rewards), after each env step one train step on one minibatch of 32, Double DQN, MLP
30-30 (ReLU), target network moved by 0.08 per train step. The loop is written in three forms and
run with 1 and 2 threads; its fastest counts. --base_dir adds another checkout of this project,
with its own .venv.
"""

from __future__ import annotations

import pathlib
import statistics
import sys

from absl import app, flags

from benchmarks import speed

_BASE_DIR = flags.DEFINE_string('base_dir', None, 'Another checkout, which has its own .venv.')
_ROUNDS = flags.DEFINE_integer('rounds', 3, 'Number of interleaved rounds.')

_CONFIG = 'pipelines/configs/ddqn_noisy_cartpole_tutorial.gin'
_WARM_UP_ENV_STEPS, _TOTAL_ENV_STEPS = 4_000, 12_000
_BINDINGS = (
    f'train_ddqn.num_env_steps = {_TOTAL_ENV_STEPS}',
    f'train_ddqn.eval_interval_env_steps = {_TOTAL_ENV_STEPS}',  # the loop is not evaluated either
    f'train_ddqn.checkpoint_interval_env_steps = {_TOTAL_ENV_STEPS}',
    'train_ddqn.num_eval_episodes = 1',
    'train_ddqn.num_selection_episodes = 1',
)
_OURS, _BASE = 'this project', 'the other checkout'
_FORMS = {  # of keras_cartpole.py
    'eager': 'train step compiled',
    'graph': 'acting and train step compiled',
    'xla': 'acting and train step compiled by XLA',
}


def main(_) -> None:
    """Measures, and prints a table and the ratios."""

    def ours(checkout: pathlib.Path | None = None):
        config = (checkout or speed.HERE.parent) / _CONFIG
        return lambda: speed.ours(str(config), 1.0, _WARM_UP_ENV_STEPS, _BINDINGS, checkout)

    def loop(form: str, num_threads: int):
        return lambda: speed.script(sys.executable, 'keras_cartpole.py', form, num_threads)

    contestants = {_OURS: ours()}
    if _BASE_DIR.value is not None:
        contestants[_BASE] = ours(pathlib.Path(_BASE_DIR.value).resolve())
    loops = {
        f'Keras, {words}, {threads} threads': loop(form, threads)
        for form, words in _FORMS.items()
        for threads in (1, 2)
    }
    speeds = speed.interleave(contestants | loops, _ROUNDS.value)
    print(speed.table('CartPole-v0, Double DQN, a train step after each env step', speeds))
    medians = {name: statistics.median(each) for name, each in speeds.items()}
    fastest = max(loops, key=lambda name: medians[name])
    print(f'\n{medians[_OURS] / medians[fastest]:.2f} times the fastest loop ({fastest})')
    if _BASE in medians:
        print(f'{medians[_OURS] / medians[_BASE]:.2f} times the other checkout')


if __name__ == '__main__':
    app.run(main)
