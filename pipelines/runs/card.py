"""policy_card.json, what an exported policy says of itself; it may come from anywhere."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Annotated, Any, NotRequired, TypedDict

import numpy as np
import tensorflow as tf
from tf_agents.trajectories import time_step as ts

from agents.ranges import SHARE, Range, or_none
from envs.errors import EnvError
from envs.task import Task
from pipelines import files, json_files
from pipelines.errors import UserError

_MOST_DIMENSIONS = 16


def _is_shape(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= _MOST_DIMENSIONS
        and all(type(size) is int and 0 <= size < 2**31 for size in value)
    )


def _is_dtype(value: Any) -> bool:
    try:
        return isinstance(value, str) and tf.as_dtype(value).is_numpy_compatible
    except TypeError:
        return False


def _is_spec(value: Any) -> bool:
    return isinstance(value, dict) and json_files.misfit(value, ArraySpec) is None


class ArraySpec(TypedDict):
    """One array: of an observation, an action or a state."""

    shape: Annotated[Any, Range('a list of sizes', _is_shape)]
    dtype: Annotated[Any, Range('the name of a dtype', _is_dtype)]
    minimum: NotRequired[int | list[Any]]
    maximum: NotRequired[int | list[Any]]


_SPECS = Range(
    "an array's shape and dtype, or a dict of such parts by their names",
    lambda value: (
        _is_spec(value)
        or (isinstance(value, dict) and bool(value) and all(map(_is_spec, value.values())))
    ),
)
_GAMMA = or_none(SHARE)


class Card(TypedDict):
    """What this project reads of a card; earlier versions did not write what may be missing."""

    env_name: str
    env_module: NotRequired[str | None]
    env_package: NotRequired[str | None]
    env_options: NotRequired[dict[str, Any] | None]
    env_kwargs: NotRequired[dict[str, Any] | None]
    wrappers: NotRequired[list[Any] | None]
    vectorization: NotRequired[str]
    max_episode_steps: NotRequired[int | None]
    atari_game: NotRequired[str | None]
    agent: NotRequired[str]
    seed: NotRequired[int]
    gamma: NotRequired[Annotated[Any, _GAMMA]]
    config: NotRequired[dict[str, str]]


class PolicyCard(Card):
    """What playing the policy needs besides."""

    observation_spec: Annotated[Any, _SPECS]
    action_spec: ArraySpec
    state_spec: NotRequired[Annotated[Any, or_none(_SPECS)]]


class ListedWeight(TypedDict):
    """A weight in `weights`."""

    name: str
    shape: Annotated[Any, Range('a list of sizes', _is_shape)]


class WeightsCard(TypedDict):
    """What a warm start reads."""

    weights: NotRequired[list[ListedWeight] | None]


class ReportOfProof(TypedDict):
    """export_report.json, as far as it is read."""

    files: NotRequired[dict[str, str]]  # checksums of what was exported, by path


def path_in(policy_dir: pathlib.Path) -> pathlib.Path:
    """Where a policy's card is."""
    return policy_dir / 'policy_card.json'


def check_unchanged(policy_dir: pathlib.Path) -> None:
    """Raises a UserError if a file is not as it was exported, if the export has noted that."""
    path = policy_dir / 'export_report.json'
    if not path.exists():
        return  # from elsewhere
    report = json_files.read(path, ReportOfProof)
    for name, checksum in report.get('files', {}).items():
        if files.checksum(policy_dir / name) != checksum:
            raise UserError(
                f'{policy_dir / name} is missing or was changed after it was exported; if that is '
                'on purpose, delete export_report.json'
            )


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


def difference(name: str, policys: Mapping[str, Any], environments: Mapping[str, Any]) -> str:
    """How two descriptions differ; where both are dicts of parts, the first part that does."""
    if is_array(policys) or is_array(environments):
        return f"{name} is {policys}, the environment's is {environments}"
    parts = sorted(policys.keys() | environments.keys())
    part = next(part for part in parts if policys.get(part) != environments.get(part))
    one, other = (each.get(part, 'missing') for each in (policys, environments))
    return f"{name} of '{part}' is {one}, the environment's is {other}"


def is_array(described: Mapping[str, Any]) -> bool:
    """Whether a spec in a card is an array's, not a dict's of its parts."""
    return isinstance(described['shape'], list) if 'shape' in described else False


def task(card: Any, path: pathlib.Path, env_name: str | None = None) -> Task:
    """The task that a card describes.

    Args:
      card: the policy's.
      path: of its file, for messages.
      env_name: another environment instead of the card's; see `Task.from_card`.

    Raises:
      UserError: an entry of the card cannot be used; the message names it.
      EnvError: there is no such environment.
    """
    try:
        return Task.from_card(card, env_name)
    except EnvError:
        raise
    except (TypeError, ValueError, KeyError, AttributeError) as e:
        names = ('env_options', 'env_kwargs', 'wrappers', 'vectorization', 'max_episode_steps')
        given = ', '.join(f'{name} = {card[name]!r}' for name in names if card.get(name))
        raise UserError(f'{path} cannot be used: {given[:200]}: {e}') from e
