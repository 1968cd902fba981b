import dataclasses
import json
import sys

import gin
import gymnasium as gym
import numpy as np
import pytest

from envs import atari, errors
from envs.gymnasium_env import GymnasiumEnv
from envs.task import Task
from tests.envs.fakes import Scripted, registered

SPACE_INVADERS = 'ALE/SpaceInvaders-v5'

# As commit 3b056a9, the last before `Task`, wrote them; a card says more of its agent.
OLD_CARTPOLE_CARD = {
    'env_name': 'CartPole-v1',
    'env_options': None,
    'atari_game': None,
    'action_meanings': ['push left', 'push right'],
    'agent': 'dueling Double DQN',
}
OLD_ATARI_CARD = {
    'env_name': 'ALE/SpaceInvaders-v5',
    'env_options': {
        'protocol': 'nature',
        'repeat_action_probability': 0.0,
        'frame_skip': 4,
        'max_pool': True,
        'noop_max': 30,
        'fire_reset': False,
        'life_loss_terminates': True,
        'clip_reward': True,
        'max_frames_per_episode': 108000,
        'full_action_space': False,
        'frame_height': 84,
        'frame_width': 84,
    },
    'atari_game': 'space_invaders',
    'action_meanings': ['NOOP', 'FIRE', 'RIGHT', 'LEFT', 'RIGHTFIRE', 'LEFTFIRE'],
    'agent': 'dueling Double DQN',
}


def through_json(card):
    return json.loads(json.dumps(card))


@pytest.mark.parametrize('env_name', ['CartPole-v1', 'Taxi-v3', 'Pendulum-v1', SPACE_INVADERS])
def test_a_card_gives_the_task_back(env_name):
    task = Task.configured(env_name)
    assert Task.from_card(through_json(task.card())) == task


def test_a_card_keeps_the_options_that_gin_changed():
    gin.parse_config('atari.protocol = "tutorial"\natari.noop_max = 7')
    task = Task.configured(SPACE_INVADERS)
    gin.clear_config()
    assert Task.from_card(through_json(task.card())) == task != Task.configured(SPACE_INVADERS)
    assert (task.atari.protocol, task.atari.noop_max, task.frames_per_env_step) == (
        'tutorial',
        7,
        3,
    )


@pytest.mark.parametrize(
    ('card', 'task'),
    [
        (OLD_CARTPOLE_CARD, Task('CartPole-v1')),
        (OLD_ATARI_CARD, Task(SPACE_INVADERS, atari.options('nature'))),
    ],
    ids=['CartPole', 'Space Invaders'],
)
def test_a_card_of_the_previous_version_is_read_and_written_as_before(card, task):
    assert Task.from_card(card) == task
    told = {key: value for key, value in card.items() if key != 'agent'}
    assert through_json(task.card()) == told


def test_a_card_whose_environment_was_replaced():
    other_game = Task.from_card({**OLD_ATARI_CARD, 'env_name': 'ALE/Pong-v5'})
    assert (other_game.atari_game, other_game.atari.protocol) == ('pong', 'nature')
    assert Task.from_card({**OLD_ATARI_CARD, 'env_name': 'Acrobot-v1'}) == Task('Acrobot-v1')
    game = Task.from_card({**OLD_CARTPOLE_CARD, 'env_name': SPACE_INVADERS})
    assert game == Task(SPACE_INVADERS, atari.options('machado'))


def test_equal_tasks_are_one_key_and_different_ones_are_two():
    tasks = {Task('CartPole-v1'), Task('CartPole-v1'), Task.configured('CartPole-v1')}
    tasks |= {Task('CartPole-v0'), Task.configured(SPACE_INVADERS)}
    tasks |= {Task(SPACE_INVADERS, atari.options()), Task(SPACE_INVADERS, atari.options('nature'))}
    assert len(tasks) == 4
    assert repr(Task('CartPole-v1')) == "Task(env_name='CartPole-v1', atari=None)"


def test_a_task_cannot_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Task('CartPole-v1').env_name = 'CartPole-v0'


@pytest.mark.parametrize('make', [Task, Task.configured])
def test_a_misspelt_id_names_the_nearest(make):
    with pytest.raises(errors.EnvError, match="no environment 'CartPol-v1'.*CartPole-v1"):
        make('CartPol-v1')


def test_a_game_that_does_not_exist_is_told_its_neighbours():
    with pytest.raises(
        errors.EnvError, match="no environment 'ALE/SpaceInvader-v5'.*ALE/SpaceInvaders-v5"
    ):
        Task.configured('ALE/SpaceInvader-v5')


@pytest.mark.parametrize('env_name', [None, 3, ['CartPole-v1']])
def test_what_is_not_a_name_is_refused(env_name):
    with pytest.raises(errors.EnvError, match='env_name = .*: must be a Gymnasium id'):
        Task.configured(env_name)


