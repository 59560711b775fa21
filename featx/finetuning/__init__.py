"""Train the top blocks of a network end to end, and say whether it pays: finetune."""

from featx.finetuning.finetuning import finetune
from featx.finetuning.held_out import Candidate, fit_head, split_data, train_network, with_backbone
from featx.finetuning.records import Finetuning

__all__ = ["Candidate", "Finetuning", "finetune", "fit_head", "split_data", "train_network", "with_backbone"]
