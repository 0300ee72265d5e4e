"""Replays a shop's order file through the client. Started by scripts/replay."""
