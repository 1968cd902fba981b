"""What is illegal is never taken and never bootstrapped from; targets and losses by hand."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from agents import (
    action_distribution,
    action_specs,
    branching,
    categorical_q,
    errors,
    masks,
    munchausen,
    policies,
    q_variants,
    reinforce,
)
from tests.agents.fakes import (
    OBSERVATION,
    TEN_STATES,
    TableActorNetwork,
    batch,
    logits_gradient,
    table_q_agent,
    transition,
    with_mask,
)

FOUR = tensor_spec.BoundedTensorSpec([], tf.int64, 3, 6)  # numbered 3 to 6
SEVERAL = tensor_spec.BoundedTensorSpec([2], tf.int64, [0, -1], [1, 1])  # two and three actions
NOTHING = tf.zeros([1, 4], tf.bool)


def test_the_mask_is_split_off_and_an_observation_that_is_left_alone_is_an_array():
    actions = action_specs.DiscreteActions(FOUR)
    state, mask = tf.constant([1, 0], tf.int64), tf.constant([[True, False, True, True]] * 2)
    seen, legal = masks.split(with_mask(state, mask), actions)
    assert seen is state
    np.testing.assert_array_equal(legal, mask)
    seen, _ = masks.split(with_mask(state, mask) | {'speed': state}, actions)
    assert sorted(seen) == ['observation', 'speed']
    assert masks.split(state, actions) == (state, None)
    assert masks.split({'speed': state}, None) == ({'speed': state}, None)
    spec = masks.seen_spec(with_mask(OBSERVATION, 4), FOUR)
    assert spec is OBSERVATION and masks.seen_spec(OBSERVATION, FOUR) is OBSERVATION


def test_numbers_serve_as_masks_and_of_a_stack_the_newest_counts():
    older_and_newest = tf.constant([[[0, 0, 0, 1], [0, 1, 1, 0]]], tf.int8)  # [B, K, A]
    observation = with_mask(tf.zeros([1, 2, 3]), older_and_newest)
    _, mask = masks.split(observation, action_specs.DiscreteActions(FOUR))
    np.testing.assert_array_equal(mask, [[False, True, True, False]])


def test_several_masks_are_put_into_the_shape_of_their_values():
    row = tf.constant([[True, False, False, True, True]])
    _, mask = masks.split(with_mask(tf.zeros([1]), row), action_specs.DiscreteActions(SEVERAL))
    np.testing.assert_array_equal(mask, [[[True, False, False], [False, True, True]]])


def test_a_mask_of_another_length_than_the_actions_is_refused():
    with pytest.raises(errors.ConfigError, match=r'shape \[3\]: the actions need \[4\]'):
        masks.seen_spec(with_mask(OBSERVATION, 3), FOUR)
    with pytest.raises(errors.ConfigError, match=r'shape \[6\]: the actions need \[5\]'):
        masks.seen_spec(with_mask(OBSERVATION, 6), SEVERAL)


@st.composite
def tables_and_masks(draw):
    """(spec, table [2, ...], states [B], masks [B, A]) with something legal in each dimension."""
    spec = draw(st.sampled_from([FOUR, SEVERAL]))
    actions = action_specs.DiscreteActions(spec)
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    rows = draw(st.integers(1, 6))
    # Few values, and negative ones: an illegal action must not win as the only 0.
    table = rng.choice([-1e6, -2.0, -1.0, 3.0], size=(2, actions.num_in_all))
    parts = []
    for size in actions.sizes:
        mask = rng.random((rows, size)) < draw(st.sampled_from([0.0, 0.5, 1.0]))
        mask[np.arange(rows), rng.integers(size, size=rows)] = True
        parts.append(mask)
    table = np.array(actions.by_dimension(tf.constant(table, tf.float32), masks.NEVER))
    return spec, table, rng.integers(2, size=rows), np.concatenate(parts, axis=1)


def all_legal(spec, mask, action):
    """Whether each action is legal by its row of `mask`."""
    actions = action_specs.DiscreteActions(spec)
    index = np.array(actions.index(tf.constant(action))).reshape(len(mask), -1)
    starts = np.cumsum((0, *actions.sizes[:-1]))
    assert (index >= 0).all() and (index < actions.sizes).all()
    return np.take_along_axis(mask, index + starts, axis=1).all()


@settings(deadline=None, max_examples=40)
@given(tables_and_masks())
def test_no_policy_of_values_ever_takes_an_illegal_action(case):
    """Greedily, epsilon-greedily, and with random actions in an evaluation; the best legal ones."""
    spec, table, states, mask = case
    several = spec is SEVERAL
    agent = table_q_agent(
        online=table, action_spec=spec, num_masked=mask.shape[1], epsilon=0.8,
        **(dict(agent_class=branching.BranchingQLearningAgent) if several else {}),
    )  # fmt: skip
    step = ts.restart(with_mask(tf.constant(states), tf.constant(mask)), len(states))
    greedy = agent.policy.action(step).action.numpy()
    assert all_legal(spec, mask, greedy)
    actions = action_specs.DiscreteActions(spec)
    legal = actions.by_dimension(tf.constant(mask), False)
    best = np.where(legal, table[states], -np.inf).argmax(axis=-1)
    np.testing.assert_array_equal(actions.index(greedy), best)
    for uniform in (tf.random.uniform, tf.random.Generator.from_seed(0).uniform):
        mixed = policies.mix_in_random_actions(greedy, actions, 0.9, uniform, step.observation)
        assert mixed.dtype == spec.dtype and all_legal(spec, mask, mixed)
    assert all_legal(spec, mask, agent.collect_policy.action(step).action)


@settings(deadline=None, max_examples=40)
@given(tables_and_masks())
def test_no_policy_of_probabilities_ever_takes_an_illegal_action(case):
    spec, table, states, mask = case
    distribution = action_distribution.make('auto', spec)
    time_step_spec = ts.time_step_spec(with_mask(OBSERVATION, mask.shape[1]))
    step = ts.restart(with_mask(tf.constant(states), tf.constant(mask)), len(states))
    for stochastic in (False, True):
        policy = policies.ActorPolicy(
            time_step_spec, spec, TableActorNetwork(np.maximum(table, -50.0)), distribution,
            stochastic,
        )  # fmt: skip
        assert all_legal(spec, mask, policy.action(step).action)
        outputs, _ = policy.outputs(step)
        assert all_legal(spec, mask, outputs['action'])
        legal = distribution.actions.by_dimension(tf.constant(mask), False)
        assert (outputs['probabilities'].numpy()[~legal.numpy()] == 0.0).all()


def test_random_legal_actions_are_equally_likely():
    rows = 20_000
    mask = np.tile([True, False, True, True], (rows, 1))
    mixed = policies.mix_in_random_actions(
        tf.fill([rows], tf.constant(3, tf.int64)), action_specs.DiscreteActions(FOUR), 1.0,
        tf.random.uniform, with_mask(tf.zeros([rows]), tf.constant(mask)),
    )  # fmt: skip
    shares = np.bincount(mixed - 3, minlength=4) / rows
    np.testing.assert_allclose(shares, [1 / 3, 0, 1 / 3, 1 / 3], atol=4 * np.sqrt(0.25 / rows))


def test_a_mask_that_allows_nothing_is_an_error_of_the_exported_function():
    agent = table_q_agent(online=[[0.0] * 4] * 2, action_spec=FOUR, num_masked=4)
    step = ts.restart(with_mask(tf.zeros([1], tf.int64), NOTHING), 1)
    with pytest.raises(tf.errors.InvalidArgumentError, match='action_mask allows no action'):
        agent.policy.outputs(step)


# [state][action]; at s' (state 1) the online network prefers 3, 2, 1, 0, the target 0, 1, 2, 3.
ONLINE = [[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]]
TARGET = [[0.1, 0.2, 0.3, 0.4], [9.0, 8.0, 7.0, 6.0]]
ALL, INNER = [True] * 4, [False, True, True, False]


def make(target_table=TARGET, **kwargs):
    return table_q_agent(
        online=ONLINE, target_table=target_table, action_spec=FOUR, num_masked=4, **kwargs
    )


@pytest.mark.parametrize(
    ('switches', 'best'),
    [
        (dict(double=True), 7.0),  # online prefers action 2 of the legal 1 and 2
        (dict(double=False), 8.0),
        (dict(target='none', target_table=None), 3.0),
    ],
)
def test_targets_take_the_best_legal_action(switches, best):
    experience = transition(action=(4,), mask=[ALL], next_mask=[INNER])
    np.testing.assert_allclose(make(**switches).targets(experience), [1 + 0.9 * best], rtol=1e-6)


@pytest.mark.parametrize(
    'switches', [dict(double=True), dict(double=False), dict(agent_class='m', double=False)]
)
def test_masks_that_allow_everything_change_nothing(switches):
    if switches.get('agent_class'):
        switches = switches | {'agent_class': munchausen.MunchausenQLearningAgent}
    masked = make(**switches).loss(transition(action=(5,), mask=[ALL], next_mask=[ALL]))
    plain = table_q_agent(online=ONLINE, target_table=TARGET, action_spec=FOUR, **switches)
    expected = plain.loss(transition(action=(5,)))
    tf.nest.map_structure(np.testing.assert_array_equal, masked, expected)


def test_after_the_end_a_mask_that_allows_nothing_does_no_harm():
    experience = transition(action=(4,), discount=(0.0,), mask=[ALL], next_mask=[[False] * 4])
    np.testing.assert_allclose(make().targets(experience), [1.0])


def test_a_train_step_on_masked_states_by_hand():
    """Action 4 is index 1: Q = 2, y = 1 + 0.9 * 7 = 7.3, and Q rises by 0.1 * 2 * 5.3."""
    agent = make()
    agent.train(transition(action=(4,), mask=[INNER], next_mask=[INNER]))
    expected = [[1.0, 2.0 + 1.06, 3.0, 4.0], ONLINE[1]]
    np.testing.assert_allclose(agent.q_network.table, expected, rtol=1e-6)


def test_munchausens_policy_and_soft_value_are_over_legal_actions():
    """q(s) over the legal 1 and 2, q(s') over 0 and 3: as if there were no other actions."""
    tau, alpha = 0.5, 0.7
    agent = make(
        agent_class=munchausen.MunchausenQLearningAgent, double=False, alpha=alpha, temperature=tau
    )
    experience = transition(
        action=(4,), mask=[INNER], next_mask=[[True, False, False, True]], discount=(0.9,)
    )
    q, next_q = np.array([0.2, 0.3]), np.array([9.0, 6.0])
    pi = np.exp(q / tau) / np.exp(q / tau).sum()
    next_pi = np.exp(next_q / tau) / np.exp(next_q / tau).sum()
    soft_value = np.sum(next_pi * (next_q - tau * np.log(next_pi)))
    expected = 1.0 + alpha * max(tau * np.log(pi[0]), -1.0) + 0.9 * soft_value
    np.testing.assert_allclose(agent.targets(experience), [expected], rtol=1e-6)


def test_c51_bootstraps_from_the_distribution_of_a_legal_action():
    """Real networks; each row's target is the projected distribution of its best legal action."""
    box = tensor_spec.BoundedTensorSpec([3], tf.float32, -1.0, 1.0)
    spec = ts.time_step_spec(with_mask(box, 4))
    agent, _ = q_variants.Variant(
        double=False, dueling=False, target='hard', distribution='categorical'
    ).make_agent(spec, FOUR, tf.Variable(0, dtype=tf.int64))
    rows = 64
    rng = np.random.default_rng(0)
    legal = rng.random((rows, 4)) < 0.4
    legal[np.arange(rows), rng.integers(4, size=rows)] = True
    observation = tf.constant(rng.normal(size=(rows, 3)), tf.float32)
    step = ts.transition(
        with_mask(observation, tf.constant(legal)), tf.ones([rows]), tf.fill([rows], 0.5)
    )
    experience = transition(action=[3] * rows, reward=[1.0] * rows, discount=[0.5] * rows)._replace(
        next_time_step=step
    )
    outputs, _ = agent.target_q_network.outputs(observation)
    best = np.where(legal, outputs['q_values'], -np.inf).argmax(axis=1)
    assert (best != np.argmax(outputs['q_values'], axis=1)).sum() > 10  # the masks matter
    support = agent.q_network.support
    expected = categorical_q.project(
        tf.nn.softmax(outputs['logits'].numpy()[np.arange(rows), best]),
        tf.repeat(1.0 + 0.5 * support[np.newaxis], rows, axis=0),
        support,
    )
    np.testing.assert_allclose(agent.targets(experience), expected, atol=1e-6)


def test_reinforce_learns_from_probabilities_of_legal_actions():
    """d log pi / d logits = onehot - pi over the legal ones; nothing moves an illegal one."""
    logits = np.zeros((10, 3))
    logits[3] = [0.5, 40.0, -0.5]
    spec = tensor_spec.BoundedTensorSpec([], tf.int64, 0, 2)
    table = TableActorNetwork(logits, np.zeros(10))
    agent = reinforce.PolicyGradientAgent(
        ts.time_step_spec(with_mask(TEN_STATES, 3)), spec, table,
        action_distribution.make('categorical', spec), tf.keras.optimizers.legacy.SGD(1.0),
        baseline='value', gamma=1.0, loss_per='episode', entropy_coefficient=0.0,
    )  # fmt: skip
    experience = batch(([3, 4], [0], [2.0], True), pad=1)
    mask = np.ones((1, 3, 3), bool)
    mask[0, 0, 1] = False
    mask[0, 2] = False  # padding is zeros
    experience = experience._replace(observation=with_mask(experience.observation, mask))
    pi = np.exp(0.5) / (np.exp(0.5) + np.exp(-0.5))
    gradient = logits_gradient(agent, table, experience)
    np.testing.assert_allclose(gradient[3], -2.0 * np.array([1 - pi, 0, -(1 - pi)]), rtol=1e-5)
    info, gradients = agent.gradients(experience)
    entropy = -pi * np.log(pi) - (1 - pi) * np.log(1 - pi)
    np.testing.assert_allclose(info.extra['entropy'], entropy, rtol=1e-5)
    assert all(np.isfinite(tf.convert_to_tensor(g)).all() for g in gradients)


def test_where_one_action_is_legal_entropy_and_its_gradient_are_zero():
    distribution = action_distribution.make(
        'auto', tensor_spec.BoundedTensorSpec([], tf.int64, 0, 2)
    )
    logits = tf.Variable([[1.0, 2.0, 3.0]])
    with tf.GradientTape() as tape:
        outputs = distribution.legal({'logits': logits}, tf.constant([[False, True, False]]))
        entropy = distribution.entropy(outputs)
        log_prob = distribution.log_prob(outputs, tf.constant([1], tf.int64))
    np.testing.assert_array_equal(entropy, [0.0])
    np.testing.assert_array_equal(log_prob, [0.0])
    np.testing.assert_array_equal(tape.gradient([entropy, log_prob], logits), [[0.0, 0.0, 0.0]])
