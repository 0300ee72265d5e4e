"""The contract's messages and stubs, as generated from protos/ringfence/v1 by scripts/generate."""
