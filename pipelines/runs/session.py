"""What every training run does around its turns, whatever the algorithm.

session = Session(run, seed, schedule, training, callbacks, beginning)
session.start()                       # resumes from the newest checkpoint, or begins
with session.running():               # saves a last checkpoint at the end
    while left := session.left():
        session.record(turns(left))   # logs, evaluates, tells callbacks, saves, films
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

from pipelines import signals
from pipelines.errors import UserError
from pipelines.loops.episode_losses import Turn
from pipelines.runs import report
from pipelines.runs.beginning import Beginning
from pipelines.runs.best_policy import BestPolicy
from pipelines.runs.callbacks import ERROR_FILE, CallbackError, Callbacks
from pipelines.runs.checkpoints import Checkpoints
from pipelines.runs.extent import Extent
from pipelines.runs.identity import Kept
from pipelines.runs.progress import Cadence
from pipelines.runs.records import Records
from pipelines.runs.run_dir import RunDir
from pipelines.runs.training import Training
from pipelines.settings import RunSchedule

_NUM_PROOF_OBSERVATIONS = 256


class Session:
    """One run of one agent in its directory."""

    def __init__(
        self,
        run: RunDir,
        seed: int,
        schedule: RunSchedule,
        training: Training,
        callbacks: Callbacks | None = None,
        beginning: Beginning | None = None,
    ):
        """Connects the pieces; nothing runs yet.

        Args:
          run: directory of the run.
          seed: seed of the run.
          schedule: the run's length, intervals and evaluations.
          training: the agent and its training.
          callbacks: told about the run.
          beginning: what it starts from, unless it resumes.
        """
        self._run, self._seed, self._schedule, self._training = run, seed, schedule, training
        self._callbacks, self._beginning = callbacks or Callbacks(), beginning or Beginning()
        self.extent = Extent(schedule, training)
        self._best_policy = BestPolicy(
            training.task,
            training.agent,
            training.exports['policy'],
            num_episodes=schedule.num_selection_episodes,
            epsilon=schedule.eval_epsilon,
            gamma=training.gamma,
        )
        more_columns = (*self._best_policy.columns, *self._callbacks.columns)
        self._records = Records(run.path, schedule, training, more_columns)
        self._checkpoints = Checkpoints(
            run.path / 'checkpoints',
            tf.train.Checkpoint(
                agent=training.agent,
                best=list(training.exports['policy'].variables()),
                env_steps=training.env_steps,
            ),
            {
                'identity': Kept(run.identity),
                'session': self.extent,
                'statistics': training.statistics,
                'best_policy': self._best_policy,
                'progress': self._records.progress,
                'episodes': self._records.episodes,
                'beginning': self._beginning,
                'callbacks': self._callbacks,
                **training.parts,
            },
            training.experience,
        )
        self._films = report.Films(run.path, training, schedule)
        self._stop_requested: Callable[[], bool] = bool

    @property
    def count(self) -> int:
        """How far the run is, in the schedule's unit."""
        return self.extent.count

    @property
    def is_complete(self) -> bool:
        """Whether nothing more fits into the run."""
        return self.extent.is_complete

    def start(self) -> None:
        """Resumes from the newest undamaged checkpoint, or starts from the beginning."""
        training, schedule = self._training, self._schedule
        task = training.task
        if not self._checkpoints.exist:
            self._beginning.announce()
        print(f'{training.agent_name} on {task.env_name}, seed {self._seed}, in {self._run.path}')
        print(training.experience.description)
        for note in training.notes:
            print(note)
        if self._checkpoints.restore():
            print(f'resuming from {self.extent.in_words}{training.experience.contents}')
        else:
            self._beginning.take()
        training.statistics.env_steps = self.extent.env_steps
        self._records.open()
        start = self.count
        self._cadences = {
            'log': Cadence(schedule.log_interval, start),
            'eval': Cadence(schedule.eval_interval, start),
            'checkpoint': Cadence(schedule.checkpoint_interval, start),
        }
        self._films.start(self.extent.episodes)

    def derived_seed(self, purpose: str) -> int:
        """Returns a seed that depends on the run's seed, its env steps and `purpose`."""
        entropy = [self._seed, self.extent.env_steps, *purpose.encode()]
        return int(np.random.SeedSequence(entropy).generate_state(1)[0] % 2**31)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Surrounds the turns; SIGINT and SIGTERM end them. Saves a checkpoint at the end."""
        with (
            signals.stop_on_signal() as self._stop_requested,
            contextlib.closing(self._records),
        ):
            self._logged = (self.extent.env_steps, time.perf_counter())
            self.extent.start_clock()
            try:
                self._begin()
                yield
            except CallbackError:
                self._checkpoints.save(self.extent.env_steps)
                self._tell('end')
                raise
            self._checkpoints.save(self.extent.env_steps)
        if not self.is_complete:
            signals.say_stopped(
                f'stopped at {self.extent.in_words}; run the same command to resume'
            )
            self._tell('end')
            self._callbacks.raise_failure(self._run.path)

    def _begin(self) -> None:
        """What comes before the first turn."""
        (self._run.path / ERROR_FILE).unlink(missing_ok=True)
        self._tell('start')
        self._callbacks.raise_failure(self._run.path)
        warm_start = self._beginning.taken.get('warm_start', {'eval_return_mean': None})
        if 'eval_return_mean' not in warm_start:
            evaluation = self._evaluate()
            mean = warm_start['eval_return_mean'] = evaluation['eval_return_mean']
            count = self._schedule.num_selection_episodes
            print(f'before the first train step: evaluation {mean:.1f} over {count} episodes')
            self.extent.read_clock()
            self._log(evaluation)
        elif self.is_complete and not np.isfinite(self._best_policy.found['eval_mean']):
            self._log(self._evaluate())  # stopped at once: the policy to export has no weights yet
        if self._beginning.taken and not self._checkpoints.exist:
            self._checkpoints.save(self.extent.env_steps)  # resuming needs no other directory
        self._callbacks.raise_failure(self._run.path)

    def left(self) -> int:
        """Returns how many vector steps (or episodes per environment) fit; 0 to stop now."""
        return 0 if self._stop_requested() else self.extent.vector_steps_left

    @property
    def next_event_env_steps(self) -> int:
        """The env steps at which `record` next has something to do, if the unit is env steps."""
        if self._callbacks.wants('after_turn'):
            return self.extent.env_steps + 1
        return min(cadence.next_due for cadence in self._cadences.values())

    @property
    def episodes_to_next_event(self) -> int | None:
        """The same in episodes from now; None: not after any number of episodes."""
        if self._schedule.log_every_episode:
            return 1
        return self._films.episodes_to_next(self.extent.episodes)

    def record(self, turns: Sequence[Turn]) -> None:
        """Takes what turns have done; then logs, evaluates, tells callbacks, saves and films.

        Raises:
          UserError: the loss is not finite, the disk is full, or a callback has failed.
        """
        self.extent.read_clock()
        for turn in turns:
            if turn.train_steps:
                self._check_finite(turn.metrics['loss'])
                self._records.progress.gather(turn.metrics)
        self._records.episodes.record(turns, self._training.statistics.take_ended())
        self._tell('after_turn', *(turn.metrics for turn in turns))
        count = self.count
        evaluation: dict[str, float] = {}
        if self._cadences['eval'].due(count) or self.is_complete:
            evaluation = self._evaluate()
        if self._cadences['log'].due(count) or evaluation:
            self._log(evaluation)
        if self._cadences['checkpoint'].due(count) and not self.is_complete:
            self._checkpoints.save(self.extent.env_steps)
        self._films.film_if_due(self.extent.episodes, self.derived_seed('video'))
        self._callbacks.raise_failure(self._run.path)

    def _evaluate(self) -> dict[str, float]:
        seed = self.derived_seed('selection')
        evaluation = self._best_policy.evaluate(self.extent.env_steps, seed)
        self._tell('after_evaluation', evaluation)
        return evaluation

    def _tell(self, moment: str, *metrics: Mapping[str, float]) -> None:
        """Tells callbacks where the run is and what is new; one of them may stop it."""
        if self._callbacks:
            returns = self._training.statistics.last_returns
            newest = {'return_mean_100': float(np.mean(returns))} if returns else {}
            for more in metrics:
                newest |= more
            self._callbacks.tell(moment, self._run.path, self.extent, newest)

    def _check_finite(self, loss: float) -> None:
        if not np.isfinite(loss):
            raise UserError(
                f'training diverged: the loss at {self.extent.env_steps:,} env steps is {loss}; '
                f'lower adam.learning_rate or set {self._training.agent.name}.gradient_clip_norm, '
                'and use a new directory'
            )

    def _log(self, evaluation: Mapping[str, float]) -> None:
        env_steps, now = self.extent.env_steps, time.perf_counter()
        env_steps_before, then = self._logged
        self._logged = (env_steps, now)
        returns = self._training.statistics.last_returns
        self._records.progress.add(
            {
                'env_steps': env_steps,
                'train_steps': self.extent.train_steps,
                'episodes': self.extent.episodes,
                'return_mean_100': float(np.mean(returns)) if returns else '',
                'env_steps_per_second': (env_steps - env_steps_before) / (now - then),
                'wall_seconds': self.extent.wall_seconds,
                **evaluation,
                **self._callbacks.take_values(),
            }
        )
        self._records.flush()

    def finish(self, more: Mapping[str, Any]) -> None:
        """Exports the best policy, proves and evaluates the export, and writes the summary.

        Args:
          more: what the algorithm adds to summary.json.

        Raises:
          RuntimeError: the export failed its proof.
          UserError: a callback failed at the end, when everything has been written.
        """
        training = self._training
        observations: Any = ()
        if self.extent.env_steps:
            observations = training.experience.newest_observations(_NUM_PROOF_OBSERVATIONS)
        # Nothing was collected, or not since the run was resumed.
        if not tf.nest.flatten(observations) or not len(tf.nest.flatten(observations)[0]):
            observations = training.envs.reset(seed=self.derived_seed('proof')).observation
        report.write(
            self._run.path,
            training,
            self._schedule,
            report.summarise(
                training,
                self._schedule,
                self.extent,
                self._best_policy,
                seed=self._seed,
                more={**self._records.progress.maxima, **more, **self._beginning.taken},
            ),
            observations=observations,
            eval_seed=self.derived_seed('final'),
        )
        self._tell('end')
        self._callbacks.raise_failure(self._run.path)
