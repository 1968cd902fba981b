"""Plays an Atari game with an exported policy, by ale-py, TensorFlow and NumPy alone.

usage: python examples/play_raw.py POLICY_DIR [SEED]

POLICY_DIR is a run's policy_raw/ directory (or the run's own directory); the same SEED plays the
same episode again.
"""

import json
import os
import pathlib
import sys

if len(sys.argv) not in (2, 3) or not all(seed.isdecimal() for seed in sys.argv[2:]):
    print('error: usage: python examples/play_raw.py POLICY_DIR [SEED]', file=sys.stderr)
    sys.exit(2)
os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
import ale_py
import numpy as np
import tensorflow as tf
from ale_py import roms

policy_dir, seed = pathlib.Path(sys.argv[1]), int((sys.argv[2:] or [0])[0])
if (policy_dir / 'policy_raw').is_dir():
    policy_dir = policy_dir / 'policy_raw'
card_file = policy_dir / 'policy_card.json'
card = json.loads(card_file.read_text()) if card_file.is_file() else {}
if card.get('observation_spec', {}).get('shape') != [2, 210, 160, 3]:
    print(f"error: '{policy_dir}' holds no policy that takes raw screens", file=sys.stderr)
    sys.exit(2)
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
