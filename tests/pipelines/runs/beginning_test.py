"""What a run starts from is read once, announced once, and kept by checkpoints."""

import types

import pytest

from pipelines.errors import UserError
from pipelines.runs.beginning import Beginning
from pipelines.settings import DdqnSettings, ReinforceSettings


class Origin:
    def __init__(self, key):
        self.key, self.done = key, []

    def check(self):
        self.done.append('check')
        return [f'takes {self.key}']

    def take(self):
        self.done.append('take')
        return {'from': f'runs/{self.key}'}


def test_it_is_read_before_it_is_announced_and_taken_after(capsys):
    origins = [Origin('a'), Origin('b')]
    beginning = Beginning(origins)
    beginning.check()
    assert capsys.readouterr().out == ''
    beginning.announce()
    beginning.take()
    assert capsys.readouterr().out == 'takes a\ntakes b\n'
    assert [origin.done for origin in origins] == [['check', 'take']] * 2
    assert beginning.state() == {'a': {'from': 'runs/a'}, 'b': {'from': 'runs/b'}}


def test_a_resumed_run_knows_what_it_began_with_and_reads_nothing():
    origin = Origin('a')
    beginning = Beginning([origin])
    beginning.restore({'a': {'from': 'runs/a'}})
    assert beginning.taken == {'a': {'from': 'runs/a'}} and origin.done == []


def test_without_settings_nothing_happens(capsys):
    beginning = Beginning.configured(DdqnSettings(), training=None, replay=object())
    beginning.take()
    assert beginning.taken == {} and capsys.readouterr().out == ''


@pytest.mark.parametrize('settings', [DdqnSettings, ReinforceSettings])
def test_a_warm_start_is_read_by_both_programs(tmp_path, settings):
    policy = types.SimpleNamespace(variables=list)
    training = types.SimpleNamespace(agent=types.SimpleNamespace(policy=policy), gauges={})
    beginning = Beginning.configured(settings(warm_start=str(tmp_path / 'no')), training)
    with pytest.raises(UserError) as error:
        beginning.check()
    assert str(error.value) == (
        f"{settings.name()}.warm_start = '{tmp_path}/no': there is no such directory"
    )


def test_a_replay_is_reused_by_q_learning_alone(tmp_path):
    settings = DdqnSettings(reuse_replay=str(tmp_path), num_env_steps=500)
    with pytest.raises(UserError, match=r'train_ddqn.reuse_replay = .*: there is no replay: '):
        Beginning.configured(settings, training=None, replay=object()).check()
