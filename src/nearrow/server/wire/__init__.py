"""Wire: what do server and client say to each other? One encoding, used by both sides; docs/protocol.md describes it."""
