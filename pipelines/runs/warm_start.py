"""A new run starts with the weights of an old policy.

Weights are matched by name (see `weights`) and shape. Whatever does not match, on either side, is
refused unless the user names it; what is named starts as it would without a warm start. Epsilon,
replay and optimizer always do.
"""

from __future__ import annotations

import fnmatch
import os
import pathlib
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NoReturn

import numpy as np
import tensorflow as tf

from pipelines.errors import UserError
from pipelines.runs import weights
from pipelines.runs.training import Training

_MOST_LISTED = 8
_MUCH_EXPLORATION = 0.5


class WarmStart:
    """The weights of an exported policy, for an agent that has not been trained."""

    key = 'warm_start'  # in summary.json

    def __init__(self, program: str, path: str, reinitialise: Sequence[str], training: Training):
        """Reads nothing yet.

        Args:
          program: 'train_ddqn' or 'train_reinforce', for messages.
          path: directory of a finished run, or of a policy.
          reinitialise: names of weights that start as configured; a name stands for all below it
            ('torso' for 'torso/0/kernel'), and `*`, `?` and `[...]` are wildcards.
          training: its agent gets the weights.
        """
        self._program, self._path, self._reinitialise = program, path, tuple(reinitialise)
        self._training = training
        self._taken: dict[str, np.ndarray] = {}

    def check(self) -> list[str]:
        """Reads the policy; returns lines about what is taken from it and what is not.

        Raises:
          UserError: there is no policy, it is damaged, or something does not fit.
        """
        policy_dir = self._policy_dir()
        try:
            exported = weights.read(policy_dir)
        except (UserError, OSError, ValueError, LookupError, tf.errors.OpError) as e:
            reason = str(e).strip().split('\n')[0]
            self._fail(f'{policy_dir} holds a damaged policy: {reason}')
        ours, theirs = self._ours(), self._theirs(exported)
        names = list(dict.fromkeys([*ours, *theirs]))
        left_out = self._left_out(names)
        fit = [n for n in names if n in ours and n in theirs and _shape(ours[n]) == theirs[n].shape]
        unfit = [name for name in names if name not in fit and name not in left_out]
        if unfit:
            self._refuse(unfit, names, ours, theirs)
        self._taken = {name: theirs[name] for name in fit if name not in left_out}
        if not self._taken:
            self._fail(f'nothing would be taken from it: leave {self._program}.warm_start out')
        return self._lines(policy_dir, exported, ours, theirs)

    def take(self) -> dict[str, Any]:
        """Gives the agent the weights that `check` has read, in all its networks.

        Returns:
          What summary.json says about it.
        """
        ours = self._ours()
        for name, array in self._taken.items():
            ours[name].assign(tf.cast(array, ours[name].dtype))
        self._training.agent.initialize()  # copies them to its other networks
        return {'from': self._path, 'weights': list(self._taken)}

    def _policy_dir(self) -> pathlib.Path:
        path = pathlib.Path(os.path.expanduser(self._path))
        if not path.is_dir():
            self._fail('there is no such directory')
        for policy_dir in (path, path / 'policy'):
            if (policy_dir / 'policy_card.json').exists():
                return policy_dir
        return self._fail(
            f'{path} holds no exported policy; a run leaves one in its policy/ when it has finished'
        )

    def _ours(self) -> dict[str, tf.Variable]:
        policy = self._training.agent.policy
        pairs = zip(weights.names(policy), policy.variables(), strict=True)
        return {name: variable for name, variable in pairs if not weights.is_counter(variable)}

    def _theirs(self, exported: weights.Exported) -> dict[str, np.ndarray]:
        arrays, names = exported.arrays, exported.names
        if names is None:  # only the same network has the same order
            names = weights.names(self._training.agent.policy)
            if len(names) != len(arrays):
                self._fail(
                    'an earlier version exported it and did not write the names of its weights '
                    f'down; with them in order, it has {len(arrays)} arrays where this run has '
                    f'{len(names)}'
                )
        pairs = zip(names, arrays, strict=True)
        return {name: array for name, array in pairs if not weights.is_counter(array)}

    def _left_out(self, names: Collection[str]) -> set[str]:
        found: set[str] = set()
        for pattern in self._reinitialise:
            matching = {name for name in names if _matches(name, pattern)}
            if not matching:
                raise UserError(
                    f'{self._program}.warm_start_reinitialise: {pattern!r} is the name of nothing; '
                    f'the weights are {", ".join(names)}'
                )
            found |= matching
        return found

    def _refuse(
        self,
        unfit: Sequence[str],
        names: Collection[str],
        ours: dict[str, tf.Variable],
        theirs: dict[str, np.ndarray],
    ) -> NoReturn:
        def words(name: str) -> str:
            if name not in theirs:
                return f'{name} is only here'
            if name not in ours:
                return f'{name} is only there'
            return f'{name} is {list(theirs[name].shape)} there and {list(_shape(ours[name]))} here'

        listed = [words(name) for name in unfit[:_MOST_LISTED]]
        if len(unfit) > _MOST_LISTED:
            listed.append(f'and {len(unfit) - _MOST_LISTED} more')
        layers = {name.rpartition('/')[0] for name in unfit}
        whole = [name for name in names if name.rpartition('/')[0] in layers]
        named = [*self._reinitialise, *shortest(whole, names)]
        self._fail(
            f'its weights do not all fit this run: {", ".join(listed)}; to start these as '
            f'configured, {self._program}.warm_start_reinitialise = {named}'
        )

    def _lines(
        self,
        policy_dir: pathlib.Path,
        exported: weights.Exported,
        ours: dict[str, tf.Variable],
        theirs: dict[str, np.ndarray],
    ) -> list[str]:
        taken, card = self._taken, exported.card
        line = f'warm start from {policy_dir} ({card.get("agent")} on {card.get("env_name")}): '
        line += f'takes {", ".join(shortest(taken, ours))}'
        if exported.names is None:
            line += ', by their order'
        if new := [name for name in ours if name not in taken]:
            line += f'; starts as configured: {", ".join(shortest(new, ours))}'
        if unused := [name for name in theirs if name not in ours]:
            line += f'; does not use: {", ".join(shortest(unused, theirs))}'
        epsilon = self._training.gauges.get('epsilon')
        if epsilon is None:
            return [f'{line}; the optimizer starts as configured']
        lines = [f'{line}; epsilon, replay and optimizer start as configured']
        if float(epsilon()) >= _MUCH_EXPLORATION:
            lines.append(
                f'note: epsilon starts at {float(epsilon()):g}, so at first most actions are '
                "random and not the old policy's: QLearningAgent.epsilon sets it"
            )
        return lines

    def _fail(self, reason: str) -> NoReturn:
        raise UserError(f"{self._program}.warm_start = '{self._path}': {reason}")


def _shape(variable: tf.Variable) -> tuple[int, ...]:
    return tuple(variable.shape)


def _matches(name: str, pattern: str) -> bool:
    pattern = pattern.rstrip('/')
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, f'{pattern}/*')


def shortest(chosen: Iterable[str], every: Collection[str]) -> list[str]:
    """The fewest beginnings of names that stand for the `chosen` of `every` name, and no others.

    'torso' for all of 'torso/0/kernel', 'torso/0/bias' and 'torso/1/kernel'.
    """
    chosen = set(chosen)
    found: dict[str, None] = {}
    for name in (n for n in every if n in chosen):
        parts = name.split('/')
        beginnings = ['/'.join(parts[:i]) for i in range(1, len(parts) + 1)]
        found[next(b for b in beginnings if chosen >= {n for n in every if _matches(n, b)})] = None
    return list(found)
