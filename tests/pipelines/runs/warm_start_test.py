"""Which weights of an old policy a new agent takes, and what is said about the others."""

import types

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from agents import categorical_q, policies, q_network, q_variants, torsos
from agents.q_network import NetworkSettings
from pipelines.errors import UserError
from pipelines.runs import weights
from pipelines.runs.warm_start import WarmStart, shortest
from tests.pipelines.runs.fakes import exported_weights

CARTPOLE, ACROBOT = (
    tensor_spec.BoundedTensorSpec([size], tf.float32, -1.0, 1.0) for size in (4, 6)
)
TWO, THREE = (tensor_spec.BoundedTensorSpec([], tf.int64, 0, last) for last in (1, 2))


def policy(make=q_network.DuelingQNetwork, observation=CARTPOLE, action=TWO, units=(5,), **more):
    """A policy of a small network with two layers in each stream."""

    def torso(observation_spec, dtype_policy):
        return torsos.mlp_torso(observation_spec, dtype_policy, units=units)

    settings = NetworkSettings(**{'torso': torso, 'hidden_units': (3,)} | more)
    network = make(observation, action, settings)
    network.create_variables()
    return policies.GreedyQPolicy(ts.time_step_spec(observation), action, network)


def by_name(acting):
    return {n: v.numpy() for n, v in zip(weights.names(acting), acting.variables(), strict=True)}


def export(directory, acting, named=True):
    card = {'agent': 'dueling_ddqn', 'env_name': 'CartPole-v1'}
    card |= {'weights': weights.described(acting)} if named else {}
    return exported_weights(directory, [v.numpy() for v in acting.variables()], card)


def start(path, acting, *reinitialise, epsilon=None):
    """A warm start for an agent that consists of its policy."""
    agent = types.SimpleNamespace(policy=acting, initialize=lambda: None)
    gauges = {} if epsilon is None else {'epsilon': lambda: epsilon}
    training = types.SimpleNamespace(agent=agent, gauges=gauges)
    return WarmStart('train_ddqn', str(path), reinitialise, training)


def refusal(*args, **kwargs):
    with pytest.raises(UserError) as error:
        start(*args, **kwargs).check()
    assert '\n' not in str(error.value)
    return str(error.value)


def test_every_weight_of_the_same_network_is_taken_and_the_line_says_so(tmp_path):
    old, new = policy(), policy()
    warm = start(export(tmp_path / 'policy', old), new, epsilon=0.05)
    assert warm.check() == [
        f'warm start from {tmp_path}/policy (dueling_ddqn on CartPole-v1): takes '
        'advantage_stream, torso, value_stream; epsilon, replay and optimizer start as configured'
    ]
    assert warm.take()['weights'] == list(by_name(new))
    for name, array in by_name(old).items():
        np.testing.assert_array_equal(by_name(new)[name], array)


@pytest.mark.parametrize(('epsilon', 'notes'), [(0.4, 0), (0.5, 1), (1.0, 1)])
def test_a_start_with_random_actions_is_noted(tmp_path, epsilon, notes):
    lines = start(export(tmp_path, policy()), policy(), epsilon=epsilon).check()
    assert len(lines) == 1 + notes
    assert all('at first most actions are random' in line for line in lines[1:])


def test_a_run_stands_for_its_policy(tmp_path):
    export(tmp_path / 'policy', policy())
    (line,) = start(tmp_path, policy()).check()
    assert f'warm start from {tmp_path}/policy (' in line
    assert line.endswith('; the optimizer starts as configured')


def test_another_environment_is_refused_and_the_cure_takes_the_rest(tmp_path):
    old, new = policy(), policy(observation=ACROBOT, action=THREE)
    export(tmp_path, old)
    assert refusal(tmp_path, new) == (
        f"train_ddqn.warm_start = '{tmp_path}': its weights do not all fit this run: "
        'advantage_stream/1/kernel is [3, 2] there and [3, 3] here, '
        'advantage_stream/1/bias is [2] there and [3] here, '
        'torso/0/kernel is [4, 5] there and [6, 5] here; to start these as configured, '
        "train_ddqn.warm_start_reinitialise = ['advantage_stream/1', 'torso']"
    )
    before = by_name(new)
    warm = start(tmp_path, new, 'advantage_stream/1', 'torso')
    (line,) = warm.check()
    assert 'takes advantage_stream/0, value_stream; starts as configured: ' in line
    assert set(warm.take()['weights']) == {
        n for n in before if n.startswith(('advantage_stream/0', 'value_stream'))
    }
    for name, array in by_name(new).items():
        kept = old if name in warm.take()['weights'] else None
        np.testing.assert_array_equal(array, by_name(kept)[name] if kept else before[name])


@pytest.mark.parametrize(
    ('old', 'new', 'words'),
    [
        ({}, {'noisy': True}, 'value_stream/1/kernel_sigma is only here'),
        ({'noisy': True}, {}, 'value_stream/1/kernel_sigma is only there'),
        ({'units': (5, 5)}, {'units': (5,)}, 'torso/1/kernel is only there'),
        ({}, {'make': q_network.PlainQNetwork}, 'q_values/0/kernel is only here'),
        ({'make': q_network.PlainQNetwork}, {}, 'q_values/0/kernel is only there'),
        (
            {},
            {'make': lambda *a: categorical_q.C51Network(*a, dueling=True, num_atoms=3)},
            'value_stream/1/kernel is [3, 1] there and [3, 3] here',
        ),
    ],
)  # fmt: skip
def test_what_one_of_them_lacks_does_not_fit_either(tmp_path, old, new, words):
    old, new = policy(**old), policy(**new)
    message = refusal(export(tmp_path, old), new)
    shown = words in message or 'more; to start' in message
    assert shown and "train_ddqn.warm_start_reinitialise = ['" in message
    # What the line proposes is accepted.
    names = eval(message.rpartition(' = ')[2])
    assert start(tmp_path, new, *names).check()


