"""The tutorials' configurations say what the tutorials say, number by number."""

import collections
import re
import tomllib

import gin
import pytest

from pipelines import (
    assembly,  # noqa: F401, registers everything that gin configures
    files,
    gin_config,
    train_ddqn,  # noqa: F401
    train_reinforce,  # noqa: F401
)

CONFIGS_DIR = files.PACKAGE_DIR / 'configs'
TABLE = tomllib.loads((CONFIGS_DIR / 'tutorials' / 'constants.toml').read_text())
CONFIGS = TABLE['configs']
BOUND = collections.defaultdict(list)
for _constant in TABLE['constant']:
    if 'binding' in _constant:
        BOUND[_constant['tutorial']].append(_constant)
FORMS = [
    pytest.param(tutorial, form, id=f'{config}{suffix}')
    for tutorial, config in CONFIGS.items()
    for form, suffix in (('value', ''), ('repository', '_repository'), ('mended', '_mended'))
    if (CONFIGS_DIR / f'{config}{suffix}.gin').exists()
]


def as_written(value):
    """A parsed value as the table writes it: lists for tuples, references as text."""
    if isinstance(value, list | tuple):
        if any(not isinstance(item, bool | int | float | str | list | tuple) for item in value):
            return str(list(value))
        return [as_written(item) for item in value]
    return value if isinstance(value, bool | int | float | str) else str(value)


def path(tutorial, form):
    suffix = '' if form == 'value' else f'_{form}'
    return CONFIGS_DIR / f'{CONFIGS[tutorial]}{suffix}.gin'


@pytest.mark.parametrize(('tutorial', 'form'), FORMS)
def test_every_constant_is_in_the_configuration(tutorial, form):
    gin_config.parse(str(path(tutorial, form)), [])
    for constant in BOUND[tutorial]:
        expected = constant.get(form, constant['value'])
        found = as_written(gin.query_parameter(constant['binding']))
        assert found == expected and type(found) is type(expected), constant


@pytest.mark.parametrize('tutorial', CONFIGS)
def test_the_other_forms_exist_for_what_they_change_alone(tutorial):
    for form in ('repository', 'mended'):
        changed = [c for c in BOUND[tutorial] if form in c]
        inherits = 'include' in path(tutorial, 'value').read_text()
        if not inherits:
            assert path(tutorial, form).exists() == bool(changed), (tutorial, form)
        if path(tutorial, form).exists():
            assert f"include 'configs/{CONFIGS[tutorial]}.gin'" in path(tutorial, form).read_text()


@pytest.mark.parametrize('tutorial', CONFIGS)
def test_every_other_binding_is_marked_as_ours(tutorial):
    known = {constant['binding'] for constant in BOUND[tutorial]}
    for line in path(tutorial, 'value').read_text().splitlines():
        if found := re.match(r'([\w/]+\.\w+)\s*=', line):
            assert found[1] in known or '(ours)' in line, line


def test_every_constant_has_a_source_and_says_what_is_here():
    for constant in TABLE['constant']:
        assert constant['tutorial'] in CONFIGS and constant['name'] and constant['ours'], constant
        assert constant.get('post') or constant.get('code'), constant
        assert constant.keys() <= {
            'tutorial', 'name', 'post', 'code', 'ours', 'differs', 'binding', 'value',
            'repository', 'mended',
        }, constant  # fmt: skip


def test_no_other_configuration_has_an_epsilon_that_jumps():
    jumping = {
        config.stem for config in CONFIGS_DIR.glob('*.gin')
        if 'JumpingLinearSchedule' in config.read_text()
    }  # fmt: skip
    assert jumping == {
        CONFIGS[t] for t in ('dueling_cartpole', 'space_invaders', 'space_invaders_prioritised')
    }
