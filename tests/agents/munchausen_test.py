"""Munchausen DQN's target by hand."""

import numpy as np
import pytest
import tensorflow as tf

from agents import errors, munchausen
from tests.agents.fakes import ONLINE, table_q_agent, transition

TARGET = ((1.0, 1.2), (2.0, 1.5))


def make(target_table=TARGET, **kwargs):
    kwargs = {'double': False} | kwargs
    return table_q_agent(
        target_table=target_table, agent_class=munchausen.MunchausenQLearningAgent, **kwargs
    )


def by_hand(q, next_q, action, alpha, tau, floor, reward=1.0, discount=0.9):
    """The paper's equation, term by term."""
    pi, next_pi = (np.exp(np.divide(x, tau)) / np.exp(np.divide(x, tau)).sum() for x in (q, next_q))
    bonus = alpha * max(tau * np.log(pi[action]), floor)
    soft_value = np.sum(next_pi * (next_q - tau * np.log(next_pi)))
    return reward + bonus + discount * soft_value


@pytest.mark.parametrize('action', [0, 1])
@pytest.mark.parametrize('temperature', [0.1, 1.0])
def test_targets_are_the_equation_of_the_paper(action, temperature):
    agent = make(alpha=0.7, temperature=temperature)
    expected = by_hand(*TARGET, action, alpha=0.7, tau=temperature, floor=-1.0)
    targets = agent.targets(transition(action=(action,)))
    np.testing.assert_allclose(targets, [expected], rtol=1e-6)


def test_a_target_in_round_numbers():
    """tau 1, q(s) = (0, log 3): pi = (1/4, 3/4). q(s') = (0, 0): the soft value is log 2."""
    agent = make(((0.0, np.log(3.0)), (0.0, 0.0)), alpha=0.5, temperature=1.0)
    targets = agent.targets(transition(action=(1, 0), reward=(1, 1), discount=(0.5, 0.0)))
    np.testing.assert_allclose(
        targets, [1 + 0.5 * np.log(0.75) + 0.5 * np.log(2), 1 - 0.5], rtol=1e-6
    )  # log(1/4) is -1.39, clipped to -1


def test_as_the_temperature_vanishes_the_action_of_theta_minus_has_the_target_of_dqn():
    """and the other one is worse by alpha times what theta- holds it to be worse by."""
    agent, dqn = make(temperature=1e-6), table_q_agent(target_table=TARGET, double=False)
    best = transition(action=(1,))
    np.testing.assert_allclose(agent.targets(best), dqn.targets(best), rtol=1e-5)
    other = transition(action=(0,))
    np.testing.assert_allclose(agent.targets(other), dqn.targets(other) - 0.9 * 0.2, rtol=1e-5)


def test_values_far_apart_stay_finite_and_the_log_policy_has_a_floor():
    agent = make(((0.0, 1e4), (-1e4, 1e4)))
    targets = agent.targets(transition(action=(0,), discount=(0.5,)))
    np.testing.assert_allclose(targets, [1.0 - 0.9 + 0.5 * 1e4], rtol=1e-6)


def test_without_a_target_network_no_gradient_flows_through_the_log_policy():
    agent = make(None, target='none', alpha=0.9, temperature=1.0)
    y = by_hand(*ONLINE, 1, alpha=0.9, tau=1.0, floor=-1.0)
    agent.train(transition())
    expected = [[1.0, 2.0 + 0.1 * 2 * (y - 2.0)], [3.0, 4.0]]
    np.testing.assert_allclose(agent.q_network.table, expected, rtol=1e-6)


def test_weights_scale_the_rows():
    agent = make()
    experience = transition(action=(0, 1), reward=(1.0, 1.0), discount=(0.9, 0.9))
    errors_ = agent.loss(experience).extra.td_error.numpy()
    weighted = agent.loss(experience, weights=tf.constant([2.0, 0.0]))
    np.testing.assert_allclose(weighted.loss, 2.0 * errors_[0] ** 2 / 2, rtol=1e-6)


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(double=True), '^double = True .* set double = False'),
        (dict(alpha=1.5), 'alpha = 1.5'),
        (dict(temperature=0.0), 'temperature = 0.0'),
        (dict(log_policy_floor=0.0), 'log_policy_floor = 0.0'),
    ],
)
def test_impossible_settings_are_refused(kwargs, message):
    with pytest.raises(errors.ConfigError, match=message):
        make(**kwargs)
