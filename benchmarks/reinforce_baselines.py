"""The effect of baselines on REINFORCE on CartPole-v0, in curves and in numbers.

    python -m benchmarks.reinforce_baselines --root_dir=runs/baselines

Runs configs/reinforce_cartpole_tutorial.gin as it is (an update after each episode), and with
each baseline and eight episodes per update (and twice as many episodes). Finished runs are kept,
so the same command resumes where it was stopped. Draws the mean training return of the last 100
episodes, with a 95 % bootstrap interval over seeds.

Gradients g are estimated from eight episodes, the same ones for every baseline, with a policy
that was trained with a learned value. After 20 updates ("early") the noise
E|g - mean g|^2 / |mean g|^2 is compared, because standardised returns have another scale, which
rules out comparing variances. After 80 ("late") the mean is almost 0, so variances are compared,
for the two baselines that keep the scale of returns: none, and a learned value.
"""

from __future__ import annotations

import concurrent.futures
import csv
import json
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import matplotlib
import numpy as np
import tensorflow as tf
from absl import app, flags
from scipy import stats

from agents import reinforce
from pipelines import assembly, gin_config
from pipelines.settings import ReinforceSettings

matplotlib.use('Agg')
from matplotlib import pyplot as plt

_ROOT_DIR = flags.DEFINE_string('root_dir', 'runs/baselines', 'Directory of the runs.')
_SEEDS = flags.DEFINE_integer('seeds', 10, 'Runs of each kind.')
_PROCESSES = flags.DEFINE_integer('processes', 2, 'Runs at a time.')

_CONFIG = 'configs/reinforce_cartpole_tutorial.gin'
_KINDS = {  # title: (baseline, episodes per update, episodes)
    'as the tutorial has it': ('episode', 1, 1_000),
    'no baseline': ('none', 8, 2_000),
    'standardised per episode': ('episode', 8, 2_000),
    'standardised over the batch': ('batch', 8, 2_000),
    'learned value': ('value', 8, 2_000),
}
_NOISE_BATCHES, _EARLY, _LATE, _BATCH = 400, 20, 80, 8


