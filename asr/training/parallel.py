"""Several processes that train one network together; every function here works in a single one too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous


def join(backend: str) -> None:
    """Joins the processes that `torchrun` started beside this one; does nothing without it, or the second time.

    torchrun keeps one store for all its attempts, with the addresses at which processes that are dead now could be
    reached (pytorch issue 135712). On one machine each attempt therefore gets names of its own in it; between machines,
    which do not count their attempts alike, TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 makes a new store each time.
    """
    if "WORLD_SIZE" not in os.environ or dist.is_initialized():
        return
    if backend == "nccl":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))  # "cuda" is from here on a card of this process's own
    if os.environ.get("LOCAL_WORLD_SIZE") != os.environ["WORLD_SIZE"]:
        dist.init_process_group(backend)
        return
    store, rank, world = next(rendezvous("env://"))
    own = PrefixStore(f"attempt {restarts()}", store)
    dist.init_process_group(backend, store=own, rank=rank, world_size=world)


def leave() -> None:
    """From here on this process is alone. Every process has to call it, at the latest before it ends: a process that
    still belongs to a group is often aborted while Python shuts down (pytorch issue 190489)."""
    if dist.is_initialized():
        dist.destroy_process_group()


def restarts() -> int:
    """How often `torchrun` has started this process again after one of its processes had died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def rank() -> int:
    """This process's number, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def summed(tensor: Tensor) -> Tensor:
    """The sum of every process's tensor of this shape. Every process has to call it."""
    if world() > 1:
        tensor = tensor.clone()
        dist.all_reduce(tensor)
    return tensor


@contextmanager
def one_after_the_other() -> Iterator[None]:
    """The first process does what stands in the block before all the others do."""
    if rank() > 0:
        dist.barrier()
    yield
    if rank() == 0 and world() > 1:
        dist.barrier()
