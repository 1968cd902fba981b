"""The policy gradient by hand, against finite differences, and what must never come back."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import errors, reinforce
from tests.agents.fakes import batch, logits_gradient, table_actor_agent


def test_the_gradient_of_a_two_action_policy_is_the_formulas():
    """d log pi(a) / d logits = onehot(a) - pi; the loss is minus the sum times G."""
    logits = np.zeros((10, 2))
    logits[3] = [0.5, -0.5]
    agent, table = table_actor_agent(logits, gamma=0.5, loss_per='episode')
    experience = batch(([3, 4, 5], [0, 1], [2.0, 10.0], True))
    pi = np.exp(0.5) / (np.exp(0.5) + np.exp(-0.5))
    gradient = logits_gradient(agent, table, experience)
    first_return = 2.0 + 0.5 * 10.0
    np.testing.assert_allclose(
        gradient[3], -first_return * np.array([1 - pi, -(1 - pi)]), rtol=1e-5
    )
    np.testing.assert_allclose(gradient[4], -10.0 * np.array([-0.5, 0.5]), rtol=1e-5)
    np.testing.assert_array_equal(gradient[5], 0.0)  # the last state chose nothing


def test_an_offset_of_the_density_weakens_what_unlikely_actions_teach():
    """d log(p + c) / d logits = p / (p + c) * d log p / d logits."""
    logits = np.zeros((10, 2))
    logits[3] = [0.5, -0.5]
    pi, experience = 1 / (1 + np.exp(1.0)), batch(([3, 4], [1], [2.0], True))
    agent, table = table_actor_agent(logits, density_offset=0.25)
    gradient = logits_gradient(agent, table, experience)[3]
    plain = 2.0 * np.array([1 - pi, -(1 - pi)])
    np.testing.assert_allclose(gradient, plain * pi / (pi + 0.25), rtol=1e-5)


def test_another_action_has_another_gradient():
    """A loss that ignores the action taken would push all actions alike."""
    agent, table = table_actor_agent(loss_per='episode')
    for state, returns in ((0, 3.0), (1, -3.0)):
        taken = [
            logits_gradient(agent, table, batch(([state, 9], [a], [returns], True)))[state]
            for a in (0, 1)
        ]
        np.testing.assert_allclose(taken[0], -taken[1], rtol=1e-6)
        assert np.sign(-taken[0][0]) == np.sign(returns)  # a good action becomes likelier


def to_go(experience, gamma=1.0, last_value=0.0):
    size = experience.step_type.shape[0]
    return reinforce.returns_to_go(
        experience.step_type, experience.reward, experience.discount,
        tf.fill([size], float(last_value)), gamma,
    ).numpy()  # fmt: skip


def test_returns_to_go_do_not_leak_and_a_time_limit_is_not_a_failure():
    experience = batch(
        ([0, 1, 2], [0, 0], [1.0, 2.0], True),
        ([0, 1, 2, 3, 4], [0] * 4, [1.0, 1.0, 1.0, 1.0], False),
        pad=2,
    )
    expected = [[1 + 0.5 * 2, 2, 0, 0, 0, 0, 0], [1.875, 1.75, 1.5, 1, 0, 0, 0]]
    np.testing.assert_allclose(to_go(experience, 0.5), expected)
    # With a value for the state where the time limit cut, and only there.
    bootstrapped = to_go(experience, 0.5, last_value=100.0)
    np.testing.assert_allclose(bootstrapped[0], expected[0])
    np.testing.assert_allclose(
        bootstrapped[1, :4] - np.array(expected[1][:4]), [6.25, 12.5, 25.0, 50.0]
    )


@st.composite
def episodes(draw):
    lengths = draw(st.lists(st.integers(1, 7), min_size=1, max_size=5))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    made = []
    for n in lengths:
        states, actions = rng.integers(0, 10, n + 1), rng.integers(0, 2, n)
        made.append((states.tolist(), actions.tolist(), rng.normal(size=n).tolist(), True))
    return made


@settings(deadline=None, max_examples=25)
@given(episodes(), st.integers(1, 5), st.sampled_from(reinforce.BASELINES))
def test_padding_changes_nothing(made, pad, baseline):
    values = np.linspace(-1, 1, 10) if baseline == 'value' else None
    agent, _ = table_actor_agent(
        np.random.default_rng(0).normal(size=(10, 2)), values, baseline=baseline
    )
    tight, tight_gradients = agent.gradients(batch(*made))
    loose, loose_gradients = agent.gradients(batch(*made, pad=pad))
    np.testing.assert_allclose(tight.loss, loose.loss, rtol=1e-5, atol=1e-6)
    for one, other in zip(tight_gradients, loose_gradients, strict=True):
        dense = (tf.convert_to_tensor(g).numpy() for g in (one, other))
        np.testing.assert_allclose(*dense, rtol=1e-4, atol=1e-6)


def test_the_baselines_by_hand():
    experience = batch(
        ([0, 1, 2], [0, 0], [1.0, 3.0], True), ([0, 1], [1], [6.0], True), pad=3
    )  # returns-to-go: 4, 3 | 6

    def advantages(baseline):
        agent, _ = table_actor_agent(baseline=baseline)
        return agent.steps(experience).returns.numpy()

    np.testing.assert_allclose(advantages('none'), [4, 3, 6])
    # One step has no deviation, and gets no credit instead of NaN
    np.testing.assert_allclose(advantages('episode'), [1, -1, 0], atol=1e-5)
    values = np.array([4.0, 3.0, 6.0])
    np.testing.assert_allclose(
        advantages('batch'), (values - values.mean()) / values.std(), rtol=1e-5
    )


def test_the_value_loss_compares_each_state_with_its_own_return():
    values = np.arange(10.0)
    agent, table = table_actor_agent(
        values=values, baseline='value', value_coefficient=1.0, learning_rate=0.0
    )
    experience = batch(([3, 5, 7], [0, 0], [1.0, 2.0], True))  # returns 3, 2
    info, gradients = agent.gradients(experience)
    np.testing.assert_allclose(info.extra['value_loss'], (0 + 0.5 * 3**2) / 2)
    by_variable = dict(
        zip((v.ref() for v in agent.actor_network.trainable_variables), gradients, strict=True)
    )
    gradient = tf.convert_to_tensor(by_variable[table.values.ref()]).numpy()
    expected = np.zeros(10)
    expected[5] = (5 - 2) / 2
    np.testing.assert_allclose(gradient, expected)
    # The policy's part does not move the value, nor the value's the policy where A = 0.
    assert np.all(logits_gradient(agent, table, experience)[3] == 0.0)


def test_the_entropy_bonus_pulls_towards_uniform():
    logits = np.zeros((10, 2))
    logits[0] = [2.0, 0.0]
    agent, table = table_actor_agent(logits, entropy_coefficient=1.0)
    gradient = logits_gradient(agent, table, batch(([0, 1], [0], [0.0], True)))
    assert gradient[0, 0] > 0 > gradient[0, 1]


@pytest.mark.slow
def test_gradient_of_the_expected_return_by_finite_differences():
    """Two states, two actions: state 0, then state 1 unless action 1 is taken; three steps.

    The mean gradient of 400 batches of 16 episodes against the exact expected return's
    difference quotient, within four standard errors, for every baseline that is unbiased.
    """
    rng = np.random.default_rng(0)
    rewards = np.array([[1.0, 0.0], [0.5, 2.0]])
    horizon = 3

    def expected_return(logits):
        pi = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        here, total = np.array([1.0, 0.0]), 0.0
        for _ in range(horizon):
            total += (here[:, None] * pi * rewards).sum()
            there = np.array([(here * pi[:, 1]).sum(), (here * pi[:, 0]).sum()])
            here = there
        return total

    logits = np.array([[0.3, -0.2], [-0.4, 0.1]])
    exact = np.zeros((2, 2))
    for index in np.ndindex(2, 2):
        step = np.zeros((2, 2))
        step[index] = 1e-4
        exact[index] = (expected_return(logits + step) - expected_return(logits - step)) / 2e-4

    def sample_batch():
        made = []
        for _ in range(16):
            state, states, actions, gains = 0, [0], [], []
            for _ in range(horizon):
                pi = np.exp(logits[state]) / np.exp(logits[state]).sum()
                action = int(rng.random() < pi[1])
                gains.append(rewards[state, action])
                actions.append(action)
                state = 0 if action == 1 else 1
                states.append(state)
            made.append((states, actions, gains, True))
        return batch(*made)

    table_logits = np.zeros((10, 2))
    table_logits[:2] = logits
    for kwargs in (dict(baseline='none'), dict(baseline='value', values=np.full(10, 2.0))):
        agent, table = table_actor_agent(table_logits, loss_per='episode', **kwargs)
        gradient_of = tf.function(agent.gradients, autograph=False)

        class Compiled:
            actor_network = agent.actor_network
            gradients = staticmethod(gradient_of)

        estimates = np.array(
            [-logits_gradient(Compiled, table, sample_batch())[:2] for _ in range(400)]
        )
        error = estimates.std(axis=0) / np.sqrt(len(estimates))
        assert np.all(np.abs(estimates.mean(axis=0) - exact) < 4 * error)
        assert np.all(error < 0.05)


def test_a_train_step_makes_a_rewarded_action_likelier():
    agent, table = table_actor_agent()
    agent.initialize()
    agent.train(batch(([0, 1], [1], [1.0], True)))
    assert table.logits.numpy()[0, 1] > table.logits.numpy()[0, 0]
    assert int(agent.train_step_counter) == 1


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(baseline='mean'), "^baseline = 'mean'"),
        (dict(loss_per='batch'), "PolicyGradientAgent.loss_per = 'batch'"),
        (dict(entropy_coefficient=-1.0), 'entropy_coefficient = -1.0'),
        (dict(density_offset=-1e-5), 'density_offset = -1e-05'),
        (dict(value_coefficient=0.0), 'value_coefficient = 0.0'),
        (dict(gradient_clip_norm=0.0), 'gradient_clip_norm = 0.0'),
        (dict(standardise_advantages=True), "belongs to baseline 'value'"),
    ],
)
def test_impossible_agents_are_refused(kwargs, message):
    with pytest.raises(errors.ConfigError, match=message):
        table_actor_agent(**kwargs)
