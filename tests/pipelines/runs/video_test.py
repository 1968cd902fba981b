"""What is drawn beside a screen, and where: measured in the picture."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from envs.errors import EnvError
from envs.task import Task
from pipelines.errors import UserError
from pipelines.runs import video
from tests.envs.fakes import Scripted, registered

SCREEN = np.zeros((210, 160, 3), np.uint8)
WIDTH = 320  # of the screen in the picture: it is drawn at twice its size
LEFT, MIDDLE = WIDTH + 14, WIDTH + 74  # where texts begin; where bars do, 50 pixels long at most
PAPER, INK, FAINT = (250, 250, 248), (30, 30, 30), (150, 150, 150)
CHOSEN, OTHER = (214, 92, 32), (120, 146, 178)


def picture(outputs, action, labels=None):
    outputs = {name: np.array(value, np.float32) for name, value in outputs.items()}
    return np.array(video.draw(video.Moment(SCREEN, outputs, np.array(action), 5.0), labels))


def bar(image, top):
    """(colour, first, last column) of the bar 26 pixels below `top`; columns from the middle."""
    row = image[top + 26, MIDDLE - 60 : MIDDLE + 61]
    for colour in (CHOSEN, OTHER):
        columns = np.flatnonzero((row == colour).all(axis=1)) - 60
        if len(columns):
            assert len(columns) == columns[-1] - columns[0] + 1  # nothing between
            return colour, columns[0], columns[-1]
    raise AssertionError('there is no bar')


def reads(image, words, at, colour=INK, size=13):
    """Whether `words` stand in the picture at the point `at`, and nothing right behind them."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = (int(x) for x in font.getbbox(words))
    written = Image.new('RGB', (right + 6, bottom), PAPER)
    ImageDraw.Draw(written).text((0, 0), words, colour, font)
    x, y = at
    return np.array_equal(image[y : y + bottom, x : x + right + 6], np.array(written))


THREE = {'q_values': [1.0, 3.0, 2.0]}
STREAMS = {'value': [2.0], 'advantage': [-1.0, 1.0, 0.0]}
ADVANTAGES = [(OTHER, -50), (CHOSEN, 50), (OTHER, 0)]  # -1, 1 and 0 of at most 1
PROBABILITIES = {'probabilities': [0.1, 0.7, 0.2]}
SHARES = [(OTHER, 5), (CHOSEN, 35), (OTHER, 10)]


@pytest.mark.parametrize(
    ('outputs', 'action', 'headings', 'bars', 'texts'),
    [
        (
            THREE | STREAMS, 1, ['V(s) = 2.00', 'bars: A(s, a) = Q(s, a) - V(s)'], ADVANTAGES,
            [('Q 1.000', 'A -1.000'), ('Q 3.000', 'A +1.000'), ('Q 2.000', 'A +0.000')],
        ),
        (
            THREE, 1, ['V(s) = 2.00', 'bars: A(s, a) = Q(s, a) - V(s)'], ADVANTAGES,
            [('Q 1.000', 'A -1.000'), ('Q 3.000', 'A +1.000'), ('Q 2.000', 'A +0.000')],
        ),
        (
            PROBABILITIES | {'value': [4.0]}, 1, ['V(s) = 4.00', 'bars: pi(a | s)'], SHARES,
            [('pi 0.100', ''), ('pi 0.700', ''), ('pi 0.200', '')],
        ),
        (
            PROBABILITIES, 1, ['bars: pi(a | s)'], SHARES,
            [('pi 0.100', ''), ('pi 0.700', ''), ('pi 0.200', '')],
        ),
        (
            {'mu': [0.5, -1.0], 'sigma': [0.1, 0.2]}, [0.4, -0.9], ['bars: the action taken'],
            [(CHOSEN, 20), (CHOSEN, -45)],
            [('+0.400', 'N(0.50, 0.10)'), ('-0.900', 'N(-1.00, 0.20)')],
        ),
    ],
)  # fmt: skip
def test_every_kind_of_policy_is_drawn_beside_its_screen(outputs, action, headings, bars, texts):
    image = picture(outputs, action)
    assert image.shape == (420, WIDTH + 270, 3)
    assert not image[:, :WIDTH].any()  # the screen
    assert reads(image, 'return 5', (LEFT, 12), size=18)
    *values, last = headings
    for i, heading in enumerate(values):
        assert reads(image, heading, (LEFT, 40 + 28 * i), size=18), heading
    assert reads(image, last, (LEFT, 40 + 28 * len(values)), FAINT), last
    for i, ((colour, length), (text, small_text)) in enumerate(zip(bars, texts, strict=True)):
        top = 44 + 28 * len(headings) + 48 * i
        drawn, first, end = bar(image, top)
        assert drawn == colour
        assert abs(first - min(length, 0)) <= 1 and abs(end - 1 - max(length, 0)) <= 1
        name_colour = CHOSEN if colour == CHOSEN else INK
        assert reads(image, f'action {i}', (LEFT, top), name_colour)
        assert reads(image, text, (LEFT + 124, top)), text
        assert reads(image, small_text, (LEFT + 124, top + 17), FAINT), small_text


