"""Tables by hand, against the analytic solution, and against each other's bias."""

import gymnasium as gym
import numpy as np
import pytest

from agents import errors, tabular
from envs import bias_mdp
from envs.gymnasium_env import GymnasiumEnv
from envs.task import Task

GAMMA = 0.95


def make(num_runs=1, num_states=2, num_actions=2, **kwargs):
    kwargs = dict(double=False, step_size=0.5, epsilon=0.0, seed=0) | kwargs
    return tabular.TabularQLearning(num_runs, num_states, num_actions, **kwargs)


def learn(agent, state, action, reward, discount, next_state, lived=True):
    """The same transition in each run, or one that is given for each."""
    num_runs = len(agent.q_values)
    agent.update(
        *(np.broadcast_to(each, num_runs) for each in (state, action, reward, discount)),
        np.broadcast_to(next_state, num_runs),
        np.broadcast_to(lived, num_runs),
    )


def test_updates_of_q_learning_by_hand():
    agent = make()
    learn(agent, 1, 0, reward=4.0, discount=0.0, next_state=0)  # half the way from 0 to 4
    np.testing.assert_allclose(agent.q_values[0], [[0, 0], [2, 0]])
    learn(agent, 1, 1, reward=-2.0, discount=0.0, next_state=0)
    np.testing.assert_allclose(agent.q_values[0], [[0, 0], [2, -1]])
    learn(agent, 0, 1, reward=1.0, discount=0.9, next_state=1)  # half of 1 + 0.9 * max(2, -1)
    np.testing.assert_allclose(agent.q_values[0], [[0, 1.4], [2, -1]])
    learn(agent, 0, 1, reward=1.0, discount=0.0, next_state=1)  # half the way from 1.4 to 1
    np.testing.assert_allclose(agent.q_values[0], [[0, 1.2], [2, -1]])


def test_one_over_n_is_the_mean_of_the_targets():
    agent = make(step_size=None)
    for n, reward in enumerate((3.0, 5.0, 10.0), start=1):
        learn(agent, 0, 1, reward, discount=0.0, next_state=1)
        assert agent.q_values[0, 0, 1] == pytest.approx(np.mean([3.0, 5.0, 10.0][:n]))


def test_double_q_learning_chooses_with_one_table_and_values_with_the_other():
    """In 4 000 runs with tables known beforehand, each coin's update is one of two numbers."""
    agent = make(num_runs=4_000, double=True)
    agent._tables[0, :, 1] = [3.0, 1.0]  # chooses action 0, which the other values at 5
    agent._tables[1, :, 1] = [5.0, 7.0]  # chooses action 1, which the other values at 1
    learn(agent, 0, 0, reward=1.0, discount=0.5, next_state=1)
    first, second = agent._tables[:, :, 0, 0]
    assert set(zip(first, second)) == {(0.5 * (1 + 0.5 * 5), 0.0), (0.0, 0.5 * (1 + 0.5 * 1))}
    assert abs((first > 0).mean() - 0.5) < 4 * np.sqrt(0.25 / 4_000)
    assert (agent._tables[:, :, 0, 1] == 0).all()
    np.testing.assert_allclose(agent.q_values[0, 1], [4.0, 4.0])  # the mean of the two


def test_double_q_learning_acts_on_both_tables():
    agent = make(double=True)
    agent._tables[:, 0, 0] = [[3.0, 0.0], [0.0, 2.0]]
    assert agent.act(np.array([0])) == [0]


def test_termination_cuts_the_bootstrap_of_both():
    for double in (False, True):
        agent = make(double=double, step_size=1.0)
        agent._tables[:, :, 1] = 100.0
        learn(agent, 0, 0, reward=1.0, discount=0.0, next_state=1)
        assert agent._tables[:, 0, 0, 0].max() == 1.0


@pytest.mark.parametrize('double', [False, True])
def test_runs_learn_separately_and_only_those_that_lived(double):
    agent = make(num_runs=3, double=double, step_size=1.0)
    learn(agent, [0, 1, 0], [0, 1, 0], [1.0, 2.0, 3.0], 0.0, 1, lived=[True, True, False])
    share = 0.5 if double else 1.0  # one of two tables
    expected = np.zeros((3, 2, 2))
    expected[0, 0, 0], expected[1, 1, 1] = share * 1.0, share * 2.0
    np.testing.assert_allclose(agent.q_values, expected)


