"""An Atari game with its screens in colour, for films and for policies that take screens."""

from __future__ import annotations

import ale_py
import numpy as np
from ale_py import roms

from envs.atari import AtariOptions


class Emulator:
    """One game: the screens from which `atari.make` makes its small grey frames.

    With the same seed, options and actions it plays the same episodes as a copy of `atari.make`
    with that seed, sticky actions included. Only the number of no-op frames at an episode's start
    is drawn differently.
    """

    def __init__(self, game: str, chosen: AtariOptions):
        self._options = chosen
        rom = roms.get_rom_path(game)
        assert rom is not None, game
        self._rom = rom
        self._ale = ale_py.ALEInterface()
        self._ale.setFloat('repeat_action_probability', chosen.repeat_action_probability)
        self._ale.setInt('max_num_frames_per_episode', chosen.max_frames_per_episode)
        self._load(seed=0)

    def _load(self, seed: int) -> None:
        self._ale.setInt('random_seed', seed)
        self._ale.loadROM(self._rom)
        self._noops = np.random.default_rng(seed)
        full = self._options.full_action_space
        self._actions = self._ale.getLegalActionSet() if full else self._ale.getMinimalActionSet()

    def reset(self, seed: int | None = None) -> np.ndarray:
        """Starts an episode; a seed makes it repeatable.

        Returns:
          The first screen twice, uint8 [2, height, width, 3], as `step` gives them.
        """
        if seed is not None:
            self._load(seed)
        self._ale.reset_game()
        if self._options.noop_max:
            for _ in range(self._noops.integers(self._options.noop_max + 1)):
                self._ale.act(ale_py.Action.NOOP)
        if self._options.fire_reset and ale_py.Action.FIRE in self._actions:
            self._ale.act(ale_py.Action.FIRE)
        screen = self._ale.getScreenRGB()
        return np.stack([screen, screen])

    def step(self, action: int) -> tuple[np.ndarray, int, bool]:
        """Plays one agent step; `action` counts from 0 in the game's action set.

        Returns:
          The screens of the last two emulated frames, uint8 [2, height, width, 3]; the raw
          reward; and whether the episode is over, by termination or truncation.
        """
        screens: list[np.ndarray] = []
        reward = 0
        for _ in range(self._options.frame_skip):
            reward += self._ale.act(self._actions[action])
            screens = [*screens[-1:], self._ale.getScreenRGB()]
            if self._ale.game_over():
                break
        return np.stack([screens[0], screens[-1]]), reward, self._ale.game_over()

    @property
    def screen_size(self) -> tuple[int, int]:
        """Height and width, pixels."""
        return self._ale.getScreenDims()

    @property
    def action_meanings(self) -> tuple[str, ...]:
        """What each action does, such as 'RIGHTFIRE'."""
        return tuple(action.name for action in self._actions)