def test_a_bar_is_as_long_as_the_advantage():
    """Q = 3, 2, 1.5, 1 with V = 2: lengths 1, 0, -0.5 and -1, whichever is chosen."""
    outputs = {'q_values': [3.0, 2.0, 1.5, 1.0], 'value': [2.0]}
    for chosen in range(4):
        image = picture(outputs, chosen)
        for i, (first, last) in enumerate([(0, 50), (0, 0), (-25, 0), (-50, 0)]):
            colour, start, end = bar(image, 100 + 48 * i)
            assert colour == (CHOSEN if i == chosen else OTHER)
            assert (start, end - 1) == (first, last)


def test_the_names_of_actions_are_drawn():
    image = picture({'q_values': [3.0, 2.0, 1.0]}, 0, ('NOOP', 'FIRE', 'LEFT'))
    assert reads(image, 'NOOP', (LEFT, 100), CHOSEN)
    assert reads(image, 'FIRE', (LEFT, 148)) and reads(image, 'LEFT', (LEFT, 196))


def test_an_illegal_action_has_no_bar_and_does_not_count():
    """Q = 3 and 1 are legal: V is 2, and the advantages are 1 and -1."""
    lowest = np.finfo(np.float32).min
    image = picture({'q_values': [3.0, lowest, 1.0]}, 0)
    assert reads(image, 'V(s) = 2.00', (LEFT, 40), size=18)
    assert bar(image, 100) == (CHOSEN, 0, 51) and bar(image, 196) == (OTHER, -50, 1)
    assert bar(image, 148) == (OTHER, 0, 1)
    assert reads(image, 'not legal', (LEFT + 124, 148)) and reads(image, '', (LEFT + 124, 165))


@pytest.mark.parametrize(
    ('outputs', 'last', 'texts', 'ends'),
    [
        (
            # less the means of what is legal, 2 and 4: advantages 1 and -0.5
            {'q_values': [[1.0, 3.0, np.finfo(np.float32).min], [3.5, 4.0, 4.5]], 'value': [3.0]},
            'bars: Q less the mean Q', ['Q 3.000', 'Q 3.500'], [51, -25],
        ),
        (
            {'probabilities': [[0.2, 0.8, 0.0], [0.4, 0.3, 0.3]], 'value': [3.0]},
            'bars: pi(a | s)', ['pi 0.800', 'pi 0.400'], [41, 21],
        ),
    ],
)  # fmt: skip
def test_of_several_actions_the_ones_taken_are_drawn(outputs, last, texts, ends):
    image = picture(outputs, [1, 0])
    assert reads(image, 'V(s) = 3.00', (LEFT, 40), size=18)
    assert reads(image, last, (LEFT, 68), FAINT)
    for i, (label, text, end) in enumerate(zip(['0: 1', '1: 0'], texts, ends)):
        top = 100 + 48 * i
        assert reads(image, label, (LEFT, top), CHOSEN) and reads(image, text, (LEFT + 124, top))
        colour, first, last_column = bar(image, top)
        assert colour == CHOSEN and (first if end < 0 else last_column) == end


def test_at_most_twenty_four_bars_are_drawn():
    image = picture({'q_values': np.zeros((100, 2))}, np.zeros(100, int))
    assert image.shape[0] == 72 + 24 * 36


def test_eighteen_actions_fit():
    """36 pixels each below the headings; the chosen last one is the longest."""
    image = picture({'q_values': np.linspace(-1, 1, 18)}, 17)
    assert image.shape[0] == 100 + 18 * 36
    assert reads(image, 'action 17', (LEFT, 100 + 17 * 36), CHOSEN)
    assert bar(image, 100 + 17 * 36) == (CHOSEN, 0, 51)
    assert bar(image, 100) == (OTHER, -50, 1)


class _Draws(Scripted):
    """Draws what `picture` returns."""

    def __init__(self, picture, render_mode=None):
        super().__init__(render_mode=render_mode)
        self.render = picture


def boom():
    raise ValueError('boom')


PICTURE = np.zeros((16, 16, 3), np.uint8)


@pytest.mark.parametrize(
    ('picture', 'words'),
    [
        (lambda: 'five', 'gives a str, and must give uint8 [height, width, 3]'),
        (lambda: PICTURE.tolist(), 'gives a list, and'),
        (lambda: [PICTURE], 'gives a list, and'),
        (lambda: PICTURE.astype(np.float64), 'gives float64 [16, 16, 3], and'),
        (lambda: PICTURE.astype(np.int64), 'gives int64 [16, 16, 3], and'),
        (lambda: PICTURE[..., 0], 'gives uint8 [16, 16], and'),
        (lambda: np.zeros((16, 16, 4), np.uint8), 'gives uint8 [16, 16, 4], and'),
        (lambda: np.zeros((3, 16, 16), np.uint8), 'gives uint8 [3, 16, 16], and'),
        (lambda: PICTURE[:0], 'gives uint8 [0, 16, 3], and'),
        (lambda: None, "'Scripted-v0' draws no rgb_array"),
        (boom, 'in `render`: it raised ValueError: boom'),
    ],
)
def test_what_is_not_a_picture_is_refused(picture, words):
    with registered(_Draws, picture=picture) as name:
        with pytest.raises((UserError, EnvError)) as refused:
            video.check_draws(Task(name))
        assert words in str(refused.value) and 'Scripted-v0' in str(refused.value)
        assert not video.draws(Task(name))


def test_a_picture_is_accepted():
    with registered(_Draws, picture=lambda: PICTURE) as name:
        video.check_draws(Task(name))
        assert video.draws(Task(name))
