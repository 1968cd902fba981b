"""Every parameter that gin can bind refuses what it cannot be, before anything is imported.

The parameters are those that gin's registry has, not those that are declared: a parameter that
declares nothing is found here.
"""

import inspect
import re

import gin
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents import ranges
from pipelines import (
    assembly,  # noqa: F401, registers everything that gin configures
    declared,
    gin_early,
    gin_files,
    gin_values,
)
from pipelines.errors import UserError

# What callers pass, so a binding of it would be used by nothing.
PASSED = {
    'auto_torso.dtype_policy', 'conv_torso.dtype_policy', 'dict_torso.dtype_policy',
    'mlp_torso.dtype_policy', 'NoisyDense.activation', 'NoisyDense.dtype', 'C51Network.settings',
    'C51Network.dueling', 'C51Network.name', 'QLearningAgent.frame_stack',
    'QLearningAgent.acts_on_a_copy', 'PolicyGradientAgent.name', 'Replay.prioritisation',
    'QLearningAgent.name',
}  # fmt: skip
# Parameters without a default that gin may bind all the same, and a value that they take.
REQUIRED = {
    'LinearSchedule.initial': 0.5, 'LinearSchedule.final': 0.5, 'LinearSchedule.decay_steps': 7,
    'JumpingLinearSchedule.initial': 0.5, 'JumpingLinearSchedule.final': 0.5,
    'JumpingLinearSchedule.span_steps': 7, 'JumpingLinearSchedule.delay_steps': 7,
    'ExponentialSchedule.initial': 0.5, 'ExponentialSchedule.final': 0.5,
    'ExponentialSchedule.rate_per_step': 0.5, 'NoisyReward.sigma': 0.5,
}  # fmt: skip
OURS = ('agents.', 'envs.', 'pipelines.')


def discovered():
    """{'configurable.parameter': default} of all parameters that can be bound and have one."""
    found = {}
    for selector in sorted(gin.config._REGISTRY._selector_map):
        if not selector.startswith(OURS):
            continue
        made, name = gin.get_configurable(selector), selector.rpartition('.')[2]
        for parameter, how in inspect.signature(made).parameters.items():
            if how.default is not how.empty and f'{name}.{parameter}' not in PASSED:
                key = f'{name}.{parameter}'
                try:
                    gin.config.ParsedBindingKey.parse(key)
                except ValueError:  # it is denied to gin
                    continue
                found[key] = how.default
    return found


PARAMETERS = discovered() | REQUIRED
KNOWN = {name: declared.parameters(name) for name in declared.configurables()}
every_parameter = pytest.mark.parametrize('name', PARAMETERS)


def limits_of(name):
    configurable, _, parameter = name.partition('.')
    return KNOWN[configurable][parameter]


def complaint(*bindings):
    """What is said about bindings before TensorFlow would be imported; None if nothing is."""
    reader = gin_early.EarlyReader()
    lines = [line for binding in bindings for line in gin_files.bind_text(binding, reader)]
    try:
        gin_values.check(lines)
    except UserError as e:
        return str(e)
    return None


def test_all_configurables_are_found_in_the_sources():
    names = {s.rpartition('.')[2] for s in gin.config._REGISTRY._selector_map if s.startswith(OURS)}
    assert names == declared.configurables().keys() and len(names) > 20 and len(PARAMETERS) > 100


@every_parameter
def test_every_parameter_declares_its_range_and_its_default_is_within_it(name):
    limits = limits_of(name)
    assert limits is not None, f'{name} declares no range'
    assert limits.fits(PARAMETERS[name])
    configurable, _, parameter = name.partition('.')
    live = dict(ranges.declared(gin.get_configurable(configurable)))
    if parameter in live:  # else it is that of a base class
        assert live[parameter].says == limits.says


# Nothing of this is a value of any parameter.
nonsense = st.one_of(
    st.just('1e999'),
    st.just('-1e999'),
    st.binary(max_size=8).map(repr),
    st.complex_numbers(allow_nan=False, allow_infinity=False).map(lambda c: f'{{1: {c.real!r}}}'),
    st.lists(st.dictionaries(st.integers(), st.none(), min_size=1), min_size=1, max_size=2).map(
        lambda dicts: f'{{2: {dicts!r}}}'
    ),
)


