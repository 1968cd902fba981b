"""Environment ids: those that this project registers with Gymnasium, and the look-up of any.

Importing this module registers them.
"""

from __future__ import annotations

import copy
import importlib.util
import warnings

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from envs import bias_mdp, errors, modules

HAS_ALE_PY = importlib.util.find_spec('ale_py') is not None  # the extra `atari`
HAS_BOX2D = importlib.util.find_spec('Box2D') is not None  # the extra `box2d`

if HAS_ALE_PY:
    import ale_py

    gym.register_envs(ale_py)

# Gymnasium 1.3 replaced Taxi-v3 with v4, which corrects two options that are off by default:
# without them both are the same environment.
if 'Taxi-v3' not in gym.registry:
    gym.register(
        'Taxi-v3',
        entry_point='gymnasium.envs.toy_text.taxi:TaxiEnv',
        reward_threshold=8,
        max_episode_steps=200,
    )

gym.register('GaussianBandit-v0', 'envs.gaussian_bandit:GaussianBandit', max_episode_steps=1)
gym.register(  # 0.25 / max(0.25, |action - 4|)
    'WideGaussianBandit-v0',
    'envs.gaussian_bandit:GaussianBandit',
    max_episode_steps=1,
    kwargs={'width': 0.25, 'peak': 1.0},
)
gym.register('LinearQuadratic-v0', 'envs.linear_quadratic:LinearQuadratic', max_episode_steps=50)
gym.register('BlindCliffwalk-v0', 'envs.blind_cliffwalk:BlindCliffwalk', max_episode_steps=1_000)
gym.register(
    'MaximisationBias-v0',
    'envs.bias_mdp:MaximisationBias',
    vector_entry_point='envs.bias_mdp:MaximisationBiasVector',
    max_episode_steps=bias_mdp.TIME_LIMIT_ENV_STEPS,
)


def look_up(env_name: str) -> EnvSpec:
    """What Gymnasium makes an environment from, a copy.

    Args:
      env_name: an id; 'module:Id', whose module registers the id when it is imported; or
        'module:Class', a class or function in the module, which need not be registered.

    Raises:
      EnvError: there is no such environment (the nearest are named), its module cannot be
        imported, or it needs ale-py or Box2D.
    """
    if not isinstance(env_name, str):
        raise errors.EnvError(
            f"env_name = {env_name!r}: must be a Gymnasium id, 'module:Id' or 'module:Class'"
        )
    module_name, colon, name = env_name.rpartition(':')
    module = modules.imported(module_name, f"environment '{env_name}'") if colon else None
    try:
        spec = _registered(name)
    except gym.error.Error as e:
        if name.startswith('ALE/') and not HAS_ALE_PY:
            raise _needs('ale-py', 'atari', env_name) from e
        if module is None:
            near = modules.near_names(env_name, gym.registry)
            hint = f'; did you mean {", ".join(near)}?' if near else ''
            raise errors.EnvError(
                f"there is no environment '{env_name}'{hint} (one of your own is 'module:Id' or "
                "'module:Class')"
            ) from e
        ids = [each for each, spec in gym.registry.items() if module_of(spec) == module_name]
        entry_point = modules.attribute(module, name, f"environment '{env_name}'", others=ids)
        return EnvSpec(env_name, entry_point)
    if str(spec.entry_point).startswith('gymnasium.envs.box2d') and not HAS_BOX2D:
        raise _needs('Box2D', 'box2d', env_name)
    return spec


def _registered(name: str) -> EnvSpec:
    """A copy of what is registered; raises a gymnasium.error.Error."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # "CartPole-v0 is out of date": the user's choice
        return copy.deepcopy(gym.spec(name))


def _needs(package: str, extra: str, env_name: str) -> errors.EnvError:
    command = f"pip install -c constraints.txt -e '.[{extra}]'"
    return errors.EnvError(f"environment '{env_name}' needs {package}: {command}")


def module_of(spec: EnvSpec) -> str | None:
    """The module that has the environment's class; None if there is no class."""
    if callable(spec.entry_point):
        return getattr(spec.entry_point, '__module__', None)
    return spec.entry_point.rpartition(':')[0] if spec.entry_point else None


def module_to_import(env_name: str, spec: EnvSpec) -> str | None:
    """The module without which another process does not know the environment; None if it does."""
    named = env_name.rpartition(':')[0]
    module = named or module_of(spec) or ''
    return None if module.split('.')[0] in ('', 'gymnasium', 'ale_py', 'envs') else module


def atari_game(spec: EnvSpec) -> str | None:
    """The name of an Atari id's ROM, such as 'space_invaders'; None for any other id."""
    is_atari = str(spec.entry_point).startswith('ale_py.')
    return spec.kwargs['game'] if is_atari else None
