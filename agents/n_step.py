"""n-step transitions out of stored single steps.

Replay stores one row per time step, the rows of one environment in order, episode
after episode. Row t holds (step_type_t, o_t, a_t, r_{t+1}, d_{t+1}). An episode of
three transitions, then the next one:

    row          0      1      2      3      4      5
    step_type  FIRST   MID    MID   LAST   FIRST   MID
    transition  0->1   1->2   2->3    -     4->5   ...

A row starts a transition unless it is LAST. A row that is followed by a FIRST one
without being LAST was cut short (a run that was killed): its next observation was
never stored, so it starts none either.

From row t the n-step return sums the next k <= n rewards, k < n where the episode
ends first (Sutton and Barto 2018, section 7.1):

    G = r_{t+1} + gamma d_{t+1} r_{t+2} + ... ,   discount = gamma^k d_{t+1} ... d_{t+k}

and bootstraps at row t + k. After termination the discount is 0; after a time limit
row t + k is the episode's true last observation and the discount is gamma^k.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf
from tf_agents.trajectories import policy_step, trajectory
from tf_agents.trajectories import time_step as ts

from agents.frame_stack_network import stack_rows


class NStepReturns(NamedTuple):
    """What an n-step transition needs beside observations; each [I, L]."""

    reward: tf.Tensor  # float32, G
    discount: tf.Tensor  # float32, gamma^k times the discounts on the way
    bootstrap_row: tf.Tensor  # int32, index of row t + k within the block
    is_transition: tf.Tensor  # bool, whether row t starts a transition at all


def n_step_returns(
    step_type: tf.Tensor, reward: tf.Tensor, discount: tf.Tensor, *, n: int, gamma: float
) -> NStepReturns:
    """n-step returns of the first L = T - n rows of each block of T consecutive rows.

    Args:
      step_type: int32 [I, T].
      reward: float32 [I, T]; row t holds the reward for leaving it.
      discount: float32 [I, T]; 0 where leaving row t terminates the episode.
      n: how many rewards are summed at most.
      gamma: the discount factor per step.
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


class MinibatchPlan(NamedTuple):
    """Which transitions make which minibatch; all [U, B]."""

    block: tf.Tensor  # int32
    row: tf.Tensor  # int32, of the start within the block
    bootstrap_row: tf.Tensor  # int32
    reward: tf.Tensor  # float32, n-step
    discount: tf.Tensor  # float32, gamma included


def plan_minibatches(
    blocks: trajectory.Trajectory,
    *,
    lead: int,
    n: int,
    gamma: float,
    num_minibatches: int,
    batch_size: int,
) -> MinibatchPlan:
    """Shuffles the transitions of sampled blocks and deals them into full minibatches.

    Every transition of the blocks is equally likely to be at any place, and rows that
    start none are at no place; where the blocks hold fewer transitions than are wanted,
    some come twice.

    Args:
      blocks: [I, T, ...], of consecutive rows each.
      lead: the first rows of a block, which start no transition (frames of later stacks).
      n: of the n-step return; nor do the last n rows.
      gamma: the discount factor per step.
      num_minibatches: U.
      batch_size: B.
    """
    returns = n_step_returns(
        blocks.step_type[:, lead:],
        blocks.reward[:, lead:],
        blocks.discount[:, lead:],
        n=n,
        gamma=gamma,
    )
    starts = tf.random.shuffle(tf.where(returns.is_transition))  # int64 [S, 2]: block, start
    wanted = num_minibatches * batch_size
    starts = tf.gather(starts, tf.range(wanted, dtype=tf.int32) % tf.shape(starts)[0])
    block, start = tf.unstack(tf.cast(starts, tf.int32), axis=1)

    def deal(tensor: tf.Tensor) -> tf.Tensor:
        return tf.reshape(tensor, [num_minibatches, batch_size])

    return MinibatchPlan(
        block=deal(block),
        row=deal(start + lead),
        bootstrap_row=deal(tf.gather_nd(returns.bootstrap_row, starts) + lead),
        reward=deal(tf.gather_nd(returns.reward, starts)),
        discount=deal(tf.gather_nd(returns.discount, starts)),
    )


def minibatch(
    blocks: trajectory.Trajectory, plan: MinibatchPlan, num_frames: int | None
) -> trajectory.Transition:
    """The transitions of one minibatch.

    Args:
      blocks: [I, T, ...].
      plan: of this minibatch, [B].
      num_frames: K, observations are stacks [B, K, ...]; None, they are single.

    Returns:
      A `Transition` of [B, ...]; `next_time_step` holds the n-step reward, the whole
      discount (gamma included) and the bootstrap observation.
    """

    def time_step(row, reward, discount):
        rows = tf.stack([plan.block, row], axis=1)  # [B, 2]
        seen = rows if num_frames is None else stack_rows(blocks.step_type, rows, num_frames)
        return ts.TimeStep(
            step_type=tf.gather_nd(blocks.step_type, rows),
            reward=reward,
            discount=discount,
            observation=tf.nest.map_structure(lambda t: tf.gather_nd(t, seen), blocks.observation),
        )

    zero = tf.zeros_like(plan.reward)
    starts = tf.stack([plan.block, plan.row], axis=1)
    return trajectory.Transition(
        time_step=time_step(plan.row, zero, zero + 1.0),
        action_step=policy_step.PolicyStep(action=tf.gather_nd(blocks.action, starts)),
        next_time_step=time_step(plan.bootstrap_row, plan.reward, plan.discount),
    )
