"""Does it learn? Environment to replay to compiled loops, on problems whose optimum is known."""

import functools

import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from agents import (
    actor_critic_network,
    categorical_q,
    ddqn,
    munchausen,
    prioritisation,
    q_network,
    reinforce,
    schedules,
    torsos,
)
from envs import linear_quadratic, suite
from pipelines import episode_loops, loops, rollout
from pipelines.episode_queue import EpisodeQueue
from pipelines.replay import Replay

GAMMA = 0.9
LENGTH = 6


class Corridor(gym.Env):
    """Cells 0..5 in a row; action 0 goes left, 1 right. Leaving at the left pays 0.5 at once,
    at the right 1: from the left half it is better to leave by the left."""

    observation_space = gym.spaces.Discrete(LENGTH)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.cell = int(self.np_random.integers(LENGTH))
        return self.cell, {}

    def step(self, action):
        self.cell += 1 if action else -1
        ends = not 0 <= self.cell < LENGTH
        reward = (1.0 if action else 0.5) if ends else 0.0
        return int(np.clip(self.cell, 0, LENGTH - 1)), reward, ends, False, {}


class Forever(gym.Env):
    """One state, reward 1 for action 1 and 0 for action 0, and never an end of its own."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (1,))
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return np.ones(1, np.float32), {}

    def step(self, action):
        return np.ones(1, np.float32), float(action), False, False, {}


gym.register('Corridor-v0', Corridor, max_episode_steps=30)
gym.register('Forever-v0', Forever, max_episode_steps=4)


def corridor_q_star():
    """[cell, action], by value iteration."""
    q = np.zeros((LENGTH, 2))
    for _ in range(200):
        v = q.max(axis=1)
        q = np.array(
            [
                [
                    0.5 if cell == 0 else GAMMA * v[cell - 1],
                    1.0 if cell == LENGTH - 1 else GAMMA * v[cell + 1],
                ]
                for cell in range(LENGTH)
            ]
        )
    return q


def train(
    tmp_path, env_name, *, n=1, dueling=False, noisy=False, network_class=None,
    agent_class=ddqn.QLearningAgent, epsilon=1.0, turns=80, per_item=16, alpha=None, **agent,
):  # fmt: skip
    """Trains for `turns` turns of 64 train steps; returns the agent."""
    tf.keras.utils.set_random_seed(0)
    env = suite.load(env_name, 8)
    time_step_spec = tensor_spec.from_spec(env.time_step_spec())
    action_spec = tensor_spec.from_spec(env.action_spec())
    cls = network_class or (q_network.DuelingQNetwork if dueling else q_network.PlainQNetwork)
    network = cls(
        time_step_spec.observation,
        action_spec,
        torso=lambda spec, dtype: torsos.mlp_torso(spec, dtype, units=(32,)),
        noisy=noisy,
    )
    env_steps = tf.Variable(0, dtype=tf.int64)
    learner_agent = agent_class(
        time_step_spec,
        action_spec,
        network,
        schedules.adam(schedules.LinearSchedule(3e-3, 1e-4, 64 * turns)),
        env_steps,
        epsilon=epsilon, **agent,
    )  # fmt: skip
    learner_agent.initialize()
    priorities = alpha and prioritisation.Prioritisation(env_steps, alpha=alpha, beta=1.0)
    with Replay(
        learner_agent.collect_data_spec, 8, 0, n, 64 * 32, tmp_path / 'log', alpha,
        capacity_transitions=5_000, transitions_per_item=per_item, rows_per_chunk=per_item,
    ) as replay:  # fmt: skip
        statistics = rollout.EpisodeStatistics(8)
        policy = learner_agent.collect_policy
        collector = loops.Collector(env, policy, replay, statistics, env_steps)
        learner = loops.Learner(
            learner_agent, replay, n=n, gamma=GAMMA, batch_size=32, max_train_steps=64,
            num_frames=None, fuse=True, prioritisation=priorities,
        )  # fmt: skip
        collector.reset(seed=0)
        collector.run(60)
        for _ in range(turns):
            collector.run(8)
            learner.train(64)
    return learner_agent


SWITCHES = [
    dict(double=True, target='hard', target_update_period_train_steps=50, loss='huber'),
    dict(double=False, target='hard', target_update_period_train_steps=50, loss='mse'),
    dict(double=True, target='soft', tau=0.05, loss='mse', dueling=True),
    dict(double=False, target='none', loss='huber', per_item=1),
    dict(double=True, target='hard', target_update_period_train_steps=50, loss='huber', alpha=0.6),
]


@pytest.mark.slow
@pytest.mark.parametrize('switches', SWITCHES)
def test_q_values_reach_q_star_on_the_corridor(tmp_path, switches):
    """Random play reaches every cell, and one-step Q-learning does not mind how."""
    agent = train(tmp_path, 'Corridor-v0', **switches)
    q_values, _ = agent.q_network(tf.range(LENGTH, dtype=tf.int64))
    np.testing.assert_allclose(q_values, corridor_q_star(), atol=0.05)


@pytest.mark.slow
def test_three_step_returns_find_the_best_way_out(tmp_path):
    """They depend on the behaviour, so that it is the greedy policy that must be right."""
    agent = train(
        tmp_path, 'Corridor-v0', n=3, epsilon=schedules.LinearSchedule(1.0, 0.1, 2_000),
        turns=120, dueling=True, double=True, target='hard', target_update_period_train_steps=50,
    )  # fmt: skip
    q_values, _ = agent.q_network(tf.range(LENGTH, dtype=tf.int64))
    np.testing.assert_array_equal(np.argmax(q_values, axis=1), np.argmax(corridor_q_star(), axis=1))


HEADS = {
    'c51': dict(
        agent_class=categorical_q.CategoricalQLearningAgent, double=True,
        network_class=functools.partial(q_network.C51Network, v_min=0.0, v_max=1.0),
    ),
    'munchausen': dict(agent_class=munchausen.MunchausenQLearningAgent, double=False),
    'noisy': dict(noisy=True, epsilon=0.0, double=True, dueling=True),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize('head', HEADS)
def test_each_head_finds_the_best_way_out_of_the_corridor(tmp_path, head):
    """Noise alone explores for the noisy one; the values are Q* but for Munchausen DQN, which
    lowers what its policy would not do."""
    agent = train(
        tmp_path, 'Corridor-v0', target='hard', target_update_period_train_steps=50, **HEADS[head]
    )
    q_values, _ = agent.q_network(tf.range(LENGTH, dtype=tf.int64))
    q_star = corridor_q_star()
    np.testing.assert_array_equal(np.argmax(q_values, axis=1), np.argmax(q_star, axis=1))
    if head == 'munchausen':
        np.testing.assert_array_less(np.min(q_values, axis=1), np.min(q_star, axis=1))
    else:
        np.testing.assert_allclose(np.max(q_values, axis=1), np.max(q_star, axis=1), atol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize('n', [1, 3])
def test_museum_11_a_time_limit_does_not_end_the_world(tmp_path, n):
    """Always action 1 is worth 1 / (1 - gamma) = 10; cut after 4 steps it would be 3.4 at most.

    For n = 3 the behaviour is nearly greedy: the value of its own actions is what is learnt.
    """
    agent = train(
        tmp_path, 'Forever-v0', n=n, epsilon=1.0 if n == 1 else 0.02, turns=150,
        double=True, target='hard', target_update_period_train_steps=25,
    )  # fmt: skip
    q_values, _ = agent.q_network(tf.ones([1, 1]))
    np.testing.assert_allclose(q_values[0, 1], 10.0, atol=0.6)
    if n == 1:
        np.testing.assert_allclose(q_values[0, 0], 9.0, atol=0.6)


def reinforce_agent(env_name, num_updates, *, num_envs, baseline, gamma, learning_rate, **network):
    """REINFORCE after `num_updates` batches of one episode per environment."""
    tf.keras.utils.set_random_seed(0)
    env = suite.load(env_name, num_envs)
    time_step_spec = tensor_spec.from_spec(env.time_step_spec())
    action_spec = tensor_spec.from_spec(env.action_spec())
    actor_network, distribution = actor_critic_network.make_actor_critic_network(
        time_step_spec.observation,
        action_spec,
        baseline == 'value',
        torso=lambda spec, dtype: torsos.mlp_torso(spec, dtype, units=()),
        **network,
    )
    agent = reinforce.PolicyGradientAgent(
        time_step_spec, action_spec, actor_network, distribution,
        schedules.adam(schedules.LinearSchedule(learning_rate, learning_rate / 100, num_updates)),
        baseline=baseline, gamma=gamma, standardise_advantages=baseline == 'value',
    )  # fmt: skip
    agent.initialize()
    queue = EpisodeQueue(agent.collect_data_spec, num_envs)
    env_steps = tf.Variable(0, dtype=tf.int64)
    collector = episode_loops.EpisodeCollector(
        env, agent.collect_policy, queue, rollout.EpisodeStatistics(num_envs), env_steps
    )
    with queue:
        learner = episode_loops.EpisodeLearner(agent, queue)
        env.seed(0)
        for _ in range(num_updates):
            collector.run()
            learner.train()
    return agent


@pytest.mark.slow
@pytest.mark.parametrize('baseline', ['none', 'batch', 'value'])
def test_reinforce_finds_the_best_way_out_of_the_corridor(baseline):
    agent = reinforce_agent(
        'Corridor-v0', 250, num_envs=16, baseline=baseline, gamma=GAMMA, learning_rate=0.05
    )
    outputs, _ = agent.actor_network(tf.range(LENGTH, dtype=tf.int64))
    best = np.argmax(corridor_q_star(), axis=1)
    np.testing.assert_array_equal(np.argmax(outputs['logits'], axis=1), best)


@pytest.mark.slow
def test_reinforce_finds_the_gain_of_the_regulator():
    """Within a tenth of the analytic one after 300 updates; the config trains 1 500."""
    agent = reinforce_agent(
        'LinearQuadratic-v0', 300, num_envs=32, baseline='value', gamma=0.95, learning_rate=0.02,
        policy='gaussian', free_sigma=True, initial_sigma=0.5, min_sigma=0.05,
        initial_policy_scale=0.01, value_units=(64, 64),
    )  # fmt: skip
    outputs, _ = agent.actor_network(tf.constant([[-1.0], [1.0]]))
    gain = float(outputs['mu'][0, 0] - outputs['mu'][1, 0]) / 2
    assert abs(gain / linear_quadratic.solve(0.95).gain - 1) < 0.1
