"""Writes what a finished run leaves: proven policies, evaluation, plots, films, summary."""

from __future__ import annotations

import dataclasses
import pathlib
import shlex
import sys
from typing import Any

import numpy as np

from agents.policies import GreedyQPolicy
from agents.raw_screen_policy import RawScreenPolicy, ScreensToFrame
from envs.task import Task
from pipelines.loops import overestimation
from pipelines.loops.evaluation import make_evaluator
from pipelines.runs import curves, export, published, video
from pipelines.runs.summary import Summary
from pipelines.runs.training import Training
from pipelines.settings import RunSchedule

_NUM_SCREENS = 64
_FILM_FPS = 15


def write(
    root: pathlib.Path,
    training: Training,
    schedule: RunSchedule,
    summary: Summary,
    *,
    card: dict[str, Any],
    observations: Any,
    eval_seed: int,
) -> None:
    """Exports, proves and evaluates the policy, plots the run, and writes summary.json.

    Args:
      root: directory of the run.
      training: its best policies are exported.
      schedule: how the export is evaluated, and whether it is filmed.
      summary: counts and times; the evaluation is added.
      card: content of the policy cards.
      observations: [M, ...], stored while training; inputs of the proof.
      eval_seed: seed of the evaluation.

    Raises:
      RuntimeError: an export failed its proof.
    """
    task = training.task
    exports = {
        name: export.Export(policy, observations) for name, policy in training.exports.items()
    } | _raw_export(task, training.exports['policy'], eval_seed)
    card = {**task.card(), 'agent': training.agent_name, **card}
    with export.proven_exports(root, exports, card) as loaded:
        policy, epsilon = loaded['policy'], schedule.eval_epsilon
        episodes = schedule.num_eval_episodes
        evaluator = make_evaluator(task, policy, episodes, epsilon, training.gamma)
        returns = evaluator(episodes, eval_seed)
        values = evaluator.overestimation
        evaluator.close()
        if schedule.video_interval_episodes is not None:
            recorder = video.Recorder(task, policy, epsilon)
            (root / 'videos').mkdir(exist_ok=True)
            recorder.save(root / 'videos' / 'final.gif', eval_seed, fps=_FILM_FPS)
    title = f'{training.agent_name} on {task.env_name}, seed {summary.seed}'
    progress_csv = root / 'progress.csv'
    curves.draw_curve(
        progress_csv, root / 'curve.png', title, schedule.x_axis, published.returns_for(task)
    )
    curves.draw_metrics(progress_csv, root / 'metrics.png', title, schedule.x_axis)
    summary = dataclasses.replace(
        summary,
        eval_returns=returns.tolist(),
        eval_mean=float(returns.mean()),
        overestimation=values.known() if values else None,
        policy_dir=str(root / 'policy'),
    )
    summary.write(root / 'summary.json')
    print(_closing_words(summary, values, root, video.draws(task)))


def _raw_export(task: Task, policy: Any, seed: int) -> dict[str, export.Export]:
    """Makes the export policy_raw/, which acts on raw screens, for Q-networks on Atari games."""
    if task.atari is None:
        return {}
    emulator = task.emulator()
    frame_size = (task.atari.frame_height, task.atari.frame_width)
    too_large = any(f > s for f, s in zip(frame_size, emulator.screen_size, strict=True))
    if too_large or not isinstance(policy, GreedyQPolicy):
        reason = 'frames are larger than the screen' if too_large else 'it takes a Q-network'
        print(f'no policy_raw/: {reason}')
        return {}
    to_frame = ScreensToFrame(emulator.screen_size, frame_size, task.atari.max_pool)
    screens = _random_screens(emulator, seed)
    return {'policy_raw': export.Export(RawScreenPolicy(policy, to_frame), screens)}


def _random_screens(emulator: Any, seed: int) -> np.ndarray:
    """Returns every fifth screen pair of random play: uint8 [M, 2, height, width, 3]."""
    rng, screens = np.random.default_rng(seed), [emulator.reset(seed)]
    while len(screens) < _NUM_SCREENS * 5:
        newest, _, over = emulator.step(int(rng.integers(len(emulator.action_meanings))))
        screens.append(emulator.reset() if over else newest)
    return np.stack(screens[::5])


def _closing_words(
    summary: Summary,
    values: overestimation.Overestimation | None,
    root: pathlib.Path,
    draws: bool,
) -> str:
    rows = [
        ('environment', summary.env_name),
        ('agent', summary.agent),
        ('env steps', f'{summary.env_steps:,}'),
        ('train steps', f'{summary.train_steps:,}'),
        ('seconds', f'{summary.wall_seconds:.1f}'),
        ('env steps/s', f'{summary.env_steps_per_second:,.0f}'),
        ('evaluation', f'{summary.eval_mean:.1f} over {len(summary.eval_returns)} episodes'),
        ('policy', f'{summary.policy_dir} (reloaded and proven)'),
    ]
    if values:
        rows.insert(7, ('expected', values.in_words()))
    if summary.frames_per_env_step > 1:
        rows.insert(3, ('frames', f'{summary.frames_per_env_step * summary.env_steps:,}'))
    table = '\n'.join(f'  {name:<12} {value}' for name, value in rows)
    python, policy_dir = shlex.quote(sys.executable), shlex.quote(summary.policy_dir)
    film = ' --video=play.gif' if draws else ''
    return (
        f'\n{table}\n\nNext:\n'
        f'  {python} -m pipelines.evaluate --policy_dir={policy_dir}{film}\n'
        f'  {python} -m tensorboard.main --logdir={shlex.quote(str(root / "tensorboard"))}'
    )


def film(recorder: video.Recorder, root: pathlib.Path, num_episodes: int, seed: int) -> None:
    """Records videos/after_<episodes>_episodes.gif, every second step at twice the speed."""
    directory = root / 'videos'
    directory.mkdir(exist_ok=True)
    path = directory / f'after_{num_episodes:06d}_episodes.gif'
    recorder.save(path, seed, every=2, fps=_FILM_FPS)
