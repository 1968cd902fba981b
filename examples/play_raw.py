"""Plays an Atari game with an exported policy, by ale-py, TensorFlow and NumPy alone.

usage: python examples/play_raw.py POLICY_DIR [SEED]

POLICY_DIR is a run's policy_raw/ directory (or the run's own directory); the same SEED plays the
same episode again.
"""

import json
import os
import pathlib
import sys


def fail(message):
    """Ends the program with one line."""
    print(f'error: {message}', file=sys.stderr)
    sys.exit(2)


arguments = sys.argv[1:]
if len(arguments) not in (1, 2) or not all(seed.isdecimal() for seed in arguments[1:]):
    fail('usage: python examples/play_raw.py POLICY_DIR [SEED], where SEED is a whole number')
policy_dir, seed = pathlib.Path(arguments[0]), int((arguments[1:] or [0])[0])
if (policy_dir / 'policy_raw').is_dir():
    policy_dir = policy_dir / 'policy_raw'
if not (policy_dir / 'policy_card.json').is_file():
    fail(f"'{policy_dir}' holds no exported policy: a finished run of an Atari game has policy_raw/")
card = json.loads((policy_dir / 'policy_card.json').read_text())
if card.get('observation_spec', {}).get('shape') != [2, 210, 160, 3]:
    fail(f"'{policy_dir}' does not take raw screens: a run of an Atari game has one in policy_raw/")

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
import ale_py
import numpy as np
import tensorflow as tf
from ale_py import roms

options = card['env_options']
act = tf.saved_model.load(str(policy_dir)).signatures['act']

ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
ale = ale_py.ALEInterface()
ale.setInt('random_seed', seed)
ale.setFloat('repeat_action_probability', options['repeat_action_probability'])
ale.loadROM(roms.get_rom_path(card['atari_game']))
every = options['full_action_space']
actions = ale.getLegalActionSet() if every else ale.getMinimalActionSet()

ale.reset_game()
screens = [ale.getScreenRGB()] * 2  # the last two emulated frames, uint8 [210, 160, 3] each
state = tf.zeros([1, *act.structured_input_signature[1]['state'].shape[1:]], tf.uint8)
reset, score, steps = True, 0, 0
while not ale.game_over():
    out = act(
        observation=tf.constant(np.stack(screens)[np.newaxis]),
        reset=tf.constant([reset]),
        state=state,
    )
    state, reset, steps = out['state'], False, steps + 1
    for _ in range(options['frame_skip']):
        score += ale.act(actions[int(out['action'][0])])
        screens = [screens[-1], ale.getScreenRGB()]
print(f'{score} points in {steps} steps; the last Q-values: {out["q_values"].numpy().round(2)[0]}')