def test_noisy_layers_take_the_means_of_plain_ones_and_keep_their_draws(tmp_path):
    old, new = policy(), policy(noisy=True)
    before = by_name(new)
    start_line = start(export(tmp_path, old), new, '*_sigma')
    start_line.check()
    start_line.take()
    for name, array in by_name(new).items():
        ours = name.endswith(('_sigma', 'draws'))
        np.testing.assert_array_equal(array, before[name] if ours else by_name(old)[name])


@pytest.mark.parametrize(
    ('pattern', 'count'),
    [('torso', 2), ('torso/', 2), ('*/bias', 5), ('*_stream/1', 4), ('torso/0/kernel', 1)],
)
def test_names_prefixes_and_patterns_leave_weights_out(tmp_path, pattern, count):
    warm = start(export(tmp_path, policy()), policy(), pattern)
    warm.check()
    assert len(warm.take()['weights']) == 10 - count


def test_a_name_of_nothing_lists_the_names_there_are(tmp_path):
    with pytest.raises(UserError) as error:
        start(export(tmp_path, policy()), policy(), 'tors').check()
    assert str(error.value).startswith(
        "train_ddqn.warm_start_reinitialise: 'tors' is the name of nothing; the weights are "
    )
    assert 'torso/0/kernel' in str(error.value)


def test_a_start_that_takes_nothing_is_refused(tmp_path):
    assert 'nothing would be taken' in refusal(export(tmp_path, policy()), policy(), '*')


def test_weights_of_an_earlier_version_are_taken_in_their_order(tmp_path):
    old, new = policy(), policy(action=THREE)
    export(tmp_path, old, named=False)
    assert 'advantage_stream/1/kernel is [3, 2] there and [3, 3] here' in refusal(tmp_path, new)
    warm = start(tmp_path, new, 'advantage_stream/1')
    (line,) = warm.check()
    assert ', by their order' in line
    warm.take()
    np.testing.assert_array_equal(by_name(new)['torso/0/kernel'], by_name(old)['torso/0/kernel'])
    other = policy(q_network.PlainQNetwork)
    assert 'it has 10 arrays where this run has 6' in refusal(tmp_path, other)


def test_weights_in_another_precision_are_converted(tmp_path):
    old, new = policy(), policy()
    arrays = [v.numpy().astype(np.float16) for v in old.variables()]
    exported_weights(tmp_path, arrays, {'weights': weights.described(old)})
    warm = start(tmp_path, new)
    warm.check()
    warm.take()
    for name, array in by_name(new).items():
        np.testing.assert_array_equal(array, by_name(old)[name].astype(np.float16))


def truncate(path):
    path.write_bytes(path.read_bytes()[:10])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ('damage', 'words'),
    [
        (lambda p: (p / 'policy_card.json').unlink(), 'holds no exported policy'),
        (lambda p: (p / 'policy_card.json').write_text('{"wei'), 'holds a damaged policy'),
        (lambda p: (p / 'policy_card.json').write_text('[]'), 'holds a damaged policy'),
        (lambda p: (p / 'variables/variables.index').unlink(), 'holds a damaged policy'),
        (lambda p: truncate(p / 'variables/variables.index'), 'holds a damaged policy'),
        (lambda p: truncate(p / 'variables/variables.data-00000-of-00001'), 'damaged policy'),
        (lambda p: flip(p / 'variables/variables.data-00000-of-00001'), 'damaged policy'),
    ],
)
def test_a_damaged_policy_is_one_line(tmp_path, damage, words):
    acting = policy(units=(50,))
    damage(export(tmp_path, acting))
    message = refusal(tmp_path, acting)
    assert words in message and message.startswith(f"train_ddqn.warm_start = '{tmp_path}': ")


def test_a_directory_that_is_not_there_is_one_line(tmp_path):
    assert refusal(tmp_path / 'no', policy()).endswith('there is no such directory')


@pytest.mark.parametrize('target', ['hard', 'soft', 'none'])
def test_all_networks_of_an_agent_start_from_the_old_weights(tmp_path, target):
    """In bfloat16, with a copy that acts and a target: whatever is kept is what was taken."""
    variant = q_variants.Variant(double=True, dueling=True, target=target)
    made = [
        variant.make_agent(
            ts.time_step_spec(CARTPOLE), TWO, tf.Variable(0, dtype=tf.int64), acts_on_a_copy=True
        )[0]
        for _ in range(2)
    ]
    old, new = made
    export(tmp_path, old.policy)
    warm = WarmStart('train_ddqn', str(tmp_path), (), types.SimpleNamespace(agent=new, gauges={}))
    warm.check()
    warm.take()
    for network in (new.q_network, new.target_q_network, new.collect_policy.q_network):
        for ours, theirs in zip(
            network.trainable_variables, old.q_network.trainable_variables, strict=True
        ):
            np.testing.assert_array_equal(ours, tf.cast(theirs, ours.dtype))


def test_the_fewest_beginnings_stand_for_names():
    every = ['a/0/x', 'a/0/y', 'a/1/x', 'b/x', 'c']
    assert shortest(every[:3], every) == ['a']
    assert shortest(['a/0/x', 'a/0/y', 'c'], every) == ['a/0', 'c']
    assert shortest(['a/0/x', 'b/x'], every) == ['a/0/x', 'b']
