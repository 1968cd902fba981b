"""Environments: Gymnasium in, batched TF-Agents `PyEnvironment`s out.

task           what a run plays: the value that makes every environment of the run
gymnasium_env  a Gymnasium vector environment as a `PyEnvironment`: the border
observations  actions      what passes it, each way     infos  what wrappers tell
action_masks   which actions are legal, in one form
spaces  fitting            the parts of an observation space, and what fits them
checked        a single environment, held to its word   faults  their one line
registry       the ids that this project adds, and the look-up of any environment by its name
modules  literals  wrapping
               what users name by its module; arguments as JSON; wrappers by name
recipe         how one environment is made, by any process
vectorization  how copies are stepped together   processes  one process for each copy
training_wrappers
               wrappers for training alone, and the check that they change rewards alone
atari          games by named protocols        emulator  their screens in colour
noisy_reward   a wrapper for training
bias_mdp  blind_cliffwalk  gaussian_bandit  linear_quadratic
               small environments with known solutions
"""
