"""S1: what a baseline does to REINFORCE on CartPole-v0, in curves and in numbers.

    python -m benchmarks.reinforce_baselines --root_dir=runs/baselines

Trains configs/reinforce_cartpole_tutorial.gin with each baseline and each seed (finished
runs are kept, so that it goes on where it was stopped), then draws the mean training
return of the last 100 episodes with a 95 % bootstrap interval over seeds, and measures the
variance of one episode's gradient estimate: at the policy of a run with a learned value,
trained for a while, the same episodes are given to every baseline. Because standardised
returns have another scale, the variance is divided by the squared norm of the mean
gradient: how many times the signal is drowned by noise.
"""

from __future__ import annotations

import concurrent.futures
import csv
import json
import pathlib
import subprocess
import sys

import matplotlib
import numpy as np
import tensorflow as tf
from absl import app, flags
from scipy import stats

from agents import reinforce
from envs import suite
from pipelines import cli, episode_loops, rollout, train_reinforce
from pipelines.episode_queue import EpisodeQueue

matplotlib.use('Agg')
from matplotlib import pyplot as plt

_ROOT_DIR = flags.DEFINE_string('root_dir', 'runs/baselines', 'Where the runs are kept.')
_SEEDS = flags.DEFINE_integer('seeds', 10, 'Runs of each baseline.')
_EPISODES = flags.DEFINE_integer('episodes', 1_000, 'Of each run.')
_PROCESSES = flags.DEFINE_integer('processes', 2, 'Runs at a time.')

_CONFIG = 'configs/reinforce_cartpole_tutorial.gin'
_TITLES = {
    'none': 'no baseline',
    'episode': "standardised per episode (the tutorial's)",
    'batch': 'standardised over the batch',
    'value': 'learned value',
}
_BATCHES, _TRAINING_BATCHES = 400, 40


def _run(baseline: str, seed: int) -> pathlib.Path:
    directory = pathlib.Path(_ROOT_DIR.value) / f'{baseline}_{seed}'
    if not (directory / 'summary.json').exists():
        subprocess.run(
            [sys.executable, '-m', 'pipelines.train_reinforce', f'--root_dir={directory}',
             f'--seed={seed}', f'--gin_file={_CONFIG}',
             f"--gin_bindings=train_reinforce.baseline='{baseline}'",
             f'--gin_bindings=train_reinforce.num_episodes={_EPISODES.value}'],
            check=True, capture_output=True,
        )  # fmt: skip
    return directory


