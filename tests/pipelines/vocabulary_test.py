"""What other libraries' words are answered with can be typed."""

import inspect

import gin
import pytest

from pipelines import (
    assembly,  # noqa: F401, registers what gin configures
    compare,  # noqa: F401
    evaluate,
    settings,  # noqa: F401
    train_ddqn,
    train_reinforce,
    vocabulary,
)

PROGRAMS = {'train_ddqn': train_ddqn, 'train_reinforce': train_reinforce, 'evaluate': evaluate}


@pytest.mark.parametrize('program', PROGRAMS)
def test_every_answer_names_a_flag_or_a_parameter(program):
    for word, ours in vocabulary._KNOWN[program].items():
        if ours.startswith('--'):
            assert ours[2:] in PROGRAMS[program]._FLAGS, word
        else:
            name = ours.format(program=program).rpartition('/')[2]
            configurable, _, parameter = name.rpartition('.')
            assert parameter in inspect.signature(gin.get_configurable(configurable)).parameters


@pytest.mark.parametrize(
    ('typed', 'python'),
    [
        ('1e6', '1_000_000'),
        ('1e-3', '1e-3'),
        ('0.5', '0.5'),
        ('CartPole-v1', "'CartPole-v1'"),
        ("'CartPole-v1'", "'CartPole-v1'"),
        ('my_env:Corridor', "'my_env:Corridor'"),
        ('true', 'True'),
        ('none', 'None'),
        ('@conv_torso', '@conv_torso'),
        ('(64, 64)', '(64, 64)'),
    ],
)
def test_a_typed_value_is_shown_as_gin_takes_it(typed, python):
    assert vocabulary.as_python(typed) == python


def test_words_are_known_in_any_spelling():
    shown = '--gin_bindings="adam.learning_rate = 0.1"'
    for word in ('lr', 'LR', 'learning-rate', 'learning_rate'):
        assert vocabulary.what_to_type('train_ddqn', word, '0.1') == shown
    assert vocabulary.what_to_type('train_ddqn', 'nonsense', '0.1') is None
    assert vocabulary.what_to_type('compare', 'lr', '0.1') is None
