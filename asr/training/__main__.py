"""`torchrun ... -m asr.training RECIPE ...`: the same as `asr train`, in several processes."""

from asr.cli.train import train

if __name__ == "__main__":
    train()
