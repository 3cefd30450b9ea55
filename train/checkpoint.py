"""Checkpoints of a phase: parameters, optimisers and random state, written whole, read without pickle's powers."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from segue.errors import InputError
from segue.files import whole_file


def save_checkpoint(
    path: Path,
    parameters: Mapping[str, nn.Parameter],
    optimisers: Sequence[torch.optim.Optimizer],
    rng: np.random.Generator,
    epochs_done: int,
) -> None:
    """Write what `load_checkpoint` needs to go on after ``epochs_done`` epochs as if nothing had happened."""
    state = {
        "parameters": {name: parameter.detach() for name, parameter in parameters.items()},
        "optimisers": [optimiser.state_dict() for optimiser in optimisers],
        "numpy": json.dumps(rng.bit_generator.state),
        "torch": torch.get_rng_state(),
        "epochs_done": epochs_done,
    }
    with whole_file(path) as stream:
        torch.save(state, stream)


def load_checkpoint(
    path: Path,
    parameters: Mapping[str, nn.Parameter],
    optimisers: Sequence[torch.optim.Optimizer],
    rng: np.random.Generator,
) -> int:
    """Put everything back as `save_checkpoint` found it and return the epochs done; 0 where there is no checkpoint.

    Raises:
        InputError: The checkpoint is of another model.
    """
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    try:
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(state["parameters"][name])
        for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
    except (KeyError, ValueError, RuntimeError) as error:
        raise InputError(f"The checkpoint {path} is of another model ({error}); remove it to begin anew.") from error
    rng.bit_generator.state = json.loads(state["numpy"])
    torch.set_rng_state(state["torch"])
    return int(state["epochs_done"])
