"""Exports policies: a SavedModel, a card that describes it, and a proof that it works.

Only this module uses PolicySaver. `export_proof.py` makes the proof in a clean process that can
import neither tf_agents nor this project.

    policy/saved_model.pb, variables/   signatures `action` (a TimeStep) and `act`
    policy/policy_card.json             environment, specs, training, configuration, versions
    policy/proof.npz                    observations, and the live policy's outputs
    policy/export_report.json           the proof's outcome, and checksums of the other files

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
import re
import shutil
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
from pipelines import files, json_files
from pipelines.errors import UserError
from pipelines.runs import act, card, known_policies, weights

_PROOF_SCRIPT = pathlib.Path(__file__).with_name('export_proof.py')
_NOT_FINITE = 'an action is not finite'
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
    with contextlib.ExitStack() as stack:
        root_for_proof = stack.enter_context(files.for_tensorflow(root, inherit=True))
        proof = subprocess.Popen(
            [
                sys.executable, '-I', str(_PROOF_SCRIPT),
                *(str(root_for_proof / directory.name) for directory in directories.values()),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            close_fds=False,
        )  # fmt: skip
        stack.callback(proof.kill)
        yield {name: LoadedPolicy(str(directory)) for name, directory in directories.items()}
        out, err = proof.communicate()
    if proof.returncode != 0:
        where = ', '.join(map(str, directories.values()))
        raise RuntimeError(f'a policy in {where} failed its proof:\n{out}{err}')
    for directory, report in zip(directories.values(), json.loads(out), strict=True):
        exported = sorted(path for path in directory.rglob('*') if path.is_file())
        report['files'] = {str(p.relative_to(directory)): files.checksum(p) for p in exported}
        json_files.write(directory / 'export_report.json', report)
    for name, directory in directories.items():
        files.replace_dir(directory, root / name)
        known_policies.note(root / name)


def _save(policy: Any, directory: pathlib.Path, about: dict, observations: Any) -> None:
    signature = act.signature(policy)
    example = act.examples(policy, signature, observations)
    saver = policy_saver.PolicySaver(policy, batch_size=None)
    saver.signatures['act'] = signature
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    with files.for_tensorflow(directory) as path:
        saver.save(str(path))
    live = {name: value.numpy() for name, value in act.call(signature, example).items()}
    stochastic = getattr(policy, 'stochastic', False)
    inputs = {f'input_{name}': value for name, value in example.items()}
    outputs = {f'live_{name}': value for name, value in live.items()}
    np.savez_compressed(directory / 'proof.npz', stochastic=stochastic, **inputs, **outputs)
    described = card.specs(policy.time_step_spec, policy.action_spec, policy.policy_state_spec)
    described |= {'weights': weights.described(policy), 'versions': _versions()}
    json_files.write(card.path_in(directory), about | described)


def _versions() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return versions | {'python': sys.version.split()[0]}


def _parts(described: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The specs in a card by what `act` calls them."""
    return {kind: described} if card.is_array(described) else act.parts(described, kind)


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
            card.check_unchanged(path)
            self.card = json_files.read(card.path_in(path), card.PolicyCard)
            with files.for_tensorflow(path) as readable:
                self._model = tf.saved_model.load(str(readable))
            self._act = self._checked_act()
        except Exception as e:  # of a damaged SavedModel: anything
            reason = str(e).strip().split('\n')[0] or repr(e)
            raise UserError(f"--policy_dir='{policy_dir}' holds a damaged policy: {reason}") from e

    def _checked_act(self) -> Any:
        """The signature `act`; raises a UserError if it is not as the card says."""
        signatures = getattr(self._model, 'signatures', {})
        if 'act' not in signatures:
            raise UserError("its SavedModel has no signature 'act'")
        found = signatures['act']
        inputs = _parts(self.card['observation_spec'], 'observation')
        state = _parts(self.card['state_spec'], 'state') if self.card.get('state_spec') else {}
        if state:
            inputs |= state | {'reset': {'shape': [], 'dtype': 'bool'}}
        outputs = {'action': self.card['action_spec'], **state}
        given = found.structured_outputs
        given = {name: each for name, each in given.items() if name in outputs}
        for what, wanted, actual in (
            ('input', inputs, found.structured_input_signature[1]),
            ('output', outputs, given),
        ):
            if wanted.keys() != actual.keys():
                raise UserError(f'the {what}s of act are {sorted(actual)}, not {sorted(wanted)}')
            for name, spec in wanted.items():
                words = f'{actual[name].dtype.name} {actual[name].shape}'
                same = actual[name].shape.is_compatible_with([None, *spec['shape']])
                if not same or actual[name].dtype != tf.as_dtype(spec['dtype']):
                    raise UserError(
                        f"the {what} '{name}' of act is {words}, not {spec['dtype']} "
                        f'{[None, *spec["shape"]]}'
                    )
        return found

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Within it, what fails while the policy plays is a UserError."""
        try:
            yield
        except tf.errors.OpError as e:
            found = re.search(rf'assertion failed: \[([^\]]*)|({_NOT_FINITE})', e.message)
            lines = e.message.replace('Graph execution error:', '').strip().split('\n')
            reason = next(filter(None, found.groups())) if found else lines[0]
            raise UserError(f'the policy cannot play: {reason}') from e

    def check_fits(self, envs: GymnasiumEnv) -> None:
        """Raises a UserError if the environment's specs differ from the policy's."""
        described = card.specs(envs.time_step_spec(), envs.action_spec())
        described['observation_spec'] = self._taken(described['observation_spec'])
        for name, actual in described.items():
            if actual != self.card.get(name):
                raise UserError(
                    f"the policy was trained on '{self.card['env_name']}' and does not fit "
                    f"'{envs.name}': its {card.difference(name, self.card[name], actual)}"
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
        if card.is_array(spec):
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
        outputs = self._act(**inputs)
        with tf.control_dependencies([self._is_possible(outputs['action'])]):
            outputs['action'] = tf.identity(outputs['action'])
        if not self.card.get('state_spec'):
            return outputs, ()
        return outputs, act.state_from(outputs, policy_state)

    def _is_possible(self, action: tf.Tensor) -> Any:
        """An operation that fails if an action cannot be one."""
        spec = self.card['action_spec']
        if not action.dtype.is_integer:
            return tf.debugging.assert_all_finite(action, _NOT_FINITE)
        low, high = (
            tf.constant(spec.get(name, 0), action.dtype) for name in ('minimum', 'maximum')
        )
        inside = tf.reduce_all((action >= low) & (action <= high)) if 'maximum' in spec else True
        words = f'an action is outside {spec.get("minimum")} to {spec.get("maximum")}'
        return tf.debugging.assert_equal(inside, True, words)
