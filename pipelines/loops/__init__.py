"""Loops inside the graph: collecting, training and evaluating.

rollout          a policy acts and environments step; returns of training episodes
collector        a rollout whose steps go to the replay
learner          train steps on samples of the replay
turns            collecting and training at an exact ratio, alternately or at the same time
episode_losses   which losses belong to which training episode
episodes         collecting and training for policy gradients, in whole episodes
evaluation       episodes played to evaluate a policy
overestimation   the returns that a Q-agent expects, compared with those that follow
"""
