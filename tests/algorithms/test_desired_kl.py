"""The policy's learning rate follows the KL of the updates (PPOConfig.desired_kl), over a killed run's end too."""
