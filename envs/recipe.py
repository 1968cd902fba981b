"""How one environment is made: a value that any process can make it from.

Environment processes import this module, so nothing here imports TensorFlow.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import traceback
import warnings
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from envs import modules, wrapping
from envs.errors import EnvError
from envs.wrapping import Wrapping

_TAKES_NO_RENDER_MODE = re.compile(
    r"unexpected keyword argument 'render_mode'|\(\) takes no arguments"
)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One environment: what Gymnasium makes it from, and what it is wrapped in."""

    name: str  # as users call it, for errors
    spec: EnvSpec  # with all constructor arguments, and the time limit
    wrappers: tuple[Wrapping, ...] = ()  # outside the time limit; the first one is innermost

    def make(self, render_mode: str | None = None) -> gym.Env:
        """A new environment.

        Args:
          render_mode: passed to the constructor unless None: an environment that draws nothing
            need not know the argument.

        Raises:
          EnvError: its constructor or that of a wrapper fails (the message says what it raised),
            or a wrapper keeps running statistics.
        """
        rendering: dict[str, Any] = {} if render_mode is None else {'render_mode': render_mode}
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # "CartPole-v0 is out of date": the user's choice
            try:
                env = gym.make(self.spec, disable_env_checker=True, **rendering)
            except (Exception, SystemExit) as e:
                raise self.not_made(e) from e
            for each in self.wrappers:
                env = each.around(env)
        wrapping.refuse_running_statistics(env, 'task.wrappers' if self.wrappers else self.name)
        return env

    def not_made(self, error: BaseException) -> EnvError:
        """What to tell the user when a constructor raised `error`."""
        if isinstance(error, EnvError):
            return error
        if isinstance(error, TypeError) and 'was raised from the environment creator' in str(error):
            error = error.__cause__ or error  # which says the same, and where
            if _TAKES_NO_RENDER_MODE.search(str(error)):
                return EnvError(
                    f"environment '{self.name}' cannot be made to draw: its constructor takes no "
                    'render_mode'
                )
        plain = isinstance(error, gym.error.Error | ImportError) and str(error)
        words = str(error) if plain else modules.in_words(error)
        cure = self._cure(error)
        trace = None if plain or cure else ''.join(traceback.format_exception(error))
        return EnvError(f"environment '{self.name}' cannot be made: {words}{cure}", trace)

    def _cure(self, error: BaseException) -> str:
        """The arguments that a misspelt one may have meant."""
        misspelt = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if not misspelt or not callable(self.spec.entry_point):
            return ''
        parameters = inspect.signature(self.spec.entry_point).parameters
        near = modules.near_names(misspelt[1], parameters)
        return f'; did you mean {", ".join(near)}?' if near else ''
