"""What every test needs before TensorFlow is imported, and what none should leave behind."""

import gc
import sys

import pytest

import pipelines  # noqa: F401, sets the environment that keeps TensorFlow quiet


def pytest_collection_finish():
    """What was imported stays: the garbage collector need not walk through it every time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _forget_gin_bindings():
    yield
    import gin

    gin.clear_config()


@pytest.fixture(autouse=True, scope='module')
def _forget_functions():
    """A module's agents, replays and compiled loops go with it: together they are gigabytes."""
    yield
    if 'tensorflow' in sys.modules:
        # The default graph, which is for ever, keeps each function that `tf.numpy_function` was
        # given, and with it the loop that the function belongs to.
        graph = sys.modules['tensorflow'].compat.v1.get_default_graph()
        getattr(graph, '_py_funcs_used_in_graph', []).clear()
    gc.collect()
