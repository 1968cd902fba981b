"""The examples that users copy: a torso, a network and an optimizer, each by one line of gin."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from examples import own_network, own_optimizer, own_torso
from pipelines import train_ddqn, train_reinforce
from tests.docs_markdown import ROOT
from tests.pipelines import observations_test
from tests.pipelines.train_ddqn_test import arguments, summary
from tests.pipelines.whole_runs import RunsOfOneProof, is_proven, newest_state, stopped_after

COPIED = [own_network, own_optimizer, own_torso]
PICTURE = tensor_spec.BoundedTensorSpec([7, 7, 3], tf.uint8, 0, 255)
REINFORCE = {
    'train_reinforce.num_episodes': 16,
    'train_reinforce.num_envs': 4,
    'train_reinforce.num_eval_episodes': 2,
    'train_reinforce.num_selection_episodes': 2,
}


class StoppedOnce:
    """The driver, stopped after some turns and started again."""

    stopped_at = None

    def main(self, flags):
        with stopped_after(5):
            assert train_ddqn.main(flags) == 75
        root = next(flag.partition('=')[2] for flag in flags if flag.startswith('--root_dir='))
        self.stopped_at = newest_state(root)
        return train_ddqn.main(flags)


STOPPED = StoppedOnce()


def with_examples(base, root):
    program, *flags = base(root)
    imports = [f'--gin_bindings=import {module.__name__}' for module in COPIED]
    return [program, *imports, *flags]


def own_everything(root):
    flags = arguments(root)
    flags = [f for f in flags if '.units=' not in f and 'stream_units' not in f]
    return [
        *flags,
        '--gin_bindings=train_ddqn.network = @normalised_network',
        '--gin_bindings=train_ddqn.optimizer = @centred_rmsprop',
        '--gin_bindings=normalised_network.units = (8,)',
    ]


def own_optimizer_of_reinforce(root):
    bindings = REINFORCE | {'train_reinforce.optimizer': '@centred_rmsprop'}
    return [
        'driver',
        f'--root_dir={root}',
        *(f'--gin_bindings={k} = {v}' for k, v in bindings.items()),
    ]


def own_torso_of_a_part(root):
    chosen = {'dict_torso.torsos_of': "{'image': @codes_torso}", 'codes_torso.filters': 2}
    short = observations_test.SHORT_DDQN | chosen
    return observations_test.arguments(train_ddqn, 'parts', **short)(root)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    programs = {
        'ddqn': (STOPPED, functools.partial(with_examples, own_everything)),
        'torso': (train_ddqn, functools.partial(with_examples, own_torso_of_a_part)),
        'reinforce': (
            train_reinforce,
            functools.partial(with_examples, own_optimizer_of_reinforce),
        ),
    }
    return RunsOfOneProof(tmp_path_factory.mktemp('examples'), programs)


@pytest.mark.parametrize('module', COPIED, ids=lambda module: module.__name__)
def test_each_example_has_at_most_thirty_lines(module):
    assert len((ROOT / module.__file__).read_text().splitlines()) <= 30


@pytest.mark.parametrize('name', ['ddqn', 'reinforce', 'torso'])
def test_what_is_trained_with_the_examples_is_exported_and_proven(trained, name):
    assert is_proven(trained.policy(name))


def test_a_network_and_an_optimizer_of_ones_own_survive_a_stop(trained):
    root = trained.run('ddqn')
    assert STOPPED.stopped_at['session']['train_steps'] > 0
    assert summary(root)['agent'] == 'normalised_network_ddqn'
    assert summary(root)['train_steps'] > STOPPED.stopped_at['session']['train_steps']
    assert 'the network is @normalised_network' in trained.output('ddqn')


def test_codes_become_one_hot_vectors_before_the_convolutions():
    torso = own_torso.codes_torso(PICTURE, num_codes=11, filters=4)
    codes = np.zeros([2, 7, 7, 3], np.uint8)
    codes[1, 3, 3] = [10, 5, 2]
    assert torso(codes).shape == (2, 5 * 5 * 4)
    assert torso.trainable_variables[0].shape == (3, 3, 3 * 11, 4)
    before = torso.layers[1](torso.layers[0](codes)).numpy()
    assert before.sum() == 2 * 7 * 7 * 3 and set(np.unique(before)) == {0.0, 1.0}
    assert np.flatnonzero(before[1, 3, 3]).tolist() == [10, 11 + 5, 22 + 2]


def test_the_optimizer_divides_by_the_deviation_of_the_gradient():
    """After one step from zero: m = (1 - rho) g, v = (1 - rho) g^2; g / sqrt(v - m^2 + epsilon)."""
    optimizer = own_optimizer.centred_rmsprop(learning_rate=0.1, rho=0.9, epsilon=0.01)
    weight = tf.Variable(0.0)
    optimizer.apply_gradients([(tf.constant(2.0), weight)])
    np.testing.assert_allclose(weight, -0.1 * 2 / np.sqrt(0.4 - 0.04 + 0.01), rtol=1e-5)
