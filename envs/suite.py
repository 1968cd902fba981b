"""Loads any Gymnasium environment id as a batched TF-Agents environment."""

from __future__ import annotations

import copy
import difflib
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import gin
import gymnasium as gym

from envs import bias_mdp, errors
from envs import noisy_reward as noisy_reward  # registers NoisyReward with gin
from envs.gymnasium_env import GymnasiumEnv

try:
    import ale_py

    from envs import atari
except ImportError:  # the extra `atari` is not installed
    pass
else:
    gym.register_envs(ale_py)

# Gymnasium 1.3 retired this id for v4, which mends two options that are off by default:
# without them it is the same environment.
if 'Taxi-v3' not in gym.registry:
    gym.register(
        'Taxi-v3',
        entry_point='gymnasium.envs.toy_text.taxi:TaxiEnv',
        reward_threshold=8,
        max_episode_steps=200,
    )

gym.register('GaussianBandit-v0', 'envs.gaussian_bandit:GaussianBandit', max_episode_steps=1)
gym.register('LinearQuadratic-v0', 'envs.linear_quadratic:LinearQuadratic', max_episode_steps=50)
gym.register('BlindCliffwalk-v0', 'envs.blind_cliffwalk:BlindCliffwalk', max_episode_steps=1_000)
gym.register(
    'MaximisationBias-v0',
    'envs.bias_mdp:MaximisationBias',
    vector_entry_point='envs.bias_mdp:MaximisationBiasVector',
    max_episode_steps=bias_mdp.TIME_LIMIT_ENV_STEPS,
)

# For ids that set none: a policy may run in circles, and its evaluation must end.
_DEFAULT_TIME_LIMIT_ENV_STEPS = 1_000

VectorWrapper = Callable[[gym.vector.VectorEnv], gym.vector.VectorEnv]


@gin.configurable('load_environment')  # TF-Agents has several `load`s
def load(
    env_name: str,
    num_envs: int,
    *,
    training_wrappers: Sequence[VectorWrapper] = (),
    render_mode: str | None = None,
    options: dict | None = None,
) -> GymnasiumEnv:
    """Makes `num_envs` copies of `env_name`, natively vectorised where Gymnasium can.

    An id without a time limit is cut (truncated, not terminated) after 1 000 steps. Of an
    Atari id only the game counts: how it is played is `atari.options`.

    Args:
      env_name: a Gymnasium id, such as 'CartPole-v1'.
      num_envs: how many copies are stepped together (>= 1).
      training_wrappers: applied in order to the vector environment. They may change what
        the agent learns from; evaluation passes none.
      render_mode: None or 'rgb_array'.
      options: of an Atari game, as a policy's card holds them; what gin configures by default.

    Raises:
      EnvError: no such id (the nearest are named), a missing dependency, unsupported
        spaces, or num_envs < 1.
    """
    if not isinstance(num_envs, int) or num_envs < 1:
        raise errors.EnvError(f'num_envs = {num_envs}: must be a whole number, at least 1')
    spec = _spec(env_name)
    if game := _game_of(spec):
        chosen = atari.AtariOptions(**options) if options else atari.options()
        vector_env = atari.make(game, num_envs, chosen)
        for wrap in training_wrappers:
            vector_env = wrap(vector_env)
        return GymnasiumEnv(vector_env, env_name, chosen)
    spec.disable_env_checker = True
    spec.max_episode_steps = spec.max_episode_steps or _DEFAULT_TIME_LIMIT_ENV_STEPS
    native = spec.vector_entry_point is not None and not spec.additional_wrappers
    # A time limit is given to native environments as an argument, to the others as a wrapper.
    mode = 'vector_entry_point' if native and render_mode is None else 'sync'
    # An environment that draws nothing need not know the argument.
    rendering: dict[str, Any] = {} if render_mode is None else {'render_mode': render_mode}
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # "CartPole-v0 is out of date": the user's choice
        try:
            vector_env = gym.make_vec(spec, num_envs=num_envs, vectorization_mode=mode, **rendering)
        except (gym.error.Error, ImportError, TypeError) as e:
            raise errors.EnvError(f"environment '{env_name}' cannot be made: {e}") from e
    for wrap in training_wrappers:
        vector_env = wrap(vector_env)
    return GymnasiumEnv(vector_env)


_ACTION_MEANINGS = {  # from Gymnasium's documentation
    'CartPole': ('push left', 'push right'),
    'Acrobot': ('torque -1', 'no torque', 'torque +1'),
    'MountainCar': ('push left', 'no push', 'push right'),
    'Taxi': ('south', 'north', 'east', 'west', 'pick up', 'drop off'),
    'FrozenLake': ('left', 'down', 'right', 'up'),
}


def action_meanings(env_name: str, options: dict | None = None) -> tuple[str, ...] | None:
    """What each action does, where it is known; `options`: of an Atari game."""
    if options:
        return emulator(env_name, options).action_meanings
    return _ACTION_MEANINGS.get(env_name.split('-v')[0])


def _game_of(spec: gym.envs.registration.EnvSpec) -> str | None:
    is_atari = str(spec.entry_point).startswith('ale_py.')
    return spec.kwargs['game'] if is_atari else None


def atari_game(env_name: str) -> str | None:
    """The ROM's name, such as 'space_invaders', where it is an Atari id; else None."""
    return _game_of(_spec(env_name))


def emulator(env_name: str, options: dict):
    """An `atari.Emulator` of `env_name`, an Atari id."""
    game = atari_game(env_name)
    assert game is not None, env_name
    return atari.Emulator(game, atari.AtariOptions(**options))


def _spec(env_name: str) -> gym.envs.registration.EnvSpec:
    if not isinstance(env_name, str):
        raise errors.EnvError(f'env_name = {env_name!r}: must be a Gymnasium id')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try:
            return copy.deepcopy(gym.spec(env_name))
        except gym.error.Error as e:
            if env_name.startswith('ALE/') and 'atari' not in globals():
                hint = "pip install -c constraints.txt -e '.[atari]'"
                raise errors.EnvError(f"environment '{env_name}' needs ale-py: {hint}") from e
            near = difflib.get_close_matches(env_name, list(gym.registry), n=3, cutoff=0.5)
            hint = f'; did you mean {", ".join(near)}?' if near else ''
            raise errors.EnvError(f"there is no environment '{env_name}'{hint}") from e
