"""Reinforcement learning: agents that weigh what a decision does to later ones."""
