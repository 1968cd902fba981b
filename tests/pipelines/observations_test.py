"""Observations of many kinds, from training to the exported policy."""

import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from tf_agents.trajectories import time_step as ts

from envs.task import Task
from pipelines import evaluate, train_ddqn, train_reinforce
from pipelines.errors import UserError
from pipelines.loops import evaluation
from pipelines.runs import export
from tests.pipelines.whole_runs import RunsOfOneProof, change_card, is_proven, read_json

SPACES = {
    # Two parts have the names of a time step's own fields, two those of the proof's own arrays.
    'parts': Dict(
        image=Box(0, 255, (10, 10, 3), np.uint8),
        place=Box(-1.0, 1.0, (3,)),
        kind=Discrete(5, start=2),
        reward=Box(-9, 9, (2,), np.int16),
        step_type=MultiBinary(2),
        stochastic=Discrete(2),
        live_q_values=Box(0.0, 1.0, (2,)),
    ),
    'stacked': Dict(
        image=Box(0, 3, (8, 8, 1), np.int8), kind=Discrete(3), dials=MultiDiscrete([3, 4])
    ),
    'nested': Tuple(
        [MultiDiscrete([3, 5], start=[2, -1]), Dict(a=Discrete(5_000), b=Box(0, 1, (2, 3), bool))]
    ),
    'renamed': Dict(reset=Box(-1.0, 1.0, (2,)), kind=Discrete(2)),
}
ENV_NAME = f'{__name__}:Shown'


class Shown(gym.Env):
    """Shows what its space has; pays the action, for five steps."""

    metadata = {'render_modes': ['rgb_array']}
    action_space = Discrete(2)

    def __init__(self, space, render_mode=None):
        self.observation_space, self.render_mode = SPACES[space], render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.steps = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        self.steps += 1
        return self.observation_space.sample(), float(action), self.steps == 5, False, {}

    def render(self):
        return np.zeros((8, 8, 3), np.uint8)


def arguments(program, space, **more):
    """A function from a directory to the flags of a run of seconds."""
    name = program.__name__.removeprefix('pipelines.')
    bindings = {
        f'{name}.env_name': repr(ENV_NAME),
        'task.env_kwargs': {'space': space},
        'task.vectorization': "'sync'",
        f'{name}.num_envs': 4,
        f'{name}.num_eval_episodes': 2,
        f'{name}.num_selection_episodes': 2,
        'mlp_torso.units': '(8,)',
        **more,
    }
    return lambda root: [
        'program',
        f'--root_dir={root}',
        *(f'--gin_bindings={key} = {value}' for key, value in bindings.items()),
    ]


SHORT_DDQN = {
    'train_ddqn.num_env_steps': 400,
    'train_ddqn.min_replay_transitions': 100,
    'train_ddqn.train_steps_per_env_step': 0.1,
    'train_ddqn.fuse_train_steps': False,
    'train_ddqn.eval_interval_env_steps': 400,
    'Replay.transitions_per_item': 4,
}
RUNS = {
    'parts': (train_ddqn, arguments(train_ddqn, 'parts', **SHORT_DDQN)),
    'stacked': (
        train_ddqn,
        arguments(train_ddqn, 'stacked', **SHORT_DDQN, **{'train_ddqn.frame_stack': 3}),
    ),
    'nested': (
        train_reinforce,
        arguments(train_reinforce, 'nested', **{'train_reinforce.num_episodes': 16}),
    ),
}


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    return RunsOfOneProof(tmp_path_factory.mktemp('runs'), RUNS)


def task(space):
    return Task(ENV_NAME, env_kwargs={'space': space}, vectorization='sync')


@pytest.mark.slow
@pytest.mark.parametrize('name', RUNS)
def test_any_observation_trains_and_is_proven_and_played(runs, name):
    policy_dir = runs.policy(name)
    assert is_proven(policy_dir)
    policy, envs = export.LoadedPolicy(str(policy_dir)), task(name).evaluation_envs(2)
    policy.check_fits(envs)
    returns = evaluation.Evaluator(envs, policy)(4, 0)
    assert returns.shape == (4,) and (returns >= 0).all() and (returns <= 5).all()


