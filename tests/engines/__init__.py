"""The relay engines under one set of tests: the same contract, the same schedules, no leaks."""
