"""Exports policies: a SavedModel, a card that describes it, and a proof that it works.

Only this module uses PolicySaver. `export_proof.py` makes the proof in a clean process that can
import neither tf_agents nor this project.

    policy/saved_model.pb, variables/   signatures `action` (a TimeStep) and `act`
    policy/policy_card.json             environment, specs, training, configuration, versions
    policy/proof.npz                    observations, and the live policy's outputs
    policy/export_report.json           the proof's outcome

`act` takes `observation` [B, ...], so a server or another language needs no TimeStep. It
returns `action` [B, ...] and the tensors that it was chosen by: `q_values` float32 [B, A]
(dueling networks add `value` [B, 1] and `advantage` [B, A]; categorical ones add `logits`
[B, A, N] over the N atoms that the card's `config` names), `probabilities` [B, A], or `mu` and
`sigma` [B, D] (before tanh if actions are squashed). A policy with a state (stacked frames)
also takes `reset`, bool [B], true where an episode starts, and `state`, and returns the next
`state`.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import pathlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tf_agents.policies import policy_saver
from tf_agents.trajectories import policy_step
from tf_agents.trajectories import time_step as ts

from envs.gymnasium_env import GymnasiumEnv
from pipelines import files
from pipelines.errors import UserError

_PROOF_SCRIPT = pathlib.Path(__file__).with_name('export_proof.py')
_CARD = 'policy_card.json'
_PACKAGES = ('tensorflow', 'tf-agents', 'dm-reverb', 'gymnasium', 'numpy')


class Export(NamedTuple):
    """A policy to export to one directory."""

    policy: Any  # a TFPolicy with `outputs`, which computes in float32
    observations: np.ndarray  # [M, ...], inputs of the proof


@contextlib.contextmanager
def proven_exports(
    root: pathlib.Path, exports: Mapping[str, Export], card: dict
) -> Iterator[dict[str, LoadedPolicy]]:
    """Exports policies to directories below `root`, which appear once all are proven.

    The body of the `with` statement gets the reloaded policies and runs while another process
    proves the exports; leaving it waits for the result.

    Args:
      root: directory of the run.
      exports: exports by the name of their directory, which is replaced if it exists.
      card: content of each policy_card.json; specs and versions are added.

    Raises:
      RuntimeError: an exported policy differs from the live one, or did not load.
    """
    directories = {name: root / f'{name}.tmp' for name in exports}
    # An op without a seed is saved with the global one, and a policy that draws actions would
    # draw the same ones wherever it is loaded.
    tf.random.set_seed(None)
    for name, export in exports.items():
        _save(export.policy, directories[name], card, export.observations)
    proof = subprocess.Popen(
        [sys.executable, '-I', str(_PROOF_SCRIPT), *map(str, directories.values())],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with contextlib.ExitStack() as stack:
        stack.callback(proof.kill)
        yield {name: LoadedPolicy(str(directory)) for name, directory in directories.items()}
        out, err = proof.communicate()
    if proof.returncode != 0:
        where = ', '.join(map(str, directories.values()))
        raise RuntimeError(f'a policy in {where} failed its proof:\n{out}{err}')
    for directory, report in zip(directories.values(), json.loads(out), strict=True):
        files.write_json(directory / 'export_report.json', report)
    for name, directory in directories.items():
        files.replace_dir(directory, root / name)


def _save(policy: Any, directory: pathlib.Path, card: dict, observations: np.ndarray) -> None:
    act, example = _act_signature(policy), _example(policy, observations)
    saver = policy_saver.PolicySaver(policy, batch_size=None)
    saver.signatures['act'] = act
    saver.save(str(directory))
    live = {f'live_{name}': value.numpy() for name, value in act(**example).items()}
    stochastic = getattr(policy, 'stochastic', False)
    np.savez_compressed(directory / 'proof.npz', stochastic=stochastic, **example, **live)
    described = specs(policy.time_step_spec, policy.action_spec, policy.policy_state_spec)
    files.write_json(directory / _CARD, card | described | {'versions': _versions()})


def _example(policy: Any, observations: np.ndarray) -> dict[str, np.ndarray]:
    """Makes the inputs of `act` for the proof; every fourth row starts an episode."""
    example = {'observation': observations}
    if policy.policy_state_spec:
        count = len(observations)
        shape, dtype = policy.policy_state_spec.shape, policy.policy_state_spec.dtype
        rng, shape = np.random.default_rng(0), [count, *shape]
        state = rng.integers(0, 256, shape) if dtype.is_integer else rng.standard_normal(shape)
        example['state'] = state.astype(dtype.as_numpy_dtype)
        example['reset'] = np.arange(count) % 4 == 0
    return example


def _act_signature(policy: Any) -> Any:
    observation_spec, state_spec = policy.time_step_spec.observation, policy.policy_state_spec

    def batched(spec: Any, name: str) -> tf.TensorSpec:
        return tf.TensorSpec([None, *spec.shape], spec.dtype, name=name)

    def checked(tensor: tf.Tensor, spec: Any, name: str) -> tf.Tensor:
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

    def outputs(observation: tf.Tensor, step_type: tf.Tensor, state: Any) -> tuple[dict, Any]:
        observation = checked(observation, observation_spec, 'observation')
        if state_spec:
            state = checked(state, state_spec, 'state')
        batch = tf.shape(observation)[:1]
        time_step = ts.TimeStep(step_type, tf.zeros(batch), tf.ones(batch), observation)
        return policy.outputs(time_step, state)

    @tf.function(autograph=False)
    def act(observation: tf.Tensor) -> dict:
        step_type = tf.fill(tf.shape(observation)[:1], ts.StepType.MID)
        return outputs(observation, step_type, ())[0]

    @tf.function(autograph=False)
    def act_with_state(observation: tf.Tensor, reset: tf.Tensor, state: tf.Tensor) -> dict:
        step_type = tf.where(reset, ts.StepType.FIRST, ts.StepType.MID)
        out, state = outputs(observation, step_type, state)
        return {**out, 'state': state}

    observation = batched(observation_spec, 'observation')
    if not state_spec:
        return act.get_concrete_function(observation)
    return act_with_state.get_concrete_function(
        observation, tf.TensorSpec([None], tf.bool, 'reset'), batched(state_spec, 'state')
    )


def specs(time_step_spec: ts.TimeStep, action_spec: Any, state_spec: Any = ()) -> dict:
    """Describes the specs of observation, action and policy state (if any) as JSON values."""
    described = {
        'observation_spec': _spec(time_step_spec.observation),
        'action_spec': _spec(action_spec),
    }
    if state_spec:
        described['state_spec'] = _spec(state_spec)
    return described


def _spec(spec: Any) -> dict:
    dtype = tf.as_dtype(spec.dtype)
    described = {'shape': list(spec.shape), 'dtype': dtype.name}
    if dtype.is_integer and not described['shape']:  # the range gives the number of values
        described['minimum'] = int(np.min(spec.minimum))
        described['maximum'] = int(np.max(spec.maximum))
    return described


def _versions() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return versions | {'python': sys.version.split()[0]}


def find_policy(path: str) -> str:
    """The directory of an exported policy: `path`, or policy/ in it if `path` is a run's."""
    given = pathlib.Path(path).expanduser()
    inside = given / 'policy'
    is_run = not (given / _CARD).exists() and (inside / _CARD).exists()
    return str(inside if is_run else given)


