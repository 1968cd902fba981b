"""What every training run does around its turns, whatever the algorithm.

start    go on from the newest checkpoint
train    turn after turn: log, evaluate, keep the best policy, checkpoint, stop cleanly
finish   export the best policy, prove the export, evaluate it on fresh seeds, report
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines import cli, overestimation, progress, report, rollout, run_dir, video
from pipelines.cli import UserError

Metrics = dict[str, float]


_CHECKPOINT_FORMAT = 2  # of state.json


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long a run is, how often it does what, and how it is judged.

    All of it may change between two runs of one directory.

    Raises:
      UserError: one of them is not positive.
    """

    unit: str  # what the next four count: 'env_steps' or 'episodes'
    length: int
    eval_interval: int
    checkpoint_interval: int
    log_interval: int
    num_eval_episodes: int
    num_selection_episodes: int
    eval_epsilon: float = 0.0
    gamma: float | None = None  # of the values that evaluations are held against, where there are
    video_interval_episodes: int | None = None

    def __post_init__(self):
        counts = {
            f'num_{self.unit}': self.length,
            f'eval_interval_{self.unit}': self.eval_interval,
            f'checkpoint_interval_{self.unit}': self.checkpoint_interval,
            f'log_interval_{self.unit}': self.log_interval,
            'num_eval_episodes': self.num_eval_episodes,
            'num_selection_episodes': self.num_selection_episodes,
        }
        if self.video_interval_episodes is not None:
            counts['video_interval_episodes'] = self.video_interval_episodes
        for name, value in counts.items():
            cli.check_count(name, value)
        if not 0.0 <= self.eval_epsilon <= 1.0:
            raise UserError(f'eval_epsilon = {self.eval_epsilon}: must be between 0 and 1')


