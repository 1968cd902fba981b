"""Plays an exported policy and reports its returns.

    python -m pipelines.evaluate --policy_dir=runs/cartpole --episodes=100
    python -m pipelines.evaluate --policy_dir=runs/cartpole/policy --video=play.gif

Episodes are assigned to environments in advance, so short ones are not favoured. --json names a
file for every return. gin configures nothing here. A SavedModel is a program: one that you have
neither made nor played before says so, and --sandbox shuts it in.
"""

from __future__ import annotations

import json
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from absl import flags

from pipelines import cli, outputs, sandbox
from pipelines.errors import UserError
from pipelines.runs import known_policies

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

_SANDBOX = flags.DEFINE_boolean(
    'sandbox',
    False,
    'Play it in a process without network and with a read-only file system.',
    flag_values=_FLAGS,
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
    paths, policy_dir = _output_paths(), _policy_dir(_POLICY_DIR.value)
    if _SANDBOX.value:
        _evaluate(policy_dir, paths, sandbox.enter(paths))
        return
    if known_policies.is_new(policy_dir):
        print(
            'a SavedModel is a program, and this one is new here: it runs with your rights '
            '(--sandbox takes the network and the right to write files from it)',
            flush=True,
        )
        known_policies.note(policy_dir)

    def write(flag: str, content: bytes) -> None:
        with outputs.may_fail(flag, paths[flag]):
            outputs.write(paths[flag], content)

    _evaluate(policy_dir, paths, write)


def _evaluate(
    policy_dir: pathlib.Path, paths: Mapping[str, pathlib.Path], write: sandbox.Deliver
) -> None:
    """Plays the policy, prints its returns, and writes to `paths` what was asked for."""
    # TensorFlow takes seconds to import: --help and a misspelt flag do not wait for it.
    from pipelines.loops import evaluation
    from pipelines.runs import card
    from pipelines.runs.export import LoadedPolicy

    policy = LoadedPolicy(str(policy_dir))
    task = card.task(policy.card, card.path_in(policy_dir), _ENV_NAME.value)
    then, now = policy.card.get('env_package'), task.card()['env_package']
    if then and then != now and task.env_name == policy.card['env_name']:
        print(f'the policy was trained with {then}; this is {now or "not installed as a package"}')
    envs = task.evaluation_envs(min(_EPISODES.value, evaluation.MAX_ENVS))
    policy.check_fits(envs)
    evaluator = evaluation.Evaluator(envs, policy, _EPSILON.value, policy.card.get('gamma'))
    with policy.explained():
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
    places = 4 if abs(returns).max() < 10 else 2
    print(
        f'{task.env_name}, {len(returns)} episodes: mean {report["mean"]:.{places}f} '
        f'(95 % interval {low:.{places}f} to {high:.{places}f}), median {report["median"]:.2f}, '
        f'min {report["min"]:.2f}, max {report["max"]:.2f}'
    )
    if values:
        print(f'discounted return: expected {values.in_words()}')
    if path := paths.get('--json'):
        write('--json', (json.dumps(report, indent=2) + '\n').encode())
        print(f'every return is in {path}')
    if path := paths.get('--video'):
        frames = _film(policy, task, write)
        print(f'{frames} frames are in {path}')


def _output_paths() -> dict[str, pathlib.Path]:
    """Where to write, by flag.

    Raises:
      UserError: nothing can be written there, or to both.
    """
    paths = {
        flag: outputs.checked(flag, name)
        for flag, name in (('--json', _JSON.value), ('--video', _VIDEO.value))
        if name
    }
    video = paths.get('--video')
    if video and video.suffix != '.gif' and (video.is_file() or not video.exists()):
        raise UserError(f"--video='{_VIDEO.value}': the name must end in .gif")
    if video and video == paths.get('--json'):
        raise UserError(f"--video='{_VIDEO.value}' is the file of --json, too: choose another path")
    return paths


def _policy_dir(name: str) -> pathlib.Path:
    """The policy's directory; of a run's directory, the one below it.

    Raises:
      UserError: it is a run that has not finished.
    """
    path = pathlib.Path(name).expanduser()
    if (path / 'policy' / 'policy_card.json').exists():
        return path / 'policy'
    if (path / 'checkpoints').is_dir():
        raise UserError(
            f"--policy_dir='{name}' is a run that has exported no policy yet: run its command "
            'again to finish it'
        )
    return path


def _film(policy: LoadedPolicy, task: Task, write: sandbox.Deliver) -> int:
    """Writes an episode; returns the number of its frames."""
    from pipelines.runs import video

    fps = _ATARI_FPS if task.atari else _FPS
    recorder = video.Recorder(task, policy, _EPSILON.value)
    with policy.explained():
        film, num_frames = recorder.film(_SEED.value, fps=fps)
    write('--video', film)
    return num_frames


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