class LoadedPolicy:
    """An exported policy, loaded with TensorFlow alone."""

    def __init__(self, policy_dir: str):
        """Loads the SavedModel and its card.

        Raises:
          UserError: there is no exported policy at `policy_dir`.
        """
        path = pathlib.Path(policy_dir)
        for name in ('saved_model.pb', _CARD):
            if not (path / name).exists():
                raise UserError(
                    f"--policy_dir='{policy_dir}' holds no exported policy: {name} is missing; "
                    'a finished run has one in <root_dir>/policy'
                )
        try:
            self.card = json.loads((path / _CARD).read_text())
            self._model = tf.saved_model.load(str(path))
        except (OSError, ValueError, tf.errors.OpError) as e:
            raise UserError(f"--policy_dir='{policy_dir}' holds a damaged policy: {e}") from e

    def check_fits(self, envs: GymnasiumEnv) -> None:
        """Raises a UserError if the environment's specs differ from the policy's."""
        for name, actual in specs(envs.time_step_spec(), envs.action_spec()).items():
            if actual != self.card[name]:
                raise UserError(
                    f"the policy was trained on '{self.card['env_name']}' and does not fit "
                    f"'{envs.name}': its {name} is {self.card[name]}, the environment's is {actual}"
                )

    def get_initial_state(self, batch_size: int) -> Any:
        """Returns the policy state at the start of an episode; () if the policy has none."""
        spec = self.card.get('state_spec')
        return tf.zeros([batch_size, *spec['shape']], spec['dtype']) if spec else ()

    def action(self, time_step: ts.TimeStep, policy_state: Any = ()) -> policy_step.PolicyStep:
        """Acts on a batch through `act`; a Q-network's info holds `value`, max_a Q, float32 [B]."""
        outputs, policy_state = self.outputs(time_step, policy_state)
        info: tuple | dict = ()
        if 'q_values' in outputs:
            info = {'value': tf.reduce_max(outputs['q_values'], axis=1)}
        return policy_step.PolicyStep(outputs['action'], policy_state, info)

    def outputs(self, time_step: ts.TimeStep, policy_state: Any = ()) -> tuple[dict, Any]:
        """Returns (the outputs of `act` by name, the next policy state)."""
        inputs = {'observation': time_step.observation}
        if self.card.get('state_spec'):
            inputs['reset'] = tf.equal(time_step.step_type, ts.StepType.FIRST)
            inputs['state'] = policy_state
        outputs = self._model.signatures['act'](**inputs)
        return outputs, outputs.pop('state', ())
