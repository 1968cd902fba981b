"""Which relative of DQN: the switches, and the agent that they add up to."""

from __future__ import annotations

import dataclasses

import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from agents import (
    categorical_q,
    ddqn,
    errors,
    frame_stack_network,
    munchausen,
    policies,
    q_network,
    schedules,
)


@dataclasses.dataclass(frozen=True)
class Variant:
    """One choice of the switches of `pipelines.train_ddqn`, which explains them."""

    double: bool
    dueling: bool
    target: str
    categorical: bool = False
    munchausen: bool = False
    noisy: bool = False

    def check(self, n_step: int) -> None:
        """Raises a ConfigError for switches that contradict each other."""
        if self.munchausen and self.categorical:
            raise errors.ConfigError(
                'train_ddqn.munchausen and train_ddqn.categorical are both True: Munchausen DQN '
                'learns values, C51 distributions; choose one of them'
            )
        if self.munchausen and n_step > 1:
            raise errors.ConfigError(
                f'train_ddqn.munchausen = True with n_step = {n_step}: each reward needs the '
                'policy at its own state, which longer transitions leave out; set '
                'train_ddqn.n_step = 1'
            )

    def name(self, prioritised: bool) -> str:
        """'dqn', 'ddqn', 'dueling_ddqn', 'prioritised_c51_dueling_ddqn', ..."""
        switches = {
            'prioritised': prioritised,
            'noisy': self.noisy,
            'c51': self.categorical,
            'munchausen': self.munchausen,
            'dueling': self.dueling,
        }
        names = [name for name, on in switches.items() if on]
        return '_'.join([*names, 'ddqn' if self.double else 'dqn'])

    def make_agent(
        self,
        time_step_spec: ts.TimeStep,
        action_spec: tf.TensorSpec,
        env_steps: tf.Variable,
        *,
        frame_stack: int | None = None,
        acts_on_a_copy: bool = False,
    ) -> tuple[ddqn.QLearningAgent, policies.GreedyQPolicy]:
        """The agent, and a policy on float32 weights of its own to keep the best ones in.

        Args:
          time_step_spec: of the environment, as are `action_spec`'s actions.
          action_spec: discrete.
          env_steps: int64 [], what exploration is scheduled by.
          frame_stack: how many observations the network sees at once; None for the last alone.
          acts_on_a_copy: see `QLearningAgent`.
        """
        time_step_spec = tensor_spec.from_spec(time_step_spec)
        action_spec = tensor_spec.from_spec(action_spec)
        frame_spec = observation_spec = time_step_spec.observation
        if frame_stack is not None:
            observation_spec = frame_stack_network.stacked_spec(frame_spec, frame_stack)
        network = q_network.make_q_network(
            observation_spec, action_spec, self.dueling, self.categorical, self.noisy
        )
        agent_class = ddqn.QLearningAgent
        if self.categorical:
            agent_class = categorical_q.CategoricalQLearningAgent
        elif self.munchausen:
            agent_class = munchausen.MunchausenQLearningAgent
        agent = agent_class(
            time_step_spec,
            action_spec,
            network,
            schedules.adam(),
            env_steps,
            frame_stack=frame_stack is not None,
            acts_on_a_copy=acts_on_a_copy,
            double=self.double,
            target=self.target,
        )
        agent.initialize()
        best = network.copy(name='BestQNetwork', dtype_policy='float32')
        best.create_variables()
        if frame_stack is not None:
            best = frame_stack_network.FrameStackNetwork(frame_spec, best)
        return agent, policies.GreedyQPolicy(time_step_spec, action_spec, best)
