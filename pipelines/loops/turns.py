"""Collecting and training at an exact ratio, alternately or at the same time."""

from __future__ import annotations

import concurrent.futures
import fractions
import math
from collections.abc import Callable
from typing import Any, TypeVar

import tensorflow as tf

from agents import ranges
from agents.ddqn import QLearningAgent
from pipelines import errors
from pipelines.errors import UserError
from pipelines.experience.replay import Replay
from pipelines.loops.collector import Collector
from pipelines.loops.episode_losses import Turn
from pipelines.loops.learner import Learner
from pipelines.loops.rollout import Go, RolloutState

T = TypeVar('T')
MAX_TRAIN_STEPS_PER_TURN = 128
_MAX_ENV_STEPS_PER_TURN = 256
_MAX_SECONDS_IN_GRAPH = 0.5  # signals are answered between calls


class TrainRatio:
    """Keeps an exact ratio of train steps to env steps, and chooses the length of a turn.

    After every turn `train_steps == floor(ratio * (env_steps - env_steps at start))`, for any
    number of environments and however many steps only started episodes. If collecting and
    training overlap, a turn trains on what the turn before collected; then the equation holds
    with the env steps before the turn, except at the end of the run, where it holds with all.
    """

    def __init__(
        self,
        train_steps_per_env_step: float,
        num_envs: int,
        max_train_steps_per_turn: int = MAX_TRAIN_STEPS_PER_TURN,
    ):
        """Chooses the longest turn within the limits.

        Raises:
          UserError: the ratio is not positive, or a single vector step owes more train steps
            than a turn may have.
        """
        errors.check(
            'train_ddqn.train_steps_per_env_step', train_steps_per_env_step, ranges.POSITIVE
        )
        self.ratio = fractions.Fraction(train_steps_per_env_step).limit_denominator(10**6)
        limit = max_train_steps_per_turn
        if not 1 <= limit <= MAX_TRAIN_STEPS_PER_TURN:
            raise UserError(
                f'train_ddqn.max_train_steps_per_turn = {limit}: must be between 1 and '
                f'{MAX_TRAIN_STEPS_PER_TURN}'
            )
        if self.ratio * num_envs > limit:
            raise UserError(
                f'train_ddqn.train_steps_per_env_step = {train_steps_per_env_step} with '
                f'{num_envs} environments owes {float(self.ratio * num_envs):g} train steps per '
                f'vector step, but a turn has at most {limit}: lower one of them'
            )
        env_steps = min(int(limit / self.ratio), _MAX_ENV_STEPS_PER_TURN)
        self.vector_steps = max(1, env_steps // num_envs)
        self.max_train_steps = math.ceil(self.ratio * self.vector_steps * num_envs)

    def train_steps_due(self, env_steps_since_start: Any, train_steps: Any) -> Any:
        """Returns how many train steps the ratio still owes; for integers or int64 tensors []."""
        owed = env_steps_since_start * self.ratio.numerator // self.ratio.denominator
        return owed - train_steps


class CollectAndTrain:
    """Collects and trains at an exact ratio, alternately or at the same time."""

    def __init__(
        self,
        collector: Collector,
        learner: Learner,
        ratio: TrainRatio,
        agent: QLearningAgent,
        replay: Replay,
        env_steps: tf.Variable,
        *,
        min_replay_transitions: int,
        overlap: bool,
    ):
        """Prepares the first turn.

        Args:
          collector: appends to `replay`.
          learner: trains on `replay`.
          ratio: how much to collect and to train in a turn.
          agent: counts its train steps; with `overlap` it acts on published weights.
          replay: training starts when it holds enough.
          env_steps: int64 [], raised by the collector.
          min_replay_transitions: number of transitions in replay at which training starts.
          overlap: whether to collect while training on what was collected before.
        """
        self._collector, self._learner, self._ratio = collector, learner, ratio
        self._agent, self._replay, self._env_steps = agent, replay, env_steps
        self._min_replay_transitions, self._overlap = min_replay_transitions, overlap
        self._turns = tf.function(self._turns_in_graph, autograph=False)
        self.learning_start_env_steps: int | None = None  # None: training has not started
        self._resumed_at: int | None = None  # env steps, until training has started again

    def run(
        self,
        max_vector_steps: int,
        until_env_steps: int,
        *,
        end_after_episodes: int | None = None,
        pause_after_episodes: int | None = None,
    ) -> list[Turn]:
        """Takes turns, inside the graph where it can.

        A turn that has begun is finished, except that the last episode ends it.

        Args:
          max_vector_steps: at most so many are taken.
          until_env_steps: no turn begins after so many env steps.
          end_after_episodes: how many more episodes the run has, the last of which ends the
            turn, so with a single environment none is begun after it; None: no limit.
          pause_after_episodes: no turn begins once so many more episodes have ended; None: no
            limit.

        Returns:
          The turns, those that did not train included.

        Raises:
          TableChangedError: another program has changed what the replay holds.
        """
        self._collector.limit_episodes(end_after_episodes, pause_after_episodes)
        if not self._may_train() or self._overlap:
            turns = [self._turn(max_vector_steps)]
        else:
            turns = self._run_in_graph(max_vector_steps, until_env_steps)
        self._replay.check_unchanged()
        return turns

    def _turn(self, max_vector_steps: int) -> Turn:
        """Takes a turn of at most `max_vector_steps`."""
        vector_steps = min(self._ratio.vector_steps, max_vector_steps)
        metrics: dict[str, float] = {}
        train_steps = due = self._due() if self._overlap else 0
        if due:
            self._agent.publish()
            metrics = side_by_side(
                lambda: self._collector.run(vector_steps), lambda: self._learner.train(due)
            )
            metrics['max_policy_lag_train_steps'] = due
        else:
            self._collector.run(vector_steps)
        is_last = vector_steps == max_vector_steps or self._collector.is_over
        if (is_last or not self._overlap) and (due := self._due()):
            metrics = {'max_policy_lag_train_steps': 0.0} | metrics | self._learner.train(due)
            train_steps += due
        return Turn(int(self._env_steps), train_steps, metrics)

    def _may_train(self) -> bool:
        """Whether training has started; it starts, and starts again, once replay holds enough."""
        start = self.learning_start_env_steps
        if start is not None and self._resumed_at is None:
            return True
        if start is None or self._replay.lost_vector_steps:
            self._replay.flush()  # what is in flight counts
            if self._replay.num_starts < self._min_replay_transitions:
                return False
        self.learning_start_env_steps = int(self._env_steps) if start is None else self.state()
        self._resumed_at = None
        return True

    def _due(self) -> int:
        """Returns how many train steps are owed."""
        if not self._may_train():
            return 0
        assert self.learning_start_env_steps is not None
        env_steps = int(self._env_steps) - self.learning_start_env_steps
        return self._ratio.train_steps_due(env_steps, int(self._agent.train_step_counter))

    def _run_in_graph(self, max_vector_steps: int, until_env_steps: int) -> list[Turn]:
        rollout = self._collector.rollout
        with rollout.unwrapped_failures(), self._learner.explained_stalls():
            rollout.state, *rows = self._turns(
                rollout.state,
                tf.constant(max_vector_steps),
                tf.constant(until_env_steps, tf.int64),
                tf.constant(self.learning_start_env_steps, tf.int64),
            )
        return [
            Turn(
                env_steps,
                train_steps,
                {'loss': loss, 'mean_q': mean_q, 'max_policy_lag_train_steps': 0.0}
                if train_steps
                else {},
            )
            for env_steps, train_steps, loss, mean_q in zip(
                *(row.numpy().tolist() for row in rows), strict=True
            )
        ]

    def _turns_in_graph(
        self,
        state: RolloutState,
        max_vector_steps: tf.Tensor,
        until_env_steps: tf.Tensor,
        learning_start: tf.Tensor,
    ) -> tuple[RolloutState, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """One turn after the other.

        Returns:
          The rollout's state; and of each turn the env steps at its end int64 [T], its train
          steps int32 [T], mean loss and mean Q float32 [T], both 0 if it had none.
        """
        deadline = tf.timestamp() + _MAX_SECONDS_IN_GRAPH

        def may_continue(turn, vector_steps, go, *_):  # type: ignore[no-untyped-def]
            del turn
            return (
                (vector_steps < max_vector_steps)
                & (go == Go.ON)
                & (self._env_steps < until_env_steps)
                & (tf.timestamp() < deadline)
            )

        def take_turn(turn, vector_steps, go, state, *rows):  # type: ignore[no-untyped-def]
            count = tf.minimum(self._ratio.vector_steps, max_vector_steps - vector_steps)
            if self._ratio.vector_steps == 1:  # a loop of one step costs more than the step
                state, go = self._collector.rollout.step(state)
            else:
                state, go = self._collector.rollout.advance(state, count)
            due = self._ratio.train_steps_due(
                self._env_steps - learning_start, self._agent.train_step_counter
            )
            due = tf.cast(due, tf.int32)
            means = tf.cond(
                due > 0,
                lambda: self._learner.advance(due),
                lambda: (tf.constant(0.0), tf.constant(0.0)),
            )
            done = (self._env_steps.read_value(), due, *means)
            written = [row.write(turn, x) for row, x in zip(rows, done, strict=True)]
            return turn + 1, vector_steps + count, go, state, *written

        rows = [
            tf.TensorArray(dtype, 0, dynamic_size=True, element_shape=[])
            for dtype in (tf.int64, tf.int32, tf.float32, tf.float32)
        ]
        _, _, _, state, *rows = tf.while_loop(
            may_continue,
            take_turn,
            (tf.constant(0), tf.constant(0), tf.constant(int(Go.ON)), state, *rows),
            parallel_iterations=1,
        )
        return state, *(row.stack() for row in rows)

    @property
    def train_steps_per_env_step(self) -> float:
        """The actual ratio since training started.

        Raises:
          UserError: training never started.
        """
        train_steps = int(self._agent.train_step_counter)
        if self.learning_start_env_steps is None or not train_steps:
            raise UserError(
                f'training never started within {int(self._env_steps):,} env steps: lower '
                'min_replay_transitions, or raise num_env_steps (and num_episodes where it is set; '
                'a step can be sampled only after a few more steps of its environment)'
            )
        return train_steps / (int(self._env_steps) - self.learning_start_env_steps)

    def state(self) -> int | None:
        """Returns the env steps at which training started, or None; a pause moves them."""
        start, resumed_at = self.learning_start_env_steps, self._resumed_at
        if start is None or resumed_at is None:
            return start
        return start + int(self._env_steps) - resumed_at

    def restore(self, state: int | None) -> None:
        """Goes back to `state`; training waits where the replay has lost what it held."""
        self.learning_start_env_steps = state
        self._resumed_at = None if state is None else int(self._env_steps)


def side_by_side(collect: Callable[[], None], train: Callable[[], T]) -> T:
    """Runs `collect` on another thread while this one runs `train`; returns train's result.

    Both have ended when it returns or raises.
    """
    with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix='collect') as executor:
        collecting = executor.submit(collect)
        try:
            return train()
        finally:
            collecting.result()
