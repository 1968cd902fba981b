import dataclasses
import json
import sys

import gin
import gymnasium as gym
import numpy as np
import pytest

from envs import atari, errors, registry, task
from envs.gymnasium_env import GymnasiumEnv
from envs.processes import ProcessVectorEnv
from envs.task import Task
from tests.envs.fakes import Scripted, registered

SPACE_INVADERS = 'ALE/SpaceInvaders-v5'
HERE = 'tests.envs.small_envs'
COUNTER = f'{HERE}:Counter'

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


OPTIONS = """
    task.env_kwargs = {'length': 6}
    task.wrappers = ['TimeAwareObservation', ('tests.envs.small_envs:Doubled', {'factor': 3.0})]
    task.vectorization = 'sync'
    task.max_episode_steps = 4
"""


@pytest.mark.parametrize(
    'env_name',
    [
        'CartPole-v1', 'Taxi-v3', 'Pendulum-v1', SPACE_INVADERS,
        COUNTER, f'{HERE}:SmallCounter-v0', 'gymnasium.envs.classic_control:CartPoleEnv',
    ],
)  # fmt: skip
def test_a_card_gives_the_task_back(env_name):
    task = Task.configured(env_name)
    assert Task.from_card(through_json(task.card())) == task
    assert Task.from_card(through_json(task.for_run(2)[0].card())) == task.for_run(2)[0]


def test_a_card_keeps_arguments_wrappers_and_time_limit():
    gin.parse_config(OPTIONS)
    task = Task.configured(COUNTER)
    gin.clear_config()
    again = Task.from_card(through_json(task.card()))
    assert again == task != Task(COUNTER)
    card = task.card()
    assert card['env_kwargs'] == {'length': 6} and card['max_episode_steps'] == 4
    assert card['wrappers'] == [['TimeAwareObservation', {}], [f'{HERE}:Doubled', {'factor': 3.0}]]
    assert card['vectorization'] == 'sync'
    assert (card['env_module'], card['env_package']) == (HERE, None)
    tuples = Task(COUNTER, env_kwargs={'length': 6, 'fault_at': (3, [4])})
    assert Task.from_card(through_json(tuples.card())).env_kwargs['fault_at'] == (3, [4])


def test_a_card_says_the_package_of_the_environments_module(monkeypatch):
    """pytest is one that is always here."""
    gym.register('OfAPackage-v0', 'pytest:Item')
    try:
        card = Task('OfAPackage-v0').card()
    finally:
        del gym.registry['OfAPackage-v0']
    assert (card['env_module'], card['env_package']) == ('pytest', f'pytest {pytest.__version__}')


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
def test_a_card_of_an_older_version_is_read_and_what_it_said_is_still_said(card, task):
    assert Task.from_card(card) == task
    told = {key: value for key, value in card.items() if key != 'agent'}
    assert through_json(task.card()).items() >= told.items()


def test_a_card_whose_environment_was_replaced():
    other_game = Task.from_card({**OLD_ATARI_CARD, 'env_name': 'ALE/Pong-v5'})
    assert (other_game.atari_game, other_game.atari.protocol) == ('pong', 'nature')
    assert Task.from_card({**OLD_ATARI_CARD, 'env_name': 'Acrobot-v1'}) == Task('Acrobot-v1')
    game = Task.from_card({**OLD_CARTPOLE_CARD, 'env_name': SPACE_INVADERS})
    assert game == Task(SPACE_INVADERS, atari.options('machado'))


def test_a_card_with_another_environment_keeps_the_wrappers_alone():
    own = Task(
        COUNTER, env_kwargs={'length': 6}, max_episode_steps=4, wrappers=[f'{HERE}:Doubled'],
        vectorization='async',
    )  # fmt: skip
    other = Task.from_card(own.card(), f'{HERE}:Masked')
    assert other == Task(f'{HERE}:Masked', wrappers=[f'{HERE}:Doubled'])
    assert Task.from_card(own.card(), COUNTER) == Task.from_card(own.card()) == own


