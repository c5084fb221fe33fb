"""What ``llmeval`` can do, one file a command. Each has `add_to`, which declares it, and a function that runs it."""
