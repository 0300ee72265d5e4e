"""The benchmark behind `scripts/bench`: its load generator, its baselines, and what the figures have to reach."""