def test_a_card_knows_the_module_that_registers_its_id(tmp_path, monkeypatch):
    """A gin file imported it in training: the id alone does not name it."""
    card = {**Task('CartPole-v1').card(), 'env_name': 'Mine-v0', 'env_module': 'registers_mine'}
    with pytest.raises(errors.EnvError, match="'Mine-v0' needs the module 'registers_mine'"):
        Task.from_card(card)
    (tmp_path / 'registers_mine.py').write_text(
        'import gymnasium as gym\nfrom tests.envs.small_envs import Counter\n'
        'class Mine(Counter): pass\ngym.register("Mine-v0", Mine)\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        mine = Task.from_card(card)
    finally:
        del gym.registry['Mine-v0']
        del sys.modules['registers_mine']
    assert mine.env_name == 'Mine-v0' and mine.card()['env_module'] == 'registers_mine'


def test_equal_tasks_are_one_key_and_different_ones_are_two():
    tasks = {Task('CartPole-v1'), Task('CartPole-v1'), Task.configured('CartPole-v1')}
    tasks |= {Task('CartPole-v0'), Task.configured(SPACE_INVADERS)}
    tasks |= {Task(SPACE_INVADERS, atari.options()), Task(SPACE_INVADERS, atari.options('nature'))}
    tasks |= {Task(COUNTER, env_kwargs={'length': length}) for length in (5, 6, 5)}
    assert len(tasks) == 6


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


def test_without_box2d_lunar_lander_names_our_extra(monkeypatch):
    monkeypatch.setattr(registry, 'HAS_BOX2D', False)
    for env_name in ('LunarLander-v3', 'BipedalWalker-v3'):
        with pytest.raises(errors.EnvError) as refused:
            Task.configured(env_name)
        hint = "pip install -c constraints.txt -e '.[box2d]'"
        assert str(refused.value) == f"environment '{env_name}' needs Box2D: {hint}"


def first_observation(env):
    return env.reset(seed=3).observation[0]


def test_every_environment_of_a_task_has_its_arguments_wrappers_and_time_limit():
    gin.parse_config(OPTIONS)
    task = Task.configured(COUNTER)
    expected = first_observation(task.evaluation_envs(1))
    assert expected.shape == (3,) and abs(expected[1]) > 0
    for env in (task.training_envs(2), task.evaluation_envs(2), task.rendered_env()):
        np.testing.assert_array_equal(first_observation(env), expected)
        assert env.observation_spec().shape == (3,)
        for step in range(1, 5):
            time_step = env.step(np.ones(env.batch_size, int))
            np.testing.assert_allclose(time_step.observation[0, 0], 3 * step / 6, rtol=1e-6)
            assert time_step.is_last().all() == (step == 4)
        assert (time_step.discount == 1.0).all()
    assert task.single_env().unwrapped.length == 6
    assert env.render()[0].shape == (16, 24, 3)


@pytest.mark.parametrize(
    ('env_name', 'wrapper', 'shapes'),
    [
        ('Blackjack-v1', 'FlattenObservation', ((45,), ())),
        ('Acrobot-v1', 'TimeAwareObservation', ((7,), ())),
        ('CartPole-v1', ('FrameStackObservation', {'stack_size': 4}), ((4, 4), ())),
        ('Pendulum-v1', ('RescaleAction', {'min_action': -1.0, 'max_action': 1.0}), ((3,), (1,))),
        ('Acrobot-v1', ('gymnasium.wrappers:ClipReward', {'min_reward': 0.0}), ((6,), ())),
    ],
)
def test_gymnasiums_wrappers_are_used_by_name(env_name, wrapper, shapes):
    env = Task(env_name, wrappers=[wrapper]).training_envs(2)
    assert (env.observation_spec().shape, env.action_spec().shape) == shapes
    assert env.reset(seed=0).observation.shape == (2, *shapes[0])
    env.step(np.zeros((2, *shapes[1]), env.action_spec().dtype))
    if 'RescaleAction' in wrapper:
        assert env.action_spec().maximum == 1.0  # Pendulum's own is 2
    if 'gymnasium.wrappers:ClipReward' in wrapper:
        assert (env.raw_reward == 0.0).all()  # Acrobot's own is -1


def test_a_time_limit_of_the_users_holds_natively_too():
    env = Task('CartPole-v1', max_episode_steps=3).training_envs(4)
    assert not isinstance(env._env, gym.vector.SyncVectorEnv)
    env.reset(seed=0)
    kinds = [env.step(np.zeros(4, int)).is_last().tolist() for _ in range(3)]
    assert kinds == [[False] * 4, [False] * 4, [True] * 4]


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'env_kwargs': [3]}, 'task.env_kwargs = [3]: must be a dict'),
        ({'env_kwargs': {'f': len}}, 'task.env_kwargs: <built-in function len> cannot be kept'),
        ({'wrappers': 'FlattenObservation'}, 'task.wrappers: '),
        ({'wrappers': ['Flaten']}, "task.wrappers: 'Flaten'"),
        ({'vectorization': 'fork'}, "task.vectorization = 'fork': must be one of"),
        ({'max_episode_steps': 0}, 'task.max_episode_steps = 0: must be a whole number'),
        ({'max_episode_steps': 2.0}, 'task.max_episode_steps = 2.0: must be a whole number'),
    ],
)
def test_an_option_that_does_not_fit_is_refused_before_anything_is_made(options, words):
    with pytest.raises(errors.EnvError) as error:
        Task(COUNTER, **options)
    assert str(error.value).startswith(words)


