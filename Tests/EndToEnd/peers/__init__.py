"""Martlet and the programs it meets, each started with a configuration of its own on free loopback ports."""
