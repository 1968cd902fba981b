"""Networks whose numbers stand in the test, agents made of them, and what they learn from."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import policy_step, trajectory
from tf_agents.trajectories import time_step as ts

from agents import action_distribution, ddqn, frame_stack_network, q_network, reinforce

FIRST, MID, LAST = (int(s) for s in (ts.StepType.FIRST, ts.StepType.MID, ts.StepType.LAST))

# Two states and two actions, for value tables.
OBSERVATION = tensor_spec.BoundedTensorSpec([], tf.int64, 0, 1)
TIME_STEP = ts.time_step_spec(OBSERVATION)
ACTION = tensor_spec.BoundedTensorSpec([], tf.int64, 0, 1)
ONLINE = ((1.0, 2.0), (3.0, 4.0))
TARGET = ((0.0, 0.0), (10.0, 5.0))


class TableQNetwork(network.Network):
    """Q(s, a) is a table of two states, [2, A] or [2, D, A]: every number is in the test."""

    def __init__(self, observation_spec, action_spec, table=((0.0, 0.0), (0.0, 0.0)), name='Table'):
        super().__init__(observation_spec, state_spec=(), name=name)
        self._initial = np.array(table, np.float32)

    def build(self, *args):
        self.table = self.add_weight(
            'table',
            shape=self._initial.shape,
            initializer=tf.constant_initializer(self._initial.ravel()),
        )
        super().build(*args)

    def copy_for_use(self, name):
        copy = self.copy(name=name)
        copy.create_variables()
        return copy

    def call(self, observation, step_type=None, network_state=(), training=False):
        return tf.gather(self.table, observation), network_state

    def outputs(self, observation, step_type=None, network_state=(), training=False):
        return {'q_values': self(observation)[0]}, network_state


def table_q_agent(
    online=ONLINE,
    target_table=None,
    learning_rate=0.1,
    agent_class=ddqn.QLearningAgent,
    env_steps=None,
    action_spec=ACTION,
    num_masked=None,
    **kwargs,
):
    """A Q-learning agent on a table; `kwargs` are its switches and settings.

    Its observations have masks of `num_masked` numbers, or none.
    """
    kwargs = {'double': True, 'target': 'hard', 'loss': 'mse'} | kwargs
    observation = OBSERVATION if num_masked is None else with_mask(OBSERVATION, num_masked)
    agent = agent_class(
        ts.time_step_spec(observation),
        action_spec,
        TableQNetwork(OBSERVATION, action_spec, online),
        tf.keras.optimizers.legacy.SGD(learning_rate),
        tf.Variable(0, dtype=tf.int64) if env_steps is None else env_steps,
        **kwargs,
    )
    agent.initialize()
    if target_table is not None:
        agent.target_q_network.table.assign(target_table)
    return agent


def with_mask(observation, mask):
    """An observation or its spec, and a mask or the number of actions that it is for."""
    if isinstance(mask, int):
        mask = tf.TensorSpec([mask], tf.bool)
    return {'observation': observation, 'action_mask': mask}


def transition(
    action=(1,), reward=(1.0,), discount=(0.9,), observation=None, mask=None, next_mask=None
):
    """From state 0 to state 1, or from `observation` [B, ...] to its negative.

    `mask` and `next_mask` [B, A] say what is legal before and after it.
    """
    size = len(action)
    if mask is not None:
        before, after = (
            with_mask(tf.fill([size], tf.constant(state, tf.int64)), tf.constant(legal, tf.bool))
            for state, legal in enumerate((mask, next_mask))
        )
    elif observation is None:
        before, after = (tf.fill([size], tf.constant(state, tf.int64)) for state in (0, 1))
    else:
        before, after = observation, -observation

    def time_step(observation, reward, discount):
        return ts.TimeStep(
            step_type=tf.fill([size], ts.StepType.MID),
            reward=tf.constant(reward, tf.float32),
            discount=tf.constant(discount, tf.float32),
            observation=observation,
        )

    return trajectory.Transition(
        time_step=time_step(before, [0.0] * size, [1.0] * size),
        action_step=policy_step.PolicyStep(tf.constant(action, tf.int64)),
        next_time_step=time_step(after, reward, discount),
    )


# Ten states, for tables of logits and values.
TEN_STATES = tensor_spec.BoundedTensorSpec([], tf.int64, 0, 9)


class TableActorNetwork(network.Network):
    """Logits and values are tables over ten states."""

    def __init__(self, logits, values=None, name='Table'):
        super().__init__(TEN_STATES, state_spec=(), name=name)
        self.logits = tf.Variable(logits, dtype=tf.float32)
        self.values = None if values is None else tf.Variable(values, dtype=tf.float32)

    def call(self, observation, step_type=None, network_state=(), training=False):
        outputs = {'logits': tf.gather(self.logits, observation)}
        if self.values is not None:
            outputs['value'] = tf.gather(self.values, observation)
        return outputs, network_state


def table_actor_agent(logits=None, values=None, learning_rate=1.0, **kwargs):
    """(A policy gradient agent, its table); `kwargs` are its switches and settings."""
    kwargs = {'baseline': 'none', 'gamma': 1.0} | kwargs
    table = TableActorNetwork(np.zeros((10, 2)) if logits is None else logits, values)
    agent = reinforce.PolicyGradientAgent(
        ts.time_step_spec(TEN_STATES),
        ACTION,
        table,
        action_distribution.make('categorical', ACTION),
        tf.keras.optimizers.legacy.SGD(learning_rate),
        **kwargs,
    )
    return agent, table


def batch(*episodes, pad=0):
    """Each episode: (states, actions, rewards, terminated); one more state than actions."""
    length = max(len(states) for states, *_ in episodes) + pad
    columns = {name: [] for name in ('step_type', 'observation', 'action', 'reward', 'discount')}
    for states, actions, rewards, terminated in episodes:
        steps = len(actions)
        rows = {
            'step_type': [FIRST] + [MID] * (steps - 1) + [LAST],
            'observation': list(states),
            'action': [*actions, 0],
            'reward': [*rewards, 0.0],
            'discount': [1.0] * (steps - 1) + [0.0 if terminated else 1.0, 1.0],
        }
        for name, values in rows.items():
            columns[name].append(values + [0] * (length - len(values)))
    action = tf.constant(columns['action'], tf.int64)
    step_type = tf.constant(columns['step_type'], tf.int32)
    return trajectory.Trajectory(
        step_type=step_type,
        observation=tf.constant(columns['observation'], tf.int64),
        action=action,
        policy_info=action,
        next_step_type=step_type,
        reward=tf.constant(columns['reward'], tf.float32),
        discount=tf.constant(columns['discount'], tf.float32),
    )


def logits_gradient(agent, table, experience):
    """[state, action]: what the loss's gradient by the table of logits is."""
    _, gradients = agent.gradients(experience)
    return next(
        tf.convert_to_tensor(g).numpy()
        for g, v in zip(gradients, agent.actor_network.trainable_variables, strict=True)
        if v is table.logits
    )


