"""Does it learn? Environment to replay to compiled loops, on problems whose optimum is known."""

import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf

from benchmarks import dials
from envs import linear_quadratic
from envs.task import Task
from pipelines import assembly, gin_config
from pipelines.settings import DdqnSettings, ReinforceSettings

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


def decaying(initial, final, steps):
    """Bindings of a learning rate that falls on a line."""
    return [
        'adam.learning_rate = @learning_rate/LinearSchedule()',
        f'learning_rate/LinearSchedule.initial = {initial}',
        f'learning_rate/LinearSchedule.final = {final}',
        f'learning_rate/LinearSchedule.decay_steps = {steps}',
    ]


def train(tmp_path, env_name, bindings=(), *, turns=80, per_item=16, epsilon=1.0, **settings):
    """Trains for `turns` turns of 64 train steps; returns the agent."""
    gin_config.parse(
        None,
        [
            'mlp_torso.units = (32,)',
            f'QLearningAgent.epsilon = {epsilon}',
            'Replay.capacity_transitions = 5_000',
            f'Replay.transitions_per_item = {per_item}',
            f'Replay.rows_per_chunk = {per_item}',
            *decaying(3e-3, 1e-4, 64 * turns),
            *bindings,
        ],
    )
    settings = {'dueling': False} | settings
    parts = assembly.assemble_ddqn(
        DdqnSettings(
            env_name=env_name, num_envs=8, gamma=GAMMA, batch_size=32,
            max_train_steps_per_turn=64, **settings,
        ),
        seed=0,
        replay_dir=tmp_path / 'replay',
    )  # fmt: skip
    with parts.replay:
        parts.collector.reset(seed=0)
        parts.collector.run(60)
        for _ in range(turns):
            parts.collector.run(parts.ratio.vector_steps)
            parts.learner.train(64)
    return parts.agent


HUBER, MSE = "QLearningAgent.loss = 'huber'", "QLearningAgent.loss = 'mse'"
EVERY_50 = 'QLearningAgent.target_update_period_train_steps = 50'
SWITCHES = [
    dict(double=True, target='hard', bindings=[EVERY_50, HUBER]),
    dict(double=False, target='hard', bindings=[EVERY_50, MSE]),
    dict(double=True, target='soft', bindings=['QLearningAgent.tau = 0.05', MSE], dueling=True),
    dict(double=False, target='none', bindings=[HUBER], per_item=1),
    dict(
        double=True, target='hard', prioritised=True,
        bindings=[EVERY_50, HUBER, 'Prioritisation.alpha = 0.6', 'Prioritisation.beta = 1.0'],
    ),
]  # fmt: skip


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
    schedule = [
        'epsilon/LinearSchedule.initial = 1.0',
        'epsilon/LinearSchedule.final = 0.1',
        'epsilon/LinearSchedule.decay_steps = 2_000',
    ]
    agent = train(
        tmp_path, 'Corridor-v0', [EVERY_50, *schedule], n_step=3, turns=120, dueling=True,
        epsilon='@epsilon/LinearSchedule()',
    )  # fmt: skip
    q_values, _ = agent.q_network(tf.range(LENGTH, dtype=tf.int64))
    np.testing.assert_array_equal(np.argmax(q_values, axis=1), np.argmax(corridor_q_star(), axis=1))


HEADS = {
    'c51': dict(
        distribution='categorical',
        bindings=[EVERY_50, 'C51Network.v_min = 0.0', 'C51Network.v_max = 1.0'],
    ),
    'munchausen': dict(munchausen=True, double=False, bindings=[EVERY_50]),
    'noisy': dict(noisy=True, epsilon=0.0, dueling=True, bindings=[EVERY_50]),
}


