"""Telling others of passes: over the network, or by a command. Nothing here can hold a pass up or change it."""
