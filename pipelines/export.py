"""Policies that leave: a SavedModel, a card that says what it is, and a proof that it works.

This is the only user of PolicySaver. The proof is made by `export_proof.py` in a clean
process that can import neither tf_agents nor this project.

    policy/saved_model.pb, variables/   signatures `action` (a TimeStep) and `act`
    policy/policy_card.json             environment, specs, training, configuration, versions
    policy/proof.npz                    observations, and what the live policy did
    policy/export_report.json           the proof's outcome

`act` takes `observation` [B, ...] and gives `action` [B, ...] and what it was chosen by, so
that a server or another language needs no TimeStep: `q_values` float32 [B, A] (of dueling
networks also `value` [B, 1] and `advantage` [B, A]; of categorical ones `logits` [B, A, N]
over the N atoms that the card's `config` names), `probabilities` [B, A], or `mu` and
`sigma` [B, D] (before tanh where actions are squashed). A policy that remembers (stacked
frames) also takes `reset`, bool [B], true where an episode starts, and `state`, and gives
the next `state`.
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

from pipelines import run_dir
from pipelines.cli import UserError

_PROOF_SCRIPT = pathlib.Path(__file__).with_name('export_proof.py')
_PACKAGES = ('tensorflow', 'tf-agents', 'dm-reverb', 'gymnasium', 'numpy')


class Export(NamedTuple):
    """What one directory is to hold."""

    policy: Any  # a TFPolicy with `outputs`, which computes in float32
    observations: np.ndarray  # [M, ...], what the proof compares on


@contextlib.contextmanager
def proven_exports(
    root: pathlib.Path, exports: Mapping[str, Export], card: dict
) -> Iterator[dict[str, LoadedPolicy]]:
    """Exports policies to directories of `root`, which appear once all are proven.

    The body of the `with` gets the reloaded policies and runs while other processes prove
    the exports; leaving it waits for their verdicts.

    Args:
      root: of the run.
      exports: by the directory's name; what is there is replaced.
      card: goes into each policy_card.json, with the specs and versions added.

    Raises:
      RuntimeError: an exported policy differs from the live one, or did not load.
    """
    directories = {name: root / f'{name}.tmp' for name in exports}
    # An op without a seed of its own takes the global one, and a policy that draws would draw
    # the same wherever it is loaded.
    tf.random.set_seed(None)
    for name, export in exports.items():
        _save(export.policy, directories[name], card, export.observations)
    with contextlib.ExitStack() as stack:
        proofs = {}
        for name, directory in directories.items():
            proofs[name] = subprocess.Popen(
                [sys.executable, '-I', str(_PROOF_SCRIPT), str(directory)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.callback(proofs[name].kill)
        yield {name: LoadedPolicy(str(directory)) for name, directory in directories.items()}
        for name, proof in proofs.items():
            out, err = proof.communicate()
            if proof.returncode != 0:
                raise RuntimeError(
                    f'the policy in {directories[name]} failed its proof:\n{out}{err}'
                )
            run_dir.write_json(directories[name] / 'export_report.json', json.loads(out))
    for name, directory in directories.items():
        run_dir.replace_dir(directory, root / name)


def _save(policy, directory: pathlib.Path, card: dict, observations: np.ndarray):
    act, example = _act_signature(policy), _example(policy, observations)
    saver = policy_saver.PolicySaver(policy, batch_size=None)
    saver.signatures['act'] = act
    saver.save(str(directory))
    live = {f'live_{name}': value.numpy() for name, value in act(**example).items()}
    stochastic = getattr(policy, 'stochastic', False)
    np.savez_compressed(directory / 'proof.npz', stochastic=stochastic, **example, **live)
    run_dir.write_json(
        directory / 'policy_card.json', card | specs(policy) | {'versions': _versions()}
    )


def _example(policy, observations: np.ndarray) -> dict[str, np.ndarray]:
    """Inputs of `act` for the proof: every fourth row starts an episode."""
    example = {'observation': observations}
    if policy.policy_state_spec:
        count = len(observations)
        shape, dtype = policy.policy_state_spec.shape, policy.policy_state_spec.dtype
        state = np.random.default_rng(0).integers(0, 256, [count, *shape])
        example['state'] = state.astype(dtype.as_numpy_dtype)
        example['reset'] = np.arange(count) % 4 == 0
    return example


def _act_signature(policy):
    observation_spec, state_spec = policy.time_step_spec.observation, policy.policy_state_spec

    def batched(spec, name):
        return tf.TensorSpec([None, *spec.shape], spec.dtype, name=name)

    def checked(tensor, spec, name):
        # TensorFlow checks an input's dtype, not its shape; the placeholder hides the static one,
        # with which the check would be optimised away.
        shape = list(spec.shape)
        hidden = tf.compat.v1.placeholder_with_default(tensor, [None] * (1 + len(shape)))
        message = f'{name} must be {spec.dtype.name} [{", ".join(["B", *map(str, shape)])}]'
        fits = tf.debugging.assert_equal(
            tf.shape(hidden)[1:], tf.constant(shape, tf.int32), message=message
        )
        with tf.control_dependencies([fits]):
            return tf.ensure_shape(tf.identity(hidden), [None, *shape])

    def outputs(observation, step_type, state):
        observation = checked(observation, observation_spec, 'observation')
        if state_spec:
            state = checked(state, state_spec, 'state')
        batch = tf.shape(observation)[:1]
        time_step = ts.TimeStep(step_type, tf.zeros(batch), tf.ones(batch), observation)
        return policy.outputs(time_step, state)

    @tf.function(autograph=False)
    def act(observation):
        step_type = tf.fill(tf.shape(observation)[:1], ts.StepType.MID)
        return outputs(observation, step_type, ())[0]

    @tf.function(autograph=False)
    def act_with_state(observation, reset, state):
        step_type = tf.where(reset, ts.StepType.FIRST, ts.StepType.MID)
        out, state = outputs(observation, step_type, state)
        return {**out, 'state': state}

    observation = batched(observation_spec, 'observation')
    if not state_spec:
        return act.get_concrete_function(observation)
    return act_with_state.get_concrete_function(
        observation, tf.TensorSpec([None], tf.bool, 'reset'), batched(state_spec, 'state')
    )


def specs(policy_or_env) -> dict:
    """The observation and action specs (a policy's state spec too), for JSON."""
    time_step_spec = policy_or_env.time_step_spec
    action_spec = policy_or_env.action_spec
    if callable(time_step_spec):  # an environment's are methods, a policy's are properties
        time_step_spec, action_spec = time_step_spec(), action_spec()
    described = {
        'observation_spec': _spec(time_step_spec.observation),
        'action_spec': _spec(action_spec),
    }
    if state_spec := getattr(policy_or_env, 'policy_state_spec', ()):
        described['state_spec'] = _spec(state_spec)
    return described


def _spec(spec) -> dict:
    dtype = tf.as_dtype(spec.dtype)
    described = {'shape': list(spec.shape), 'dtype': dtype.name}
    if dtype.is_integer and not described['shape']:  # the range is the number of values
        described['minimum'] = int(np.min(spec.minimum))
        described['maximum'] = int(np.max(spec.maximum))
    return described


def _versions() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return versions | {'python': sys.version.split()[0]}


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

    def check_fits(self, env) -> None:
        """Raises a UserError where the environment's specs are not the policy's."""
        for name, expected in self.card.items():
            actual = specs(env).get(name)
            if actual is not None and actual != expected:
                raise UserError(
                    f"the policy was trained on '{self.card['env_name']}' and does not fit "
                    f"'{env.name}': {name} {expected} against {actual}"
                )

    def get_initial_state(self, batch_size: int):
        """What `action` takes as the policy state at first; () where the policy has none."""
        spec = self.card.get('state_spec')
        return tf.zeros([batch_size, *spec['shape']], spec['dtype']) if spec else ()

    def action(self, time_step: ts.TimeStep, policy_state=()) -> policy_step.PolicyStep:
        """Acts on a batch, through the signature `act`; a Q-network's `value` is in the info."""
        outputs, policy_state = self.outputs(time_step, policy_state)
        info: tuple | dict = ()
        if 'q_values' in outputs:
            info = {'value': tf.reduce_max(outputs['q_values'], axis=1)}
        return policy_step.PolicyStep(outputs['action'], policy_state, info)

    def outputs(self, time_step: ts.TimeStep, policy_state=()) -> tuple[dict, object]:
        """(what `act` gives, by name; the next policy state)."""
        inputs = {'observation': time_step.observation}
        if self.card.get('state_spec'):
            inputs['reset'] = tf.equal(time_step.step_type, ts.StepType.FIRST)
            inputs['state'] = policy_state
        outputs = self._model.signatures['act'](**inputs)
        return outputs, outputs.pop('state', ())
