"""The compiled loops: collect and train, and their overlap.

One Python call runs many steps. Collecting crosses from the graph to NumPy once per
vector step (all environments are stepped, encoded and stored in that one crossing);
training takes one sample from replay, deals its transitions into minibatches inside the
graph, and runs one train step after the other, fused by XLA where that pays (MLPs, not
convolutions on CPUs). Both give the interpreter back while they run, so that
`side_by_side` lets them share the machine.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import fractions
import math
from collections.abc import Callable, Iterator
from typing import TypeVar

import tensorflow as tf
from tf_agents.trajectories import trajectory

from agents import n_step
from agents.prioritisation import Prioritisation
from pipelines import cli
from pipelines import replay as replay_lib
from pipelines.cli import UserError
from pipelines.rollout import Rollout

T = TypeVar('T')
MAX_TRAIN_STEPS_PER_TURN = 128
_MAX_ENV_STEPS_PER_TURN = 256


class Collector:
    """Collects experience: every vector step goes to the replay and to the statistics."""

    def __init__(self, env, policy, replay, statistics, env_steps: tf.Variable):
        self._env, self._replay = env, replay
        self._statistics = statistics
        self._rollout = Rollout(
            env,
            policy.action,
            policy.get_initial_state(env.batch_size),
            self._store,
            env_steps,
        )

    def reset(self, seed: int) -> None:
        """Starts an episode in every environment."""
        self._rollout.reset(seed)

    def run(self, num_vector_steps: int) -> None:
        """Collects from every environment `num_vector_steps` times.

        Raises:
          ReplayStalledError: the replay takes nothing.
        """
        self._error: Exception | None = None
        try:
            self._rollout.run(num_vector_steps)
        except tf.errors.OpError:
            if self._error is not None:  # what really happened, without TensorFlow's wrapping
                raise self._error from None
            raise

    def _store(self, before, step, after) -> bool:
        try:
            row = trajectory.from_transition(before, step, after)
            self._replay.append(self._replay.codec.encode(row))
            self._statistics.add(self._env.raw_reward, after)
        except Exception as e:
            self._error = e
            raise
        return True


class Learner:
    """Samples replay and trains, up to `max_train_steps` per call."""

    def __init__(
        self,
        agent,
        replay: replay_lib.Replay,
        *,
        n: int,
        gamma: float,
        batch_size: int,
        max_train_steps: int,
        num_frames: int | None,
        fuse: bool,
        prioritisation: Prioritisation | None = None,
    ):
        """Prepares the loop; nothing is sampled or traced yet.

        Args:
          agent: trained on `Transition`s of [batch_size, ...].
          replay: sampled from.
          n: of the n-step return.
          gamma: the discount factor per step.
          batch_size: transitions per train step.
          max_train_steps: how many minibatches are made of one sample.
          num_frames: stacked in an observation; None where observations are single.
          fuse: whether XLA compiles the loop over the minibatches.
          prioritisation: weighs what a prioritised replay gave, and renews its priorities
            after the last train step of a call.
        """
        self._agent, self._replay, self._num_frames = agent, replay, num_frames
        self._prioritisation = prioritisation
        self.plan = dict(
            lead=replay.lead_rows,
            n=n,
            gamma=gamma,
            num_minibatches=max_train_steps,
            batch_size=batch_size,
        )
        self._samples: Iterator | None = None
        self._train = tf.function(self._sample_and_train, autograph=False)
        self._train_each = tf.function(self._loop, autograph=False, jit_compile=fuse)

    def train(self, num_train_steps: int) -> dict[str, float]:
        """Runs exactly `num_train_steps` train steps, at most `max_train_steps`.

        Returns:
          The means of `loss` and `mean_q` over them.

        Raises:
          ReplayStalledError: nothing can be sampled.
        """
        first_call = self._samples is None
        if first_call:
            self._samples = self._replay.samples()
        try:
            # XLA announces its first compilation on file descriptor 2.
            with cli.quiet_native_stderr() if first_call else contextlib.nullcontext():
                loss, mean_q, highest = self._train(tf.constant(num_train_steps))
        except tf.errors.OutOfRangeError as e:
            raise self._replay.stalled('sampling') from e
        self._replay.note_priority(float(highest))
        return {'loss': float(loss), 'mean_q': float(mean_q)}

    def train_on(self, blocks, plan: n_step.MinibatchPlan, num_train_steps: int) -> None:
        """Runs train steps on minibatches of blocks that were sampled before."""
        self._train_each(blocks, plan, tf.constant(num_train_steps))

    def _sample_and_train(self, num_train_steps):
        sample = next(self._samples)
        blocks = self._replay.codec.decode(sample.data)
        plan = n_step.plan_minibatches(blocks, **self.plan)
        if self._prioritisation is None:
            loss, mean_q, _ = self._train_each(blocks, plan, num_train_steps)
            return loss, mean_q, tf.constant(0.0)
        keys, probabilities, num_items = (
            tf.gather(of_item, plan.block)  # [U, B]
            for of_item in (sample.info.key, sample.info.probability, sample.info.table_size)
        )
        weights = self._prioritisation.weights(probabilities, num_items)
        loss, mean_q, td_errors = self._train_each(blocks, plan, num_train_steps, weights)
        highest = self._replay.update_priorities(
            tf.reshape(keys[:num_train_steps], [-1]),
            tf.reshape(self._prioritisation.priorities(td_errors[:num_train_steps]), [-1]),
        )
        return loss, mean_q, highest

    def _loop(self, blocks, plan, num_train_steps, weights=None):
        def body(i, loss, mean_q, td_errors):
            this = tf.nest.map_structure(lambda t: t[i], plan)
            minibatch = n_step.minibatch(blocks, this, self._num_frames)
            if weights is None:
                info = self._agent.train(minibatch)
            else:
                info = self._agent.train(minibatch, weights[i])
                td_errors = td_errors.write(i, info.extra.td_error)
            return i + 1, loss + info.loss, mean_q + info.extra.mean_q, td_errors

        rows = tf.TensorArray(tf.float32, self.plan['num_minibatches'], element_shape=[None])
        _, loss, mean_q, td_errors = tf.while_loop(
            lambda i, *_: i < num_train_steps,
            body,
            (tf.constant(0), tf.constant(0.0), tf.constant(0.0), rows),
            parallel_iterations=1,
        )
        count = tf.cast(num_train_steps, tf.float32)
        return loss / count, mean_q / count, () if weights is None else td_errors.stack()  # [U, B]


def side_by_side(collect: Callable[[], None], train: Callable[[], T]) -> T:
    """Runs `collect` on a thread of its own while this one runs `train`; returns what that does.

    Both have ended when it returns or raises.
    """
    with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix='collect') as executor:
        collecting = executor.submit(collect)
        try:
            return train()
        finally:
            collecting.result()


class Turns:
    """Who works how long: keeps train steps / environment steps at an exact ratio.

    After every turn `train_steps == floor(ratio * (env_steps - env_steps at start))`,
    whatever the number of environments and however many steps only started episodes. Where
    collecting and training overlap, what a turn collects is trained on in the next, and
    the equation holds for the env steps before the turn, and at the end of the run.
    """

    def __init__(
        self,
        train_steps_per_env_step: float,
        num_envs: int,
        max_train_steps_per_turn: int = MAX_TRAIN_STEPS_PER_TURN,
    ):
        """Chooses the longest turn within the limits.

        Raises:
          UserError: the ratio is not positive, or one vector step alone owes more train
            steps than a turn may have.
        """
        cli.check_positive('train_ddqn.train_steps_per_env_step', train_steps_per_env_step)
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
                f'vector step, and a turn has at most {limit}: lower one of them'
            )
        env_steps = min(int(limit / self.ratio), _MAX_ENV_STEPS_PER_TURN)
        self.vector_steps = max(1, env_steps // num_envs)
        self.max_train_steps = math.ceil(self.ratio * self.vector_steps * num_envs)

    def train_steps_due(self, env_steps_since_start: int, train_steps: int) -> int:
        """How many train steps the ratio owes now."""
        return int(self.ratio * env_steps_since_start) - train_steps


class TakingTurns:
    """Collects and trains in turns, or side by side, at the exact ratio of `turns`."""

    def __init__(
        self,
        collector: Collector,
        learner: Learner,
        turns: Turns,
        agent,
        env_steps: tf.Variable,
        enough: Callable[[], bool],
        notes: dict,
        overlap: bool,
    ):
        """Prepares the first turn.

        Args:
          collector: collects.
          learner: trains.
          turns: who works how long.
          agent: counts its train steps; with `overlap` it acts on published weights.
          env_steps: int64 [], counted by the collector.
          enough: says whether training may start.
          notes: kept in checkpoints; `learning_start_env_steps` is what this remembers.
          overlap: collect while training on what was collected before.
        """
        self._collector, self._learner, self._turns = collector, learner, turns
        self._agent, self._env_steps, self._enough = agent, env_steps, enough
        self._notes, self._overlap = notes, overlap

    def __call__(self, max_vector_steps: int) -> dict[str, float] | None:
        """One turn of at most so many vector steps; its metrics, None before training."""
        vector_steps = min(self._turns.vector_steps, max_vector_steps)
        metrics, due = None, self._due() if self._overlap else 0
        if due:
            self._agent.publish()
            metrics = side_by_side(
                lambda: self._collector.run(vector_steps), lambda: self._learner.train(due)
            )
            metrics['max_policy_lag_train_steps'] = due
        else:
            self._collector.run(vector_steps)
        at_once = not self._overlap or vector_steps == max_vector_steps  # the last owes nothing
        if at_once and (due := self._due()):
            metrics = {'max_policy_lag_train_steps': 0.0} | (metrics or {})
            metrics |= self._learner.train(due)
        return metrics

    def _due(self) -> int:
        """Train steps that the env steps so far call for; opens the account when it can."""
        start = self._notes.get('learning_start_env_steps')
        if start is None:
            if not self._enough():
                return 0
            start = self._notes['learning_start_env_steps'] = int(self._env_steps)
        env_steps = int(self._env_steps) - start
        return self._turns.train_steps_due(env_steps, int(self._agent.train_step_counter))
