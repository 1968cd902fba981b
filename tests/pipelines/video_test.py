import numpy as np
import pytest

from pipelines import video

SCREEN = np.zeros((210, 160, 3), np.uint8)
CHOSEN = (214, 92, 32)


def picture(outputs, action, labels=None):
    outputs = {name: np.array(value, np.float32) for name, value in outputs.items()}
    return np.array(video.draw(video.Moment(SCREEN, outputs, np.array(action), 5.0), labels))


def chosen_pixels(image):
    return int((image == CHOSEN).all(axis=2).sum())


@pytest.mark.parametrize(
    ('outputs', 'action'),
    [
        ({'q_values': [1.0, 3.0, 2.0], 'value': [2.0], 'advantage': [-1.0, 1.0, 0.0]}, 1),
        ({'q_values': [1.0, 3.0, 2.0]}, 1),
        ({'probabilities': [0.1, 0.7, 0.2], 'value': [4.0]}, 1),
        ({'probabilities': [0.1, 0.7, 0.2]}, 1),
        ({'mu': [0.5, -1.0], 'sigma': [0.1, 0.2]}, [0.4, -0.9]),
    ],
)
def test_every_kind_of_policy_is_drawn_beside_its_screen(outputs, action):
    image = picture(outputs, action)
    assert image.shape == (420, 590, 3)
    assert chosen_pixels(image) > 100


def test_a_bar_is_as_long_as_the_advantage():
    """Of Q = 3, 2, 1 with V = 2: to the right, none, to the left, the first and last alike."""
    outputs = {'q_values': [3.0, 2.0, 1.0], 'value': [2.0]}
    long_right, none, long_left = (chosen_pixels(picture(outputs, a)) for a in range(3))
    assert abs(long_right - long_left) < 60  # the labels' letters differ
    assert none < long_left / 4


def test_the_names_of_actions_are_drawn():
    outputs = {'q_values': [3.0, 2.0, 1.0]}
    assert (picture(outputs, 0, ('NOOP', 'FIRE', 'LEFT')) != picture(outputs, 0)).any()


def test_eighteen_actions_fit():
    image = picture({'q_values': np.linspace(-1, 1, 18)}, 17)
    assert image.shape[0] > 420 and chosen_pixels(image[-40:]) > 20
