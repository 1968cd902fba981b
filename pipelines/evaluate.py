"""Plays an exported policy and says how good it is.

    python -m pipelines.evaluate --policy_dir=runs/cartpole/policy --episodes=100
    python -m pipelines.evaluate --policy_dir=runs/cartpole/policy --video=play.gif

Every episode is given to an environment beforehand, so that short ones are not
favoured. Every return is written to --json. Nothing here is configured by gin.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence

from absl import flags

from pipelines import cli

_FLAGS = flags.FlagValues()
_POLICY_DIR = flags.DEFINE_string(
    'policy_dir', None, 'An exported policy: <root_dir>/policy.', flag_values=_FLAGS
)
_EPISODES = flags.DEFINE_integer('episodes', 100, 'How many to play.', flag_values=_FLAGS)
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
    'env_name', None, "A Gymnasium id; the policy's own by default.", flag_values=_FLAGS
)
_JSON = flags.DEFINE_string(
    'json', None, 'Where to write; <policy_dir>/evaluation.json by default.', flag_values=_FLAGS
)
_VIDEO = flags.DEFINE_string(
    'video', None, 'Also record the first episode of one environment, as a GIF.', flag_values=_FLAGS
)

_MAX_ENVS = 100
_FPS, _ATARI_FPS = 30, 15  # a game's agent acts 15 times a second


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the driver; returns its exit code."""
    return cli.run(_main, __doc__, _FLAGS, argv)


def _main() -> None:
    if not _POLICY_DIR.value:
        raise cli.UserError('--policy_dir is missing: which policy shall play?')
    if _EPISODES.value < 1:
        raise cli.UserError(f'--episodes={_EPISODES.value}: at least 1 is needed')
    if not 0.0 <= _EPSILON.value <= 1.0:
        raise cli.UserError(f'--epsilon={_EPSILON.value}: must be between 0 and 1')
    if _VIDEO.value and not _VIDEO.value.endswith('.gif'):
        raise cli.UserError(f"--video='{_VIDEO.value}': the name must end in .gif")
    json_path = pathlib.Path(_JSON.value or pathlib.Path(_POLICY_DIR.value) / 'evaluation.json')
    for path in (json_path, pathlib.Path(_VIDEO.value or json_path)):
        if not path.parent.is_dir() and path.parent != pathlib.Path(_POLICY_DIR.value):
            raise cli.UserError(f"'{path}' cannot be written: there is no directory {path.parent}")

    from envs import suite
    from pipelines import export, rollout, run_dir

    policy = export.LoadedPolicy(_POLICY_DIR.value)
    env_name = _ENV_NAME.value or policy.card['env_name']
    num_envs = min(_EPISODES.value, _MAX_ENVS)
    options = policy.card.get('env_options')
    env = suite.load(env_name, num_envs, training_wrappers=(), options=options)
    policy.check_fits(env)
    evaluator = rollout.Evaluator(
        env,
        policy.action,
        policy.get_initial_state(num_envs),
        _EPSILON.value,
        policy.card.get('gamma'),
    )
    returns = evaluator(_EPISODES.value, _SEED.value)
    values = evaluator.overestimation

    report = {
        'policy_dir': _POLICY_DIR.value,
        'env_name': env_name,
        'episodes': _EPISODES.value,
        'seed': _SEED.value,
        'epsilon': _EPSILON.value,
        **statistics(returns),
        'overestimation': values.known() if values else None,
        'returns': returns.tolist(),
    }
    try:
        run_dir.write_json(json_path, report)
    except OSError as e:
        raise cli.UserError(f"'{json_path}' cannot be written: {e.strerror}; use --json") from e
    low, high = report['mean_interval_95']
    print(
        f'{env_name}, {len(returns)} episodes: mean {report["mean"]:.2f} '
        f'(95 % interval {low:.2f} to {high:.2f}), median {report["median"]:.2f}, '
        f'min {report["min"]:.2f}, max {report["max"]:.2f}\nevery return is in {json_path}'
    )
    if values:
        print(f'discounted, the policy expected {values.in_words()}')
    if _VIDEO.value:
        _film(policy, env_name, options, pathlib.Path(_VIDEO.value))


def _film(policy, env_name: str, options: dict | None, path: pathlib.Path):
    from pipelines import video

    recorder = video.Recorder(
        env_name, options, policy.outputs, policy.get_initial_state(1), _EPSILON.value
    )
    try:
        frames = recorder.save(path, _SEED.value, fps=_ATARI_FPS if options else _FPS)
    except OSError as e:
        raise cli.UserError(f"--video='{path}' cannot be written: {e.strerror}") from e
    print(f'{frames} frames are in {path}')


def statistics(returns) -> dict:
    """Mean, its bootstrap 95 % interval (percentiles of 10 000 resamples), median, extremes."""
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
