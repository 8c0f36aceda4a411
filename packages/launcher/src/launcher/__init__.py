"""The one holder of the engine's socket: offers the few calls of Docker's API that a sealed step needs."""