class Session:
    """One run of one agent in its directory."""

    def __init__(
        self,
        run: run_dir.RunDir,
        seed: int,
        plan: Plan,
        env,
        agent,
        agent_name: str,
        exports: Mapping[str, Any],
        experience,
        env_steps: tf.Variable,
        metrics: Sequence[str],
        gauges: Mapping[str, Callable[[], Any]] | None = None,
    ):
        """Puts the pieces together; nothing runs yet.

        Args:
          run: where everything is kept.
          seed: of the run.
          plan: how long and how often.
          env: the training environments.
          agent: its `policy` is evaluated while training.
          agent_name: for the summary.
          exports: the policies to export by their directory's name. The first one, `policy`,
            is like the agent's, on float32 weights of its own, which hold the best so far.
          experience: what is trained on; synced with every checkpoint.
          env_steps: int64 [], counted by the collect loop.
          metrics: what a turn returns, each logged as its mean between two rows, or its
            maximum where its name begins with 'max_'.
          gauges: more to log, read when it is.
        """
        self._run, self._seed, self._plan = run, seed, plan
        self._env, self._agent, self._agent_name = env, agent, agent_name
        self._exports, self._experience, self.env_steps = exports, experience, env_steps
        self._metric_names, self._gauges = tuple(metrics), dict(gauges or {})
        self._values = overestimation.COLUMNS if agent.policy.info_spec else ()
        self.statistics = rollout.EpisodeStatistics(env.batch_size)
        self.notes: dict[str, Any] = {}  # the driver's own, kept in checkpoints
        self._best = {'eval_mean': float('-inf'), 'env_steps': 0, 'train_steps': 0}
        self._expected: dict[str, float] = {}  # what the overestimation meter last read
        self._wall_seconds = 0.0
        self._maxima = {name: 0.0 for name in metrics if name.startswith('max_')}
        self._evaluator: rollout.Evaluator | None = None
        self._recorder: video.Recorder | None = None
        self._checkpoint_objects = tf.train.Checkpoint(
            agent=agent, best=list(exports['policy'].variables()), env_steps=env_steps
        )

    @property
    def count(self) -> int:
        """How far the run is, in the plan's unit."""
        in_env_steps = self._plan.unit == 'env_steps'
        return int(self.env_steps) if in_env_steps else self.statistics.num_episodes

    @property
    def _unit(self) -> str:
        return self._plan.unit.replace('_', ' ')

    def start(self) -> None:
        """Goes on from the newest whole checkpoint, or starts anew."""
        print(f'{self._agent_name} on {self._env.name}, seed {self._seed}, in {self._run.path}')
        print(self._experience.description)
        if self._env.options:
            print(self._env.options)
        found = self._run.newest_checkpoint(say=print)
        state = self._restore(*found) if found else {}
        if not found:
            self._experience.restore(None)
        start = self.count
        self._progress = progress.Progress(
            self._run.path,
            progress.columns((*self._metric_names, *self._gauges, *self._values)),
            self._plan.unit,
            self._plan.length,
            state.get('progress_bytes', 0),
            start,
        )
        self._cadences = {
            'log': progress.Cadence(self._plan.log_interval, start),
            'eval': progress.Cadence(self._plan.eval_interval, start),
            'checkpoint': progress.Cadence(self._plan.checkpoint_interval, start),
        }
        every = self._plan.video_interval_episodes
        if every is not None:
            self._cadences['video'] = progress.Cadence(every, self.statistics.num_episodes)

    def _restore(self, variables: str, state: dict) -> dict:
        try:
            if state.get('format') != _CHECKPOINT_FORMAT:
                raise ValueError(f'format {state.get("format")}, not {_CHECKPOINT_FORMAT}')
            self._checkpoint_objects.read(variables).assert_existing_objects_matched()
        except (AssertionError, ValueError, tf.errors.OpError) as e:
            raise UserError(
                f'the checkpoint {variables} was written by another version of this program: go '
                'on with that version, or start in a new directory'
            ) from e
        self.statistics.restore(state['statistics'])
        self.notes, self._expected = state['notes'], state['expected']
        self._best, self._maxima = state['best'], state['maxima']
        self._wall_seconds = state['wall_seconds']
        self._experience.restore(state['experience_position'])
        print(f'going on from {self.count:,} {self._unit}{self._experience.what_is_left()}')
        return state

    def derived_seed(self, purpose: str) -> int:
        """A seed for `purpose` that repeats for this run at this env step, and nowhere else."""
        entropy = [self._seed, int(self.env_steps), *purpose.encode()]
        return int(np.random.SeedSequence(entropy).generate_state(1)[0] % 2**31)

    def train(self, turn: Callable[[int], Metrics | None]) -> bool:
        """Takes turns until nothing more fits into the plan.

        Args:
          turn: told how much is left (env steps or episodes per environment), collects at
            most that, then trains; returns its metrics, None before training starts.

        Returns:
          False where a signal has stopped it; a checkpoint is written in both cases.

        Raises:
          UserError: the loss is not finite, or the disk is full.
        """
        with run_dir.stop_on_signal() as stop_requested, contextlib.closing(self._progress):
            self._metrics: list[Metrics] = []
            self._logged = (int(self.env_steps), time.perf_counter())
            self._wall_began = time.perf_counter() - self._wall_seconds
            while left := self._left():
                metrics = turn(left)
                self._wall_seconds = time.perf_counter() - self._wall_began
                if metrics is not None:
                    self._take(metrics)
                self._after_turn()
                if stop_requested():
                    break
            self._save_checkpoint()
        if self._left():
            print(f'stopped at {self.count:,} {self._unit}; the same command goes on from there')
            return False
        return True

    def _left(self) -> int:
        """How many vector steps, or episodes of each environment, surely fit."""
        return (self._plan.length - self.count) // self._env.batch_size

    def _take(self, metrics: Metrics):
        if not np.isfinite(metrics['loss']):
            raise UserError(
                f'training diverged: the loss at {int(self.env_steps):,} env steps is '
                f'{metrics["loss"]}; lower adam.learning_rate or set '
                f'{self._agent.name}.gradient_clip_norm, and start in a new directory'
            )
        self._metrics.append(metrics)
        for name, value in self._maxima.items():
            self._maxima[name] = max(value, metrics[name])

    def _after_turn(self):
        count, finished = self.count, not self._left()
        evaluation: dict[str, float] = {}
        if self._cadences['eval'].due(count) or finished:
            evaluation = self._evaluate()
        if self._cadences['log'].due(count) or evaluation or finished:
            self._log(evaluation)
        if self._cadences['checkpoint'].due(count) and not finished:
            self._save_checkpoint()
        episodes = self.statistics.num_episodes
        if 'video' in self._cadences and self._cadences['video'].due(episodes):
            self._film(episodes)

    def _evaluate(self) -> dict[str, float]:
        """Plays with the agent's policy, and keeps its weights where none was better.

        Returns:
          Columns of progress.csv.
        """
        episodes = self._plan.num_selection_episodes
        policy = self._agent.policy
        if self._evaluator is None:
            self._evaluator = report.make_evaluator(
                self._env.name, policy, episodes, self._plan.eval_epsilon, self._plan.gamma
            )
        mean = float(self._evaluator(episodes, self.derived_seed('selection')).mean())
        if mean >= self._best['eval_mean']:
            self._best = {
                'eval_mean': mean,
                'env_steps': int(self.env_steps),
                'train_steps': int(self._agent.train_step_counter),
            }
            pairs = zip(self._exports['policy'].variables(), policy.variables(), strict=True)
            for best, online in pairs:
                best.assign(online)
        values = self._evaluator.overestimation
        self._expected = values.known() if values else {}
        return {'eval_return_mean': mean} | self._expected

    def _film(self, num_episodes: int):
        if self._recorder is None:
            options, policy = self._env.options, self._agent.policy
            self._recorder = video.Recorder(
                self._env.name,
                dataclasses.asdict(options) if options else None,
                policy.outputs,
                policy.get_initial_state(1),
                self._plan.eval_epsilon,
            )
        report.film(self._recorder, self._run.path, num_episodes, self.derived_seed('video'))

    def _log(self, evaluation: dict[str, float]):
        count = int(self.env_steps)
        then, at = self._logged
        now = time.perf_counter()
        self._logged = (count, now)
        turns, self._metrics = self._metrics, []
        returns = self.statistics.last_returns
        row: dict[str, Any] = {
            'env_steps': count,
            'train_steps': int(self._agent.train_step_counter),
            'episodes': self.statistics.num_episodes,
            'return_mean_100': float(np.mean(returns)) if returns else '',
            **dict.fromkeys(('eval_return_mean', *self._values), ''),
            'env_steps_per_second': (count - then) / (now - at),
            'wall_seconds': self._wall_seconds,
        }
        for name in self._metric_names:
            values = [turn[name] for turn in turns]
            summarise: Any = np.max if name in self._maxima else np.mean
            row[name] = float(summarise(values)) if values else ''
        row |= {name: float(gauge()) for name, gauge in self._gauges.items()}
        row |= evaluation
        self._progress.add(row)

    def _save_checkpoint(self):
        state = {
            'format': _CHECKPOINT_FORMAT,
            'env_steps': int(self.env_steps),
            'train_steps': int(self._agent.train_step_counter),
            'notes': self.notes,
            'best': self._best,
            'maxima': self._maxima,
            'expected': self._expected,
            'statistics': self.statistics.state(),
            'wall_seconds': self._wall_seconds,
            'experience_position': self._experience.sync(),
            'progress_bytes': self._progress.sync(),
        }
        kept = self._run.save_checkpoint(state['env_steps'], state, self._checkpoint_objects.write)
        self._experience.prune(kept[0]['experience_position'])

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Exports the best policy, proves and evaluates the export, and writes the summary.

        Args:
          summary: what the driver adds to summary.json.

        Raises:
          RuntimeError: the export failed its proof.
        """
        observations = self._experience.newest_observations(256)
        if not len(observations):  # nothing was collected since the run was gone on with
            observations = self._env.reset(seed=self.derived_seed('proof')).observation
        report.write(
            report.Finished(
                root=self._run.path,
                env=self._env,
                agent_name=self._agent_name,
                exports=self._exports,
                observations=observations,
                card={
                    'seed': self._seed,
                    'env_steps': self._best['env_steps'],
                    'train_steps': self._best['train_steps'],
                    'selection_mean': self._best['eval_mean'],
                    'gamma': self._plan.gamma,
                    'run_env_steps': int(self.env_steps),
                    'config': cli.operative_bindings(),
                },
                summary={
                    'seed': self._seed,
                    'env_steps': int(self.env_steps),
                    f'num_{self._plan.unit}': self._plan.length,
                    'frames_per_env_step': self._env.frames_per_env_step,
                    'train_steps': int(self._agent.train_step_counter),
                    'episodes': self.statistics.num_episodes,
                    'return_mean_100': float(np.mean(self.statistics.last_returns or [np.nan])),
                    **self._maxima,
                    **summary,
                    'wall_seconds': round(self._wall_seconds, 2),
                    'env_steps_per_second': round(int(self.env_steps) / self._wall_seconds, 1),
                    'best': self._best,
                    **({'training_overestimation': self._expected} if self._expected else {}),
                },
                num_eval_episodes=self._plan.num_eval_episodes,
                eval_epsilon=self._plan.eval_epsilon,
                eval_seed=self.derived_seed('final'),
                film=self._plan.video_interval_episodes is not None,
            )
        )