@pytest.mark.slow
@pytest.mark.parametrize('head', HEADS)
def test_each_head_finds_the_best_way_out_of_the_corridor(tmp_path, head):
    """Noise alone explores for the noisy one; the values are Q* but for Munchausen DQN, which
    lowers what its policy would not do."""
    agent = train(tmp_path, 'Corridor-v0', **HEADS[head])
    q_values, _ = agent.q_network(tf.range(LENGTH, dtype=tf.int64))
    q_star = corridor_q_star()
    np.testing.assert_array_equal(np.argmax(q_values, axis=1), np.argmax(q_star, axis=1))
    if head == 'munchausen':
        np.testing.assert_array_less(np.min(q_values, axis=1), np.min(q_star, axis=1))
    else:
        np.testing.assert_allclose(np.max(q_values, axis=1), np.max(q_star, axis=1), atol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize('n', [1, 3])
def test_a_time_limit_does_not_end_the_world(tmp_path, n):
    """Always action 1 is worth 1 / (1 - gamma) = 10; cut after 4 steps it would be 3.4 at most.

    For n = 3 the behaviour is nearly greedy: the value of its own actions is what is learnt.
    """
    agent = train(
        tmp_path, 'Forever-v0', ['QLearningAgent.target_update_period_train_steps = 25'],
        n_step=n, epsilon=1.0 if n == 1 else 0.02, turns=150,
    )  # fmt: skip
    q_values, _ = agent.q_network(tf.ones([1, 1]))
    np.testing.assert_allclose(q_values[0, 1], 10.0, atol=0.6)
    if n == 1:
        np.testing.assert_allclose(q_values[0, 0], 9.0, atol=0.6)


@pytest.mark.slow
def test_branches_come_within_two_percent_of_the_best_of_a_hundred_thousand_joint_actions(tmp_path):
    """Six dials of seven actions each, half of which are drawn at random while it learns."""
    agent = train(
        tmp_path,
        'Dials-v0',
        [EVERY_50, MSE, 'mlp_torso.units = (64,)', 'Replay.capacity_transitions = 60_000'],
        turns=200,
        epsilon=0.5,
        train_steps_per_env_step=0.25,
    )
    env = Task('Dials-v0').evaluation_envs(200)
    time_step, returns = env.reset(seed=0), np.zeros(200)
    best = dials.optimum(time_step.observation)
    for _ in range(dials.LENGTH):
        q_values, _ = agent.q_network(tf.constant(time_step.observation))  # [200, 6, 7]
        time_step = env.step(np.argmax(q_values, axis=2))
        returns += env.raw_reward
    assert 0.98 < returns.mean() / best.mean() <= 1.0


def reinforce_agent(env_name, num_updates, bindings=(), *, learning_rate, **settings):
    """REINFORCE after `num_updates` batches of one episode per environment."""
    standardise = settings['baseline'] == 'value'
    gin_config.parse(
        None,
        [
            'mlp_torso.units = ()',
            f'PolicyGradientAgent.standardise_advantages = {standardise}',
            *decaying(learning_rate, learning_rate / 100, num_updates),
            *bindings,
        ],
    )
    parts = assembly.assemble_reinforce(ReinforceSettings(env_name=env_name, **settings), seed=0)
    with parts.queue:
        parts.envs.seed(0)
        for _ in range(num_updates):
            parts.collector.run()
            parts.learner.train()
    return parts.training.agent


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
        'LinearQuadratic-v0',
        300,
        [
            "make_actor_critic_network.policy = 'gaussian'",
            'make_actor_critic_network.free_sigma = True',
            'make_actor_critic_network.initial_sigma = 0.5',
            'make_actor_critic_network.min_sigma = 0.05',
            'make_actor_critic_network.initial_policy_scale = 0.01',
            'make_actor_critic_network.value_units = (64, 64)',
        ],
        num_envs=32,
        baseline='value',
        gamma=0.95,
        learning_rate=0.02,
    )
    outputs, _ = agent.actor_network(tf.constant([[-1.0], [1.0]]))
    gain = float(outputs['mu'][0, 0] - outputs['mu'][1, 0]) / 2
    assert abs(gain / linear_quadratic.solve(0.95).gain - 1) < 0.1
