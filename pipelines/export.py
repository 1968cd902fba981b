"""Policies that leave: a SavedModel, a card that says what it is, and a proof that it works.

This is the only user of PolicySaver. The proof is made by `export_proof.py` in a clean
process that can import neither tf_agents nor this project.

    policy/saved_model.pb, variables/   signatures `action` (a TimeStep) and `act`
    policy/policy_card.json             environment, specs, training, configuration, versions
    policy/proof.npz                    observations, and what the live policy did
    policy/export_report.json           the proof's outcome

`act` takes `observation` [B, ...] and gives `action` [B] and `q_values` float32 [B, A],
so that a server or another language needs no TimeStep.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tf_agents.policies import policy_saver
from tf_agents.trajectories import policy_step
from tf_agents.trajectories import time_step as ts

from pipelines import run_dir
from pipelines.cli import UserError

_PROOF_SCRIPT = pathlib.Path(__file__).with_name('export_proof.py')
_PACKAGES = ('tensorflow', 'tf-agents', 'dm-reverb', 'gymnasium', 'numpy')


@contextlib.contextmanager
def proven_export(
    policy, directory: pathlib.Path, card: dict, observations: np.ndarray
) -> Iterator[LoadedPolicy]:
    """Exports `policy` to `directory`, which appears only once it is proven.

    The body of the `with` gets the reloaded policy and runs while another process proves
    the export; leaving it waits for the verdict.

    Args:
      policy: a `GreedyQPolicy` whose network computes in float32.
      directory: replaced if it exists.
      card: goes into policy_card.json, with the specs and versions added.
      observations: [M, ...], as stored during training; what the proof compares on.

    Raises:
      RuntimeError: the exported policy differs from the live one, or did not load.
    """
    tmp = directory.with_name(directory.name + '.tmp')
    _save(policy, tmp, card, observations)
    process = subprocess.Popen(
        [sys.executable, '-I', str(_PROOF_SCRIPT), str(tmp)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield LoadedPolicy(str(tmp))
        out, err = process.communicate()
    finally:
        process.kill()
    if process.returncode != 0:
        raise RuntimeError(f'the policy in {tmp} failed its proof:\n{out}{err}')
    run_dir.write_json(tmp / 'export_report.json', json.loads(out))
    run_dir.replace_dir(tmp, directory)


def _save(policy, directory: pathlib.Path, card: dict, observations: np.ndarray):
    saver = policy_saver.PolicySaver(policy, batch_size=None)
    saver.signatures['act'] = _act_signature(policy)
    saver.save(str(directory))
    q_values, _ = policy.q_values(ts.restart(tf.constant(observations), len(observations)))
    np.savez_compressed(
        directory / 'proof.npz', observation=observations, q_values=q_values.numpy()
    )
    run_dir.write_json(
        directory / 'policy_card.json', card | specs(policy) | {'versions': _versions()}
    )


def _act_signature(policy):
    spec = policy.time_step_spec.observation

    @tf.function(autograph=False)
    def act(observation):
        batch = tf.shape(observation)[:1]
        time_step = ts.TimeStep(
            step_type=tf.fill(batch, ts.StepType.MID),
            reward=tf.zeros(batch),
            discount=tf.ones(batch),
            observation=observation,
        )
        q_values, _ = policy.q_values(time_step)
        action = policy.action(time_step).action
        return {'action': action, 'q_values': q_values}

    return act.get_concrete_function(
        tf.TensorSpec([None, *spec.shape], spec.dtype, name='observation')
    )


def specs(policy_or_env) -> dict:
    """The observation and action specs of a policy or an environment, for JSON."""
    time_step_spec = policy_or_env.time_step_spec
    action_spec = policy_or_env.action_spec
    if callable(time_step_spec):  # an environment's are methods, a policy's are properties
        time_step_spec, action_spec = time_step_spec(), action_spec()
    observation = time_step_spec.observation
    return {
        'observation_spec': _spec(observation),
        'action_spec': _spec(action_spec),
    }


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

    def action(self, time_step: ts.TimeStep, policy_state=()) -> policy_step.PolicyStep:
        """Greedy actions for a batch, through the signature `act`."""
        outputs = self._model.signatures['act'](observation=time_step.observation)
        return policy_step.PolicyStep(outputs['action'], policy_state)

    def epsilon_greedy(self, epsilon: float, seed: int):
        """`action`, with uniformly random actions for a share `epsilon` of the steps."""
        if epsilon == 0.0:
            return self.action
        generator = tf.random.Generator.from_seed(seed)
        num_actions = self.card['action_spec']['maximum'] + 1

        def action(time_step, policy_state=()):
            step = self.action(time_step, policy_state)
            shape, dtype = tf.shape(step.action), step.action.dtype
            random_action = generator.uniform(shape, maxval=num_actions, dtype=dtype)
            explore = generator.uniform(shape) < epsilon
            return step._replace(action=tf.where(explore, random_action, step.action))

        return action
