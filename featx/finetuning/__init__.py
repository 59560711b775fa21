"""Train the top blocks of a network end to end, and say whether it pays: finetune."""

from featx.finetuning.finetuning import finetune
from featx.finetuning.records import Finetuning

__all__ = ["Finetuning", "finetune"]
