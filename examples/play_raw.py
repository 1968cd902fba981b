"""Plays Space Invaders with an exported policy: ale-py, TensorFlow and NumPy, nothing else.

python examples/play_raw.py runs/space_invaders/policy_raw [seed]
"""

import os
import sys

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
import ale_py
import numpy as np
import tensorflow as tf
from ale_py import roms

FRAME_SKIP = 4

policy_dir, seed = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0
act = tf.saved_model.load(policy_dir).signatures['act']

ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
ale = ale_py.ALEInterface()
ale.setInt('random_seed', seed)
ale.setFloat('repeat_action_probability', 0.25)  # sticky actions
ale.loadROM(roms.get_rom_path('space_invaders'))
actions = ale.getMinimalActionSet()

ale.reset_game()
screens = [ale.getScreenRGB()] * 2  # of the last two emulated frames
state = tf.zeros([1, *act.structured_input_signature[1]['state'].shape[1:]], tf.uint8)
reset, score, steps = True, 0, 0
while not ale.game_over():
    out = act(
        observation=tf.constant(np.stack(screens)[np.newaxis]),
        reset=tf.constant([reset]),
        state=state,
    )
    state, reset, steps = out['state'], False, steps + 1
    for _ in range(FRAME_SKIP):
        score += ale.act(actions[int(out['action'][0])])
        screens = [screens[-1], ale.getScreenRGB()]
print(f'{score} points in {steps} steps; the last Q-values: {out["q_values"].numpy().round(2)[0]}')