def test_epsilon_is_the_share_of_random_actions_and_equally_good_actions_are_chosen_alike():
    num_runs = 20_000
    agent = make(num_runs=num_runs, num_actions=3, epsilon=0.3)
    agent._tables[0, :, 1] = [1.0, 5.0, 5.0]
    shares = np.bincount(agent.act(np.ones(num_runs, int)), minlength=3) / num_runs
    np.testing.assert_allclose(shares, [0.1, 0.45, 0.45], atol=4 * np.sqrt(0.25 / num_runs))


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(step_size=0.0), 'step_size = 0.0'),
        (dict(step_size=1.5), 'step_size = 1.5'),
        (dict(epsilon=-0.1), 'epsilon = -0.1'),
    ],
)
def test_impossible_settings_are_refused(kwargs, message):
    with pytest.raises(errors.ConfigError, match=message):
        make(**kwargs)


def play(agent, env, num_vector_steps, gamma=GAMMA):
    """Q(s, a) of every run, float [R, S, A], after so many steps."""
    time_step = env.reset(seed=1)  # not the agent's seed: its generator would draw the same
    for _ in range(num_vector_steps):
        state = time_step.observation.argmax(axis=1)
        action = agent.act(state)
        time_step = env.step(action)
        discount = gamma * time_step.discount
        following = time_step.observation.argmax(axis=1)
        lived = ~time_step.is_first()
        agent.update(state, action, time_step.reward, discount, following, lived)
    return agent.q_values


@pytest.mark.parametrize('double', [False, True])
@pytest.mark.parametrize('step_size', [0.1, 1.0])
def test_without_noise_both_reach_the_analytic_values(double, step_size):
    env = GymnasiumEnv(gym.make_vec('MaximisationBias-v0', 20, noise=0.0))
    agent = make(20, 6, 3, double=double, step_size=step_size, epsilon=1.0)
    q_values = play(agent, env, 6_000)
    np.testing.assert_allclose(q_values, np.broadcast_to(bias_mdp.solve(GAMMA), q_values.shape),
                               atol=1e-3)  # fmt: skip


@pytest.mark.parametrize('double', [False, True])
def test_with_noise_and_steps_of_one_over_n_the_error_falls_with_play(double):
    """Such steps forget a wrong bootstrap as n^-(1 - gamma): gamma is 0.5 here, not 0.95."""
    errors_of_the_mean = []
    for num_vector_steps in (250, 4_000):
        env = Task('MaximisationBias-v0').training_envs(100)
        agent = make(100, 6, 3, double=double, step_size=None, epsilon=1.0)
        mean = play(agent, env, num_vector_steps, gamma=0.5).mean(axis=0)
        errors_of_the_mean.append(np.abs(mean - bias_mdp.solve(0.5)).max())
    early, late = errors_of_the_mean
    assert late < 0.5 * early and late < 0.25


@pytest.mark.slow
def test_q_learning_overestimates_the_noisy_side_and_double_q_learning_does_not():
    """By ten standard errors, and by less than one; random play tries all actions alike."""
    env = Task('MaximisationBias-v0').training_envs(1_000)
    truth = bias_mdp.solve(GAMMA)[bias_mdp.A]
    bias = {}
    for double in (False, True):
        agent = make(1_000, 6, 3, double=double, step_size=0.1, epsilon=1.0)
        q_values = play(agent, env, 4_000)[:, bias_mdp.A]
        error = q_values.mean(axis=0) - truth
        # Tables that never learned would overestimate nothing either.
        assert abs(error[bias_mdp.LEFT]) < 0.2 and abs(error[bias_mdp.RIGHT]) < 0.5
        standard_error = q_values[:, bias_mdp.RIGHT].std() / np.sqrt(1_000)
        bias[double] = error[bias_mdp.RIGHT] / standard_error
    assert bias[False] > 10 and bias[True] < 1
