"""Programs, and the machinery they share.

TensorFlow, Gym and Reverb talk at import and at start-up; what they say is of no use
to somebody who only wants to train. Set TF_CPP_MIN_LOG_LEVEL to hear TensorFlow.
"""

import os
import warnings

from absl import logging

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
# A train step has branches that need not wait for each other (the states and the next states,
# two networks, two streams): two at a time with half of the cores each beat one after the
# other with all of them, whose threads wait for each other in every operation.
_CORES = len(os.sched_getaffinity(0))
THREADS_ARE_CHOSEN = 'TF_NUM_INTRAOP_THREADS' in os.environ  # by the user, not here
os.environ.setdefault('TF_NUM_INTEROP_THREADS', '2')
os.environ.setdefault('TF_NUM_INTRAOP_THREADS', str(max(1, _CORES // 2)))
os.environ.setdefault('PYGAME_HIDE_SUPPORT_PROMPT', '1')
os.environ.setdefault('SDL_VIDEODRIVER', 'dummy')  # pictures are recorded, not shown
os.environ.setdefault('SDL_AUDIODRIVER', 'dummy')
warnings.filterwarnings('ignore', category=SyntaxWarning)  # TF-Agents' `is not ()`
logging.set_verbosity(logging.ERROR)  # PolicySaver warns that a greedy policy has no distribution

try:  # gym comes with tf-agents, is never used here, and prints an appeal when imported
    from gym_notices import notices
except ImportError:
    pass
else:
    notices.notices.clear()
