"""The switches: their names, their contradictions, and the agents they make."""

import itertools

import gin
import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import array_spec, tensor_spec
from tf_agents.trajectories import time_step as ts

from agents import branching, categorical_q, ddqn, errors, munchausen, q_variants
from agents.q_variants import Variant

TIME_STEP = ts.time_step_spec(array_spec.BoundedArraySpec([4], np.float32, -1.0, 1.0))
ACTION = array_spec.BoundedArraySpec([], np.int64, 0, 1)
SEVERAL = array_spec.BoundedArraySpec([2], np.int64, 0, [1, 3])


def variant(**switches):
    return Variant(**{'double': False, 'dueling': False, 'target': 'hard'} | switches)


def make_agent(chosen, **kwargs):
    return chosen.make_agent(TIME_STEP, ACTION, tf.Variable(0, dtype=tf.int64), **kwargs)


@pytest.mark.parametrize(
    ('switches', 'prioritised', 'name'),
    [
        ({}, False, 'dqn'),
        ({'double': True}, False, 'ddqn'),
        ({'double': True, 'dueling': True}, False, 'dueling_ddqn'),
        (
            {'double': True, 'dueling': True, 'distribution': 'categorical', 'noisy': True},
            True,
            'prioritised_noisy_c51_dueling_ddqn',
        ),
        ({'backup': 'munchausen'}, False, 'munchausen_dqn'),
    ],
)
def test_names(switches, prioritised, name):
    assert variant(**switches).name(prioritised, ACTION) == name


def test_several_actions_at_a_time_have_their_own_agent():
    chosen = variant(dueling=True, double=True)
    assert chosen.name(False, SEVERAL) == 'branching_dueling_ddqn'
    agent, kept = chosen.make_agent(TIME_STEP, SEVERAL, tf.Variable(0, dtype=tf.int64))
    assert type(agent) is branching.BranchingQLearningAgent
    assert kept.action(ts.restart(tf.zeros([5, 4]), 5)).action.shape == (5, 2)


@pytest.mark.parametrize(
    ('switches', 'words'),
    [
        (dict(distribution='categorical'), "distribution = 'categorical' does not go with several"),
        (dict(backup='munchausen'), 'munchausen does not go with several actions at a time, and'),
    ],
)
def test_what_does_not_go_with_several_actions_is_named_in_one_line(switches, words):
    with pytest.raises(errors.ConfigError) as caught:
        variant(**switches).make_agent(TIME_STEP, SEVERAL, tf.Variable(0, dtype=tf.int64))
    assert str(caught.value).startswith(words) and '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('switches', 'n_step', 'message'),
    [
        (
            dict(distribution='categorical', backup='munchausen'),
            1,
            "distribution = 'categorical' with munchausen: no agent learns with both; choose one "
            'of them',
        ),
        (
            dict(backup='munchausen'),
            3,
            'n_step = 3 does not go with munchausen: each reward needs the policy at its own '
            'state, which longer transitions leave out; set n_step = 1',
        ),
        (
            dict(backup='munchausen', double=True),
            1,
            'double = True does not go with munchausen: its target is a soft maximum, which '
            'chooses no action; set double = False',
        ),
        (
            dict(distribution='quantile'),
            1,
            "distribution = 'quantile': must be one of (None, 'categorical'",
        ),
        (dict(backup='sarsa'), 1, "backup = 'sarsa': must be one of ('max', 'munchausen'"),
        (dict(target='hrad'), 1, "target = 'hrad': must be one of ('none', 'soft', 'hard')"),
    ],
)
def test_contradictions_are_named_in_one_line(switches, n_step, message):
    with pytest.raises(errors.ConfigError) as caught:
        variant(**switches).check(n_step)
    words = str(caught.value)  # what more rows add to a list does not matter
    assert words.startswith(message) and '\n' not in words


@pytest.mark.parametrize(('distribution', 'backup'), q_variants.METHODS)
def test_what_does_not_contradict_is_accepted(distribution, backup):
    method = q_variants.METHODS[distribution, backup]
    for double, dueling, noisy, target in itertools.product(
        (False,) if method.why_not_double else (False, True),
        (False, True),
        (False, True),
        ddqn.TARGETS,
    ):
        chosen = Variant(double, dueling, target, distribution, backup, noisy)
        for n_step in range(1, (method.max_n_step or 5) + 1):
            chosen.check(n_step)


@pytest.mark.parametrize(
    ('switches', 'agent_class'),
    [
        ({}, ddqn.QLearningAgent),
        ({'distribution': 'categorical'}, categorical_q.CategoricalQLearningAgent),
        ({'backup': 'munchausen'}, munchausen.MunchausenQLearningAgent),
    ],
)
def test_each_pair_makes_its_agent(switches, agent_class):
    agent, _ = make_agent(variant(**switches))
    assert type(agent) is agent_class


@pytest.mark.parametrize(
    ('distribution', 'dtype', 'notes'),
    [
        (None, 'float32', []),
        (None, 'bfloat16', ['products in bfloat16 (mixed_bfloat16); the export is float32']),
        (
            'categorical',
            'float32',
            [
                'returns count as within [-10, 10]: C51Network.v_min, v_max; the loss is the '
                'cross-entropy, whatever QLearningAgent.loss says'
            ],
        ),
    ],
)
def test_a_run_says_what_its_numbers_hide(distribution, dtype, notes):
    gin.bind_parameter('make_q_network.compute_dtype', dtype)
    chosen = variant(distribution=distribution)
    agent, _ = make_agent(chosen)
    assert chosen.notes(agent) == notes


@pytest.mark.parametrize(
    ('dueling', 'distribution', 'noisy', 'frame_stack'),
    [
        *itertools.product([False, True], [None, 'categorical'], [False, True], [None]),
        (True, None, False, 3),
    ],
)
def test_the_kept_policy_has_weights_of_its_own_and_acts_like_the_agent(
    dueling, distribution, noisy, frame_stack
):
    chosen = variant(double=True, dueling=dueling, distribution=distribution, noisy=noisy)
    agent, kept = make_agent(chosen, frame_stack=frame_stack)
    step = ts.restart(tf.random.normal([20, 4], seed=0), 20)
    state = agent.policy.get_initial_state(20)
    actions = [policy.action(step, state) for policy in (agent.policy, kept)]  # makes the weights
    assert tf.nest.map_structure(lambda t: t.shape, actions[0].state) == tf.nest.map_structure(
        lambda t: t.shape, actions[1].state
    )
    online = agent.policy.variables()
    assert not {v.ref() for v in online} & {v.ref() for v in kept.variables()}
    for to, from_ in zip(kept.variables(), online, strict=True):
        to.assign(from_)
    np.testing.assert_array_equal(
        kept.action(step, state).action, agent.policy.action(step, state).action
    )


def test_an_action_space_without_numbered_actions_is_refused():
    continuous = tensor_spec.BoundedTensorSpec([1], tf.float32, -2.0, 2.0)
    with pytest.raises(errors.ConfigError, match='needs discrete actions'):
        variant().make_agent(TIME_STEP, continuous, tf.Variable(0, dtype=tf.int64))
