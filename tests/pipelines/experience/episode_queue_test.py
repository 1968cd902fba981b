import time

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tf_agents.trajectories import trajectory

from pipelines.errors import UserError
from pipelines.experience.episode_queue import EpisodeQueue

SPEC = trajectory.Trajectory(
    step_type=tf.TensorSpec([], tf.int32),
    observation=tf.TensorSpec([3], tf.float32),
    action=tf.TensorSpec([], tf.int64),
    policy_info=tf.TensorSpec([2], tf.float32),
    next_step_type=tf.TensorSpec([], tf.int32),
    reward=tf.TensorSpec([], tf.float32),
    discount=tf.TensorSpec([], tf.float32),
)


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(st.integers(1, 40), min_size=3, max_size=3), min_size=1, max_size=6))
def test_every_episode_comes_out_once_whole_and_in_order(lengths_of_batches):
    rng = np.random.default_rng(0)
    with EpisodeQueue(SPEC, 3, stall_timeout_seconds=20) as queue:
        batches = queue.batches()
        for lengths in lengths_of_batches:
            size = queue.codec.row_bytes
            episodes = [rng.integers(0, 256, (n, size), np.uint8) for n in lengths]
            queue.put(episodes)
            got = next(batches).numpy()
            assert got.shape == (3, max(lengths), size)
            for rows, padded in zip(episodes, got, strict=True):
                np.testing.assert_array_equal(padded[: len(rows)], rows)
                assert not padded[len(rows) :].any()


@pytest.mark.slow
def test_taking_a_batch_that_is_not_there_fails_at_once():
    with EpisodeQueue(SPEC, 2) as queue:
        episode = np.zeros((4, queue.codec.row_bytes), np.uint8)
        queue.put([episode])
        with pytest.raises(UserError, match='a batch needs 2 episodes and 1 were put in'):
            queue.take()
        queue.put([episode])
        queue.take()
        assert next(queue.batches()).shape[0] == 2


@pytest.mark.slow
def test_any_time_may_pass_between_two_batches():
    with EpisodeQueue(SPEC, 1, stall_timeout_seconds=0.2) as queue:
        batches = queue.batches()
        for _ in range(2):
            queue.put([np.zeros((4, queue.codec.row_bytes), np.uint8)])
            assert next(batches).shape[:2] == (1, 4)
            time.sleep(0.6)


def test_an_empty_queue_has_no_observations():
    assert EpisodeQueue(SPEC, 1).newest_observations(5).shape == (0, 3)
