"""What every training run does around its turns, whatever the algorithm.

session = Session(run, seed, schedule, training)
session.start()                       # resumes from the newest checkpoint
with session.running():               # saves a last checkpoint at the end
    while left := session.left():
        session.record(turns(left))   # logs, evaluates, saves, films
if session.is_complete:
    session.finish(more)              # exports the best policy, proves it, reports
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines import gin_config, signals
from pipelines.errors import UserError
from pipelines.loops.episode_losses import Turn
from pipelines.runs import report, video
from pipelines.runs.best_policy import BestPolicy
from pipelines.runs.checkpoints import Checkpoints
from pipelines.runs.progress import Cadence
from pipelines.runs.records import Records
from pipelines.runs.run_dir import RunDir
from pipelines.runs.summary import Summary
from pipelines.runs.training import Training
from pipelines.settings import RunSchedule

_NUM_PROOF_OBSERVATIONS = 256


class Session:
    """One run of one agent in its directory."""

    def __init__(self, run: RunDir, seed: int, schedule: RunSchedule, training: Training):
        """Connects the pieces; nothing runs yet.

        Args:
          run: directory of the run.
          seed: seed of the run.
          schedule: the run's length, intervals and evaluations.
          training: the agent and its training.
        """
        self._run, self._seed, self._schedule, self._training = run, seed, schedule, training
        self._best_policy = BestPolicy(
            training.task,
            training.agent,
            training.exports['policy'],
            num_episodes=schedule.num_selection_episodes,
            epsilon=schedule.eval_epsilon,
            gamma=training.gamma,
        )
        self._records = Records(run.path, schedule, training, self._best_policy.columns)
        self._checkpoints = Checkpoints(
            run.path / 'checkpoints',
            tf.train.Checkpoint(
                agent=training.agent,
                best=list(training.exports['policy'].variables()),
                env_steps=training.env_steps,
            ),
            {
                'session': self,
                'statistics': training.statistics,
                'best_policy': self._best_policy,
                'progress': self._records.progress,
                'episodes': self._records.episodes,
                **training.parts,
            },
            training.experience,
        )
        self._wall_seconds = 0.0
        self._films: Cadence | None = None
        self._recorder: video.Recorder | None = None
        self._stop_requested: Callable[[], bool] = bool

    @property
    def count(self) -> int:
        """How far the run is, in the schedule's unit."""
        in_env_steps = self._schedule.unit == 'env_steps'
        return self._env_steps if in_env_steps else self._num_episodes

    @property
    def _env_steps(self) -> int:
        return int(self._training.env_steps)

    @property
    def _num_episodes(self) -> int:
        return self._training.statistics.num_episodes

    @property
    def _train_steps(self) -> int:
        return int(self._training.agent.train_step_counter)

    @property
    def _progress_in_words(self) -> str:
        return f'{self.count:,} {self._schedule.unit_in_words}'

    def start(self) -> None:
        """Resumes from the newest undamaged checkpoint, or starts from the beginning."""
        training, schedule = self._training, self._schedule
        task = training.task
        print(f'{training.agent_name} on {task.env_name}, seed {self._seed}, in {self._run.path}')
        print(training.experience.description)
        for note in training.notes:
            print(note)
        if self._checkpoints.restore():
            print(f'resuming from {self._progress_in_words}{training.experience.contents}')
        training.statistics.env_steps = self._env_steps
        self._records.open()
        start = self.count
        self._cadences = {
            'log': Cadence(schedule.log_interval, start),
            'eval': Cadence(schedule.eval_interval, start),
            'checkpoint': Cadence(schedule.checkpoint_interval, start),
        }
        every = schedule.video_interval_episodes
        if every is not None:
            self._films = Cadence(every, self._num_episodes)

    def state(self) -> dict:
        """Returns the seconds so far, and for human readers the train steps."""
        return {'wall_seconds': self._wall_seconds, 'train_steps': self._train_steps}

    def restore(self, state: dict) -> None:
        """Goes back to `state`; train steps are restored with TensorFlow's variables."""
        self._wall_seconds = state['wall_seconds']

    def derived_seed(self, purpose: str) -> int:
        """Returns a seed that depends on the run's seed, its env steps and `purpose`."""
        entropy = [self._seed, self._env_steps, *purpose.encode()]
        return int(np.random.SeedSequence(entropy).generate_state(1)[0] % 2**31)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Surrounds the turns; SIGINT and SIGTERM end them. Saves a checkpoint at the end."""
        with (
            signals.stop_on_signal() as self._stop_requested,
            contextlib.closing(self._records),
        ):
            self._logged = (self._env_steps, time.perf_counter())
            self._wall_began = time.perf_counter() - self._wall_seconds
            yield
            self._checkpoints.save(self._env_steps)
        if not self.is_complete:
            print(f'stopped at {self._progress_in_words}; run the same command to resume')

    def left(self) -> int:
        """Returns how many vector steps (or episodes per environment) fit; 0 to stop now."""
        return 0 if self._stop_requested() else self._left()

    def _left(self) -> int:
        if self.episodes_left == 0:
            return 0
        return max(0, self._schedule.length - self.count) // self._training.envs.batch_size

    @property
    def is_complete(self) -> bool:
        """Whether nothing more fits into the run."""
        return not self._left()

    @property
    def episodes_left(self) -> int | None:
        """How many episodes are left of `RunSchedule.num_episodes`; None: there is no limit."""
        if self._schedule.num_episodes is None:
            return None
        return max(0, self._schedule.num_episodes - self._num_episodes)

    @property
    def next_event_env_steps(self) -> int:
        """The env steps at which `record` next has something to do, if the unit is env steps."""
        return min(cadence.next_due for cadence in self._cadences.values())

    @property
    def episodes_to_next_event(self) -> int | None:
        """The same in episodes from now; None: not after any number of episodes."""
        if self._schedule.log_every_episode:
            return 1
        return None if self._films is None else self._films.next_due - self._num_episodes

    def record(self, turns: Sequence[Turn]) -> None:
        """Takes what turns have done; then logs, evaluates, saves and films.

        Raises:
          UserError: the loss is not finite, or the disk is full.
        """
        self._wall_seconds = time.perf_counter() - self._wall_began
        for turn in turns:
            if turn.train_steps:
                self._check_finite(turn.metrics['loss'])
                self._records.progress.gather(turn.metrics)
        self._records.episodes.record(turns, self._training.statistics.take_ended())
        count, complete = self.count, self.is_complete
        evaluation: dict[str, float] = {}
        if self._cadences['eval'].due(count) or complete:
            seed = self.derived_seed('selection')
            evaluation = self._best_policy.evaluate(self._env_steps, seed)
        if self._cadences['log'].due(count) or evaluation or complete:
            self._log(evaluation)
        if self._cadences['checkpoint'].due(count) and not complete:
            self._checkpoints.save(self._env_steps)
        if self._films is not None and self._films.due(self._num_episodes):
            self._film(self._num_episodes)

    def _check_finite(self, loss: float) -> None:
        if not np.isfinite(loss):
            raise UserError(
                f'training diverged: the loss at {self._env_steps:,} env steps is {loss}; lower '
                f'adam.learning_rate or set {self._training.agent.name}.gradient_clip_norm, and '
                'use a new directory'
            )

    def _log(self, evaluation: Mapping[str, float]) -> None:
        env_steps, now = self._env_steps, time.perf_counter()
        env_steps_before, then = self._logged
        self._logged = (env_steps, now)
        returns = self._training.statistics.last_returns
        self._records.progress.add(
            {
                'env_steps': env_steps,
                'train_steps': self._train_steps,
                'episodes': self._num_episodes,
                'return_mean_100': float(np.mean(returns)) if returns else '',
                'env_steps_per_second': (env_steps - env_steps_before) / (now - then),
                'wall_seconds': self._wall_seconds,
                **evaluation,
            }
        )
        self._records.flush()

    def _film(self, num_episodes: int) -> None:
        if self._recorder is None:
            self._recorder = video.Recorder(
                self._training.task, self._training.agent.policy, self._schedule.eval_epsilon
            )
        report.film(self._recorder, self._run.path, num_episodes, self.derived_seed('video'))

    def finish(self, more: Mapping[str, Any]) -> None:
        """Exports the best policy, proves and evaluates the export, and writes the summary.

        Args:
          more: what the algorithm adds to summary.json.

        Raises:
          RuntimeError: the export failed its proof.
        """
        training = self._training
        observations = training.experience.newest_observations(_NUM_PROOF_OBSERVATIONS)
        if not len(
            tf.nest.flatten(observations)[0]
        ):  # nothing was collected since the run was resumed
            observations = training.envs.reset(seed=self.derived_seed('proof')).observation
        best = self._best_policy.found
        self._best_policy.close()
        card = {
            'seed': self._seed,
            'env_steps': best['env_steps'],
            'train_steps': best['train_steps'],
            'selection_mean': best['eval_mean'],
            'gamma': training.gamma,
            'run_env_steps': self._env_steps,
            'config': gin_config.operative_bindings(),
        }
        report.write(
            self._run.path,
            training,
            self._schedule,
            self._summary(more),
            card=card,
            observations=observations,
            eval_seed=self.derived_seed('final'),
        )

    def _summary(self, more: Mapping[str, Any]) -> Summary:
        """Returns the summary without the evaluation of the export."""
        training, schedule = self._training, self._schedule
        return Summary(
            env_name=training.task.env_name,
            agent=training.agent_name,
            seed=self._seed,
            env_steps=self._env_steps,
            unit=schedule.unit,
            length=schedule.length,
            episode_limit=schedule.num_episodes,
            frames_per_env_step=training.task.frames_per_env_step,
            train_steps=self._train_steps,
            episodes=self._num_episodes,
            return_mean_100=float(np.mean(training.statistics.last_returns or [np.nan])),
            wall_seconds=round(self._wall_seconds, 2),
            env_steps_per_second=round(self._env_steps / self._wall_seconds, 1),
            best=self._best_policy.found,
            training_overestimation=self._best_policy.expected or None,
            eval_mean=float('nan'),
            more={**self._records.progress.maxima, **more},
        )