def _curve(directory: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    with open(directory / 'progress.csv', newline='') as f:
        rows = [row for row in csv.DictReader(f) if row['return_mean_100']]
    episodes, returns = (
        np.array([float(row[name]) for row in rows]) for name in ('episodes', 'return_mean_100')
    )
    return episodes, returns


def _gradient_noise() -> dict[str, float]:
    """E|g - mean g|^2 / |mean g|^2 of one episode's gradient of the policy, by baseline.

    'batch' is the same as 'episode' for a batch of one and is measured on 16.
    """
    cli.parse_gin(_CONFIG, ['adam.learning_rate = 1e-2'])
    env = suite.load('CartPole-v0', 16)
    tf.keras.utils.set_random_seed(0)
    agent, _ = train_reinforce.make_agent(env, 'value', 0.95)
    queue = EpisodeQueue(agent.collect_data_spec, 16)
    env_steps = tf.Variable(0, dtype=tf.int64)
    collector = episode_loops.EpisodeCollector(
        env, agent.collect_policy, queue, rollout.EpisodeStatistics(16), env_steps
    )
    agents = {
        baseline: reinforce.PolicyGradientAgent(
            agent.time_step_spec, agent.action_spec, agent.actor_network,
            agent.collect_policy.action_distribution, tf.keras.optimizers.legacy.SGD(0.0),
            baseline=baseline, gamma=0.95, value_coefficient=1e-12, loss_per='episode',
        )
        for baseline in reinforce.BASELINES
    }  # fmt: skip
    estimates: dict[str, list[np.ndarray]] = {baseline: [] for baseline in agents}
    with queue:
        env.seed(0)
        learner = episode_loops.EpisodeLearner(agent, queue)
        for _ in range(_TRAINING_BATCHES):
            collector.run()
            learner.train()
        batches = queue.batches()
        gradients = {
            name: tf.function(each.gradients, autograph=False, reduce_retracing=True)
            for name, each in agents.items()
        }
        for _ in range(_BATCHES // 16):
            collector.run()
            episodes = queue.codec.decode(next(batches))
            for i in range(16):
                for name, gradient in gradients.items():
                    size = 16 if name == 'batch' else 1
                    some = tf.nest.map_structure(
                        lambda t, i=i, size=size: t[:size] if size > 1 else t[i : i + 1], episodes
                    )
                    if size == 1 or i == 0:
                        _, parts = gradient(some)
                        flat = np.concatenate([p.numpy().ravel() for p in parts])
                        # The mean of 16 has a sixteenth of one's variance.
                        estimates[name].append(flat)
    noise = {}
    for name, each in estimates.items():
        stacked = np.array(each)
        mean = stacked.mean(axis=0)
        variance = np.square(stacked - mean).sum(axis=1).mean() * (16 if name == 'batch' else 1)
        # |mean|^2 is too large by the variance of the mean.
        per_estimate = np.square(stacked - mean).sum(axis=1).mean() / len(stacked)
        noise[name] = float(variance / (np.square(mean).sum() - per_estimate))
    return noise


def main(_) -> None:
    """Runs what is missing, draws baselines.png and prints a table."""
    jobs = [(baseline, seed) for seed in range(_SEEDS.value) for baseline in reinforce.BASELINES]
    with concurrent.futures.ThreadPoolExecutor(_PROCESSES.value) as executor:
        directories = dict(zip(jobs, executor.map(lambda job: _run(*job), jobs), strict=True))
    noise = _gradient_noise()
    figure, panels = plt.subplots(1, 4, figsize=(15, 3.6), sharey=True, layout='constrained')
    print('| baseline | last 100 episodes, mean over seeds (95 % interval) | least | most | '
          'deviation between seeds | gradient noise |')  # fmt: skip
    print('|---|---|---|---|---|---|')
    for axes, baseline in zip(panels, reinforce.BASELINES, strict=True):
        curves = [_curve(directories[baseline, seed]) for seed in range(_SEEDS.value)]
        grid = np.linspace(100, _EPISODES.value, 91)
        returns = np.array([np.interp(grid, *curve) for curve in curves])
        interval = stats.bootstrap(
            (returns,), np.mean, axis=0, n_resamples=2_000, method='percentile', random_state=0,
            vectorized=True,
        ).confidence_interval  # fmt: skip
        axes.plot(grid, returns.T, color='grey', linewidth=0.5)
        axes.plot(grid, returns.mean(axis=0), color='C0')
        axes.fill_between(grid, interval.low, interval.high, color='C0', alpha=0.3)
        axes.set(title=_TITLES[baseline], xlabel='episodes', ylim=(0, 205))
        axes.grid(alpha=0.3)
        last = returns[:, -1]
        print(
            f'| {_TITLES[baseline]} | {last.mean():.0f} ({interval.low[-1]:.0f} to '
            f'{interval.high[-1]:.0f}) | {last.min():.0f} | {last.max():.0f} | '
            f'{last.std(ddof=1):.0f} | {noise[baseline]:.1f} |'
        )
    panels[0].set_ylabel('return, mean of the last 100 episodes')
    root = pathlib.Path(_ROOT_DIR.value)
    figure.savefig(root / 'baselines.png', dpi=110)
    (root / 'gradient_noise.json').write_text(json.dumps(noise, indent=2) + '\n')
    print(f'\nthe picture is {root / "baselines.png"}')


if __name__ == '__main__':
    app.run(main)
