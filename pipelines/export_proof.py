"""Proves an exported policy in a process that has TensorFlow and NumPy alone.

Run as `python -I export_proof.py POLICY_DIR`. Everything else that the export was made
with is barred from being imported. Prints a JSON report; exits 1 where the reloaded
policy differs from the live one: |dQ| > 1e-5 * max(1, |Q|) anywhere, or another action
where the two best differ by more than that.
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
    live = {name: stored[name] for name in stored.files if name.startswith('live_')}
    live_q = live['live_q_values']
    model = tf.saved_model.load(str(policy_dir))

    def call(signature, values):
        return model.signatures[signature](**{k: tf.constant(v) for k, v in values.items()})

    bare = call('act', inputs)
    full = call('action', _named_inputs(model.signatures['action'], inputs))
    alone = call('act', {name: value[:1] for name, value in inputs.items()})

    tolerance = TOLERANCE * np.maximum(1.0, np.abs(live_q))
    difference = np.abs(bare['q_values'].numpy() - live_q)
    best_two = np.sort(live_q, axis=1)[:, -2:]
    clear = best_two[:, -1] - best_two[:, 0] > tolerance.max(axis=1)
    greedy = live_q.argmax(axis=1)
    wrong = {
        name: int(np.sum((actions.numpy() != greedy[: len(actions)]) & clear[: len(actions)]))
        for name, actions in (
            ('act', bare['action']),
            ('action', full['action']),
            ('act, one observation', alone['action']),
        )
    }
    if 'state' in inputs:
        wrong['state'] = int(np.sum(bare['state'].numpy() != live['live_state']))
    report = {
        'proven': bool((difference <= tolerance).all() and not any(wrong.values())),
        'observations': len(live_q),
        'max_q_difference': float(difference.max()),
        'tolerance': f'{TOLERANCE} * max(1, |Q|)',
        'actions_compared': int(clear.sum()),
        'that_differ': wrong,
        'signatures': sorted(model.signatures),
        'barred_from_import': list(BARRED),
        'tensorflow': tf.__version__,
    }
    print(json.dumps(report, indent=2))
    return 0 if report['proven'] else 1


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
