"""The runs of benchmarks/maximisation_bias.py: tables and networks, episode by episode."""

from __future__ import annotations

import gc
import pathlib
import tempfile
from typing import NamedTuple

import gin
import numpy as np
import tensorflow as tf

from agents import tabular
from envs import bias_mdp
from envs.task import Task
from pipelines import assembly, gin_config
from pipelines.settings import DdqnSettings

_GIN_FILE = pathlib.Path(__file__).parent / 'maximisation_bias.gin'


def bound(name: str):
    """Returns a value of maximisation_bias.gin; the tables use it too."""
    return gin.query_parameter(name)


def configure(epsilon: float) -> None:
    """Parses maximisation_bias.gin, with `epsilon` as the share of random actions."""
    gin_config.parse(str(_GIN_FILE), [f'QLearningAgent.epsilon = {epsilon}'])


class Runs(NamedTuple):
    """Actions and estimates of R runs of one agent, at the end of each of N episodes."""

    left: np.ndarray  # float32 [R, N]: 1 where the episode's first move went left, else 0
    q_values: np.ndarray  # float32 [R, N, A]: Q(A, .)


class LeftMoves:
    """Records whether each episode's first move, always from A, went left.

    Only first moves count, because the share of left moves is then the policy's: after going
    right and coming back, an episode has further moves from A. It is a `StepListener`.
    """

    def __init__(self, num_envs: int, num_episodes: int):
        self.num_episodes = np.zeros(num_envs, int)  # ended, up to the number recorded
        self.first = np.full((num_envs, num_episodes), np.nan, np.float32)
        self._starts = np.ones(num_envs, bool)  # whether the next step starts an episode

    def add(self, raw_reward: np.ndarray, after) -> None:
        """Takes one vector step: the time step that followed."""
        del raw_reward
        state = after.observation.argmax(axis=1)
        kept = self.num_episodes < self.first.shape[1]
        moved = np.flatnonzero(self._starts & ~after.is_first() & kept)
        self.first[moved, self.num_episodes[moved]] = state[moved] == bias_mdp.E
        self._starts = after.is_last() | after.is_first()
        self.num_episodes[after.is_last() & kept] += 1


def tabular_runs(
    double: bool,
    epsilon: float,
    step_size: float | None,
    num_runs: int,
    num_episodes: int,
    seed: int = 0,
    from_truth: bool = False,
) -> Runs:
    """Makes independent runs of tabular (double) Q-learning, each with its own episodes.

    With `from_truth`, the tables start at Q* instead of 0.
    """
    configure(epsilon)
    # With the same seed, the environment's noise and the agent's coins would be correlated.
    env_seed, agent_seed = np.random.SeedSequence(seed).generate_state(2)
    env = Task(bound('train_ddqn.env_name')).training_envs(num_runs)
    gamma = bound('train_ddqn.gamma')
    agent = tabular.TabularQLearning(
        num_runs,
        *bias_mdp.NEXT_STATE.shape,
        double=double,
        step_size=step_size,
        epsilon=epsilon,
        seed=int(agent_seed),
        initial=bias_mdp.solve(gamma) if from_truth else 0.0,
    )
    left = LeftMoves(num_runs, num_episodes)
    q_values = np.zeros((num_runs, num_episodes, bias_mdp.NEXT_STATE.shape[1]), np.float32)
    time_step = env.reset(seed=int(env_seed))
    while (running := np.flatnonzero(left.num_episodes < num_episodes)).size:
        state = time_step.observation.argmax(axis=1)
        action = agent.act(state)
        time_step = env.step(action)
        agent.update(
            state,
            action,
            time_step.reward,
            gamma * time_step.discount,
            time_step.observation.argmax(axis=1),
            lived=~time_step.is_first(),  # a step to FIRST only started an episode
        )
        q_values[running, left.num_episodes[running]] = agent.q_values[running, bias_mdp.A]
        left.add(time_step.reward, time_step)
    return Runs(left.first, q_values)


def network_run(double: bool, epsilon: float, seed: int, num_episodes: int) -> Runs:
    """Makes one run of DQN or Double DQN with the same parts as `train_ddqn`."""
    configure(epsilon)
    settings = DdqnSettings(double=double, dueling=False)
    left = LeftMoves(settings.num_envs, num_episodes)
    with tempfile.TemporaryDirectory() as directory:
        parts = assembly.assemble_ddqn(settings, seed, pathlib.Path(directory), listener=left)
        with parts.replay:
            parts.collector.reset(seed)
            q_values = _train(parts, left, num_episodes)
            # The objects that sample the replay are in reference cycles. If they were freed after
            # the server has stopped, each would wait for it for some seconds.
            gc.collect()
    return Runs(left.first, q_values[np.newaxis])


def _train(parts: assembly.DdqnParts, left: LeftMoves, num_episodes: int) -> np.ndarray:
    """Trains to the end; returns Q(A, .) after each episode, float32 [N, A]."""
    after_episodes, believed = [0], [_q_values_of_a(parts.agent)]
    while left.num_episodes[0] < num_episodes:
        parts.collect_and_train.run(parts.ratio.vector_steps, until_env_steps=10**9)
        after_episodes.append(int(left.num_episodes[0]))
        believed.append(_q_values_of_a(parts.agent))
    episodes = np.arange(1, num_episodes + 1)
    each_action = [np.interp(episodes, after_episodes, q) for q in np.transpose(believed)]
    return np.transpose(each_action).astype(np.float32)


def _q_values_of_a(agent) -> np.ndarray:
    """Returns Q(A, .), float32 [A]."""
    observation = tf.one_hot([bias_mdp.A], len(bias_mdp.NEXT_STATE))
    return agent.q_network(observation)[0][0].numpy()
