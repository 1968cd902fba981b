import numpy as np
import pytest
import tensorflow as tf

from agents import errors, optimizers

KERAS = tf.keras.optimizers


def test_by_default_it_is_adam():
    assert isinstance(optimizers.made(None), KERAS.legacy.Adam)


def test_a_function_a_class_or_an_optimizer_may_be_chosen():
    sgd = KERAS.SGD(0.5)
    assert optimizers.made(sgd) is sgd
    assert optimizers.made(lambda: sgd) is sgd
    assert isinstance(optimizers.made(KERAS.legacy.RMSprop), KERAS.legacy.RMSprop)


@pytest.mark.parametrize('choice', ['adam', lambda: 'adam', tf.keras.layers.Flatten])
def test_anything_else_is_refused(choice):
    with pytest.raises(errors.ConfigError, match='^optimizer = .*must be a function that returns'):
        optimizers.made(choice)


def names_of(optimizer):
    variables = optimizer.variables
    return [v.name for v in (variables() if callable(variables) else variables)]


@pytest.mark.parametrize('kind', [KERAS.Adam, KERAS.RMSprop, KERAS.legacy.Adam, KERAS.SGD])
@pytest.mark.parametrize('xla', [False, True])
def test_slots_exist_at_once_and_a_graph_trains_with_them(kind, xla):
    """So a checkpoint that is read or written before the first step has them."""
    weight = tf.Variable([1.0, -2.0])
    optimizer = kind(0.1)
    optimizers.create_variables(optimizer, [weight])
    names = names_of(optimizer)

    @tf.function(jit_compile=xla, autograph=False)
    def step():
        optimizer.apply_gradients(zip([2.0 * weight], [weight]))
        return weight.read_value()

    before = weight.numpy()
    assert (np.abs(step()) < np.abs(before)).all()  # towards 0, where the square is least
    assert names_of(optimizer) == names
    assert int(optimizer.iterations) == 1
