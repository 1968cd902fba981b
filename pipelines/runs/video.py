"""Films of play: the screen, and a panel with the policy's outputs.

There is one frame per action. For a Q-network the bars are advantages, Q(s, a) - V(s), with the
values beside them; for an actor network they are probabilities, or the continuous action taken.
Where several discrete actions are taken at a time, there is a bar for each one that is taken.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step as ts

from agents import masks
from agents.action_specs import DiscreteActions
from agents.policies import mix_in_random_actions
from agents.raw_screen_policy import ScreensToFrame
from envs.errors import EnvError
from envs.task import Task
from pipelines.errors import UserError
from pipelines.protocols import ActingPolicy

_MAX_ENV_STEPS = 2_000
_PANEL_WIDTH, _MIN_HEIGHT, _MIN_PITCH = 270, 400, 36
_ATARI_SCALE = 2
_PAPER, _INK, _FAINT = (250, 250, 248), (30, 30, 30), (150, 150, 150)
_CHOSEN, _OTHER = (214, 92, 32), (120, 146, 178)
_NUM_COLOURS, _MAX_BARS = 64, 24


class Moment(NamedTuple):
    """The screen, the policy's outputs and the action of one environment step."""

    screen: np.ndarray  # uint8 [height, width, 3]
    outputs: dict[str, np.ndarray]  # the policy's, for this state: q_values [A], ...
    action: np.ndarray  # [] or [D], discrete ones as indices from 0
    return_so_far: float


class _Game:
    """An Atari game."""

    def __init__(self, task: Task):
        assert task.atari is not None
        self._emulator = task.emulator()
        frame_size = task.atari.frame_height, task.atari.frame_width
        self._to_frame = ScreensToFrame(self._emulator.screen_size, frame_size, task.atari.max_pool)
        last = len(self._emulator.action_meanings) - 1
        self.action_spec = array_spec.BoundedArraySpec((), np.int64, 0, last)

    def reset(self, seed: int) -> ts.TimeStep:
        return self._time_step(self._emulator.reset(seed), ts.StepType.FIRST)

    def step(self, action: np.ndarray) -> tuple[ts.TimeStep, float]:
        screens, reward, over = self._emulator.step(int(action[0]))
        kind = ts.StepType.LAST if over else ts.StepType.MID
        return self._time_step(screens, kind), float(reward)

    def _time_step(self, screens: np.ndarray, step_type: np.ndarray) -> ts.TimeStep:
        self.screen = screens[-1]
        frame = self._to_frame(tf.constant(screens[np.newaxis]))
        return ts.TimeStep(tf.fill([1], step_type), tf.zeros([1]), tf.ones([1]), frame)


class _Rendered:
    """Any other environment, as it renders itself."""

    def __init__(self, task: Task):
        self._env_name, self._env = task.env_name, task.rendered_env()
        self.action_spec = self._env.action_spec()

    def reset(self, seed: int) -> ts.TimeStep:
        return self._seen(self._env.reset(seed=seed))

    def step(self, action: np.ndarray) -> tuple[ts.TimeStep, float]:
        return self._seen(self._env.step(action)), float(self._env.raw_reward[0])

    def _seen(self, time_step: ts.TimeStep) -> ts.TimeStep:
        pictures = self._env.render()
        picture = pictures[0] if pictures else None
        if picture is None:
            raise UserError(f"a video cannot be made: '{self._env_name}' draws no rgb_array")
        if not _is_picture(picture):
            raise UserError(
                f"a video cannot be made: `render` of '{self._env_name}' gives "
                f'{_kind_of(picture)}, and must give uint8 [height, width, 3]'
            )
        self.screen = picture.copy()
        return tf.nest.map_structure(tf.constant, time_step)


def _is_picture(picture: Any) -> bool:
    return (
        isinstance(picture, np.ndarray)
        and picture.dtype == np.uint8
        and picture.ndim == 3
        and picture.shape[2] == 3
        and picture.size > 0
    )


def _kind_of(picture: Any) -> str:
    if isinstance(picture, np.ndarray):
        return f'{picture.dtype} {list(picture.shape)}'
    return f'a {type(picture).__name__}'


