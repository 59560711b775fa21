"""Fine-tune the top blocks of a backbone and compare the result with the frozen backbone."""

from featx.finetuning.finetuning import finetune
from featx.finetuning.held_out import JudgedHead, extract_and_split, fit_head, train_network, with_features_of
from featx.finetuning.records import Finetuning

__all__ = ["Finetuning", "JudgedHead", "extract_and_split", "finetune", "fit_head", "train_network", "with_features_of"]