@pytest.mark.parametrize(
    'options',
    [{'env_kwargs': {'a': 1}}, {'wrappers': ['FlattenObservation']}, {'max_episode_steps': 5}],
)
def test_an_atari_game_takes_its_own_options_alone(options):
    with pytest.raises(errors.EnvError, match='is an Atari game, which is played as its `atari'):
        Task(SPACE_INVADERS, atari.options(), **options)


def test_a_run_decides_once_how_its_environments_are_stepped():
    task, notes = Task('CartPole-v1').for_run(8)
    assert (task.vectorization, notes) == ('native', [])
    task, notes = Task(COUNTER, max_episode_steps=9).for_run(8)
    assert task.vectorization == 'sync' and len(notes) == 1
    assert notes[0].startswith('8 environments one after the other')
    assert task.for_run(8) == (task, [])  # nothing is timed again
    slow = Task(COUNTER, max_episode_steps=9, env_kwargs={'reset_seconds': 0.03})
    task, notes = slow.for_run(8)
    assert task.vectorization == 'async' and notes[0].startswith('8 environments in processes')
    for kept, told in (('async', 1), ('sync', 0)):  # a resumed run does what it did
        task, notes = slow.for_run(8, kept)
        assert (task.vectorization, len(notes)) == (kept, told)
    assert slow.for_run(8, 'native')[0].vectorization == 'async'  # of another environment
    assert Task(COUNTER, vectorization='sync').for_run(8, 'async')[0].vectorization == 'sync'
    game = Task.configured(SPACE_INVADERS)
    assert game.for_run(8) == (game, [str(game.atari)])


def test_an_environment_without_a_time_limit_is_said_to_be_cut():
    words = (
        f"'{COUNTER}' registers no time limit: episodes are cut after 1,000 steps "
        '(task.max_episode_steps says otherwise)'
    )
    assert Task(COUNTER).for_run(1)[1] == [words]
    assert Task(COUNTER, max_episode_steps=50).for_run(1)[1] == []
    assert Task('CliffWalking-v1').for_run(1)[1] == [words.replace(COUNTER, 'CliffWalking-v1')]
    assert Task('Acrobot-v1').for_run(1)[1] == []


def test_evaluations_in_processes_have_a_few_that_reset_side_by_side(monkeypatch):
    monkeypatch.setattr(task, '_MAX_EVALUATION_PROCESSES', 2)
    slow = Task(COUNTER, vectorization='async', env_kwargs={'reset_seconds': 0.01})
    env = slow.evaluation_envs(100)
    assert isinstance(env._env, ProcessVectorEnv) and env.batch_size == 2
    again = Task(COUNTER, vectorization='sync').evaluation_envs(2)
    for left, right in zip(env.reset(seed=1), again.reset(seed=1), strict=True):
        np.testing.assert_array_equal(left, right)
    env.close()
    assert slow.rendered_env().batch_size == 1  # in this process


def test_an_environment_that_is_a_function_or_a_class_needs_no_registration():
    for name in ('Counter', 'normalised'):
        assert f'{HERE}:{name}' not in gym.registry
    assert Task(COUNTER).evaluation_envs(1).name == COUNTER
    with pytest.raises(errors.EnvError, match='NormalizeObservation keeps running statistics'):
        Task(f'{HERE}:normalised').evaluation_envs(1)


def test_what_is_wrong_with_a_constructor_is_the_environments_error():
    broken = Task(COUNTER, env_kwargs={'fault': 'raise', 'fault_at': 'init'})
    calls = [broken.for_run, broken.training_envs, broken.evaluation_envs]
    for call in [*calls, lambda _: broken.rendered_env()]:
        with pytest.raises(errors.EnvError, match=f"'{COUNTER}' cannot be made: ValueError: no f"):
            call(2)


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
    where = 'task_test.py, line '
    made = f"environment 'Scripted-v0' cannot be made: {words} ({where}"
    assert str(refused.value).startswith(made)
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
