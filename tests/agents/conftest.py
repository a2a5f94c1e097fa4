"""Torch on one thread: on small networks more threads are slower, and their sums differ in order."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
