"""What every test needs before TensorFlow is imported, and what none should leave behind."""

import gc
import os
import pathlib
import sys
import tempfile

import pytest

import pipelines  # noqa: F401, sets the environment that keeps TensorFlow quiet
from tests import warm_python

# Which policies are known is remembered there.
os.environ['XDG_STATE_HOME'] = os.path.join(tempfile.gettempdir(), f'state_of_tests_{os.getuid()}')

# Files whose tests share trained runs, the longest first.
_WHOLE_RUNS = (
    'space_invaders_test',
    'train_ddqn_switches_test',
    'observations_test',
    'train_ddqn_test',
    'beginnings_test',
    'compare_test',
    'train_reinforce_test',
    'examples_test',
    'your_environment_test',
    'actions_test',
    'learning_test',
    'tutorials_test',
    'evaluate_test',
    'export_test',
)
_TRAINED = {
    'finished',
    'longer',
    'switched',
    'others',
    'trained',
    'run_dir',
    'policy_dir',
    'exported',
    'old',
    'runs',
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Deals the files that share trained runs to the workers, so no run is made by two of them.

    pytest-xdist gives each of n workers one n-th of the list, and one that has finished steals from
    the end of another's: what must not be split stands at the beginning of an n-th.
    """
    files = {name: [] for name in _WHOLE_RUNS}
    others = []
    for item in items:
        if item.path.stem in files and _TRAINED.intersection(item.fixturenames):
            item.add_marker(pytest.mark.slow)
        files.get(item.path.stem, others).append(item)
    workers = getattr(config, 'workerinput', {'workercount': 1})['workercount']
    dealt = [[] for _ in range(workers)]
    for i, name in enumerate(_WHOLE_RUNS):
        turn, place = divmod(i, workers)
        dealt[place if turn % 2 == 0 else -1 - place].extend(files[name])
    size, items[:] = -(-len(items) // workers), []
    for share in dealt:
        room = max(0, size - len(share))
        items += share + others[:room]
        others = others[room:]
    items += others


def pytest_collection_finish():
    """What was imported stays: the garbage collector need not walk through it every time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope='session')
def _warm_python():
    parallel = 'PYTEST_XDIST_WORKER' in os.environ  # the workers share the servers
    owner = os.getppid() if parallel else os.getpid()
    with tempfile.TemporaryDirectory() as place:
        shared = pathlib.Path(tempfile.gettempdir(), f'warm_python_{owner}') if parallel else place
        warm_python.install(pathlib.Path(shared), owner)
        yield


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
