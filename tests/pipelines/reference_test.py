import pytest

from pipelines import reference


def test_atari_games_are_normalised_by_published_scores():
    scale = reference.scale('ALE/SpaceInvaders-v5', 'space_invaders')
    assert (scale.zero, scale.one) == (148.0, 1668.7)
    assert len(reference.ATARI_SCORES) == 57
    assert all(random < human for random, human in reference.ATARI_SCORES.values())
    assert reference.scale('ALE/Adventure-v5', 'adventure') is None


def test_every_published_game_is_one_of_ales():
    roms = pytest.importorskip('ale_py.roms')
    assert set(reference.ATARI_SCORES) <= set(roms.get_all_rom_ids())


def test_an_environment_that_this_project_registers_has_a_scale():
    assert reference.scale('Taxi-v3', None).one == 8


def test_other_environments_are_normalised_by_random_play_and_what_counts_as_solved():
    scale = reference.scale('CartPole-v1', None)
    assert scale.one == 475.0 and 18 < scale.zero < 27  # some 22 steps
    assert reference.scale('CartPole-v1', None) == scale  # the same at every call
    assert reference.scale('Pendulum-v1', None) is None  # has no threshold
    assert reference.scale('Nowhere-v0', None) is None
