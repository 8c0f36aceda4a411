"""The one holder of the engine's socket: it starts sealed steps, and nothing else, for whoever asks on its own."""
