"""Masks, several actions at a time, and numbers that start anywhere, from training to `act`."""

import functools

import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from benchmarks import guarded
from benchmarks.guarded import Guarded
from pipelines import evaluate, train_ddqn, train_reinforce
from tests.pipelines import train_ddqn_test, train_reinforce_test
from tests.pipelines.whole_runs import RunsOfOneProof, is_proven, read_json


class Switches(gym.Env):
    """Pays for each switch that is on; draws them."""

    metadata = {'render_modes': ['rgb_array']}
    observation_space = gym.spaces.Box(0.0, 1.0, (2, 2))
    action_space = gym.spaces.MultiBinary((2, 2))

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.on = np.zeros((2, 2), np.int8)
        return self.on.astype(np.float32), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.on = action
        return self.on.astype(np.float32), float(action.sum()), False, False, {}

    def render(self):
        return (
            np.kron(self.on[..., None], np.full((40, 40, 1), 250.0))
            .repeat(3, axis=2)
            .astype(np.uint8)
        )


gym.register('Switches-v0', Switches, max_episode_steps=5)


def ddqn(root, **bindings):
    few = train_ddqn_test.SHORTER | {'fuse_train_steps': False}
    return train_ddqn_test.arguments(root, **few | bindings)


def reinforce(root, **bindings):
    return train_reinforce_test.arguments(root, **bindings)


