import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tf_agents.trajectories import time_step as ts

from agents import policies
from pipelines.experience.rows import RowCodec
from tests.agents.fakes import FRAME, THREE_ACTIONS, stacking_network

SPEC = {
    'step_type': tf.TensorSpec([], tf.int32),
    'frame': tf.TensorSpec([3, 2], tf.uint8),
    'count': tf.TensorSpec([], tf.int64),
    'flag': tf.TensorSpec([2], tf.bool),
    'small': tf.TensorSpec([], tf.int8),
    'real': tf.TensorSpec([4], tf.float32),
    'double': tf.TensorSpec([1], tf.float64),
}


def test_a_row_is_as_long_as_its_leaves_together():
    assert RowCodec(SPEC).row_bytes == 4 + 6 + 8 + 2 + 1 + 16 + 8


@pytest.mark.parametrize('num_frames', [1, 3, 4])
def test_a_row_has_one_frame_and_a_byte_for_each_pixel_however_many_are_stacked(num_frames):
    policy = policies.EpsilonGreedyQPolicy(
        ts.time_step_spec(FRAME), THREE_ACTIONS, stacking_network(num_frames), lambda: 1.0
    )
    codec = RowCodec(policy.trajectory_spec)
    two_step_types, action, reward, discount = 4 + 4, 8, 4, 4
    assert codec.row_bytes == 2 * 3 + two_step_types + action + reward + discount
    assert codec.decode(tf.zeros([1, codec.row_bytes], tf.uint8)).observation.dtype == tf.uint8


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_every_bit_comes_back_eagerly_and_inside_a_graph(n, seed):
    """Including large integers, negative zeros and NaNs."""
    rng = np.random.default_rng(seed)
    codec = RowCodec(SPEC)
    nest = {}
    for name, spec in SPEC.items():
        shape, dtype = (n, *spec.shape), spec.dtype.as_numpy_dtype
        if dtype == np.bool_:
            nest[name] = rng.integers(0, 2, shape).astype(bool)
        else:  # any bit pattern at all
            raw = rng.integers(0, 256, (*shape, np.dtype(dtype).itemsize), np.uint8)
            nest[name] = raw.view(dtype)[..., 0]
    rows = codec.encode(nest)
    assert rows.shape == (n, codec.row_bytes) and rows.dtype == np.uint8
    for decode in (codec.decode, tf.function(codec.decode, autograph=False)):
        decoded = decode(tf.constant(rows.reshape(n, 1, -1)))
        for name, value in nest.items():
            got = decoded[name].numpy()
            assert got.shape == (n, 1, *SPEC[name].shape) and got.dtype == value.dtype
            assert got[:, 0].tobytes() == value.tobytes(), name


def test_one_leaf_is_read_in_numpy():
    codec = RowCodec(SPEC)
    nest = {k: np.zeros((2, *s.shape), s.dtype.as_numpy_dtype) for k, s in SPEC.items()}
    nest['count'][:] = [2**60 + 1, -5]
    index = sorted(SPEC).index('count')  # tf.nest orders a dict by its keys
    np.testing.assert_array_equal(codec.leaf(codec.encode(nest), index), [2**60 + 1, -5])