@pytest.mark.slow
def test_act_takes_the_parts_by_their_names(runs):
    policy_dir = runs.policy('parts')
    act = tf.saved_model.load(str(policy_dir)).signatures['act']
    spec = read_json(policy_dir, 'policy_card.json')['observation_spec']
    assert spec['kind'] == {'shape': [], 'dtype': 'int64', 'minimum': 2, 'maximum': 6}
    assert spec['image'] == {'shape': [10, 10, 3], 'dtype': 'uint8'}
    inputs = {
        name: tf.fill([6, *part['shape']], tf.cast(part.get('minimum', 1), part['dtype']))
        for name, part in spec.items()
    }
    assert act(**inputs)['q_values'].shape == (6, 2)
    inputs['place'] = inputs['place'][:, :2]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r'place must be float32 \[B, 3\]'):
        act(**inputs)


@pytest.mark.slow
def test_stacked_parts_are_proven_on_what_their_spaces_have(runs):
    """Their states too: frames of the run, all of an episode's first step where it starts."""
    policy_dir = runs.policy('stacked')
    stored = np.load(policy_dir / 'proof.npz')
    names = ('image', 'kind', 'dials')
    frames = {name: stored[f'input_state_{name}'] for name in names}
    space = SPACES['stacked']
    for i in range(len(stored['input_kind'])):
        for k in range(2):
            frame = {name: frames[name][i, k] for name in ('image', 'dials')}
            assert space.contains({**frame, 'kind': int(frames['kind'][i, k])})
    assert (frames['image'][:, 0] != frames['image'][:, 1]).any(axis=(1, 2, 3)).mean() > 0.9
    policy = export.LoadedPolicy(str(policy_dir))
    state = policy.get_initial_state(2)
    assert {name: part.shape for name, part in state.items()} == {
        'image': (2, 2, 8, 8, 1), 'kind': (2, 2), 'dials': (2, 2, 2),
    }  # fmt: skip
    envs = task('stacked').evaluation_envs(2)
    first = tf.nest.map_structure(tf.constant, envs.reset(seed=0))
    _, after = policy.outputs(first, state)
    for name in names:  # at the start, the first frame stands for those before it
        np.testing.assert_array_equal(after[name][:, 0], first.observation[name])
        np.testing.assert_array_equal(after[name][:, 1], first.observation[name])
    _, after = policy.outputs(first._replace(step_type=tf.fill([2], ts.StepType.MID)), state)
    assert not after['dials'][:, 0].numpy().any()


@pytest.mark.slow
def test_what_does_not_fit_is_named_by_its_part(runs):
    policy = export.LoadedPolicy(str(runs.policy('parts')))
    policy.card['env_name'] = ENV_NAME
    policy.card['observation_spec']['kind']['maximum'] = 9
    with pytest.raises(UserError, match="observation_spec of 'kind' is {.*9}, the envi.*6}") as e:
        policy.check_fits(task('parts').evaluation_envs(1))
    assert 'image' not in str(e.value)


@pytest.mark.slow
def test_evaluate_plays_and_films_a_policy_of_parts(runs, tmp_path, capsys):
    film = tmp_path / 'play.gif'
    flags = [f'--policy_dir={runs.policy("parts")}', '--episodes=2', f'--video={film}']
    change_card(runs.policy('parts'), **task('parts').card())
    assert evaluate.main(['evaluate', *flags]) == 0, capsys.readouterr().err
    assert film.read_bytes()[:3] == b'GIF'


def test_a_part_with_the_name_of_an_input_for_stacks_is_refused_before_anything_is_written(
    tmp_path, capsys
):
    more = {'train_ddqn.frame_stack': 2}
    flags = arguments(train_ddqn, 'renamed', **SHORT_DDQN, **more)(tmp_path / 'run')
    assert train_ddqn.main(flags) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1 and "a part 'reset'" in error
    assert 'train_ddqn.frame_stack = None' in error and not (tmp_path / 'run').exists()