def wrong_for(default):
    """Values that are wrong where `default` is right, and None may be."""
    if isinstance(default, bool):
        return st.sampled_from(["'False'", "'yes'", '0', '1', '3', '0.5', '[]', '{}', "''"])
    if isinstance(default, int):
        return st.sampled_from(["'64'", "''", 'True', '-1', '2.5', '[]', '10**30', str(10**30)])
    if isinstance(default, float):
        return st.sampled_from(["'0.1'", "''", 'False', '[]', '{}', '(1.0,)'])
    if isinstance(default, str):
        return st.sampled_from(['1', '0.5', 'True', '[]', '{}'])
    return st.sampled_from(["b'x'"] if default is None else ['7.25', "b'x'"])


@every_parameter
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.data())
def test_a_wrong_value_is_one_line_that_names_the_parameter(name, data):
    value = data.draw(st.one_of(nonsense, wrong_for(PARAMETERS[name])))
    if '**' in value:
        value = repr(eval(value))
    said = complaint(f'{name} = {value}')
    assert said is not None, f'{name} takes {value}'
    assert said.startswith(f'{name} = ') and ': must be ' in said and '\n' not in said


@pytest.mark.parametrize('taker', ['QLearningAgent.epsilon', 'adam.learning_rate',
                                   'Prioritisation.beta'])  # fmt: skip
@pytest.mark.parametrize(
    'schedule', ['LinearSchedule', 'ExponentialSchedule', 'JumpingLinearSchedule']
)
@pytest.mark.parametrize('end', ['initial', 'final'])
@pytest.mark.parametrize('value', ['-0.5', "'a'", 'None', 'True', '1e999'])
def test_a_schedules_values_are_held_to_what_takes_it(taker, schedule, end, value):
    said = complaint(
        f'{taker} = @mine/{schedule}()', f'mine/{schedule}.{end} = {value}', f'{schedule}.{end} = 0'
    )
    assert said.startswith(f'mine/{schedule}.{end} = ') and f'because {taker} takes it' in said


def test_a_share_above_one_is_held_to_what_takes_it_too():
    lines = ['a/LinearSchedule.initial = 5.0', 'QLearningAgent.epsilon = @a/LinearSchedule()']
    assert complaint(*lines).startswith('a/LinearSchedule.initial = 5.0: must be a number between')
    assert complaint(lines[0], 'adam.learning_rate = @a/LinearSchedule()') is None
    forgotten = complaint('QLearningAgent.epsilon = @a/LinearSchedule')  # it is not called
    assert forgotten.startswith('QLearningAgent.epsilon = @a/LinearSchedule: must be a number')


@pytest.mark.parametrize(
    ('bindings', 'words'),
    [
        (['train_ddqn.gamma = 2', 'train_ddqn.gamma = 1'], None),  # the last one counts
        (['G = 2', 'train_ddqn.gamma = %G'], 'train_ddqn.gamma = %G: must be'),
        (['G = 1', 'train_ddqn.gamma = %G'], None),
        (['train_ddqn.gamma = %G'], None),  # gin says so itself
        (['G = %G', 'train_ddqn.gamma = %G'], None),
        (['mlp_torso.units = (%U, 8)', "U = 'x'"], 'mlp_torso.units = (%U, 8): must be whole'),
        (['make_q_network.torso = @mlp_torso'], None),
        (["make_q_network.torso = 'mlp_torso'"], 'make_q_network.torso = '),
        (["dict_torso.torsos_of = {'a': @conv_torso}"], None),
        (["dict_torso.torsos_of = {'a': 'conv_torso'}"], 'dict_torso.torsos_of = '),
        (['load_environment.training_wrappers = [@NoisyReward]'], None),
        (['load_environment.training_wrappers = @NoisyReward'], 'load_environment.training'),
        (['MunchausenQLearningAgent.tau = 0.0'], 'MunchausenQLearningAgent.tau = 0.0: must be'),
        (['agents.ddqn.QLearningAgent.tau = 0.0'], 'agents.ddqn.QLearningAgent.tau = 0.0'),
        (['a/mlp_torso.units = 5'], 'a/mlp_torso.units = 5: must be'),
        (['train_ddqn.optimizer = @adam'], None),
        (['train_ddqn.optimizer = 5'], 'train_ddqn.optimizer = 5: must be'),
    ],
)
def test_macros_references_and_scopes_are_seen_through(bindings, words):
    said = complaint(*bindings)
    assert (said is None) if words is None else said.startswith(words)


def test_a_configurable_of_the_users_is_held_to_what_it_declares():
    @gin.configurable('bounded_by_the_user', module='mine')
    def made(strength: ranges.Share = 0.5, other=1):
        return strength, other

    assert complaint('bounded_by_the_user.strength = 0.7', 'bounded_by_the_user.other = []') is None
    said = complaint('bounded_by_the_user.strength = 7')
    assert re.match(r'bounded_by_the_user.strength = 7: must be a number between 0 and 1', said)