PROGRAMS = {
    'masked': (train_ddqn, ddqn, {'env_name': "'Guarded-v0'"}),
    'branching': (
        train_ddqn,
        ddqn,
        {
            'env_name': "'GuardedSeveral-v0'",
            'prioritised': True,
            'frame_stack': 2,
        },
    ),
    'reinforce': (train_reinforce, reinforce, {'env_name': "'GuardedSeveral-v0'"}),
    'switches': (train_ddqn, ddqn, {'env_name': "'Switches-v0'", 'noisy': True}),
}
MASKED = [name for name in PROGRAMS if name != 'switches']


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A short run of each program; `illegal` is how many actions were, and of how many."""
    Guarded.num_actions = Guarded.num_illegal = 0
    runs = RunsOfOneProof(
        tmp_path_factory.mktemp('actions'),
        {
            name: (program, functools.partial(flags, **bindings))
            for name, (program, flags, bindings) in PROGRAMS.items()
        },
    )
    for name in PROGRAMS:
        runs.run(name)
    runs.illegal = Guarded.num_illegal, Guarded.num_actions
    return runs


def test_the_counter_of_illegal_actions_counts():
    Guarded.num_actions = Guarded.num_illegal = 0
    env = Guarded()
    env.reset(seed=0)
    for _ in range(30):
        mask = env.step(3)[-1]['action_mask']
    assert Guarded.num_actions == 30 and 5 < Guarded.num_illegal < 30
    while mask.all():
        mask = env.step(3)[-1]['action_mask']
    assert env.step(3 + int(np.argmin(mask)))[1] == 100.0


@pytest.mark.slow
def test_no_run_takes_an_illegal_action(trained):
    illegal, actions = trained.illegal
    assert illegal == 0 and actions > 3 * 600


@pytest.mark.slow
@pytest.mark.parametrize('name', PROGRAMS)
def test_each_policy_is_proven_and_plays_with_random_actions(trained, name, tmp_path, capsys):
    policy_dir = trained.policy(name)
    assert is_proven(policy_dir)
    Guarded.num_actions = Guarded.num_illegal = 0
    env_name = PROGRAMS[name][2]['env_name'].strip("'")
    flags = [f'--policy_dir={policy_dir}', f'--env_name={env_name}', '--episodes=9']
    json = f'--json={tmp_path / "evaluation.json"}'
    assert evaluate.main(['driver', *flags, json, '--epsilon=0.7']) == 0, capsys.readouterr().err
    if name != 'switches':
        assert (Guarded.num_actions, Guarded.num_illegal) == (9 * guarded.LENGTH, 0)


@pytest.mark.slow
def test_a_stochastic_policy_is_proven_on_legal_draws(trained):
    assert is_proven(trained.policy('reinforce', 'policy_stochastic'))


def inputs(num_rows, num_masked, **more):
    mask = np.zeros((num_rows, num_masked), bool)
    return {
        'observation': tf.zeros([num_rows, 3]), 'action_mask': mask,
        **{name: tf.constant(value) for name, value in more.items()},
    }  # fmt: skip


@pytest.mark.slow
def test_act_answers_in_the_environments_numbers_and_obeys_the_mask(trained):
    policy_dir = trained.policy('masked')
    card = read_json(policy_dir, 'policy_card.json')
    assert (card['action_spec']['minimum'], card['action_spec']['maximum']) == (3, 8)
    assert card['observation_spec']['action_mask'] == {'shape': [6], 'dtype': 'bool'}
    act = tf.saved_model.load(str(policy_dir)).signatures['act']
    given = inputs(6, 6)
    np.fill_diagonal(given['action_mask'], True)  # each action once the only legal one
    out = act(**given | {'action_mask': tf.constant(given['action_mask'])})
    np.testing.assert_array_equal(out['action'], np.arange(3, 9))
    legal = np.array(out['q_values']) > np.finfo(np.float32).min
    np.testing.assert_array_equal(legal, given['action_mask'])
    with pytest.raises(tf.errors.InvalidArgumentError, match='action_mask allows no action'):
        act(**inputs(1, 6) | {'action_mask': tf.zeros([1, 6], tf.bool)})
    with pytest.raises(tf.errors.InvalidArgumentError, match=r'action_mask must be bool \[B, 6\]'):
        act(**inputs(1, 6) | {'action_mask': tf.ones([1, 5], tf.bool)})


@pytest.mark.slow
@pytest.mark.parametrize('name', ['branching', 'reinforce'])
def test_act_gives_several_actions_and_what_they_were_chosen_by(trained, name):
    policy_dir = trained.policy(name)
    spec = read_json(policy_dir, 'policy_card.json')['action_spec']
    assert spec['minimum'] == [1, 0, -4] and spec['maximum'] == [2, 4, -2]
    act = tf.saved_model.load(str(policy_dir)).signatures['act']
    more = {}
    if name == 'branching':
        more = {'state': np.zeros((2, 1, 3), np.float32), 'reset': [True, True]}
    given = inputs(2, 10, **more)
    given['action_mask'][0, [1, 2, 9]] = given['action_mask'][1, [0, 6, 7]] = True
    out = act(**given | {'action_mask': tf.constant(given['action_mask'])})
    np.testing.assert_array_equal(out['action'], [[2, 0, -2], [1, 4, -4]])
    scores = out['q_values' if name == 'branching' else 'probabilities'].numpy()
    assert scores.shape == (2, 3, 5)
    if name == 'reinforce':
        np.testing.assert_allclose(scores.sum(axis=2), 1.0, rtol=1e-6)
        assert (scores[0] > 0.0).sum() == 3


@pytest.mark.slow
def test_a_film_of_several_actions_has_a_bar_for_each(trained, tmp_path):
    film, policy_dir = tmp_path / 'film.gif', trained.policy('switches')
    flags = [f'--policy_dir={policy_dir}', '--env_name=Switches-v0', '--episodes=1']
    json = f'--json={tmp_path / "evaluation.json"}'
    assert evaluate.main(['driver', *flags, json, f'--video={film}']) == 0
    with Image.open(film) as picture:
        assert picture.n_frames == 6


@pytest.mark.slow
def test_a_mask_that_allows_nothing_ends_a_run_with_one_line(tmp_path, capsys):
    class Stuck(Guarded):
        def step(self, action):
            observation, reward, over, truncated, info = super().step(action)
            if self._steps == 7:
                info['action_mask'][:] = 0
            return observation, reward, over, truncated, info

    gym.register('Stuck-v0', Stuck)
    assert train_ddqn.main(ddqn(tmp_path / 'run', env_name="'Stuck-v0'")) == 2
    error = capsys.readouterr().err
    words = "environment 'Stuck-v0': its 'action_mask' allows no action after 7 steps of an episode"
    assert words in error and 'Traceback' not in error


@pytest.mark.slow
@pytest.mark.parametrize(
    ('bindings', 'words'),
    [
        ({'distribution': "'categorical'"}, "train_ddqn.distribution = 'categorical' does not go"),
        ({'munchausen': True, 'double': False, 'n_step': 1}, 'munchausen does not go with several'),
    ],
)
def test_what_takes_one_action_at_a_time_is_refused_in_one_line(tmp_path, bindings, words, capsys):
    root = tmp_path / 'run'
    assert train_ddqn.main(ddqn(root, env_name="'Switches-v0'", **bindings)) == 2
    error = capsys.readouterr().err
    assert words in error and error.count('\n') == 1 and not root.exists()
