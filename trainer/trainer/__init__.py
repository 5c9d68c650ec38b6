"""The reference trainer of trainspot.

It meets the agent in files and environment only and shares no code with it. Nothing in this
package reads the environment except `config.Environment.read`, and nothing talks to a network.
"""