# Small frames, for stacks.
FRAME = tensor_spec.BoundedTensorSpec([2, 3], tf.uint8, 0, 255)
THREE_ACTIONS = tensor_spec.BoundedTensorSpec([], tf.int64, 0, 2)


@functools.cache
def stacking_network(num_frames, frame=FRAME):
    """A `FrameStackNetwork` with variables; shared, so leave its weights alone."""
    stack_network = q_network.PlainQNetwork(
        frame_stack_network.stacked_spec(frame, num_frames), THREE_ACTIONS
    )
    stacking = frame_stack_network.FrameStackNetwork(frame, stack_network)
    stacking.create_variables()
    return stacking


def frames_of(numbers):
    """uint8 [N, 2, 3]: frame i is filled with numbers[i]."""
    filled = np.array(numbers, np.uint8)[:, None, None]
    return tf.constant(np.broadcast_to(filled, (len(numbers), 2, 3)))


@functools.cache
def _stacking_step(num_frames):
    """(frame, step type, state) -> (the stack, the state after it), compiled once."""
    stacking = stacking_network(num_frames)

    @tf.function(autograph=False)
    def step(frame, step_type, state):
        return stacking.stack(frame, step_type, state), stacking(frame, step_type, state)[1]

    return step


def stacks_acted_on(num_frames, step_types, numbers):
    """[T, K]: what the acting network stacked at each step, from a state full of rubbish."""
    state = tf.fill([1, num_frames - 1, *FRAME.shape], tf.constant(99, tf.uint8))
    seen = []
    for kind, frame in zip(step_types, frames_of(numbers), strict=True):
        stack, state = _stacking_step(num_frames)(frame[None], tf.constant([kind]), state)
        seen.append(stack.numpy()[0, :, 0, 0])
    return np.array(seen)
