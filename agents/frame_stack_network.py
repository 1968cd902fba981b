"""Frame stacking: one frame in, the last K - 1 in the network's state.

Acting and training must see the same stack for the same step, at an episode's start too,
where the first frame stands in for those before it (K = 4):

    step            FIRST          MID            MID            MID
    acting      [f0 f0 f0 f0]  [f0 f0 f0 f1]  [f0 f0 f1 f2]  [f0 f1 f2 f3]
    row              0              1              2              3
    trained on  rows 0 0 0 0   rows 0 0 0 1   rows 0 0 1 2   rows 0 1 2 3

`FrameStackNetwork` makes the first line from its state; `stack_rows` says which stored
rows make the last one, so that each frame is stored once and none of an earlier episode
ever gets into a stack.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from agents import errors


def stacked_spec(frame_spec: tf.TensorSpec, num_frames: int) -> tf.TensorSpec:
    """The spec of a stack [K, *frame], the oldest first.

    Raises:
      ConfigError: K is no whole number >= 1.
    """
    if isinstance(num_frames, bool) or not isinstance(num_frames, int) or num_frames < 1:
        raise errors.ConfigError(
            f'train_ddqn.frame_stack = {num_frames!r}: must be a whole number of frames, at least '
            '1, or None for none'
        )
    shape = [num_frames, *frame_spec.shape]
    if not tensor_spec.is_bounded(frame_spec):
        return tf.TensorSpec(shape, frame_spec.dtype, frame_spec.name)
    low, high = (
        np.broadcast_to(bound, frame_spec.shape)[np.newaxis].repeat(num_frames, axis=0)
        for bound in (frame_spec.minimum, frame_spec.maximum)
    )
    return tensor_spec.BoundedTensorSpec(shape, frame_spec.dtype, low, high, frame_spec.name)


class FrameStackNetwork(network.Network):
    """Acts with `stack_network`, whose input is a stack, on one frame at a time.

    Its state is the K - 1 frames before, [B, K - 1, *frame], in the frame's dtype. It has no
    weights of its own.
    """

    def __init__(
        self,
        frame_spec: tf.TensorSpec,
        stack_network: network.Network,
        name: str = 'FrameStackNetwork',
    ):
        """`stack_network`: takes [B, K, *frame], the oldest first; K is its input spec's."""
        self.num_frames = int(stack_network.input_tensor_spec.shape[0])
        state_spec = tf.TensorSpec([self.num_frames - 1, *frame_spec.shape], frame_spec.dtype)
        super().__init__(input_tensor_spec=frame_spec, state_spec=state_spec, name=name)
        self.stack_network = stack_network
        self.num_actions = stack_network.num_actions

    def stack(self, observation, step_type, network_state) -> tf.Tensor:
        """[B, K, *frame]: the frames before and `observation` [B, *frame], the oldest first."""
        newest = observation[:, tf.newaxis]
        first = tf.reshape(
            tf.equal(step_type, ts.StepType.FIRST), [-1] + [1] * (observation.shape.rank)
        )
        return tf.concat([tf.where(first, newest, network_state), newest], axis=1)

    def call(self, observation, step_type, network_state, training=False):
        """Returns (Q-values float32 [B, A], the state after this frame)."""
        stack = self.stack(observation, step_type, network_state)
        q_values, _ = self.stack_network(stack, step_type, training=training)
        return q_values, stack[:, 1:]

    def outputs(self, observation, step_type, network_state) -> tuple[dict, tf.Tensor]:
        """(all outputs of the `stack_network`, the state after this frame)."""
        stack = self.stack(observation, step_type, network_state)
        return self.stack_network.outputs(stack), stack[:, 1:]


def stack_rows(step_type: tf.Tensor, rows: tf.Tensor, num_frames: int) -> tf.Tensor:
    """Which rows of a block make the stack of a row.

    Args:
      step_type: int32 [I, T], of blocks of consecutive rows.
      rows: int32 [N, 2], (block, row); each row has num_frames - 1 rows before it, or its
        episode's FIRST row among those it has.
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
