"""Which relative of DQN: the switches, and the agent that they add up to.

`METHODS` has one row for each pair of what the network gives (`distribution`) and what the
target is made of (`backup`). A pair without a row does not exist. To add a head or a target,
write its network or agent in a file, and add its row. An environment that takes several actions at
a time asks for the row's `several`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from agents import (
    action_specs,
    branching,
    categorical_q,
    ddqn,
    errors,
    frame_stack_network,
    masks,
    munchausen,
    policies,
    q_network,
    schedules,
)


@dataclasses.dataclass(frozen=True)
class Method:
    """What belongs to one pair of distribution and backup."""

    agent: type[ddqn.QLearningAgent]
    network: q_network.NetworkFactory
    several: Method | None = None  # instead, where there are several actions at a time
    word: str = ''  # in the agent's name
    max_n_step: int | None = None  # the longest transitions it learns from; None for any length
    why_max_n_step: str = ''
    why_not_double: str = ''  # Double DQN does not fit; '' where it does
    notes: Callable[[Any], list[str]] = lambda network: []  # what a run prints about its network


METHODS: dict[tuple[str | None, str], Method] = {
    # (distribution, backup)
    (None, 'max'): Method(
        ddqn.QLearningAgent,
        q_network.value_network,
        several=Method(
            branching.BranchingQLearningAgent, branching.BranchingQNetwork, word='branching'
        ),
    ),
    (None, 'munchausen'): Method(
        munchausen.MunchausenQLearningAgent,
        q_network.value_network,
        word='munchausen',
        max_n_step=1,
        why_max_n_step=munchausen.ONE_STEP,
        why_not_double=munchausen.NO_DOUBLE,
    ),
    ('categorical', 'max'): Method(
        categorical_q.CategoricalQLearningAgent,
        categorical_q.C51Network,
        word='c51',
        notes=categorical_q.notes,
    ),
}


@dataclasses.dataclass(frozen=True)
class Variant:
    """One choice of the switches.

    Users turn a backup other than 'max' on by a switch of its name (`munchausen = True`), so
    messages give the name alone.
    """

    double: bool  # choose the bootstrap action with the online network
    dueling: bool  # value and advantage streams instead of one head
    target: str  # 'none', 'soft' or 'hard'; see `QLearningAgent`
    distribution: str | None = None  # over returns: 'categorical' (C51); None: values alone
    backup: str = 'max'  # what a target is made of: 'max' or 'munchausen'
    noisy: bool = False  # noise on the weights after the torso explores

    def check(self, n_step: int) -> None:
        """Raises a ConfigError for switches that are unknown or contradict each other.

        Args:
          n_step: how many rewards a transition sums.
        """
        ddqn.check_target(self.target)
        method = self._method()
        if self.double and method.why_not_double:
            raise errors.ConfigError(
                f'double = True does not go with {self._choice()}: {method.why_not_double}; '
                'set double = False'
            )
        if method.max_n_step is not None and n_step > method.max_n_step:
            raise errors.ConfigError(
                f'n_step = {n_step} does not go with {self._choice()}: {method.why_max_n_step}; '
                f'set n_step = {method.max_n_step}'
            )

    def name(self, prioritised: bool, action_spec: Any) -> str:
        """'dqn', 'ddqn', 'dueling_ddqn', 'prioritised_noisy_c51_dueling_ddqn', ...

        Args:
          prioritised: whether replay is.
          action_spec: of the environment, a tensor spec or an array spec.
        """
        words = (
            'prioritised' if prioritised else '',
            'noisy' if self.noisy else '',
            self._method_for(action_spec).word,
            'dueling' if self.dueling else '',
            'ddqn' if self.double else 'dqn',
        )
        return '_'.join(filter(None, words))

    def notes(self, agent: ddqn.QLearningAgent) -> list[str]:
        """Lines that a run of this agent prints at its start."""
        lines = list(self._method().notes(agent.q_network))
        dtype_policy = agent.q_network.dtype_policy_name
        if dtype_policy != 'float32':
            lines.append(f'products in bfloat16 ({dtype_policy}); the export is float32')
        return lines

    def make_agent(
        self,
        time_step_spec: ts.TimeStep,
        action_spec: tf.TensorSpec,
        env_steps: tf.Variable,
        *,
        frame_stack: int | None = None,
        acts_on_a_copy: bool = False,
        optimizer: tf.keras.optimizers.Optimizer | None = None,
    ) -> tuple[ddqn.QLearningAgent, policies.GreedyQPolicy]:
        """The agent, and a policy whose own float32 weights are to keep the best ones.

        Args:
          time_step_spec: of the environment; tensor specs or array specs, without the batch.
          action_spec: of the environment, likewise; discrete.
          env_steps: int64 [], the environment steps so far; exploration follows it.
          frame_stack: how many observations the network sees at once; None for the last alone.
          acts_on_a_copy: see `QLearningAgent`.
          optimizer: what gin configures as `adam` by default.

        Raises:
          ConfigError: a value out of its range, or an environment that the agent cannot act in.
        """
        method = self._method_for(action_spec)
        time_step_spec = tensor_spec.from_spec(time_step_spec)
        action_spec = tensor_spec.from_spec(action_spec)
        frame_spec = observation_spec = masks.seen_spec(time_step_spec.observation, action_spec)
        if frame_stack is not None:
            observation_spec = frame_stack_network.stacked_spec(frame_spec, frame_stack)
        network = q_network.make_q_network(
            observation_spec,
            action_spec,
            method.network,
            dueling=self.dueling,
            noisy=self.noisy,
        )
        agent = method.agent(
            time_step_spec,
            action_spec,
            network,
            optimizer or schedules.adam(),
            env_steps,
            frame_stack=frame_stack,
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

    def _method(self) -> Method:
        """The row of `METHODS`; a ConfigError where there is none."""
        distributions, backups = (dict.fromkeys(names) for names in zip(*METHODS, strict=True))
        if self.distribution not in distributions:
            raise errors.ConfigError(
                f'distribution = {self.distribution!r}: must be one of {tuple(distributions)}'
            )
        if self.backup not in backups:
            raise errors.ConfigError(f'backup = {self.backup!r}: must be one of {tuple(backups)}')
        method = METHODS.get((self.distribution, self.backup))
        if method is None:
            raise errors.ConfigError(
                f'{self._choice()}: no agent learns with both; choose one of them'
            )
        return method

    def _method_for(self, action_spec: Any) -> Method:
        """The row, or its `several`; a ConfigError where it has none and the actions need it."""
        method, actions = self._method(), action_specs.DiscreteActions(action_spec)
        if not actions.are_several:
            return method
        if method.several is None:
            raise errors.ConfigError(
                f'{self._choice()} does not go with several actions at a time, and this '
                f'environment takes {len(actions.sizes)}: take it out, or choose an environment '
                'with a Discrete action space'
            )
        return method.several

    def _choice(self) -> str:
        """The row's name for a message, without what is the default."""
        distribution = f'distribution = {self.distribution!r}' if self.distribution else ''
        backup = self.backup if self.backup != 'max' else ''
        return ' with '.join(filter(None, (distribution, backup)))
