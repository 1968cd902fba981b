"""The maximisation bias of Q-learning and double Q-learning, in tables and in networks.

    python -m benchmarks.maximisation_bias --root_dir=runs/maximisation_bias

On the MDP of envs/bias_mdp.py: tabular Q-learning and double Q-learning (a thousand runs of each
step size), DQN and Double DQN (twenty seeds; maximisation_bias.gin). Each is run twice:

    epsilon 0.1   as in Sutton and Barto 2018, figure 6.5, whose plot of left moves it follows
    random play   epsilon 1: all actions are tried equally often, whatever is estimated, so an
                  error is the estimator's alone; what counts is what the runs would do greedily

Writes report.html (and .md, .json, plots). In random play with step size 0.1, Q-learning is
expected to overestimate Q(A, right) and to go right more often than double Q-learning, and double
Q-learning to learn without overestimating it. Exits with 1 if not, and says what failed.
"""

from __future__ import annotations

import concurrent.futures
import functools
import multiprocessing
import pathlib
import sys
from collections.abc import Sequence

import numpy as np
from absl import flags

from pipelines import cli
from pipelines.errors import UserError

_FLAGS = flags.FlagValues()
_ROOT_DIR = flags.DEFINE_string(
    'root_dir', 'runs/maximisation_bias', 'Directory of the report.', flag_values=_FLAGS
)
_RUNS = flags.DEFINE_integer(
    'runs', 1_000, 'Runs of each kind of table.', lower_bound=2, flag_values=_FLAGS
)
_SEEDS = flags.DEFINE_integer(
    'seeds', 20, 'Runs of each network.', lower_bound=2, flag_values=_FLAGS
)
_EPISODES = flags.DEFINE_integer(
    'episodes', 1_000, 'Episodes in each run.', lower_bound=10, flag_values=_FLAGS
)
_PROCESSES = flags.DEFINE_integer(
    'processes', 2, 'Processes at a time, of about 1 GB each.', lower_bound=1, flag_values=_FLAGS
)

EXPLORATION = {'epsilon 0.1': 0.1, 'random play': 1.0}
TABLES = {'Q-learning': False, 'double Q-learning': True}  # name: double
NETWORKS = {'DQN': False, 'Double DQN': True}
STEP_SIZES = (0.01, 0.05, 0.1, 0.2, 0.5, None)
STEP_SIZE = 0.1  # of the tables that are compared with the networks


def main(argv: Sequence[str] | None = None) -> int:
    """Runs everything; returns the exit code."""
    return cli.run(_main, __doc__, _FLAGS, argv)


def _main() -> None:
    from benchmarks import bias_report

    root = pathlib.Path(_ROOT_DIR.value)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise UserError(f'--root_dir={root}: {e.strerror}; choose another directory') from e
    data: dict = {
        'runs': _RUNS.value,
        'seeds': _SEEDS.value,
        'episodes': _EPISODES.value,
        'step_size': STEP_SIZE,
    }
    for kind, epsilon in EXPLORATION.items():
        # The threads of TensorFlow's sessions end only with their process.
        with concurrent.futures.ProcessPoolExecutor(
            _PROCESSES.value, multiprocessing.get_context('spawn')
        ) as pool:
            print(f'{kind}:', flush=True)
            data[kind] = collect(pool, epsilon, _RUNS.value, _SEEDS.value, _EPISODES.value)
    markdown = bias_report.write(root, data)
    print(f'{markdown}\n\nthe report is {root / "report.html"}')
    if failed := bias_report.not_shown(data):
        print('\n'.join(f'not shown: {each}' for each in failed), file=sys.stderr)
        sys.exit(1)


def collect(
    pool: concurrent.futures.Executor, epsilon: float, runs: int, seeds: int, episodes: int
) -> dict:
    """Returns the true values and the summary of each agent; see `bias_summary.summarise`."""
    from benchmarks import bias_runs, bias_summary

    bias_runs.configure(epsilon)
    truth = bias_summary.truths(bias_runs.bound('train_ddqn.gamma'), epsilon)
    table = functools.partial(
        pool.submit, bias_runs.tabular_runs, epsilon=epsilon, num_runs=runs, num_episodes=episodes
    )
    tables = {
        (size, name): table(double=double, step_size=size)
        for size in STEP_SIZES
        for name, double in TABLES.items()
    }
    from_truth = table(double=True, step_size=STEP_SIZE, from_truth=True)
    networks = {
        name: [
            pool.submit(bias_runs.network_run, double, epsilon, seed, episodes)
            for seed in range(seeds)
        ]
        for name, double in NETWORKS.items()
    }
    data: dict = {'truth': truth, 'tables': {}, 'networks': {}}
    for size in STEP_SIZES:
        data['tables'][step_size_name(size)] = {
            name: bias_summary.summarise(tables.pop((size, name)).result(), truth)
            for name in TABLES
        }
        print(f'  tables, step size {step_size_name(size)}: done', flush=True)
    data['double_from_truth'] = bias_summary.summarise(from_truth.result(), truth)
    for name in NETWORKS:
        each = [future.result() for future in networks[name]]
        together = bias_runs.Runs(*(np.concatenate(part) for part in zip(*each, strict=True)))
        data['networks'][name] = bias_summary.summarise(together, truth)
        print(f'  {name}, {seeds} seeds: done', flush=True)
    return data


def step_size_name(step_size: float | None) -> str:
    """Formats a step size: '0.1', or '1/n' for None."""
    return '1/n' if step_size is None else f'{step_size:g}'


if __name__ == '__main__':
    sys.exit(main())
