"""Environments: Gymnasium in, batched TF-Agents `PyEnvironment`s out.

task           what a run plays: the value that makes every environment of the run
gymnasium_env  a Gymnasium vector environment as a `PyEnvironment`: the border
spaces  observations       what an agent is given of an observation, and what does not fit
checked  faults            a single environment, held to its word; faults in one line
infos          what wrappers tell by a step's info
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