def test_options_belong_to_games_and_games_need_them():
    with pytest.raises(errors.EnvError, match="'ALE/Pong-v5' is an Atari game and needs"):
        Task('ALE/Pong-v5')
    with pytest.raises(errors.EnvError, match="'CartPole-v1' is not an Atari game and takes no"):
        Task('CartPole-v1', atari.options())


@pytest.mark.parametrize('num_envs', [0, 2.0, True])
def test_a_number_of_environments_that_is_none_is_refused(num_envs):
    task = Task('CartPole-v1')
    for make in (task.training_envs, task.evaluation_envs):
        with pytest.raises(errors.EnvError, match=f'num_envs = {num_envs}'):
            make(num_envs)


def test_an_environment_without_its_package_says_what_is_missing():
    def no_package():
        raise ImportError('box2d is not installed')

    gym.register('NeedsBox2D-v0', no_package)
    try:
        task = Task('NeedsBox2D-v0')
        with pytest.raises(errors.EnvError) as refused:
            task.evaluation_envs(1)
    finally:
        del gym.registry['NeedsBox2D-v0']
    message = "environment 'NeedsBox2D-v0' cannot be made: box2d is not installed"
    assert str(refused.value) == message


def leave():
    sys.exit(3)


def boom():
    raise RuntimeError('boom')


@pytest.mark.parametrize(
    ('make', 'words'), [(leave, 'SystemExit: 3'), (boom, 'RuntimeError: boom')]
)
def test_a_constructor_that_raises_is_told(make, words):
    with registered(make) as name, pytest.raises(errors.EnvError) as refused:
        Task(name).training_envs(2)
    assert str(refused.value) == f"environment 'Scripted-v0' cannot be made: {words}"
    assert words in refused.value.traceback


def test_a_fault_names_the_environment_the_copy_and_the_moment():
    with registered(Scripted, at={3: boom}) as name:
        env = Task(name).training_envs(2)
    env.reset(seed=0)
    with pytest.raises(errors.EnvError) as raised:
        for _ in range(3):
            env.step(np.array([0, 0]))
    where = "environment 'Scripted-v0', copy 1 of 2, episode 1, step 3"
    assert str(raised.value) == f'{where}: it raised RuntimeError: boom'


def test_training_wrappers_change_training_alone():
    gin.parse_config("""
        load_environment.training_wrappers = [@NoisyReward]
        NoisyReward.sigma = 1.0
    """)
    task = Task('CartPole-v1')
    rewards = {}
    for name in ('training_envs', 'evaluation_envs'):
        env = getattr(task, name)(8)
        assert (env.name, env.batch_size) == ('CartPole-v1', 8)
        env.reset(seed=0)
        rewards[name] = env.step(np.zeros(8, int)).reward
        assert (env.raw_reward == 1).all()
    assert (rewards['evaluation_envs'] == 1).all()
    assert len(set(rewards['training_envs'])) == 8


@gin.configurable
class Scaled(gym.vector.VectorWrapper):
    """Rewards times `factor`, plus 1."""

    def __init__(self, env, factor=gin.REQUIRED):
        super().__init__(env)
        self.factor = factor

    def step(self, actions):
        observation, reward, *rest = self.env.step(actions)
        return observation, reward * self.factor + 1, *rest


def test_the_first_training_wrapper_is_innermost():
    gin.parse_config("""
        load_environment.training_wrappers = [@ten/Scaled, @two/Scaled]
        ten/Scaled.factor = 10
        two/Scaled.factor = 2
    """)
    env = Task('CartPole-v1').training_envs(1)
    env.reset(seed=0)
    assert env.step(np.array([0])).reward == (1 * 10 + 1) * 2 + 1


@gin.configurable
class Forgetful(gym.vector.VectorWrapper):
    """Doubles rewards in place, and drops the info."""

    def step(self, actions):
        observation, reward, terminated, truncated, _ = self.env.step(actions)
        reward *= 2
        return observation, reward, terminated, truncated, {}


def test_the_raw_reward_is_the_one_below_the_training_wrappers():
    gin.parse_config("""
        load_environment.training_wrappers = [@Scaled, @Forgetful]
        Scaled.factor = 10
    """)
    env = Task('CartPole-v1').training_envs(2)
    env.reset(seed=0)
    assert (env.step(np.array([0, 0])).reward == (1 * 10 + 1) * 2).all()
    assert (env.raw_reward == 1).all()


@pytest.mark.parametrize('clip', [True, False])
def test_a_games_raw_reward_is_known_below_a_training_wrapper(clip):
    gin.parse_config('load_environment.training_wrappers = [@Forgetful]')
    env = Task(SPACE_INVADERS, atari.options(clip_reward=clip)).training_envs(1)
    env.reset(seed=0)
    pairs = set()
    for _ in range(300):
        step = env.step(np.array([1]))  # fires
        pairs.add((float(step.reward[0]), float(env.raw_reward[0])))
    assert max(pairs)[1] >= 5
    assert all(given == 2 * (min(raw, 1) if clip else raw) for given, raw in pairs)


