"""The signature `act` of an exported policy, its inputs by name, and examples of them.

What `act` takes, each with a batch dimension in front:

    an observation    `observation`, or the parts of a dict by their names
    a state           `reset`, and `state`, or a `state_<part>` for each part of the observation

A state is what stacked frames leave behind: one frame less than a stack.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tf_agents.trajectories import time_step as ts

from pipelines.errors import UserError

_RESET = 'reset'
_STEPS_BEFORE_EXAMPLES = 3  # stacks of four frames then hold four different ones


def parts(value: Any, kind: str = 'observation') -> dict[str, Any]:
    """What `act` takes of an observation, or of a 'state' (or of its spec), by name."""
    if not isinstance(value, Mapping):
        return {kind: value}
    prefix = '' if kind == 'observation' else f'{kind}_'
    return {prefix + name: part for name, part in value.items()}


def state_from(arrays: dict[str, Any], spec: Any) -> Any:
    """Takes a policy's state, whose spec has this structure, out of arrays by name."""
    values = [arrays.pop(name) for name in parts(spec, 'state')]
    return dict(zip(spec, values, strict=True)) if isinstance(spec, Mapping) else values[0]


def check_names(observation_spec: Any, state_spec: Any) -> None:
    """Raises a UserError if a part's name cannot be an input of `act`, or is another one's.

    Args:
      observation_spec: of one observation, an array's or a dict of them.
      state_spec: of the policy's state; () if it has none.
    """
    if not isinstance(observation_spec, Mapping):
        return
    taken = {_RESET, *parts(state_spec, 'state')} if state_spec else set()
    for name in observation_spec:
        if name == 'self' or name.startswith('_'):  # TensorFlow cannot save them
            raise UserError(
                f"the observation has a part '{name}', which cannot be the name of an input of an "
                "exported policy: rename the part; 'self' and names that begin with _ are taken"
            )
        if name in taken:
            raise UserError(
                f"the observation has a part '{name}', and with train_ddqn.frame_stack an exported "
                'policy has an input of this name that stands for something else: rename the part, '
                'or set train_ddqn.frame_stack = None'
            )


def signature(policy: Any) -> Any:
    """The concrete function `act` of a TFPolicy that has `outputs`; it checks the shapes."""
    observation_spec, state_spec = policy.time_step_spec.observation, policy.policy_state_spec
    check_names(observation_spec, state_spec)

    @tf.function(autograph=False)
    def act(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        seen = {
            name: _checked(inputs[name], spec, name)
            for name, spec in parts(observation_spec).items()
        }
        batch = tf.shape(next(iter(seen.values())))[:1]
        step_type, state = tf.fill(batch, ts.StepType.MID), ()
        if state_spec:
            step_type = tf.where(inputs[_RESET], ts.StepType.FIRST, ts.StepType.MID)
            frames = {
                name: _checked(inputs[name], spec, name)
                for name, spec in parts(state_spec, 'state').items()
            }
            state = state_from(frames, state_spec)
        observation = seen if isinstance(observation_spec, Mapping) else seen['observation']
        time_step = ts.TimeStep(step_type, tf.zeros(batch), tf.ones(batch), observation)
        out, state = policy.outputs(time_step, state)
        return {**out, **parts(state, 'state')} if state_spec else out

    inputs = {name: _batched(spec, name) for name, spec in parts(observation_spec).items()}
    if state_spec:
        inputs[_RESET] = tf.TensorSpec([None], tf.bool, _RESET)
        inputs |= {name: _batched(spec, name) for name, spec in parts(state_spec, 'state').items()}
    return act.get_concrete_function(inputs)


def _batched(spec: Any, name: str) -> tf.TensorSpec:
    return tf.TensorSpec([None, *spec.shape], spec.dtype, name=name)


def _checked(tensor: tf.Tensor, spec: Any, name: str) -> tf.Tensor:
    # TensorFlow checks an input's dtype but not its shape. The placeholder hides the static
    # shape, with which the check would be optimised away.
    shape = list(spec.shape)
    hidden = tf.compat.v1.placeholder_with_default(tensor, [None] * (1 + len(shape)))
    message = f'{name} must be {spec.dtype.name} [{", ".join(["B", *map(str, shape)])}]'
    fits = tf.debugging.assert_equal(
        tf.shape(hidden)[1:], tf.constant(shape, tf.int32), message=message
    )
    with tf.control_dependencies([fits]):
        return tf.ensure_shape(tf.identity(hidden), [None, *shape])


def examples(policy: Any, act: Any, observations: Any) -> dict[str, np.ndarray]:
    """Inputs of `act`, by name: the observations, and states that such observations leave behind.

    Every fourth row starts an episode.

    Args:
      policy: whose `act` it is.
      act: its `signature`.
      observations: arrays [M, ...] of what the policy was trained on.
    """
    seen = parts(observations)
    if not policy.policy_state_spec:
        return seen
    count, rng = len(next(iter(seen.values()))), np.random.default_rng(0)
    state = {
        name: np.zeros([count, *spec.shape], spec.dtype.as_numpy_dtype)
        for name, spec in parts(policy.policy_state_spec, 'state').items()
    }
    reset = np.ones(count, bool)
    for _ in range(_STEPS_BEFORE_EXAMPLES):
        order = rng.permutation(count)
        before = {name: part[order] for name, part in seen.items()}
        out = call(act, {**before, **state, _RESET: reset})
        state = {name: out[name].numpy() for name in state}
        reset = np.zeros(count, bool)
    return {**seen, **state, _RESET: np.arange(count) % 4 == 0}


def call(act: Any, inputs: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """What `act`, a concrete function or a loaded signature, gives for inputs by name."""
    return act(**{name: tf.convert_to_tensor(value) for name, value in inputs.items()})
