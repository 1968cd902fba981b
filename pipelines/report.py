"""What a finished run leaves: proven policies, their evaluation, a curve, a film, a summary."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from agents.policies import GreedyQPolicy
from agents.raw_screen_policy import RawScreenPolicy, ScreensToFrame
from envs import suite
from envs.gymnasium_env import GymnasiumEnv
from pipelines import export, overestimation, progress, reference, rollout, run_dir, video

_MAX_EVAL_ENVS = 100
_NUM_SCREENS = 64
_FILM_FPS = 15


@dataclasses.dataclass(frozen=True)
class Finished:
    """What there is to report of."""

    root: pathlib.Path
    env: GymnasiumEnv
    agent_name: str
    exports: Mapping[str, Any]  # policies by their directory's name, `policy` among them
    observations: np.ndarray  # [M, ...], as stored while training, to prove the export on
    card: dict
    summary: dict  # counters and times
    num_eval_episodes: int
    eval_epsilon: float
    eval_seed: int
    film: bool


def write(finished: Finished) -> None:
    """Exports, proves and evaluates the policy, draws, and writes summary.json.

    Raises:
      RuntimeError: an export failed its proof.
    """
    env, root = finished.env, finished.root
    options = dataclasses.asdict(env.options) if env.options else None
    card = {
        'env_name': env.name,
        'env_options': options,
        'atari_game': suite.atari_game(env.name),
        'action_meanings': suite.action_meanings(env.name, options),
        'agent': finished.agent_name,
        **finished.card,
    }
    exports = {
        name: export.Export(policy, finished.observations)
        for name, policy in finished.exports.items()
    } | _raw_export(finished)
    with export.proven_exports(root, exports, card) as loaded:
        policy = loaded['policy']
        episodes = finished.num_eval_episodes
        evaluator = make_evaluator(
            env.name, policy, episodes, finished.eval_epsilon, finished.card['gamma']
        )
        returns = evaluator(episodes, finished.eval_seed)
        values = evaluator.overestimation
        if finished.film:
            recorder = video.Recorder(
                env.name, options, policy.outputs, policy.get_initial_state(1),
                finished.eval_epsilon,
            )  # fmt: skip
            (root / 'videos').mkdir(exist_ok=True)
            recorder.save(root / 'videos' / 'final.gif', finished.eval_seed, fps=_FILM_FPS)
    title = f'{finished.agent_name} on {env.name}, seed {finished.card["seed"]}'
    ladder = reference.ladder(env.name, env.options)
    progress.draw_curve(root / 'progress.csv', root / 'curve.png', title, ladder)
    progress.draw_metrics(root / 'progress.csv', root / 'metrics.png', title)
    summary = {
        'env_name': env.name,
        'agent': finished.agent_name,
        **finished.summary,
        'eval_returns': returns.tolist(),
        'eval_mean': float(returns.mean()),
        **({'overestimation': values.known()} if values else {}),
        'policy_dir': str(root / 'policy'),
    }
    run_dir.write_json(root / 'summary.json', summary)
    print(_closing_words(summary, values, root, video.draws(env.name, options)))


def make_evaluator(
    env_name: str, policy, num_episodes: int, epsilon: float, gamma: float | None
) -> rollout.Evaluator:
    """Evaluates `policy`, live or loaded, in environments of its own, as gin configures them."""
    env = suite.load(env_name, min(num_episodes, _MAX_EVAL_ENVS), training_wrappers=())
    return rollout.Evaluator(
        env, policy.action, policy.get_initial_state(env.batch_size), epsilon, gamma
    )


def _raw_export(finished: Finished) -> dict[str, export.Export]:
    """policy_raw/ beside policy/, where a Q-network plays an Atari game."""
    options, frame_policy = finished.env.options, finished.exports['policy']
    if not options:
        return {}
    emulator = suite.emulator(finished.env.name, dataclasses.asdict(options))
    frame_size = (options.frame_height, options.frame_width)
    too_large = any(f > s for f, s in zip(frame_size, emulator.screen_size, strict=True))
    if too_large or not isinstance(frame_policy, GreedyQPolicy):
        reason = 'frames are larger than the screen' if too_large else 'it takes a Q-network'
        print(f'no policy_raw/: {reason}')
        return {}
    to_frame = ScreensToFrame(emulator.screen_size, frame_size, options.max_pool)
    screens = _random_screens(emulator, finished.eval_seed)
    return {'policy_raw': export.Export(RawScreenPolicy(frame_policy, to_frame), screens)}


def _random_screens(emulator, seed: int) -> np.ndarray:
    """uint8 [M, 2, height, width, 3] of random play, every fifth step."""
    rng, screens = np.random.default_rng(seed), [emulator.reset(seed)]
    while len(screens) < _NUM_SCREENS * 5:
        newest, _, over = emulator.step(int(rng.integers(len(emulator.action_meanings))))
        screens.append(emulator.reset() if over else newest)
    return np.stack(screens[::5])


def _closing_words(
    summary: dict, values: overestimation.Overestimation | None, root, draws: bool
) -> str:
    frames = summary['frames_per_env_step'] * summary['env_steps']
    rows = [
        ('environment', summary['env_name']),
        ('agent', summary['agent']),
        ('env steps', f'{summary["env_steps"]:,}'),
        ('train steps', f'{summary["train_steps"]:,}'),
        ('seconds', f'{summary["wall_seconds"]:.1f}'),
        ('env steps/s', f'{summary["env_steps_per_second"]:,.0f}'),
        ('evaluation', f'{summary["eval_mean"]:.1f} over {len(summary["eval_returns"])} episodes'),
        ('policy', f'{summary["policy_dir"]} (reloaded and proven)'),
    ]
    if values:
        rows.insert(7, ('expected', values.in_words()))
    if frames != summary['env_steps']:
        rows.insert(3, ('frames', f'{frames:,}'))
    table = '\n'.join(f'  {name:<12} {value}' for name, value in rows)
    film = ' --video=play.gif' if draws else ''
    return (
        f'\n{table}\n\nNext:\n'
        f'  python -m pipelines.evaluate --policy_dir={summary["policy_dir"]}{film}\n'
        f'  tensorboard --logdir={root}/tensorboard'
    )


def film(recorder: video.Recorder, root: pathlib.Path, num_episodes: int, seed: int) -> None:
    """Writes videos/after_<episodes>_episodes.gif, every second step at twice the pace."""
    directory = root / 'videos'
    directory.mkdir(exist_ok=True)
    path = directory / f'after_{num_episodes:06d}_episodes.gif'
    recorder.save(path, seed, every=2, fps=_FILM_FPS)
