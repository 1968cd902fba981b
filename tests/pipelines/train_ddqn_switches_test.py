"""Every switch of the driver, alone and together, in tiny runs whose policies are proven."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from pipelines import train_ddqn
from tests.pipelines.train_ddqn_test import SHORTER, arguments, summary
from tests.pipelines.whole_runs import (
    RunsOfOneProof,
    is_proven,
    newest_state,
    progress,
    stopped_after,
)

SWITCHES = {
    'train_ddqn.double=False': 'dueling_dqn',
    'train_ddqn.dueling=False': 'ddqn',
    "train_ddqn.target='none'": 'dueling_ddqn',
    "train_ddqn.target='soft'": 'dueling_ddqn',
    "train_ddqn.distribution='categorical'": 'c51_dueling_ddqn',
    'train_ddqn.noisy=True': 'noisy_dueling_ddqn',
    'train_ddqn.n_step=1': 'dueling_ddqn',
    'train_ddqn.prioritised=True': 'prioritised_dueling_ddqn',
    "QLearningAgent.loss='mse'": 'dueling_ddqn',
    'QLearningAgent.epsilon=0.1': 'dueling_ddqn',
    'adam.learning_rate=5e-4': 'dueling_ddqn',
    'Replay.transitions_per_item=1': 'dueling_ddqn',
}
BFLOAT16 = "make_q_network.compute_dtype='bfloat16'"


def with_binding(binding, root):
    """Flags of a short run of the shipped config with one binding on top."""
    # XLA compiles the train loop of one of the runs: two seconds each.
    flags = arguments(root, **SHORTER, fuse_train_steps='double' in binding)
    flags = [f for f in flags if '.units=' not in f and 'stream_units' not in f]
    return [*flags, f'--gin_bindings={binding}']


MUNCHAUSEN = {'munchausen': True, 'double': False, 'n_step': 1}
HEADS = {
    'noisy_c51_dueling_ddqn': {
        'distribution': "'categorical'",
        'noisy': True,
        'overlap': True,
        'fuse_train_steps': False,
        'C51Network.v_min': 0.0,
        'C51Network.v_max': 50.0,
        'QLearningAgent.epsilon': 0.0,
        'make_q_network.compute_dtype': "'bfloat16'",
    },
    'noisy_munchausen_dqn': {
        **MUNCHAUSEN,
        'noisy': True,
        'dueling': False,
        'frame_stack': 2,
        'NoisyDense.sigma0': 0.3,
        'MunchausenQLearningAgent.alpha': 0.8,
    },
    'c51_dqn': {
        'distribution': "'categorical'",
        'dueling': False,
        'double': False,
        'fuse_train_steps': False,
    },
}


class StoppedOnce:
    """The driver, stopped after five turns and started again; keeps the state at the stop."""

    def __init__(self):
        self.stopped_at = {}

    def main(self, flags):
        with stopped_after(5):
            assert train_ddqn.main(flags) == 75
        root = next(flag.partition('=')[2] for flag in flags if flag.startswith('--root_dir='))
        self.stopped_at = newest_state(root)
        return train_ddqn.main(flags)


HEADS_DRIVERS = {name: StoppedOnce() for name in HEADS}


def with_head(name, root):
    return [f for f in arguments(root, **HEADS[name]) if 'stream_units' not in f]


@pytest.fixture(scope='module')
def switched(tmp_path_factory):
    """A short run for each binding, and for each combination of heads."""
    programs = {
        binding: (train_ddqn, functools.partial(with_binding, binding))
        for binding in [*SWITCHES, BFLOAT16]
    } | {name: (HEADS_DRIVERS[name], functools.partial(with_head, name)) for name in HEADS}
    return RunsOfOneProof(tmp_path_factory.mktemp('switched'), programs)


@pytest.mark.slow
@pytest.mark.parametrize(('binding', 'name'), SWITCHES.items())
def test_each_switch_is_one_binding_on_top_of_the_shipped_config(switched, binding, name):
    assert summary(switched.run(binding))['agent'] == name


@pytest.mark.slow
def test_the_policy_of_each_switch_is_proven(switched):
    assert all(is_proven(switched.policy(binding)) for binding in [*SWITCHES, BFLOAT16])


def nodes_of(act):
    """The operations of all functions of a signature."""
    functions = act.graph.as_graph_def().library.function
    return [node for function in functions for node in function.node_def]


@pytest.mark.slow
def test_an_exported_noisy_policy_is_deterministic(switched):
    policy_dir = switched.policy('train_ddqn.noisy=True')
    act = tf.saved_model.load(str(policy_dir)).signatures['act']
    once, twice = (act(observation=tf.ones([3, 4]))['q_values'] for _ in range(2))
    np.testing.assert_array_equal(once, twice)
    ops = {node.op for node in nodes_of(act)}
    assert 'MatMul' in ops and not {op for op in ops if 'Random' in op}


@pytest.mark.slow
def test_a_policy_trained_in_bfloat16_is_exported_in_float32(switched):
    policy_dir = switched.policy(BFLOAT16)
    assert is_proven(policy_dir)
    act = tf.saved_model.load(str(policy_dir)).signatures['act']
    types_of = {node.attr['T'].type for node in nodes_of(act) if node.op == 'MatMul'}
    assert types_of == {tf.float32.as_datatype_enum}


@pytest.mark.slow
@pytest.mark.parametrize('name', HEADS)
def test_heads_train_stop_resume_and_export_together(switched, name):
    root = switched.run(name)
    first = HEADS_DRIVERS[name].stopped_at
    assert first['session']['train_steps'] > 0
    out, err = switched.output(name), switched.errors(name)
    assert err == ''
    assert f'resuming from {first["env_steps"]:,} env steps' in out
    assert ('returns count as within [' in out) == ('c51' in name)
    assert is_proven(switched.policy(name))
    result = summary(root)
    assert result['agent'] == name
    assert result['train_steps'] > first['session']['train_steps']
    assert np.isfinite(result['eval_mean'])
    assert all(float(row['loss'] or 0.0) >= 0.0 for row in progress(root))


@pytest.mark.parametrize(
    ('bindings', 'message'),
    [
        ({**MUNCHAUSEN, 'double': True}, 'set double = False'),
        ({**MUNCHAUSEN, 'n_step': 3}, 'set n_step = 1'),
        ({**MUNCHAUSEN, 'distribution': "'categorical'"}, 'choose one of them'),
    ],
)
def test_switches_that_contradict_each_other_are_refused(tmp_path, bindings, message, capsys):
    assert train_ddqn.main(arguments(tmp_path, **bindings)) == 2
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1
