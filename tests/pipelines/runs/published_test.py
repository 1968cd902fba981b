import pytest

from envs import atari
from envs.task import Task
from pipelines.runs import published


def test_atari_games_are_normalised_by_published_scores():
    scale = published.scale(Task.configured('ALE/SpaceInvaders-v5'))
    assert (scale.zero, scale.one) == (148.0, 1668.7)
    assert len(published.ATARI_SCORES) == 57
    assert all(random < human for random, human in published.ATARI_SCORES.values())
    assert published.scale(Task.configured('ALE/Adventure-v5')) is None


def test_every_published_game_is_one_of_ales():
    roms = pytest.importorskip('ale_py.roms')
    assert set(published.ATARI_SCORES) <= set(roms.get_all_rom_ids())


def test_an_environment_that_this_project_registers_has_a_scale():
    """Random play takes legal actions: an illegal one would cost 10, and 200 steps cost 200."""
    scale = published.scale(Task('Taxi-v3'))
    assert scale.one == 8 and -201 < scale.zero < -150


def test_other_environments_are_normalised_by_random_play_and_the_reward_threshold():
    scale = published.scale(Task('CartPole-v1'))
    assert scale.one == 475.0 and 18 < scale.zero < 27  # some 22 steps
    assert published.scale(Task('CartPole-v1')) == scale  # the same at every call
    assert published.scale(Task('Pendulum-v1')) is None  # has no threshold


def test_the_ladder_holds_for_its_game_and_protocol_alone():
    returns = published.returns_for(Task.configured('ALE/SpaceInvaders-v5'))
    assert returns.levels['random play'] == 148
    assert published.returns_for(Task('ALE/SpaceInvaders-v5', atari.options('nature'))) is None
    assert published.returns_for(Task.configured('ALE/Pong-v5')) is None
    assert published.returns_for(Task('CartPole-v1')) is None
