"""Which bindings may be used by nothing: the programs' tests have the messages, cli_test."""

import gin
import pytest

from pipelines import gin_config, gin_files
from pipelines.errors import UserError
from pipelines.settings import DdqnSettings


@gin.configurable
def small_part(size=1):
    return size


@gin.configurable
def large_part(size=100, fill=None):
    return size, fill


@gin.configurable
def filling(amount=1):
    return amount


@gin.configurable
def whole(part=small_part, number=0):
    return part() if callable(part) else part, number


def idle(tmp_path, *bindings, **texts):
    """The binding that is refused after a run of mine.gin and `bindings`, or None."""
    for name, text in texts.items():
        (tmp_path / f'{name}.gin').write_text(text)
    path = tmp_path / 'mine.gin'
    gin_config.parse(str(path) if path.exists() else None, bindings, 'train_ddqn')
    DdqnSettings()
    whole()
    try:
        gin_config.check_every_binding_used()
    except UserError as e:
        assert 'is used by nothing in this run' in str(e)
        return str(e).split("'")[1]
    return None


def test_what_nothing_has_replaced_is_a_mistake_wherever_it_stands(tmp_path):
    line = 'large_part.size = 7'
    assert idle(tmp_path, line) == line
    assert idle(tmp_path, mine=f'{line}\n') == line
    assert idle(tmp_path, mine="include 'base.gin'\n", base=f'{line}\n') == line
    # Numbers, what is done, and another environment switch nothing off.
    rest = 'whole.number = 2\ntrain_ddqn.gamma = 0.5\n'
    assert idle(tmp_path, "train_ddqn.env_name = 'Acrobot-v1'", mine=rest + line) == line
    assert idle(tmp_path, 'train_ddqn.num_episodes = 5', mine=rest + line) == line
    assert idle(tmp_path, mine=f'{line}\nwhole.part = 3\nwhole.part = @small_part\n') == line


LARGE = 'whole.part = @large_part\nlarge_part.size = 7\n'


def test_a_later_line_may_replace_what_an_earlier_one_configures(tmp_path):
    """On the command line, in a file that includes the other, through two files, in one file."""
    small = 'whole.part = @small_part'
    assert idle(tmp_path, small, mine=LARGE) is None
    assert idle(tmp_path, mine=f'{LARGE}{small}\n') is None
    assert idle(tmp_path, mine=f"include 'base.gin'\n{small}\n", base=LARGE) is None
    chain = {'middle': "include 'base.gin'\nwhole.number = 1\n", 'base': LARGE}
    assert idle(tmp_path, mine=f"include 'middle.gin'\n{small}\n", **chain) is None
    assert idle(tmp_path, small, mine="include 'middle.gin'\n", **chain) is None
    # What is configured after it was replaced is a mistake.
    late = f"include 'base.gin'\n{small}\nlarge_part.size = 8\n"
    assert idle(tmp_path, mine=late, base=LARGE) == 'large_part.size = 8'
    assert idle(tmp_path, small, 'large_part.size = 8', mine=LARGE) == 'large_part.size = 8'


def test_a_default_may_be_replaced_like_what_a_line_has_bound(tmp_path):
    base = 'small_part.size = 3\n'
    assert idle(tmp_path, mine=base) is None
    assert idle(tmp_path, 'whole.part = 9', mine=base) is None
    assert idle(tmp_path, mine="include 'base.gin'\nwhole.part = 9\n", base=base) is None


def test_scopes_macros_and_what_references_refer_to_go_with_a_reference(tmp_path):
    base = (
        'SIZE = 7\nTWICE = %SIZE\nPART = @outer/inner/large_part()\nwhole.part = %PART\n'
        'outer/large_part.size = %TWICE\nlarge_part.fill = @filling()\nfilling.amount = 2\n'
    )
    assert idle(tmp_path, mine=base) is None
    assert idle(tmp_path, 'whole.part = 9', mine=base) is None
    assert idle(tmp_path, 'PART = 9', mine=base) is None
    other = 'other/large_part.size = 1'
    assert idle(tmp_path, 'whole.part = 9', mine=f'{other}\n{base}') is None  # of another file
    assert idle(tmp_path, mine=f'{other}\n{base}whole.part = 9\n') == other
    assert idle(tmp_path, mine='SIZE = 7\nwhole.number = 1\n') == 'SIZE = 7'
    assert idle(tmp_path, mine='number = 7\n') == 'number = 7'  # is no part of whole.number


def test_a_switch_that_a_later_file_turns_pardons_what_went_with_it(tmp_path):
    base = "train_ddqn.distribution = 'categorical'\nlarge_part.size = 7\n"
    off = 'train_ddqn.distribution = None'
    assert idle(tmp_path, off, mine=base) is None
    assert idle(tmp_path, mine=f"include 'base.gin'\n{off}\n", base=base) is None
    assert idle(tmp_path, 'train_ddqn.dueling = False', mine='large_part.size = 7\n') is None
    # In one file the line is there to be removed.
    assert idle(tmp_path, mine=f'{base}{off}\n') == 'large_part.size = 7'


def test_lines_of_this_package_are_pardoned(tmp_path, monkeypatch):
    monkeypatch.setattr(gin_files.files, 'PACKAGE_DIR', tmp_path / 'package')
    (tmp_path / 'package').mkdir()
    (tmp_path / 'package' / 'base.gin').write_text('large_part.size = 7\n')
    assert idle(tmp_path, mine="include 'package/base.gin'\nwhole.number = 1\n") is None


@pytest.mark.parametrize('text', ['large_part.size = 7\n', 'from os import path\n'])
def test_the_operative_bindings_are_those_that_were_asked_for(tmp_path, text):
    (tmp_path / 'mine.gin').write_text(f"{text}whole.number = 4\nTEXT = 'a = b'\n")
    gin_config.parse(str(tmp_path / 'mine.gin'), ['train_ddqn.gamma = 0.5'])
    whole()
    found = gin_config.operative_bindings()
    assert found['whole.number'] == '4' and 'large_part.size' not in found
    assert not gin_config.is_bound('whole.part') and gin_config.is_bound('train_ddqn.gamma')
