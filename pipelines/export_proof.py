"""Proves an exported policy in a process that has TensorFlow and NumPy alone.

Run as `python -I export_proof.py POLICY_DIR`. Everything else that the export was made
with is barred from being imported. Prints a JSON report; exits 1 where the reloaded
policy differs from the live one: a number x by more than 1e-5 * max(1, |x|), an integer
at all. Actions of the greedy are compared too, where the two best are further apart than
that; those of a stochastic policy are draws, and only their range is.
"""

import importlib.abc
import json
import os
import pathlib
import sys

BARRED = (
    'tf_agents', 'tensorflow_probability', 'reverb', 'gymnasium', 'gym', 'ale_py', 'gin',
    'agents', 'envs', 'pipelines',
)  # fmt: skip
TOLERANCE = 1e-5


class _Bar(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path, target=None):
        if fullname.split('.')[0] in BARRED:
            raise ImportError(f'{fullname} is barred here')
        return


def main(policy_dir: pathlib.Path) -> int:
    """Prints the report on the policy in `policy_dir`; returns the exit code."""
    sys.meta_path.insert(0, _Bar())
    os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
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

    def call(signature, values):
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
            bad = _out_of_range(actions, live)
        elif actions.dtype.kind == 'f':
            limit = TOLERANCE * np.maximum(1.0, np.abs(live['action'][:rows]))
            bad = np.abs(actions - live['action'][:rows]) > limit
        else:
            bad = (actions != live['action'][:rows]) & clear[:rows]
        wrong[f'action by {where}'] = int(np.sum(bad))
    report = {
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
    print(json.dumps(report, indent=2))
    return 0 if report['proven'] else 1


def _clear(live: dict):
    """Rows whose best action is better than the second by more than the tolerance."""
    import numpy as np

    scores = live.get('q_values', live.get('probabilities'))
    if scores is None or scores.shape[1] < 2:
        return np.ones(len(live['action']), bool)
    best_two = np.sort(scores, axis=1)[:, -2:]
    limit = 2 * TOLERANCE * np.maximum(1.0, np.abs(scores).max(axis=1))
    return best_two[:, 1] - best_two[:, 0] > limit


def _out_of_range(actions, live: dict):
    """What no draw can be."""
    import numpy as np

    if actions.dtype.kind == 'f':
        return ~np.isfinite(actions)
    return (actions < 0) | (actions >= live['probabilities'].shape[1])


def _named_inputs(action_fn, inputs: dict) -> dict:
    """The inputs of the signature `action`: a TimeStep's leaves, then the policy's state."""
    import numpy as np

    size = len(inputs['observation'])
    leaves = {
        'observation': inputs['observation'],
        'step_type': np.where(inputs.get('reset', np.zeros(size, bool)), 0, 1).astype(np.int32),
        'reward': np.zeros(size, np.float32),
        'discount': np.ones(size, np.float32),
    }
    return {
        name: leaves.get(name.removeprefix('arg_0_'), inputs.get('state'))
        for name in action_fn.structured_input_signature[1]  # such as 'arg_0_observation'
    }


if __name__ == '__main__':
    sys.exit(main(pathlib.Path(sys.argv[1])))
