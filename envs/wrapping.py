"""Wrappers that users name: what they are called, what they are, and which are refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import gymnasium as gym
from gymnasium import wrappers as single
from gymnasium.wrappers import vector

from envs import literals, modules
from envs.errors import EnvError

# CleanRL's, Stable-Baselines3's and Gymnasium's normalising wrappers call their statistics so.
_STATISTICS = ('obs_rms', 'return_rms', 'ret_rms')
_NORMALISING = (
    single.NormalizeObservation,
    single.NormalizeReward,
    vector.NormalizeObservation,
    vector.NormalizeReward,
)


class Wrapping(NamedTuple):
    """A wrapper of a single environment and its arguments."""

    name: str  # 'my_env:Clipped', or the name alone of one of Gymnasium's
    kwargs: Mapping[str, Any]

    def wrapper(self) -> Any:
        """The class or function, imported.

        Raises:
          EnvError: there is none of that name, or it is for vector environments.
        """
        module_name, _, name = self.name.rpartition(':')
        wanted_by = f"task.wrappers: '{self.name}'"
        module = modules.imported(module_name or 'gymnasium.wrappers', wanted_by)
        found = modules.attribute(module, name, wanted_by)
        if isinstance(found, type) and issubclass(found, gym.vector.VectorWrapper):
            raise EnvError(f'{wanted_by} is for vector environments: name one for single ones')
        return found

    def around(self, env: gym.Env) -> gym.Env:
        """`env`, wrapped.

        Raises:
          EnvError: the wrapper cannot be made, or is not an environment.
        """
        try:
            wrapped = self.wrapper()(env, **self.kwargs)
        except EnvError:
            raise
        except (Exception, SystemExit) as e:
            raise EnvError(
                f"task.wrappers: '{self.name}' cannot wrap {env}: {modules.in_words(e)}"
            ) from e
        if not isinstance(wrapped, gym.Env):
            raise EnvError(
                f"task.wrappers: '{self.name}' gave a {type(wrapped).__name__}: it must give a "
                'gymnasium.Env'
            )
        return wrapped


def parsed(wrappers: Any) -> tuple[Wrapping, ...]:
    """The wrappers that `task.wrappers` names, the first one innermost.

    Raises:
      EnvError: it is not a list of names and of pairs (name, arguments).
    """
    if not isinstance(wrappers, list | tuple) or isinstance(wrappers, Wrapping):
        raise _not_a_list(wrappers)
    return tuple(_wrapping(each) for each in wrappers)


def _wrapping(given: Any) -> Wrapping:
    name, kwargs = given if isinstance(given, list | tuple) and len(given) == 2 else (given, {})
    if not isinstance(name, str):
        raise _not_a_list(given)
    literals.check_arguments(f"task.wrappers: arguments of '{name}'", kwargs)
    return Wrapping(name, dict(kwargs))


def _not_a_list(value: Any) -> EnvError:
    return EnvError(
        f'task.wrappers: {value!r} does not fit: write a list, such as '
        "['FlattenObservation', ('my_env:Clipped', {'limit': 1.0})]"
    )


def refuse_running_statistics(env: gym.Env | gym.vector.VectorEnv, binding: str) -> None:
    """Raises an EnvError if one of the wrappers around an environment normalises by what it saw.

    Such statistics are part of neither checkpoints nor exported policies, so a resumed run and
    the exported policy would see other observations, and learn from other rewards, than the run.

    Args:
      env: the outermost wrapper.
      binding: where the wrapper was named, for the error.
    """
    for each in chain(env):
        if isinstance(each, _NORMALISING) or any(name in vars(each) for name in _STATISTICS):
            raise EnvError(
                f'{binding}: {type(each).__name__} keeps running statistics, which checkpoints '
                'and exported policies do not hold: scale by constants instead, such as '
                "('RescaleObservation', {'min_obs': -1.0, 'max_obs': 1.0}) where the space has "
                'bounds, or a wrapper of your own'
            )


def chain(env: Any) -> Iterator[Any]:
    """An environment and what it wraps, the outermost first."""
    yield env
    while isinstance(env, gym.Wrapper | gym.vector.VectorWrapper):
        env = env.env
        yield env
