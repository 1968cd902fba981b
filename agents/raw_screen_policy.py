"""A policy that takes a game's screens and does the grey, maximum, resize and stack itself.

This is what ale-py's vector environment does in C++ before the agent sees a frame, in TensorFlow:

    screens [B, 2, 210, 160, 3]   of the last two emulated frames
    grey    0.2989 R + 0.5870 G + 0.1140 B, rounded: exactly ALE's palette
    frame   their maximum, resized by area (every pixel a mean over the part of the
            screen it covers) and rounded; OpenCV's differs by one grey level at most
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tf_agents.trajectories import time_step as ts

from agents import policies

_LUMINANCE = np.array([0.2989, 0.5870, 0.1140], np.float32)


class ScreensToFrame:
    """uint8 [B, height, width] from uint8 [B, 2, screen height, screen width, 3]."""

    def __init__(self, screen_size: Sequence[int], frame_size: Sequence[int], max_pool: bool):
        """Prepares the weights.

        Args:
          screen_size: height and width in pixels.
          frame_size: height and width in pixels, at most the screen's.
          max_pool: a frame is the maximum of both screens; False takes the newer alone.
        """
        self.screen_size = tuple(screen_size)
        self._shrink_rows, self._shrink_columns = map(area_weights, screen_size, frame_size)
        self._halves = list(screen_size) == [2 * size for size in frame_size]
        self._max_pool = max_pool

    def __call__(self, screens: tf.Tensor) -> tf.Tensor:
        """The frames."""
        if not self._max_pool:
            screens = screens[:, -1:]
        grey = tf.round(tf.einsum('bshwc,c->bshw', tf.cast(screens, tf.float32), _LUMINANCE))
        newest = tf.reduce_max(grey, axis=1)  # [B, screen height, screen width]
        rows = tf.einsum('bhw,rh->brw', newest, self._shrink_rows)  # [B, height, screen width]
        frame = tf.einsum('brw,cw->brc', rows, self._shrink_columns)  # [B, height, width]
        # OpenCV rounds half up where it halves both sides, and to even elsewhere.
        rounded = tf.floor(frame + 0.5) if self._halves else tf.round(frame)
        return tf.cast(rounded, tf.uint8)


class RawScreenPolicy(policies.GreedyQPolicy):
    """Acts as `frame_policy` does, on screens instead of frames."""

    def __init__(self, frame_policy: policies.GreedyQPolicy, to_frame: ScreensToFrame):
        """Wraps the policy.

        Args:
          frame_policy: takes the frames that `to_frame` makes; its state stays what it is.
          to_frame: makes frames of screens.
        """
        self._to_frame = to_frame
        screens = tf.TensorSpec([2, *to_frame.screen_size, 3], tf.uint8, 'observation')
        super().__init__(
            ts.time_step_spec(screens), frame_policy.action_spec, frame_policy.q_network
        )

    def q_values(self, time_step: ts.TimeStep, policy_state: Any = ()) -> tuple[tf.Tensor, Any]:
        """As the frame policy's, of screens."""
        return super().q_values(self._with_frame(time_step), policy_state)

    def outputs(
        self, time_step: ts.TimeStep, policy_state: Any = ()
    ) -> tuple[policies.Outputs, Any]:
        """As the frame policy's, of screens."""
        return super().outputs(self._with_frame(time_step), policy_state)

    def _with_frame(self, time_step):
        return time_step._replace(observation=self._to_frame(time_step.observation))


def area_weights(size: int, new_size: int) -> np.ndarray:
    """float32 [new_size, size]: row i holds the share of each old pixel in new pixel i."""
    edges = np.linspace(0.0, size, new_size + 1)
    begin, end = edges[:-1, np.newaxis], edges[1:, np.newaxis]
    old = np.arange(size)
    covered = np.minimum(end, old + 1) - np.maximum(begin, old)  # [new_size, size]
    return (np.maximum(covered, 0.0) * new_size / size).astype(np.float32)
