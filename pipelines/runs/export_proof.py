"""Proves exported policies in a process that has only TensorFlow and NumPy.

    python -I export_proof.py POLICY_DIR...

The other packages that made the export cannot be imported. Prints a JSON list with a report for
each policy, and exits with 1 if a reloaded policy differs from the live one: a floating-point
number x by more than 1e-5 * max(1, |x|), an integer at all. A greedy action is compared if the
best two scores differ by more than twice that tolerance. The actions of a stochastic policy are
draws, so only their range is checked, and that they are legal.
"""

from __future__ import annotations

import importlib.abc
import json
import os
import pathlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

BARRED = (
    'tf_agents', 'tensorflow_probability', 'reverb', 'gymnasium', 'gym', 'ale_py', 'gin',
    'agents', 'envs', 'pipelines',
)  # fmt: skip
TOLERANCE = 1e-5


class _Bar(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname.split('.')[0] in BARRED:
            raise ImportError(f'{fullname} is barred here')
        return


def main(policy_dirs: list[str]) -> int:
    """Prints the reports on the policies; returns 0 if all are proven, else 1."""
    sys.meta_path.insert(0, _Bar())
    os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
    reports = [prove(pathlib.Path(policy_dir)) for policy_dir in policy_dirs]
    print(json.dumps(reports, indent=2))
    return 0 if all(report['proven'] for report in reports) else 1


def prove(policy_dir: pathlib.Path) -> dict:
    """Compares the policy in `policy_dir` with its proof.npz; returns the report."""
    import numpy as np
    import tensorflow as tf

    stored = np.load(policy_dir / 'proof.npz')
    inputs = {name: stored[name] for name in stored.files if not name.startswith('live_')}
    stochastic = bool(inputs.pop('stochastic'))
    live = {
        name.removeprefix('live_'): stored[name]
        for name in stored.files
        if name.startswith('live_')
    }
    model = tf.saved_model.load(str(policy_dir))

    def call(signature: str, values: dict) -> dict:
        outputs = model.signatures[signature](**{k: tf.constant(v) for k, v in values.items()})
        return {name: value.numpy() for name, value in outputs.items()}

    reloaded = call('act', inputs)
    differences, wrong = {}, {}
    for name in live.keys() - {'action'}:
        excess = np.abs(reloaded[name].astype(float) - live[name])
        exact = live[name].dtype.kind in 'iub'
        limit = 0.0 if exact else TOLERANCE * np.maximum(1.0, np.abs(live[name]))
        differences[name] = float(excess.max(initial=0.0))
        wrong[name] = int(np.sum(excess > limit))
    clear = _clear(live)
    for where, actions in (
        ('act', reloaded['action']),
        ('action', call('action', _named_inputs(model.signatures['action'], inputs))['action']),
        ('act, one row', call('act', {name: x[:1] for name, x in inputs.items()})['action']),
    ):
        rows = len(actions)
        if stochastic:
            bad = _impossible(actions, _numbers(policy_dir), live)
        elif actions.dtype.kind == 'f':
            limit = TOLERANCE * np.maximum(1.0, np.abs(live['action'][:rows]))
            bad = np.abs(actions - live['action'][:rows]) > limit
        else:
            bad = (actions != live['action'][:rows]) & clear[:rows]
        wrong[f'action by {where}'] = int(np.sum(bad))
    return {
        'proven': not any(wrong.values()),
        'observations': len(live['action']),
        'max_difference': differences,
        'tolerance': f'{TOLERANCE} * max(1, |x|)',
        'actions_compared': 0 if stochastic else int(clear.sum()),
        'that_differ': wrong,
        'signatures': sorted(model.signatures),
        'barred_from_import': list(BARRED),
        'tensorflow': tf.__version__,
    }


def _clear(live: dict) -> np.ndarray:
    """Finds actions better than any other by more than twice the tolerance: bool [M], or [M, D]."""
    import numpy as np

    scores = live.get('q_values', live.get('probabilities'))
    if scores is None or scores.shape[-1] < 2:
        return np.ones(live['action'].shape, bool)
    best_two = np.sort(scores, axis=-1)[..., -2:]
    legal = scores > np.finfo(np.float32).min  # the values of illegal actions
    limit = 2 * TOLERANCE * np.maximum(1.0, np.abs(scores * legal).max(axis=-1))
    clear = best_two[..., 1] - best_two[..., 0] > limit
    return clear.reshape(live['action'].shape)  # of actions in more than one dimension


def _numbers(policy_dir: pathlib.Path) -> Any:
    """Returns the environment's number of each dimension's first action."""
    return json.loads((policy_dir / 'policy_card.json').read_text())['action_spec'].get('minimum')


def _impossible(actions: np.ndarray, first: Any, live: dict) -> np.ndarray:
    """Finds actions that cannot have been drawn: bool like `actions`."""
    import numpy as np

    if actions.dtype.kind == 'f':
        return ~np.isfinite(actions)
    probabilities = live['probabilities'][: len(actions)]
    index = (actions - np.array(first)).reshape(probabilities.shape[:-1])
    inside = (index >= 0) & (index < probabilities.shape[-1])
    index = np.where(inside, index, 0)[..., np.newaxis]
    drawn = np.take_along_axis(probabilities, index, axis=-1)[..., 0]
    return ~(inside & (drawn > 0.0))


def _named_inputs(action_fn: Any, inputs: dict) -> dict:
    """Makes inputs of the signature `action`: a TimeStep's leaves, then the policy's state."""
    import numpy as np

    size = len(next(iter(inputs.values())))
    leaves = {
        'step_type': np.where(inputs.get('reset', np.zeros(size, bool)), 0, 1).astype(np.int32),
        'reward': np.zeros(size, np.float32),
        'discount': np.ones(size, np.float32),
    }
    for name, part in inputs.items():  # an array, or the parts of a dict
        leaves |= {name: part, f'observation_{name}': part}

    def named(name: str) -> Any:
        # such as arg_0_step_type, arg_0_observation_action_mask, arg_1 and arg_1_image
        if name.startswith('arg_0_'):
            return leaves[name.removeprefix('arg_0_')]
        part = name.removeprefix('arg_1').removeprefix('policy_state').lstrip('_')
        return inputs[f'state_{part}' if part else 'state']

    return {name: named(name) for name in action_fn.structured_input_signature[1]}


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