class Recorder:
    """Plays episodes of one environment and makes GIFs of them."""

    def __init__(self, task: Task, policy: ActingPolicy, epsilon: float = 0.0):
        """Makes the environment.

        Args:
          task: task to play.
          policy: acts; its outputs are drawn.
          epsilon: share of random actions; 0 if actions are continuous.

        Raises:
          UserError: the environment draws nothing.
        """
        self._screen: _Game | _Rendered = _Game(task) if task.atari else _Rendered(task)
        spec = self._screen.action_spec
        discrete = np.issubdtype(spec.dtype, np.integer)
        self._actions = DiscreteActions(spec) if discrete else None
        self._labels = task.action_meanings
        if self._labels is None and discrete and not spec.shape:
            numbers = range(int(spec.minimum), int(spec.maximum) + 1)
            self._labels = tuple(f'action {number}' for number in numbers)
        self._policy, self._epsilon = policy, epsilon
        self._generator = tf.random.Generator.from_seed(0)
        self._think = tf.function(self._act, autograph=False)

    def _act(self, time_step: ts.TimeStep, policy_state: Any) -> tuple[tf.Tensor, dict, Any]:
        outputs, policy_state = self._policy.outputs(time_step, policy_state)
        action = outputs['action']
        if self._epsilon > 0.0 and self._actions is not None:
            uniform, seen = self._generator.uniform, time_step.observation
            action = mix_in_random_actions(action, self._actions, self._epsilon, uniform, seen)
        return action, outputs, policy_state

    def play(self, seed: int) -> Iterator[Moment]:
        """Yields the moments of one episode, or of its first 2 000 steps."""
        self._generator.reset_from_seed(seed)
        time_step, state = self._screen.reset(seed), self._policy.get_initial_state(1)
        total = 0.0
        for _ in range(_MAX_ENV_STEPS):
            action, outputs, state = self._think(time_step, state)
            values = {name: value.numpy()[0] for name, value in outputs.items()}
            index = action if self._actions is None else self._actions.index(action)
            yield Moment(self._screen.screen, values, index.numpy()[0], total)
            if time_step.step_type.numpy()[0] == ts.StepType.LAST:
                return
            time_step, reward = self._screen.step(action.numpy())
            total += reward

    def film(self, seed: int, every: int = 1, fps: int = 30) -> tuple[bytes, int]:
        """A GIF of one episode, a frame for every `every` steps, and their number."""
        frames = (
            # Each frame is reduced to its palette at once: whole films in full colour are large.
            draw(moment, self._labels).quantize(_NUM_COLOURS, dither=Image.Dither.NONE)
            for step, moment in enumerate(self.play(seed))
            if step % every == 0
        )
        first, *rest = frames
        film = io.BytesIO()
        first.save(
            film, format='GIF', save_all=True, append_images=rest, duration=1000 // fps, loop=0
        )
        return film.getvalue(), 1 + len(rest)


def check_draws(task: Task) -> None:
    """Raises a UserError or an EnvError if the task cannot be drawn."""
    if task.atari is None:
        _Rendered(task).reset(0)


def draws(task: Task) -> bool:
    """Whether the task can be drawn."""
    try:
        check_draws(task)
    except (UserError, EnvError):
        return False
    return True


class _Bar(NamedTuple):
    """One line of the panel."""

    label: str
    length: float  # -1 to 1, from the middle
    text: str
    small_text: str
    chosen: bool


