"""What every training run does around its turns, whatever the algorithm.

start    go on from the newest checkpoint
train    turn after turn: log, evaluate, keep the best policy, checkpoint, stop cleanly
finish   export the best policy, prove the export, evaluate it on fresh seeds, report
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from pipelines import cli, loops, progress, report, rollout, run_dir, video
from pipelines.cli import UserError


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long a run is, how often it does what, and how it is judged.

    These may change between two runs of one directory.

    Raises:
      UserError: one of them is not positive.
    """

    num_env_steps: int
    num_eval_episodes: int
    num_selection_episodes: int
    eval_epsilon: float
    eval_interval_env_steps: int
    checkpoint_interval_env_steps: int
    log_interval_env_steps: int
    video_interval_episodes: int | None

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type == 'int' or (field.type == 'int | None' and value is not None):
                cli.check_count(field.name, value)
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
        export_policy,
        replay,
        env_steps: tf.Variable,
    ):
        """Puts the pieces together; nothing runs yet.

        Args:
          run: where everything is kept.
          seed: of the run.
          plan: how long and how often.
          env: the training environments.
          agent: its `policy` is evaluated while training.
          agent_name: for the summary.
          export_policy: a policy like the agent's on float32 weights of its own, which
            hold the best policy so far.
          replay: synced with every checkpoint.
          env_steps: int64 [], counted by the collect loop.
        """
        self._run, self._seed, self._plan = run, seed, plan
        self._env, self._agent, self._agent_name = env, agent, agent_name
        self._export_policy, self._replay, self.env_steps = export_policy, replay, env_steps
        self.statistics = rollout.EpisodeStatistics(env.batch_size)
        self.learning_start_env_steps: int | None = None
        self._best = {'eval_mean': float('-inf'), 'env_steps': 0, 'train_steps': 0}
        self._wall_seconds = 0.0
        self._max_policy_lag = 0  # train steps
        self._evaluator: rollout.Evaluator | None = None
        self._recorder: video.Recorder | None = None
        self._checkpoint_objects = tf.train.Checkpoint(
            agent=agent, best=export_policy.q_network, env_steps=env_steps
        )

    def start(self) -> None:
        """Goes on from the newest whole checkpoint, or starts anew."""
        print(
            f'{self._agent_name} on {self._env.name}, seed {self._seed}, in {self._run.path}\n'
            f'{self._replay.description}'
        )
        if self._env.options:
            print(self._env.options)
        found = self._run.newest_checkpoint(say=print)
        state = self._restore(*found) if found else {}
        if not found:
            self._replay.restore(0)
        start = int(self.env_steps)
        self._progress = progress.Progress(
            self._run.path, self._plan.num_env_steps, state.get('progress_bytes', 0), start
        )
        self._cadences = {
            name: progress.Cadence(interval, start)
            for name, interval in (
                ('log', self._plan.log_interval_env_steps),
                ('eval', self._plan.eval_interval_env_steps),
                ('checkpoint', self._plan.checkpoint_interval_env_steps),
            )
        }
        every = self._plan.video_interval_episodes
        if every is not None:
            self._cadences['video'] = progress.Cadence(every, self.statistics.num_episodes)

    def _restore(self, variables: str, state: dict) -> dict:
        try:
            self._checkpoint_objects.read(variables).assert_existing_objects_matched()
        except (AssertionError, ValueError, tf.errors.OpError) as e:
            raise UserError(
                f'the checkpoint {variables} was written by another version of this program: go '
                'on with that version, or start in a new directory'
            ) from e
        self.statistics.restore(state['statistics'])
        self.learning_start_env_steps = state['learning_start_env_steps']
        self._best = state['best']
        self._max_policy_lag = state['max_policy_lag']
        self._wall_seconds = state['wall_seconds']
        self._replay.restore(state['replay_position'])
        print(
            f'going on from {int(self.env_steps):,} env steps with '
            f'{self._replay.num_transitions:,} transitions in replay'
        )
        return state

    def derived_seed(self, purpose: str) -> int:
        """A seed for `purpose` that repeats for this run at this env step, and nowhere else."""
        entropy = [self._seed, int(self.env_steps), *purpose.encode()]
        return int(np.random.SeedSequence(entropy).generate_state(1)[0] % 2**31)

    def train(self, turn: Callable[[int], loops.TrainMetrics | None]) -> bool:
        """Takes turns until no vector step more fits into the run's env steps.

        Args:
          turn: collects at most so many vector steps, then trains; returns its metrics, None
            before training starts.

        Returns:
          False where a signal has stopped it; a checkpoint is written in both cases.

        Raises:
          UserError: the loss is not finite, or the disk is full.
        """
        with run_dir.stop_on_signal() as stop_requested, contextlib.closing(self._progress):
            self._metrics: list[loops.TrainMetrics] = []
            self._logged = (int(self.env_steps), time.perf_counter())
            self._wall_began = time.perf_counter() - self._wall_seconds
            while vector_steps_left := self._vector_steps_left():
                metrics = turn(vector_steps_left)
                self._wall_seconds = time.perf_counter() - self._wall_began
                if metrics is not None:
                    self._check_finite(metrics)
                    self._metrics.append(metrics)
                    self._max_policy_lag = max(self._max_policy_lag, metrics.policy_lag_train_steps)
                self._after_turn(int(self.env_steps))
                if stop_requested():
                    break
            self._save_checkpoint()
        if self._vector_steps_left():
            print(
                f'stopped at {int(self.env_steps):,} env steps; the same command goes on from there'
            )
            return False
        return True

    def _vector_steps_left(self) -> int:
        """How many surely fit: each is at most one env step per environment."""
        return (self._plan.num_env_steps - int(self.env_steps)) // self._env.batch_size

    def _after_turn(self, count: int):
        finished = not self._vector_steps_left()
        evaluation: float | str = ''
        if self._cadences['eval'].due(count) or finished:
            evaluation = self._evaluate(count)
        if self._cadences['log'].due(count) or evaluation != '' or finished:
            self._log(count, evaluation)
        if self._cadences['checkpoint'].due(count) and not finished:
            self._save_checkpoint()
        episodes = self.statistics.num_episodes
        if 'video' in self._cadences and self._cadences['video'].due(episodes):
            self._film(episodes)

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

    def _check_finite(self, metrics):
        if not np.isfinite(metrics.loss):
            raise UserError(
                f'training diverged: the loss at {int(self.env_steps):,} env steps is '
                f'{metrics.loss}; lower adam.learning_rate or set '
                'QLearningAgent.gradient_clip_norm, and start in a new directory'
            )

    def _evaluate(self, count: int) -> float:
        """Plays with the greedy policy, and keeps its weights where none was better."""
        episodes = self._plan.num_selection_episodes
        policy = self._agent.policy
        if self._evaluator is None:
            self._evaluator = report.make_evaluator(
                self._env.name, policy, episodes, self._plan.eval_epsilon
            )
        mean = float(self._evaluator(episodes, self.derived_seed('selection')).mean())
        if mean >= self._best['eval_mean']:
            train_steps = int(self._agent.train_step_counter)
            self._best = {'eval_mean': mean, 'env_steps': count, 'train_steps': train_steps}
            pairs = zip(self._export_policy.variables(), policy.variables(), strict=True)
            for best, online in pairs:
                best.assign(online)
        return mean

    def _log(self, count: int, evaluation):
        then, at = self._logged
        now = time.perf_counter()
        self._logged = (count, now)
        metrics, self._metrics = self._metrics, []
        returns = self.statistics.last_returns
        self._progress.add(
            {
                'env_steps': count,
                'train_steps': int(self._agent.train_step_counter),
                'episodes': self.statistics.num_episodes,
                'return_mean_100': float(np.mean(returns)) if returns else '',
                'eval_return_mean': evaluation,
                'loss': float(np.mean([m.loss for m in metrics])) if metrics else '',
                'mean_q': float(np.mean([m.mean_q for m in metrics])) if metrics else '',
                'epsilon': float(self._agent.epsilon()),
                'policy_lag_train_steps': max([0, *(m.policy_lag_train_steps for m in metrics)]),
                'env_steps_per_second': (count - then) / (now - at),
                'wall_seconds': self._wall_seconds,
            }
        )

    def _save_checkpoint(self):
        state = {
            'env_steps': int(self.env_steps),
            'train_steps': int(self._agent.train_step_counter),
            'learning_start_env_steps': self.learning_start_env_steps,
            'best': self._best,
            'max_policy_lag': self._max_policy_lag,
            'statistics': self.statistics.state(),
            'wall_seconds': self._wall_seconds,
            'replay_position': self._replay.sync(),
            'progress_bytes': self._progress.sync(),
        }
        kept = self._run.save_checkpoint(state['env_steps'], state, self._checkpoint_objects.write)
        self._replay.prune(kept[0]['replay_position'])

    def finish(self) -> None:
        """Exports the best policy, proves and evaluates the export, and writes the summary.

        Raises:
          UserError: training never started.
          RuntimeError: the export failed its proof.
        """
        if not int(self._agent.train_step_counter):
            raise UserError(
                f'training never started within {int(self.env_steps):,} env steps: lower '
                'min_replay_transitions or raise num_env_steps (a step can be sampled once a few '
                'more have followed it in its environment)'
            )
        env_steps, train_steps = int(self.env_steps), int(self._agent.train_step_counter)
        assert self.learning_start_env_steps is not None
        report.write(
            report.Finished(
                root=self._run.path,
                env=self._env,
                agent_name=self._agent_name,
                export_policy=self._export_policy,
                observations=self._replay.newest_rows(256).observation.numpy(),
                card={
                    'seed': self._seed,
                    'env_steps': self._best['env_steps'],
                    'train_steps': self._best['train_steps'],
                    'selection_mean': self._best['eval_mean'],
                    'run_env_steps': env_steps,
                    'config': cli.operative_bindings(),
                },
                summary={
                    'seed': self._seed,
                    'env_steps': env_steps,
                    'num_env_steps': self._plan.num_env_steps,
                    'frames_per_env_step': self._env.frames_per_env_step,
                    'train_steps': train_steps,
                    'train_steps_per_env_step': train_steps
                    / (env_steps - self.learning_start_env_steps),
                    'max_policy_lag_train_steps': self._max_policy_lag,
                    'episodes': self.statistics.num_episodes,
                    'return_mean_100': float(np.mean(self.statistics.last_returns)),
                    'wall_seconds': round(self._wall_seconds, 2),
                    'env_steps_per_second': round(env_steps / self._wall_seconds, 1),
                    'best': self._best,
                },
                num_eval_episodes=self._plan.num_eval_episodes,
                eval_epsilon=self._plan.eval_epsilon,
                eval_seed=self.derived_seed('final'),
                film=self._plan.video_interval_episodes is not None,
            )
        )
