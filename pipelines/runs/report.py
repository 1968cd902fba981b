"""Writes what a finished run leaves: proven policies, evaluation, plots, films, summary."""

from __future__ import annotations

import dataclasses
import pathlib
import shlex
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from agents.policies import GreedyQPolicy
from agents.raw_screen_policy import RawScreenPolicy, ScreensToFrame
from envs.task import Task
from pipelines import files, gin_config
from pipelines.loops import overestimation
from pipelines.loops.evaluation import make_evaluator
from pipelines.runs import curves, export, published, video
from pipelines.runs.best_policy import BestPolicy
from pipelines.runs.extent import Extent
from pipelines.runs.progress import Cadence
from pipelines.runs.summary import Summary
from pipelines.runs.training import Training
from pipelines.settings import RunSchedule

_NUM_SCREENS = 64
_FILM_FPS = 15
_LEFT = ('progress.csv', 'episodes.csv', 'curve.png', 'metrics.png')  # beside the policies


def summarise(
    training: Training,
    schedule: RunSchedule,
    extent: Extent,
    best_policy: BestPolicy,
    *,
    seed: int,
    more: Mapping[str, Any],
) -> Summary:
    """Returns the summary without the evaluation of the export.

    Args:
      training: of the run.
      schedule: of the run.
      extent: counts and times.
      best_policy: found while training.
      seed: of the run.
      more: further entries of summary.json.
    """
    return Summary(
        env_name=training.task.env_name,
        agent=training.agent_name,
        seed=seed,
        env_steps=extent.env_steps,
        unit=schedule.unit,
        length=schedule.length,
        episode_limit=schedule.num_episodes,
        frames_per_env_step=training.task.frames_per_env_step,
        train_steps=extent.train_steps,
        episodes=extent.episodes,
        return_mean_100=float(np.mean(training.statistics.last_returns or [np.nan])),
        wall_seconds=round(extent.wall_seconds, 2),
        env_steps_per_second=round(extent.env_steps / max(extent.wall_seconds, 1e-9), 1),
        best=best_policy.found,
        training_overestimation=best_policy.expected or None,
        eval_mean=float('nan'),
        stopped=extent.stopped,
        more=dict(more),
    )


def write(
    root: pathlib.Path,
    training: Training,
    schedule: RunSchedule,
    summary: Summary,
    *,
    observations: Any,
    eval_seed: int,
) -> None:
    """Exports, proves and evaluates the policy, plots the run, and writes summary.json.

    Args:
      root: directory of the run.
      training: its best policies are exported.
      schedule: how the export is evaluated, and whether it is filmed.
      summary: counts and times; the evaluation is added.
      observations: [M, ...], stored while training; inputs of the proof.
      eval_seed: seed of the evaluation.

    Raises:
      RuntimeError: an export failed its proof.
    """
    task = training.task
    exports = {
        name: export.Export(policy, observations) for name, policy in training.exports.items()
    } | _raw_export(task, training.exports['policy'], eval_seed)
    with export.proven_exports(root, exports, _card(training, summary)) as loaded:
        policy, epsilon = loaded['policy'], schedule.eval_epsilon
        episodes = schedule.num_eval_episodes
        evaluator = make_evaluator(task, policy, episodes, epsilon, training.gamma)
        returns = evaluator(episodes, eval_seed)
        values = evaluator.overestimation
        evaluator.close()
        if schedule.video_interval_episodes is not None:
            recorder = video.Recorder(task, policy, epsilon)
            (root / 'videos').mkdir(exist_ok=True)
            film, _ = recorder.film(eval_seed, fps=_FILM_FPS)
            files.write_bytes(root / 'videos' / 'final.gif', film)
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
    left = [*_LEFT, *(path for name in exports for path in _files_of(root, name))]
    sums = {name: sum_ for name in left if (sum_ := files.checksum(root / name)) is not None}
    summary = dataclasses.replace(summary, checksums=sums)
    summary.write(root / 'summary.json')
    print(_closing_words(summary, values, root, video.draws(task)))


def _files_of(root: pathlib.Path, name: str) -> list[str]:
    """The paths of an export's files below `root`."""
    paths = (root / name).rglob('*')
    return sorted(str(path.relative_to(root)) for path in paths if path.is_file())


def _card(training: Training, summary: Summary) -> dict[str, Any]:
    best = summary.best
    return {
        **training.task.card(),
        'agent': training.agent_name,
        'seed': summary.seed,
        'env_steps': best['env_steps'],
        'train_steps': best['train_steps'],
        'selection_mean': best['eval_mean'],
        'gamma': training.gamma,
        'run_env_steps': summary.env_steps,
        'config': gin_config.operative_bindings(),
    }


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
        ('evaluation', f'{_mean(summary)} over {len(summary.eval_returns)} episodes'),
        ('policy', f'{summary.policy_dir} (reloaded and proven)'),
    ]
    if values:
        rows.insert(7, ('expected', values.in_words()))
    if summary.stopped is not None:
        rows.insert(3, ('stopped', f'by {summary.stopped["by"]}: {summary.stopped["why"]}'))
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


def _mean(summary: Summary) -> str:
    """The mean return, in as many decimals as the returns' size asks for."""
    largest = max(map(abs, summary.eval_returns), default=0.0)
    return f'{summary.eval_mean:.{3 if largest < 10 else 1}f}'


class Films:
    """Films of greedy play while training, each after so many more episodes."""

    def __init__(self, root: pathlib.Path, training: Training, schedule: RunSchedule):
        """Prepares; the first film makes its environment.

        Args:
          root: directory of the run.
          training: the task, and the agent whose policy plays.
          schedule: says how often, and how many actions are random.
        """
        self._directory, self._training, self._schedule = root / 'videos', training, schedule
        self._cadence: Cadence | None = None
        self._recorder: video.Recorder | None = None

    def start(self, num_episodes: int) -> None:
        """Says how many training episodes there were when the run was started or resumed."""
        if self._schedule.video_interval_episodes is not None:
            self._cadence = Cadence(self._schedule.video_interval_episodes, num_episodes)

    def episodes_to_next(self, num_episodes: int) -> int | None:
        """How many episodes after this one the next film is due; None: there is none."""
        return None if self._cadence is None else self._cadence.next_due - num_episodes

    def film_if_due(self, num_episodes: int, seed: int) -> None:
        """Records videos/after_<episodes>_episodes.gif, every second step at twice the speed."""
        if self._cadence is None or not self._cadence.due(num_episodes):
            return
        if self._recorder is None:
            self._recorder = video.Recorder(
                self._training.task, self._training.agent.policy, self._schedule.eval_epsilon
            )
        self._directory.mkdir(exist_ok=True)
        path = self._directory / f'after_{num_episodes:06d}_episodes.gif'
        film, _ = self._recorder.film(seed, every=2, fps=_FILM_FPS)
        files.write_bytes(path, film)
