"""Tests on each device: those on a GPU are marked ``gpu``, and `make test-gpu` runs them."""

import pytest
import torch

GPU = (pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU"))
devices = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
