"""VirtualHome: one agent in an apartment, household tasks, the simulator of the package virtualhome-eval."""
