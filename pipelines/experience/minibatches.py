"""Stored rows become minibatches of n-step transitions on stacked frames, inside the graph.

Replay stores one row per time step: for each environment the rows in order, episode after
episode. Row t holds (step_type_t, o_t, a_t, r_{t+1}, d_{t+1}). An episode of three
transitions, followed by the next episode:

    row          0      1      2      3      4      5
    step_type  FIRST   MID    MID   LAST   FIRST   MID
    transition  0->1   1->2   2->3    -     4->5   ...

Every row starts a transition, with two exceptions: a LAST row, and a row that is followed by
FIRST without being LAST. The latter was the newest when the run was killed, so its next
observation was never stored.

From row t the n-step return sums the next k <= n rewards, with k < n if the episode ends
first (Sutton and Barto 2018, section 7.1, http://incompleteideas.net/book/the-book-2nd.html):

    G = r_{t+1} + gamma d_{t+1} r_{t+2} + ... ,   discount = gamma^k d_{t+1} ... d_{t+k}

and bootstraps at row t + k. After termination the discount is 0. After a time limit, row t + k
holds the episode's true last observation and the discount is gamma^k (Pardo et al. 2018,
https://arxiv.org/abs/1712.00378).

A stack of K frames is K rows. The episode's first frame stands for those before it, exactly as
in `agents.frame_stack_network`, which makes the stacks for acting (K = 4):

    row          0 FIRST        1              2              3
    stack     rows 0 0 0 0   rows 0 0 0 1   rows 0 0 1 2   rows 0 1 2 3
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import tensorflow as tf
from tf_agents.trajectories import policy_step, trajectory
from tf_agents.trajectories import time_step as ts


@dataclasses.dataclass(frozen=True)
class TransitionShape:
    """Which rows a transition is made of."""

    n_step: int  # rewards summed before bootstrapping, >= 1
    gamma: float  # discount factor per step
    frame_stack: int | None = None  # K: observations are stacks [K, ...]; None: single ones

    @property
    def lead_rows(self) -> int:
        """Rows before a start whose frames are in its stack."""
        return (self.frame_stack or 1) - 1

    @property
    def tail_rows(self) -> int:
        """Rows after a start that its n-step return may look at."""
        return self.n_step


class NStepReturns(NamedTuple):
    """What n-step transitions need besides observations; each tensor [I, L]."""

    reward: tf.Tensor  # float32, G
    discount: tf.Tensor  # float32, gamma^k times the discounts on the way
    bootstrap_row: tf.Tensor  # int32, index of row t + k within the block
    is_transition: tf.Tensor  # bool, whether row t starts a transition at all


def n_step_returns(
    step_type: tf.Tensor, reward: tf.Tensor, discount: tf.Tensor, *, n: int, gamma: float
) -> NStepReturns:
    """Computes n-step returns of the first L = T - n rows of blocks of T consecutive rows.

    Args:
      step_type: int32 [I, T].
      reward: float32 [I, T]; row t holds the reward for leaving it.
      discount: float32 [I, T]; 0 where leaving row t terminates the episode.
      n: maximum number of rewards to sum.
      gamma: discount factor per step.
    """
    num_starts = step_type.shape[1] - n
    continues = (step_type[:, :-1] != ts.StepType.LAST) & (step_type[:, 1:] != ts.StepType.FIRST)
    total = tf.zeros_like(reward[:, :num_starts])
    running_discount = tf.ones_like(total)
    alive = tf.ones_like(total, dtype=tf.bool)
    bootstrap_row = tf.zeros_like(step_type[:, :num_starts]) + tf.range(num_starts)
    for j in range(n):
        alive &= continues[:, j : num_starts + j]
        total += tf.where(alive, running_discount * reward[:, j : num_starts + j], 0.0)
        running_discount *= tf.where(alive, gamma * discount[:, j : num_starts + j], 1.0)
        bootstrap_row += tf.cast(alive, tf.int32)
    return NStepReturns(total, running_discount, bootstrap_row, continues[:, :num_starts])


class MinibatchIndices(NamedTuple):
    """Which transitions form which minibatch; each tensor [U, B], or [B] for one minibatch."""

    block: tf.Tensor  # int32
    row: tf.Tensor  # int32, of the start within the block
    bootstrap_row: tf.Tensor  # int32
    reward: tf.Tensor  # float32, n-step
    discount: tf.Tensor  # float32, gamma included


def choose_minibatches(
    blocks: trajectory.Trajectory,
    shape: TransitionShape,
    *,
    num_minibatches: int,
    batch_size: int,
) -> MinibatchIndices:
    """Shuffles the transitions of sampled blocks and deals them into full minibatches.

    All transitions of the blocks are equally likely at every place. If the blocks hold fewer
    than are needed, some are used again. The first `lead_rows` rows of a block and its last
    `tail_rows` rows start no transition.

    Args:
      blocks: [I, T, ...], blocks of consecutive rows.
      shape: the shape of a transition.
      num_minibatches: U.
      batch_size: B.
    """
    lead = shape.lead_rows
    returns = n_step_returns(
        blocks.step_type[:, lead:],
        blocks.reward[:, lead:],
        blocks.discount[:, lead:],
        n=shape.n_step,
        gamma=shape.gamma,
    )
    wanted = num_minibatches * batch_size
    if returns.is_transition.shape[1] == 1:
        # Items of one transition each were drawn one by one: there is nothing to shuffle.
        block = tf.range(wanted) % tf.shape(returns.is_transition)[0]
        start = tf.zeros_like(block)
        starts = tf.stack([block, start], axis=1)
    else:
        starts = tf.random.shuffle(tf.where(returns.is_transition))  # int64 [S, 2]: block, start
        starts = tf.gather(starts, tf.range(wanted) % tf.shape(starts)[0])
        block, start = tf.unstack(tf.cast(starts, tf.int32), axis=1)

    def deal(tensor: tf.Tensor) -> tf.Tensor:
        return tf.reshape(tensor, [num_minibatches, batch_size])

    return MinibatchIndices(
        block=deal(block),
        row=deal(start + lead),
        bootstrap_row=deal(tf.gather_nd(returns.bootstrap_row, starts) + lead),
        reward=deal(tf.gather_nd(returns.reward, starts)),
        discount=deal(tf.gather_nd(returns.discount, starts)),
    )


def minibatch(
    blocks: trajectory.Trajectory, indices: MinibatchIndices, frame_stack: int | None
) -> trajectory.Transition:
    """Gathers the transitions of one minibatch.

    Args:
      blocks: [I, T, ...].
      indices: the minibatch's transitions, [B].
      frame_stack: K, for observations that are stacks [B, K, ...]; None for single ones.

    Returns:
      A `Transition` of [B, ...]; `next_time_step` holds the n-step reward, the whole
      discount (gamma included) and the bootstrap observation.
    """

    def time_step(row: tf.Tensor, reward: tf.Tensor, discount: tf.Tensor) -> ts.TimeStep:
        rows = tf.stack([indices.block, row], axis=1)  # [B, 2]
        seen = rows if frame_stack is None else stack_rows(blocks.step_type, rows, frame_stack)
        return ts.TimeStep(
            step_type=tf.gather_nd(blocks.step_type, rows),
            reward=reward,
            discount=discount,
            observation=tf.nest.map_structure(lambda t: tf.gather_nd(t, seen), blocks.observation),
        )

    zero = tf.zeros_like(indices.reward)
    starts = tf.stack([indices.block, indices.row], axis=1)
    return trajectory.Transition(
        time_step=time_step(indices.row, zero, zero + 1.0),
        action_step=policy_step.PolicyStep(action=tf.gather_nd(blocks.action, starts)),
        next_time_step=time_step(indices.bootstrap_row, indices.reward, indices.discount),
    )


def stack_rows(step_type: tf.Tensor, rows: tf.Tensor, num_frames: int) -> tf.Tensor:
    """Finds the rows whose frames form the stack of each given row.

    Args:
      step_type: int32 [I, T], step types of blocks of consecutive rows.
      rows: int32 [N, 2], (block, row); the block must hold the num_frames - 1 rows before it, or
        else its episode's FIRST row.
      num_frames: K.

    Returns:
      int32 [N, K, 2]: (block, row) of each frame, the oldest first.
    """
    frames = [rows]
    for _ in range(num_frames - 1):
        is_first = tf.equal(tf.gather_nd(step_type, frames[-1]), ts.StepType.FIRST)
        back = tf.stack([tf.zeros_like(rows[:, 0]), tf.where(is_first, 0, 1)], axis=1)
        frames.append(frames[-1] - back)
    return tf.stack(frames[::-1], axis=1)
