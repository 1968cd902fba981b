"""What other libraries' words are answered with can be typed."""

import gin
import pytest

from pipelines import (
    assembly,  # noqa: F401, registers what gin configures
    compare,
    evaluate,
    settings,  # noqa: F401
    train_ddqn,
    train_reinforce,
    tutorials,
    vocabulary,
)

PROGRAMS = {
    'train_ddqn': train_ddqn, 'train_reinforce': train_reinforce, 'evaluate': evaluate,
    'compare': compare, 'tutorials': tutorials,
}  # fmt: skip
WORDS = {word for words in vocabulary._SETTINGS.values() for word in words.split()}
PARAMETERS = {s.partition(' = ')[0].rpartition('.')[2] for s in vocabulary._SETTINGS}


@pytest.mark.parametrize('program', vocabulary.PROGRAMS)
def test_every_answer_is_a_binding_that_gin_accepts(program):
    answers = {word: vocabulary.what_to_bind(program, word) for word in WORDS | PARAMETERS}
    known = {word: answer for word, answer in answers.items() if answer}
    assert len(known) > 100
    other = next(p for p in vocabulary.PROGRAMS if p != program)
    for word, answer in known.items():
        gin.parse_config(answer)
        assert not answer.startswith(f'{other}.'), word


@pytest.mark.parametrize('program', PROGRAMS)
def test_every_flag_that_an_answer_names_is_one(program):
    for name, words in vocabulary._FLAGS[program].items():
        assert name in PROGRAMS[program]._FLAGS
        assert not set(words.split()) & set(PROGRAMS[program]._FLAGS), 'hidden by a flag'


def test_no_word_stands_for_two_settings():
    every = [word for words in vocabulary._SETTINGS.values() for word in words.split()]
    assert sorted(every) == sorted(set(every))
    assert not WORDS & PARAMETERS


@pytest.mark.parametrize(
    ('typed', 'python'),
    [
        ('1e6', '1_000_000'),
        ('1e-3', '1e-3'),
        ('0.5', '0.5'),
        ('50,000', '50_000'),
        ('50k', '50_000'),
        ('2M', '2_000_000'),
        ('CartPole-v1', "'CartPole-v1'"),
        ("'CartPole-v1'", "'CartPole-v1'"),
        ('“CartPole-v1”', "'CartPole-v1'"),
        ('my_env:Corridor', "'my_env:Corridor'"),
        ('ALE/Pong-v5', "'ALE/Pong-v5'"),
        ('true', 'True'),
        ('none', 'None'),
        ('@conv_torso', '@conv_torso'),
        ('(64, 64)', '(64, 64)'),
    ],
)
def test_a_typed_value_is_shown_as_gin_takes_it(typed, python):
    assert vocabulary.as_python(typed) == python


@pytest.mark.parametrize(
    ('word', 'value', 'bound'),
    [
        ('env', 'CartPole-v1', "train_ddqn.env_name = 'CartPole-v1'"),
        ('total_timesteps', '1e6', 'train_ddqn.num_env_steps = 1_000_000'),
        ('lr', '3e-4', 'adam.learning_rate = 3e-4'),
        ('lr', 'much', 'adam.learning_rate = 0.001'),  # the example
        ('net_arch', '[64, 64]', 'mlp_torso.units = (64, 64)'),
        ('hidden_size', '64', 'mlp_torso.units = (64,)'),
        ('double_dqn', None, 'train_ddqn.double = True'),
        ('double_dqn', 'false', 'train_ddqn.double = False'),
        # Every 4 steps is a quarter of a step per step, and a share is not a number of steps.
        ('train_freq', '4', 'train_ddqn.train_steps_per_env_step = 0.25'),
        ('exploration_fraction', '0.1', 'epsilon/LinearSchedule.decay_steps = 8_000'),
        ('decay_steps', '5_000', 'epsilon/LinearSchedule.decay_steps = 5_000'),  # our own word
    ],
)
def test_a_value_is_taken_over_where_it_means_the_same(word, value, bound):
    assert vocabulary.what_to_bind('train_ddqn', word, value) == bound


def test_each_program_is_answered_in_its_own_words():
    answer = vocabulary.what_to_type('train_reinforce', 'total_timesteps', '1e6')
    assert answer == '--gin_bindings="train_reinforce.num_episodes = 4_000"'
    assert vocabulary.what_to_type('train_reinforce', 'buffer_size', '100') is None
    assert vocabulary.what_to_type('evaluate', 'model', 'runs/a') == '--policy_dir=runs/a'
    assert vocabulary.what_to_type('compare', 'lr', '0.1') is None


def test_words_are_known_in_any_spelling():
    shown = '--gin_bindings="adam.learning_rate = 0.1"'
    for word in ('lr', 'LR', 'learning-rate', 'learning_rate'):
        assert vocabulary.what_to_type('train_ddqn', word, '0.1') == shown
    assert vocabulary.what_to_type('train_ddqn', 'nonsense', '0.1') is None
