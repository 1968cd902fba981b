"""The runs of benchmarks/maximisation_bias.py: tables and networks, episode by episode."""

from __future__ import annotations

import gc
import pathlib
import tempfile
from typing import NamedTuple

import gin
import numpy as np
import tensorflow as tf

from agents import q_variants, tabular
from envs import bias_mdp, suite
from pipelines import cli, loops, train_ddqn  # noqa: F401, train_ddqn's bindings are read
from pipelines.replay import Replay

_GIN_FILE = pathlib.Path(__file__).parent / 'maximisation_bias.gin'


def bound(name: str):
    """What maximisation_bias.gin says; the tables follow it too."""
    return gin.query_parameter(name)


def configure(epsilon: float) -> None:
    """Reads maximisation_bias.gin, with this share of random actions."""
    cli.parse_gin(str(_GIN_FILE), [f'QLearningAgent.epsilon = {epsilon}'])


class Runs(NamedTuple):
    """What R runs of one agent did and believed, at the end of each of N episodes."""

    left: np.ndarray  # float32 [R, N]: 1 where the episode's first move went left, else 0
    q_values: np.ndarray  # float32 [R, N, A]: Q(A, .)


class LeftMoves:
    """Whether each episode's first move, which is one from A, went left.

    The first alone, so that the share that a policy makes is known: who has gone right and come
    back moves from A more than once. It hears of vector steps as an `EpisodeStatistics` does.
    """

    def __init__(self, num_envs: int, num_episodes: int):
        self.num_episodes = np.zeros(num_envs, int)  # that have ended, as far as they are kept
        self.first = np.full((num_envs, num_episodes), np.nan, np.float32)
        self._starts = np.ones(num_envs, bool)  # the next step is the first of an episode

    def add(self, raw_reward: np.ndarray, after) -> None:
        """One vector step, and the time step it led to."""
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
    """Independent runs of (double) Q-learning, each at its own episode, until all have done.

    `from_truth`: the tables start at Q*, not at 0.
    """
    configure(epsilon)
    # Seeded alike, both generators would give the same numbers, one as noise, one as coins.
    env_seed, agent_seed = np.random.SeedSequence(seed).generate_state(2)
    env = suite.load(bound('train_ddqn.env_name'), num_runs)
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
            lived=~time_step.is_first(),  # that step only started an episode
        )
        q_values[running, left.num_episodes[running]] = agent.q_values[running, bias_mdp.A]
        left.add(time_step.reward, time_step)
    return Runs(left.first, q_values)


def network_run(double: bool, epsilon: float, seed: int, num_episodes: int) -> Runs:
    """One run of DQN or Double DQN, of the very pieces that `train_ddqn` puts together."""
    configure(epsilon)
    tf.keras.utils.set_random_seed(seed)
    num_envs = bound('train_ddqn.num_envs')
    env = suite.load(bound('train_ddqn.env_name'), num_envs)
    turns = loops.Turns(
        bound('train_ddqn.train_steps_per_env_step'),
        num_envs,
        bound('train_ddqn.max_train_steps_per_turn'),
    )
    env_steps = tf.Variable(0, dtype=tf.int64)
    variant = q_variants.Variant(double, dueling=False, target=bound('train_ddqn.target'))
    agent, _ = variant.make_agent(env.time_step_spec(), env.action_spec(), env_steps)
    left = LeftMoves(num_envs, num_episodes)
    with (
        tempfile.TemporaryDirectory() as log_dir,
        Replay(
            agent.collect_data_spec,
            num_envs,
            lead_rows=0,
            tail_rows=bound('train_ddqn.n_step'),
            transitions_per_sample=turns.max_train_steps * bound('train_ddqn.batch_size'),
            log_dir=pathlib.Path(log_dir),
        ) as replay,
    ):
        collector = loops.Collector(env, agent.collect_policy, replay, left, env_steps)
        collector.reset(seed)
        q_values = _train(agent, collector, replay, turns, env_steps, left, num_episodes)
        # What samples the replay is in reference cycles. Freed after the server has gone, each
        # would wait some seconds for it, in the middle of a later run or at the process's end.
        gc.collect()
    return Runs(left.first, q_values[np.newaxis])


def _train(agent, collector, replay, turns, env_steps, left, num_episodes) -> np.ndarray:
    """Trains to the end; Q(A, .) after each episode, float32 [N, A]."""
    learner = loops.Learner(
        agent,
        replay,
        n=bound('train_ddqn.n_step'),
        gamma=bound('train_ddqn.gamma'),
        batch_size=bound('train_ddqn.batch_size'),
        max_train_steps=turns.max_train_steps,
        num_frames=None,
        fuse=True,
    )
    turn = loops.TakingTurns(
        collector,
        learner,
        turns,
        agent,
        env_steps,
        enough=lambda: replay.num_transitions >= bound('train_ddqn.min_replay_transitions'),
        notes={},
        overlap=False,
    )
    after_episodes, believed = [0], [_q_values_of_a(agent)]
    while left.num_episodes[0] < num_episodes:
        turn(turns.vector_steps)
        after_episodes.append(int(left.num_episodes[0]))
        believed.append(_q_values_of_a(agent))
    episodes = np.arange(1, num_episodes + 1)
    each_action = [np.interp(episodes, after_episodes, q) for q in np.transpose(believed)]
    return np.transpose(each_action).astype(np.float32)


def _q_values_of_a(agent) -> np.ndarray:
    """float32 [A]."""
    observation = tf.one_hot([bias_mdp.A], len(bias_mdp.NEXT_STATE))
    return agent.q_network(observation)[0][0].numpy()
