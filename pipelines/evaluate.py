"""Plays an exported policy and reports its returns.

    python -m pipelines.evaluate --policy_dir=runs/cartpole --episodes=100
    python -m pipelines.evaluate --policy_dir=runs/cartpole/policy --video=play.gif

Episodes are assigned to environments in advance, so short ones are not favoured. --json names a
file for every return; without it nothing is written. gin configures nothing here.
"""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

from pipelines import cli, files
from pipelines.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from envs.task import Task
    from pipelines.runs.export import LoadedPolicy

_FLAGS = flags.FlagValues()
_POLICY_DIR = flags.DEFINE_string(
    'policy_dir', None, 'An exported policy, or the directory of a run.', flag_values=_FLAGS
)
_EPISODES = flags.DEFINE_integer('episodes', 100, 'Number of episodes.', flag_values=_FLAGS)
_SEED = flags.DEFINE_integer(
    'seed',
    0,
    'Seed of the environments.',
    lower_bound=0,
    upper_bound=2**31 - 1,
    flag_values=_FLAGS,
)
_EPSILON = flags.DEFINE_float('epsilon', 0.0, 'Share of random actions.', flag_values=_FLAGS)
_ENV_NAME = flags.DEFINE_string(
    'env_name',
    None,
    "A Gymnasium id, 'module:Id' or 'module:Class'; the policy's own by default.",
    flag_values=_FLAGS,
)
_JSON = flags.DEFINE_string(
    'json', None, 'Also write the report, with every return, to this file.', flag_values=_FLAGS
)
_VIDEO = flags.DEFINE_string(
    'video', None, 'Also record one episode to this GIF file.', flag_values=_FLAGS
)

_MAX_EPISODES = 1_000_000  # every return is kept
_FPS, _ATARI_FPS = 30, 15  # Atari agents act 15 times a second


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    return cli.run(_main, __doc__, _FLAGS, argv)


def _main() -> None:
    if not _POLICY_DIR.value:
        raise UserError('--policy_dir is missing: name the directory of an exported policy')
    if not 1 <= _EPISODES.value <= _MAX_EPISODES:
        raise UserError(
            f'--episodes={_EPISODES.value}: must be at least 1 and at most {_MAX_EPISODES:,}'
        )
    if not 0.0 <= _EPSILON.value <= 1.0:
        raise UserError(f'--epsilon={_EPSILON.value}: must be between 0 and 1')
    if _VIDEO.value and not _VIDEO.value.endswith('.gif'):
        raise UserError(f"--video='{_VIDEO.value}': the name must end in .gif")
    for path in map(pathlib.Path, filter(None, (_JSON.value, _VIDEO.value))):
        if not path.parent.is_dir():
            raise UserError(f"'{path}' cannot be written: there is no directory {path.parent}")
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            why = (
                'it is a directory' if path.is_dir() else f'{path.parent} is not yours to write to'
            )
            raise UserError(f"'{path}' cannot be written: {why}")

    from envs.task import Task
    from pipelines.loops import evaluation
    from pipelines.runs.export import LoadedPolicy

    policy = LoadedPolicy(_policy_dir(_POLICY_DIR.value))
    task = Task.from_card(policy.card, _ENV_NAME.value)
    then, now = policy.card.get('env_package'), task.card()['env_package']
    if then and then != now and task.env_name == policy.card['env_name']:
        print(f'the policy was trained with {then}; this is {now or "not installed as a package"}')
    envs = task.evaluation_envs(min(_EPISODES.value, evaluation.MAX_ENVS))
    policy.check_fits(envs)
    evaluator = evaluation.Evaluator(envs, policy, _EPSILON.value, policy.card.get('gamma'))
    returns = evaluator(_EPISODES.value, _SEED.value)
    values = evaluator.overestimation
    report = {
        'policy_dir': _POLICY_DIR.value,
        'env_name': task.env_name,
        'episodes': _EPISODES.value,
        'seed': _SEED.value,
        'epsilon': _EPSILON.value,
        **statistics(returns),
        'overestimation': values.known() if values else None,
        'returns': returns.tolist(),
    }
    low, high = report['mean_interval_95']
    print(
        f'{task.env_name}, {len(returns)} episodes: mean {report["mean"]:.2f} '
        f'(95 % interval {low:.2f} to {high:.2f}), median {report["median"]:.2f}, '
        f'min {report["min"]:.2f}, max {report["max"]:.2f}'
    )
    if values:
        print(f'discounted return: expected {values.in_words()}')
    if _JSON.value:
        try:
            files.write_json(pathlib.Path(_JSON.value), report)
        except OSError as e:
            raise UserError(f"--json='{_JSON.value}' cannot be written: {e.strerror}") from e
        print(f'every return is in {_JSON.value}')
    if _VIDEO.value:
        _film(policy, task, pathlib.Path(_VIDEO.value))


def _policy_dir(name: str) -> str:
    """The policy's directory; of a run's directory, the one below it.

    Raises:
      UserError: it is a run that has not finished.
    """
    path = pathlib.Path(name).expanduser()
    if (path / 'policy' / 'policy_card.json').exists():
        return str(path / 'policy')
    if (path / 'checkpoints').is_dir():
        raise UserError(
            f"--policy_dir='{name}' is a run that has exported no policy yet: run its command "
            'again to finish it'
        )
    return str(path)


def _film(policy: LoadedPolicy, task: Task, path: pathlib.Path) -> None:
    from pipelines.runs import video

    recorder = video.Recorder(task, policy, _EPSILON.value)
    try:
        frames = recorder.save(path, _SEED.value, fps=_ATARI_FPS if task.atari else _FPS)
    except OSError as e:
        raise UserError(f"--video='{path}' cannot be written: {e.strerror}") from e
    print(f'{frames} frames are in {path}')


def statistics(returns: np.ndarray) -> dict:
    """Mean, its 95 % bootstrap interval, median and extremes of returns [N].

    The interval is the percentile bootstrap's, from 10 000 resamples.
    """
    import numpy as np
    from scipy import stats

    interval = (float(returns[0]),) * 2
    if len(returns) > 1:
        interval = stats.bootstrap(
            (returns,), lambda x, axis: x.mean(axis), method='percentile', n_resamples=10_000,
            batch=1_000, random_state=0,
        ).confidence_interval  # fmt: skip
    return {
        'mean': float(returns.mean()),
        'mean_interval_95': [float(bound) for bound in interval],
        'median': float(np.median(returns)),
        'min': float(returns.min()),
        'max': float(returns.max()),
    }


if __name__ == '__main__':
    sys.exit(main())