def _bars(moment: Moment, labels: tuple[str, ...] | None) -> tuple[list[str], list[_Bar]]:
    """Returns the panel's headings, and a bar for each action (or dimension of the action)."""
    outputs = moment.outputs
    if 'mu' in outputs:
        reach = max(float(np.abs(outputs['mu']).max()), float(np.abs(moment.action).max()), 1e-6)
        bars = [
            _Bar(f'action {i}', float(a) / reach, f'{a:+.3f}', f'N({m:.2f}, {s:.2f})', True)
            for i, (a, m, s) in enumerate(
                zip(np.ravel(moment.action), outputs['mu'], outputs['sigma'], strict=True)
            )
        ]
        return _value_heading(outputs) + ['bars: the action taken'], bars
    if moment.action.ndim:
        return _bars_of_taken(outputs, moment.action.ravel())
    if 'probabilities' in outputs:
        headings = _value_heading(outputs) + ['bars: pi(a | s)']
        lengths = texts = outputs['probabilities']
        small_texts = [''] * len(texts)
    else:
        texts, legal = outputs['q_values'], outputs['q_values'] > masks.NEVER
        # A plain network has no value stream; the mean of the Q-values stands for V(s).
        value = float(outputs.get('value', np.mean(texts[legal], keepdims=True))[0])
        advantage = np.where(legal, texts - value, 0.0)
        headings = [f'V(s) = {value:.2f}', 'bars: A(s, a) = Q(s, a) - V(s)']
        lengths = advantage / max(float(np.abs(advantage).max()), 1e-6)
        small_texts = [f'A {a:+.3f}' if ok else '' for a, ok in zip(advantage, legal, strict=True)]
    name = 'pi' if 'probabilities' in outputs else 'Q'
    bars = [
        _Bar(
            labels[i] if labels else f'action {i}',
            float(lengths[i]),
            f'{name} {texts[i]:.3f}' if texts[i] > masks.NEVER else 'not legal',
            small_texts[i],
            i == int(moment.action),
        )
        for i in range(len(texts))
    ]
    return headings, bars


def _bars_of_taken(
    outputs: dict[str, np.ndarray], action: np.ndarray
) -> tuple[list[str], list[_Bar]]:
    """The same for several actions at a time, int [D]: a bar for each that is taken."""
    name = 'pi' if 'probabilities' in outputs else 'Q'
    scores = outputs['probabilities' if name == 'pi' else 'q_values']  # [D, A]
    taken = lengths = scores[np.arange(len(action)), action]
    headings = _value_heading(outputs) + ['bars: pi(a | s)']
    if name == 'Q':
        mean = np.mean(scores, axis=1, where=scores > masks.NEVER)  # [D]
        lengths = (taken - mean) / max(float(np.abs(taken - mean).max()), 1e-6)
        headings[-1] = 'bars: Q less the mean Q'
    bars = [
        _Bar(f'{d}: {a}', float(length), f'{name} {score:.3f}', '', True)
        for d, (a, length, score) in enumerate(zip(action, lengths, taken, strict=True))
    ]
    return headings, bars[:_MAX_BARS]


def _value_heading(outputs: dict[str, np.ndarray]) -> list[str]:
    return [f'V(s) = {float(outputs["value"][0]):.2f}'] if 'value' in outputs else []


def draw(moment: Moment, labels: tuple[str, ...] | None) -> Image.Image:
    """Draws the screen, and beside it a bar for each action."""
    screen = Image.fromarray(moment.screen)
    if screen.width < _MIN_HEIGHT:  # an Atari screen is small
        screen = screen.resize(
            (screen.width * _ATARI_SCALE, screen.height * _ATARI_SCALE), Image.Resampling.NEAREST
        )
    headings, bars = _bars(moment, labels)
    top = 44 + 28 * len(headings)
    height = max(screen.height, _MIN_HEIGHT, top + _MIN_PITCH * len(bars))
    image = Image.new('RGB', (screen.width + _PANEL_WIDTH, height), _PAPER)
    image.paste(screen, (0, 0))
    pen, left = ImageDraw.Draw(image), screen.width + 14
    small, large = ImageFont.load_default(13), ImageFont.load_default(18)
    pen.text((left, 12), f'return {moment.return_so_far:g}', _INK, large)
    for i, heading in enumerate(headings):
        last = i == len(headings) - 1
        pen.text((left, 40 + 28 * i), heading, _FAINT if last else _INK, small if last else large)
    middle, half = left + 60, 50
    pitch = min(48, (image.height - top) // len(bars))
    for i, bar in enumerate(bars):
        y = top + i * pitch
        colour = _CHOSEN if bar.chosen else _OTHER
        pen.text((left, y), bar.label, colour if bar.chosen else _INK, small)
        pen.line((middle, y + 16, middle, y + 20 + pitch // 3), fill=_FAINT)
        begin, end = sorted([middle, middle + half * bar.length])
        pen.rectangle((begin, y + 18, end + 1, y + 18 + pitch // 3), fill=colour)
        pen.text((left + 124, y), bar.text, _INK, small)
        pen.text((left + 124, y + 17), bar.small_text, _FAINT, small)
    return image
