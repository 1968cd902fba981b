import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import array_spec, tensor_spec

from agents import action_specs, errors


@pytest.mark.parametrize(
    'spec',
    [
        tensor_spec.BoundedTensorSpec([], tf.int64, 0, 4),
        array_spec.BoundedArraySpec([], np.int64, 0, 4),
        array_spec.BoundedArraySpec([], np.int32, 0, 4),
    ],
)
def test_actions_are_counted_in_tensor_specs_and_array_specs(spec):
    assert action_specs.num_actions(spec) == 5


@pytest.mark.parametrize(
    ('spec', 'message'),
    [
        (tensor_spec.BoundedTensorSpec([2], tf.float32, -1.0, 1.0), r'continuous .* shape \(2,\)'),
        (array_spec.BoundedArraySpec([2], np.float32, -1.0, 1.0), 'needs discrete actions'),
        (tf.TensorSpec([], tf.int64), 'needs discrete actions'),
        (tensor_spec.BoundedTensorSpec([2], tf.int64, 0, 2), 'one integer action'),
        (tensor_spec.BoundedTensorSpec([], tf.int64, 1, 2), 'counts from 0'),
    ],
)
def test_actions_that_cannot_be_counted_are_refused(spec, message):
    with pytest.raises(errors.ConfigError, match=message):
        action_specs.num_actions(spec)
