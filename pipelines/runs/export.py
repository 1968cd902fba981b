"""Exports policies: a SavedModel, a card that describes it, and a proof that it works.

Only this module uses PolicySaver. `export_proof.py` makes the proof in a clean process that can
import neither tf_agents nor this project.

    policy/saved_model.pb, variables/   signatures `action` (a TimeStep) and `act`
    policy/policy_card.json             environment, specs, training, configuration, versions
    policy/proof.npz                    observations, and the live policy's outputs
    policy/export_report.json           the proof's outcome

`act` takes `observation` [B, ...], so a server or another language needs no TimeStep. Observations
that are dicts are given part by part, by their names; one part is `action_mask`, bool [B, A], where
the environment has masks (bool [B, sum of all A] where several actions are taken at a time). It
returns `action` [B, ...], in the environment's own numbers, and the tensors that it was chosen by:
`q_values` float32 [B, A] (dueling networks add `value` [B, 1] and `advantage` [B, A]; categorical
ones add `logits` [B, A, N] over the N atoms that the card's `config` names), `probabilities`
[B, A], or `mu` and `sigma` [B, D] (before tanh if actions are squashed). A policy with a state
(stacked frames) also takes `reset`, bool [B], true where an episode starts, and `state`, and
returns the next `state`; where the observation is a dict, there is a `state_<part>` for each part.

Where D discrete actions are taken at a time, [B, A] above is [B, D, A] with the largest A of them.
An illegal action, and what stands after a dimension's last action, has the lowest float32 as its
value and the probability 0.
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

from agents import masks, policies
from envs.gymnasium_env import GymnasiumEnv
from pipelines import files
from pipelines.errors import UserError
from pipelines.runs import act, known_policies, weights

_PROOF_SCRIPT = pathlib.Path(__file__).with_name('export_proof.py')
_PACKAGES = ('tensorflow', 'tf-agents', 'dm-reverb', 'gymnasium', 'numpy')


class Export(NamedTuple):
    """A policy to export to one directory."""

    policy: Any  # a TFPolicy with `outputs`, which computes in float32
    observations: Any  # [M, ...] or a dict of such parts, inputs of the proof


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
        known_policies.note(root / name)


def _save(policy: Any, directory: pathlib.Path, card: dict, observations: Any) -> None:
    signature = act.signature(policy)
    example = act.examples(policy, signature, observations)
    saver = policy_saver.PolicySaver(policy, batch_size=None)
    saver.signatures['act'] = signature
    saver.save(str(directory))
    live = {name: value.numpy() for name, value in act.call(signature, example).items()}
    stochastic = getattr(policy, 'stochastic', False)
    inputs = {f'input_{name}': value for name, value in example.items()}
    outputs = {f'live_{name}': value for name, value in live.items()}
    np.savez_compressed(directory / 'proof.npz', stochastic=stochastic, **inputs, **outputs)
    described = specs(policy.time_step_spec, policy.action_spec, policy.policy_state_spec)
    described |= {'weights': weights.described(policy), 'versions': _versions()}
    files.write_json(directory / 'policy_card.json', card | described)


def specs(time_step_spec: ts.TimeStep, action_spec: Any, state_spec: Any = ()) -> dict:
    """Describes the specs of observation, action and policy state (if any) as JSON values."""
    described = {
        'observation_spec': tf.nest.map_structure(_spec, time_step_spec.observation),
        'action_spec': _spec(action_spec),
    }
    if tf.as_dtype(action_spec.dtype).is_integer and len(action_spec.shape):
        described['action_spec'] |= {
            name: np.broadcast_to(bound, action_spec.shape).tolist()
            for name, bound in (('minimum', action_spec.minimum), ('maximum', action_spec.maximum))
        }
    if state_spec:
        described['state_spec'] = tf.nest.map_structure(_spec, state_spec)
    return described


def _spec(spec: Any) -> dict:
    dtype = tf.as_dtype(spec.dtype)
    described = {'shape': list(spec.shape), 'dtype': dtype.name}
    if dtype.is_integer and not described['shape']:  # the range gives the number of values
        described['minimum'] = int(np.min(spec.minimum))
        described['maximum'] = int(np.max(spec.maximum))
    elif spec.name == 'categories':  # so do the ranges of a MultiDiscrete's elements
        for name, bound in (('minimum', spec.minimum), ('maximum', spec.maximum)):
            described[name] = np.broadcast_to(bound, spec.shape).tolist()
    return described


def _difference(name: str, policys: Mapping[str, Any], environments: Mapping[str, Any]) -> str:
    """How two descriptions differ; where both are dicts of parts, the first part that does."""
    if _is_array(policys) or _is_array(environments):
        return f"{name} is {policys}, the environment's is {environments}"
    parts = sorted(policys.keys() | environments.keys())
    part = next(part for part in parts if policys.get(part) != environments.get(part))
    one, other = (each.get(part, 'missing') for each in (policys, environments))
    return f"{name} of '{part}' is {one}, the environment's is {other}"


def _versions() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return versions | {'python': sys.version.split()[0]}


def _is_array(described: Mapping[str, Any]) -> bool:
    """Whether a spec in a card is an array's, not a dict's of its parts."""
    return isinstance(described['shape'], list) if 'shape' in described else False


def _zeros(described: Mapping[str, Any], batch_size: int) -> tf.Tensor:
    return tf.zeros([batch_size, *described['shape']], described['dtype'])


class LoadedPolicy:
    """An exported policy, loaded with TensorFlow alone."""

    def __init__(self, policy_dir: str):
        """Loads the SavedModel and its card.

        Raises:
          UserError: there is no exported policy at `policy_dir`.
        """
        path = pathlib.Path(policy_dir)
        for name in ('saved_model.pb', 'policy_card.json'):
            if not (path / name).exists():
                raise UserError(
                    f"--policy_dir='{policy_dir}' holds no exported policy: {name} is missing; "
                    'a finished run has one in <root_dir>/policy'
                )
        try:
            self.card = json.loads((path / 'policy_card.json').read_text())
            self._model = tf.saved_model.load(str(path))
        except (OSError, ValueError, tf.errors.OpError) as e:
            raise UserError(f"--policy_dir='{policy_dir}' holds a damaged policy: {e}") from e

    def check_fits(self, envs: GymnasiumEnv) -> None:
        """Raises a UserError if the environment's specs differ from the policy's."""
        described = specs(envs.time_step_spec(), envs.action_spec())
        described['observation_spec'] = self._taken(described['observation_spec'])
        for name, actual in described.items():
            if actual != self.card[name]:
                raise UserError(
                    f"the policy was trained on '{self.card['env_name']}' and does not fit "
                    f"'{envs.name}': its {_difference(name, self.card[name], actual)}"
                )

    def _taken(self, observation: Any) -> Any:
        """An environment's observation (or its spec), as far as the policy takes it.

        A policy older than its environment's mask plays without it, as it did.
        """
        seen = self.card['observation_spec']
        if isinstance(observation, Mapping) and masks.KEY not in seen:
            return masks.without_mask(observation)
        return observation

    def get_initial_state(self, batch_size: int) -> Any:
        """Returns the policy state at the start of an episode; () if the policy has none."""
        spec = self.card.get('state_spec')
        if not spec:
            return ()
        if _is_array(spec):
            return _zeros(spec, batch_size)
        return {name: _zeros(part, batch_size) for name, part in spec.items()}

    def action(self, time_step: ts.TimeStep, policy_state: Any = ()) -> policy_step.PolicyStep:
        """Acts on a batch through `act`; a Q-network's info holds its `value`, float32 [B]."""
        outputs, policy_state = self.outputs(time_step, policy_state)
        info: tuple | dict = ()
        if 'q_values' in outputs:
            info = {'value': policies.state_value(outputs['q_values'])}
        return policy_step.PolicyStep(outputs['action'], policy_state, info)

    def outputs(self, time_step: ts.TimeStep, policy_state: Any = ()) -> tuple[dict, Any]:
        """Returns (the outputs of `act` by name, the next policy state)."""
        inputs = act.parts(self._taken(time_step.observation))
        if self.card.get('state_spec'):
            inputs['reset'] = tf.equal(time_step.step_type, ts.StepType.FIRST)
            inputs |= act.parts(policy_state, 'state')
        outputs = self._model.signatures['act'](**inputs)
        if not self.card.get('state_spec'):
            return outputs, ()
        return outputs, act.state_from(outputs, policy_state)
