"""The switches of train_ddqn: their names, their contradictions, and the agents they make."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from agents import errors
from agents.q_variants import Variant
from envs import suite


@pytest.mark.parametrize(
    ('switches', 'prioritised', 'name'),
    [
        ({}, False, 'dqn'),
        ({'double': True, 'dueling': True}, False, 'dueling_ddqn'),
        (
            {'double': True, 'dueling': True, 'categorical': True, 'noisy': True},
            True,
            'prioritised_noisy_c51_dueling_ddqn',
        ),
        ({'munchausen': True}, False, 'munchausen_dqn'),
    ],
)
def test_names(switches, prioritised, name):
    variant = Variant(**{'double': False, 'dueling': False, 'target': 'hard', **switches})
    assert variant.name(prioritised) == name


@pytest.mark.parametrize(
    ('categorical', 'n_step', 'culprit'),
    [(True, 1, 'train_ddqn.categorical are both True'), (False, 3, 'n_step = 3')],
)
def test_contradictions_are_named(categorical, n_step, culprit):
    variant = Variant(False, False, 'hard', categorical=categorical, munchausen=True)
    with pytest.raises(errors.ConfigError, match=culprit):
        variant.check(n_step)


@pytest.mark.parametrize(
    ('dueling', 'categorical', 'noisy'), itertools.product([False, True], repeat=3)
)
def test_the_kept_policy_has_weights_of_its_own_and_acts_like_the_agent(
    dueling, categorical, noisy
):
    env = suite.load('CartPole-v1', 3)
    variant = Variant(True, dueling, 'hard', categorical=categorical, noisy=noisy)
    env_steps = tf.Variable(0, dtype=tf.int64)
    agent, kept = variant.make_agent(env.time_step_spec(), env.action_spec(), env_steps)
    online = agent.policy.variables()
    assert not {v.ref() for v in online} & {v.ref() for v in kept.variables()}
    for to, from_ in zip(kept.variables(), online, strict=True):
        to.assign(from_)
    time_step = tf.nest.map_structure(tf.constant, env.reset(seed=0))
    np.testing.assert_array_equal(
        kept.action(time_step).action, agent.policy.action(time_step).action
    )
