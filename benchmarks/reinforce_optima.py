"""REINFORCE on tasks with known optima: the regulator's gain and the bandit's target.

    python -m benchmarks.reinforce_optima --root_dir=runs/optima

Compares the gain of policies from configs/reinforce_lqr.gin with the optimal one (five seeds).
Prints mu and sigma from configs/reinforce_gaussian_bandit.gin (ten seeds), and plots them and the
loss over training in bandit.png. Exits with 1 if a gain is off by more than 5 %, mu by more than
0.05, or if sigma is 0.05 or more.
"""

from __future__ import annotations

import csv
import pathlib
import subprocess
import sys

import matplotlib
import tensorflow as tf
from absl import app, flags

from envs import linear_quadratic

matplotlib.use('Agg')
from matplotlib import pyplot as plt

_ROOT_DIR = flags.DEFINE_string('root_dir', 'runs/optima', 'Directory of the runs.')
_LQR_SEEDS = flags.DEFINE_integer('lqr_seeds', 5, 'Runs of the regulator.')
_BANDIT_SEEDS = flags.DEFINE_integer('bandit_seeds', 10, 'Runs of the bandit.')

_GAMMA, _TARGET = 0.95, 4.0


def _directory(config: str, seed: int) -> pathlib.Path:
    return pathlib.Path(_ROOT_DIR.value) / f'{config}_{seed}'


def _outputs(config: str, seed: int, observation: list[list[float]]) -> dict[str, tf.Tensor]:
    """Makes the run if it is missing; returns the outputs of its exported policy."""
    directory = _directory(config, seed)
    subprocess.run(
        [sys.executable, '-m', 'pipelines.train_reinforce', f'--root_dir={directory}',
         f'--seed={seed}', f'--gin_file=configs/{config}.gin'],
        check=True, capture_output=True,
    )  # fmt: skip
    act = tf.saved_model.load(str(directory / 'policy')).signatures['act']
    return act(observation=tf.constant(observation))


def _draw_bandit() -> pathlib.Path:
    """Draws mu, sigma and loss of every seed over the updates."""
    figure, panels = plt.subplots(1, 3, figsize=(13, 3.6), layout='constrained')
    for seed in range(_BANDIT_SEEDS.value):
        with open(_directory('reinforce_gaussian_bandit', seed) / 'progress.csv', newline='') as f:
            rows = list(csv.DictReader(f))
        updates = [int(row['train_steps']) for row in rows]
        for axes, name in zip(panels, ('mu', 'sigma', 'loss'), strict=True):
            axes.plot(updates, [float(row[name]) for row in rows], linewidth=0.8)
    for axes, name in zip(panels, ('mu', 'sigma', 'loss'), strict=True):
        axes.set(title=name, xlabel='updates', xscale='log')
        axes.grid(alpha=0.3)
    panels[0].axhline(_TARGET, color='black', linestyle=':')
    panels[1].set_yscale('log')
    png = pathlib.Path(_ROOT_DIR.value) / 'bandit.png'
    figure.savefig(png, dpi=110)
    return png


def main(_) -> None:
    """Makes the missing runs, prints two tables, plots and exits with the verdict."""
    best, failed = linear_quadratic.solve(_GAMMA).gain, False
    print(f'| regulator, seed | gain (analytic: {best:.4f}) | off by |\n|---|---|---|')
    for seed in range(_LQR_SEEDS.value):
        mu = _outputs('reinforce_lqr', seed, [[-1.0], [1.0]])['mu']
        gain = float(mu[0, 0] - mu[1, 0]) / 2
        failed |= abs(gain / best - 1) > 0.05
        print(f'| {seed} | {gain:.4f} | {gain / best - 1:+.1%} |', flush=True)
    print(f'\n| bandit, seed | mu (target: {_TARGET:g}) | sigma |\n|---|---|---|')
    for seed in range(_BANDIT_SEEDS.value):
        outputs = _outputs('reinforce_gaussian_bandit', seed, [[1.0]])
        mu, sigma = float(outputs['mu'][0, 0]), float(outputs['sigma'][0, 0])
        failed |= abs(mu - _TARGET) > 0.05 or sigma >= 0.05
        print(f'| {seed} | {mu:.3f} | {sigma:.4f} |', flush=True)
    print(f'\nthe picture is {_draw_bandit()}')
    sys.exit(failed)


if __name__ == '__main__':
    app.run(main)