def _run(title: str, seed: int) -> pathlib.Path:
    baseline, num_envs, num_episodes = _KINDS[title]
    directory = pathlib.Path(_ROOT_DIR.value) / f'{baseline}_{num_envs}_{seed}'
    subprocess.run(  # returns at once if the run is finished
        [sys.executable, '-m', 'pipelines.train_reinforce', f'--root_dir={directory}',
         f'--seed={seed}', f'--gin_file={_CONFIG}',
         f"--gin_bindings=train_reinforce.baseline='{baseline}'",
         f'--gin_bindings=train_reinforce.num_envs={num_envs}',
         f'--gin_bindings=train_reinforce.num_episodes={num_episodes}'],
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


def _gradient_estimates() -> Iterator[dict[str, np.ndarray]]:
    """Yields independent estimates [N, P] by baseline, first early, then late (see above)."""
    gin_config.parse(_CONFIG, ['adam.learning_rate = 1e-2'])
    settings = ReinforceSettings(env_name='CartPole-v0', num_envs=_BATCH, baseline='value')
    parts = assembly.assemble_reinforce(settings, 0)
    agent, queue = parts.agent, parts.queue
    judged = {
        baseline: tf.function(
            reinforce.PolicyGradientAgent(
                agent.time_step_spec, agent.action_spec, agent.actor_network,
                agent.collect_policy.action_distribution, tf.keras.optimizers.legacy.SGD(0.0),
                # A negligible value loss, to get the gradient of the policy alone.
                baseline=baseline, gamma=settings.gamma, value_coefficient=1e-12,
                loss_per='episode',
            ).gradients,
            autograph=False,
            reduce_retracing=True,
        )
        for baseline in reinforce.BASELINES
    }  # fmt: skip
    with queue:
        parts.envs.seed(0)
        batches = queue.batches()
        train = tf.function(agent.train, autograph=False, reduce_retracing=True)

        def batch():
            parts.collector.run()
            queue.take()
            return queue.codec.decode(next(batches))

        for updates in _EARLY, _LATE - _EARLY:
            for _ in range(updates):
                train(batch())
            estimates: dict[str, list[np.ndarray]] = {baseline: [] for baseline in judged}
            for _ in range(_NOISE_BATCHES):
                episodes = batch()
                for baseline, gradients in judged.items():
                    _, tensors = gradients(episodes)
                    estimate = np.concatenate([tensor.numpy().ravel() for tensor in tensors])
                    estimates[baseline].append(estimate)
            yield {baseline: np.array(each) for baseline, each in estimates.items()}


def _variance(estimates: np.ndarray) -> float:
    """E|g - mean g|^2 of independent estimates [N, P]."""
    return float(np.square(estimates - estimates.mean(axis=0)).sum() / (len(estimates) - 1))


def _noise(estimates: np.ndarray) -> float:
    """E|g - mean g|^2 / |mean g|^2 of independent estimates [N, P]."""
    variance = _variance(estimates)
    # The mean of the estimates is itself noisy; its variance is not signal.
    signal = np.square(estimates.mean(axis=0)).sum() - variance / len(estimates)
    assert signal > 0, 'too few batches to tell the gradient from its noise'
    return float(variance / signal)


def _gradient_noise() -> dict[str, dict[str, float]]:
    early, late = _gradient_estimates()
    return {
        'early_noise': {baseline: _noise(each) for baseline, each in early.items()},
        'late_variance': {baseline: _variance(late[baseline]) for baseline in ('none', 'value')},
    }


def main(_) -> None:
    """Runs what is missing, draws baselines.png and prints a table."""
    root = pathlib.Path(_ROOT_DIR.value)
    root.mkdir(parents=True, exist_ok=True)
    noise = _gradient_noise()
    (root / 'gradient_noise.json').write_text(json.dumps(noise, indent=2) + '\n')
    jobs = [(title, seed) for seed in range(_SEEDS.value) for title in _KINDS]
    with concurrent.futures.ThreadPoolExecutor(_PROCESSES.value) as executor:
        directories = dict(zip(jobs, executor.map(lambda job: _run(*job), jobs), strict=True))
    figure, panels = plt.subplots(1, 5, figsize=(17, 3.6), sharey=True, layout='constrained')
    print(
        '| returns | episodes per update | episodes | last 100 episodes, mean over seeds (95 % '
        'interval) | least | most | deviation between seeds | gradient noise |'
    )
    print('|---|---|---|---|---|---|---|---|')
    for axes, (title, kind) in zip(panels, _KINDS.items(), strict=True):
        baseline, num_envs, num_episodes = kind
        curves = [_curve(directories[title, seed]) for seed in range(_SEEDS.value)]
        grid = np.linspace(100, num_episodes, 91)
        returns = np.array([np.interp(grid, *curve) for curve in curves])
        interval = stats.bootstrap(
            (returns,), np.mean, axis=0, n_resamples=2_000, method='percentile', random_state=0,
            vectorized=True,
        ).confidence_interval  # fmt: skip
        axes.plot(grid, returns.T, color='grey', linewidth=0.5)
        axes.plot(grid, returns.mean(axis=0), color='C0')
        axes.fill_between(grid, interval.low, interval.high, color='C0', alpha=0.3)
        axes.set(title=title, xlabel='episodes', ylim=(0, 205))
        axes.grid(alpha=0.3)
        last = returns[:, -1]
        drowned = f'{noise["early_noise"][baseline]:.2f}' if num_envs == _BATCH else ''
        print(
            f'| {title} | {num_envs} | {num_episodes:,} '
            f'| {last.mean():.0f} ({interval.low[-1]:.0f} to {interval.high[-1]:.0f}) '
            f'| {last.min():.0f} | {last.max():.0f} | {last.std(ddof=1):.0f} | {drowned} |'
        )
    panels[0].set_ylabel('return, mean of the last 100 episodes')
    figure.savefig(root / 'baselines.png', dpi=110)
    late = noise['late_variance']['value'] / noise['late_variance']['none']
    print(f'\nlate, a learned value leaves {late:.3f} of the variance that no baseline has')
    print(f'the picture is {root / "baselines.png"}')


if __name__ == '__main__':
    app.run(main)
