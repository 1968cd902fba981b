import pathlib

import pytest

from pipelines.runs import known_policies


@pytest.fixture
def policy(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_STATE_HOME', str(tmp_path / 'state'))
    (tmp_path / 'policy').mkdir()
    (tmp_path / 'policy' / 'saved_model.pb').write_bytes(b'a program')
    return tmp_path / 'policy'


def test_a_policy_is_new_once(policy):
    assert known_policies.is_new(policy)
    known_policies.note(policy)
    known_policies.note(policy)
    assert not known_policies.is_new(policy)
    kept = policy.parent / 'state' / 'tf_agents_pipelines' / 'known_policies'
    assert kept.read_text().count('\n') == 1


def test_another_program_under_the_same_name_is_new(policy):
    known_policies.note(policy)
    (policy / 'saved_model.pb').write_bytes(b'another program')
    assert known_policies.is_new(policy)


def test_where_nothing_can_be_remembered_it_stays_new(policy, monkeypatch):
    monkeypatch.setenv('XDG_STATE_HOME', '/dev/null')
    known_policies.note(policy)
    assert known_policies.is_new(policy)


def test_what_is_not_there_is_left_to_whoever_loads_it(tmp_path):
    known_policies.note(tmp_path)
    assert not known_policies.is_new(pathlib.Path('/nowhere'))
