"""What the weights of a policy are called, in every process and in every export.

A weight's name is its way through the network's parts: `torso/0/kernel` is the kernel of the
torso's first layer with weights. Keras's own names will not do: its counters go up with every
layer that a process makes (`dense_7/kernel`).

An export lists names and shapes in policy_card.json, in the order of its variables; exports of
earlier versions do not.
"""

from __future__ import annotations

import pathlib
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from pipelines import files, json_files
from pipelines.runs import card

# From a policy to its Q-network, or to its actor network; one that stacks frames has it inside.
_TO_THE_NETWORK = ('q_network', '_network', 'stack_network')
_LAYER = 'layer_with_weights-'  # in a Keras model; `layer-` counts those without weights too


def names(policy: Any) -> list[str]:
    """The names of `policy.variables()`, in their order."""
    paths: dict[Any, str] = {}
    seen, parts = set(), [((), policy)]
    while parts:  # the shortest ways first
        path, part = parts.pop(0)
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, tf.Variable):
            paths[part.ref()] = '/'.join(path)
            continue
        for word, child in tf.train.TrackableView.children(part).items():
            inside = () if not path and word in _TO_THE_NETWORK else (word.lstrip('_'),)
            parts.append(((*path, *(w.removeprefix(_LAYER) for w in inside)), child))
    return [paths.get(v.ref(), f'variable_{i}') for i, v in enumerate(policy.variables())]


def described(policy: Any) -> list[dict[str, Any]]:
    """What a policy's card says of its weights: name and shape, in the order of its variables."""
    pairs = zip(names(policy), policy.variables(), strict=True)
    return [{'name': name, 'shape': variable.shape.as_list()} for name, variable in pairs]


def is_counter(variable: Any) -> bool:
    """Whether it counts something and is not a weight, like a noisy layer's draws.

    Args:
      variable: an array or a `tf.Variable`.
    """
    return tf.as_dtype(variable.dtype).is_integer


class Exported(NamedTuple):
    """The variables of an exported policy."""

    card: dict[str, Any]
    names: list[str] | None  # None: exported by a version that did not write them down
    arrays: list[np.ndarray]


def read(policy_dir: pathlib.Path) -> Exported:
    """Reads an exported policy's variables, without making the policy.

    Raises:
      UserError, OSError, ValueError, tf.errors.OpError: the export is damaged.
    """
    card.check_unchanged(policy_dir)
    entries = json_files.read(card.path_in(policy_dir), card.WeightsCard)
    with files.for_tensorflow(policy_dir / 'variables') as path:
        reader = tf.train.load_checkpoint(str(path / 'variables'))
    known = reader.get_variable_to_shape_map()
    arrays: list[np.ndarray] = []
    while (key := f'model_variables/{len(arrays)}/.ATTRIBUTES/VARIABLE_VALUE') in known:
        arrays.append(reader.get_tensor(key))
    listed = entries.get('weights')
    if listed is None:
        return Exported(entries, None, arrays)
    if [list(array.shape) for array in arrays] != [entry['shape'] for entry in listed]:
        raise ValueError('policy_card.json lists other weights than variables/ holds')
    return Exported(entries, [entry['name'] for entry in listed], arrays)
