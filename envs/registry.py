"""Environment ids: those that this project registers with Gymnasium, and the look-up of any.

Importing this module registers them.
"""

from __future__ import annotations

import copy
import difflib
import importlib.util
import warnings

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from envs import bias_mdp, errors

HAS_ALE_PY = importlib.util.find_spec('ale_py') is not None  # the extra `atari`

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
    """Gymnasium's spec of an id, a copy.

    Raises:
      EnvError: there is no such id (the nearest are named), or it needs ale-py.
    """
    if not isinstance(env_name, str):
        raise errors.EnvError(f'env_name = {env_name!r}: must be a Gymnasium id')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # "CartPole-v0 is out of date": the user's choice
        try:
            return copy.deepcopy(gym.spec(env_name))
        except gym.error.Error as e:
            if env_name.startswith('ALE/') and not HAS_ALE_PY:
                hint = "pip install -c constraints.txt -e '.[atari]'"
                raise errors.EnvError(f"environment '{env_name}' needs ale-py: {hint}") from e
            near = difflib.get_close_matches(env_name, list(gym.registry), n=3, cutoff=0.5)
            hint = f'; did you mean {", ".join(near)}?' if near else ''
            raise errors.EnvError(f"there is no environment '{env_name}'{hint}") from e


def atari_game(spec: EnvSpec) -> str | None:
    """The name of an Atari id's ROM, such as 'space_invaders'; None for any other id."""
    is_atari = str(spec.entry_point).startswith('ale_py.')
    return spec.kwargs['game'] if is_atari else None