@gin.configurable
class Broken(gym.vector.VectorWrapper):
    """Cannot be made."""

    def __init__(self, env):
        boom()


def test_a_training_wrapper_that_raises_is_named():
    gin.parse_config('load_environment.training_wrappers = [@Broken]')
    with pytest.raises(errors.EnvError, match="training wrapper 'Broken': it raised RuntimeError"):
        Task('CartPole-v1').training_envs(2)


def test_gin_binds_the_wrappers_of_load_environment_and_nothing_else():
    with pytest.raises(ValueError, match='vector_env'):
        gin.parse_config('load_environment.vector_env = 3')
    with pytest.raises(ValueError, match='render_mode'):
        gin.parse_config('load_environment.render_mode = "human"')
    Task('CartPole-v1').training_envs(1)
    assert 'load_environment.training_wrappers = ()' in gin.operative_config_str()


def test_evaluation_leaves_no_trace_of_training_wrappers_in_the_operative_configuration():
    Task('CartPole-v1').evaluation_envs(1)
    assert 'load_environment' not in gin.operative_config_str()


def test_a_rendered_environment_draws_and_plays_the_same_episode():
    """CartPole's training copies are native and draw nothing."""
    task = Task('CartPole-v1')
    env = task.rendered_env()
    first = env.reset(seed=3)
    before = env.render()[0]
    assert before.shape == (400, 600, 3) and before.dtype == np.uint8
    for _ in range(5):
        after = env.step(np.array([1]))
    assert (env.render()[0] != before).any()
    single = gym.make('CartPole-v1')
    observation, _ = single.reset(seed=3)
    np.testing.assert_allclose(first.observation[0], observation)
    for _ in range(5):
        observation, *_ = single.step(1)
    np.testing.assert_allclose(after.observation[0], observation)


def test_an_environment_that_draws_nothing_cannot_be_rendered():
    with pytest.raises(errors.EnvError, match="'GaussianBandit-v0' cannot be made.*render_mode"):
        Task('GaussianBandit-v0').rendered_env()


@pytest.mark.parametrize('env_name', ['CartPole-v1', 'MaximisationBias-v0'])
def test_what_gymnasium_vectorises_natively_is_native(env_name):
    vector_env = Task(env_name).training_envs(4)._env
    assert not isinstance(vector_env, gym.vector.SyncVectorEnv) and vector_env.num_envs == 4


def test_a_single_cartpole_plays_what_a_native_one_would_play():
    one = Task('CartPole-v0').training_envs(1)
    assert isinstance(one._env, gym.vector.SyncVectorEnv)
    native = GymnasiumEnv(gym.make_vec('CartPole-v0', 1, vectorization_mode='vector_entry_point'))
    rng, ended = np.random.default_rng(0), 0
    steps = [one.reset(seed=5), native.reset(seed=5)]
    for _ in range(1_000):
        for left, right in zip(*steps, strict=True):
            np.testing.assert_array_equal(left, right)
        action = rng.integers(0, 2, 1)
        steps = [one.step(action), native.step(action)]
        ended += int(steps[0].is_last()[0])
    assert ended >= 10


def test_an_id_without_a_time_limit_is_cut_after_1000_steps():
    """CliffWalking, always to the left: the agent stands in its corner for ever."""
    env = Task('CliffWalking-v1').evaluation_envs(1)
    env.reset(seed=0)
    for step in range(1, 1001):
        time_step = env.step(np.array([3]))
        assert time_step.is_last().all() == (step == 1000)
    assert (time_step.discount == 1.0).all()


def test_what_each_action_does():
    assert Task('CartPole-v0').action_meanings == ('push left', 'push right')
    assert Task('Taxi-v3').action_meanings[-1] == 'drop off'
    assert Task('Pendulum-v1').action_meanings is None
    six = ('NOOP', 'FIRE', 'RIGHT', 'LEFT', 'RIGHTFIRE', 'LEFTFIRE')
    assert Task.configured(SPACE_INVADERS).action_meanings == six
    every = Task(SPACE_INVADERS, atari.options(full_action_space=True))
    assert len(every.action_meanings) == 18


def test_what_a_task_knows_of_itself():
    cartpole, game = Task('CartPole-v1'), Task.configured(SPACE_INVADERS)
    assert (cartpole.atari_game, game.atari_game) == (None, 'space_invaders')
    assert (cartpole.frames_per_env_step, game.frames_per_env_step) == (1, 4)
    assert (cartpole.reward_threshold, Task('Taxi-v3').reward_threshold) == (475.0, 8)
    assert Task('Pendulum-v1').reward_threshold is None
