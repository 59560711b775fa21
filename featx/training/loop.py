"""The training loop: epochs, validation, early stopping, selection of the best weights, resumption of stopped runs."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.special import log_softmax

from featx.errors import StoreError, TrainingError
from featx.evaluation.procedures import find_temperature
from featx.files import is_regular
from featx.runtime import Runtime
from featx.store import TRAINING_DONE as DONE
from featx.store import delete_file, delete_networks, write_cache_file
from featx.training.checkpoints import read_checkpoint, write_checkpoint
from featx.training.config import TrainingConfig
from featx.training.curves import write_log
from featx.training.feeds import Feed
from featx.training.networks import Trainable
from featx.training.records import Epoch, History, read_epochs
from featx.training.schedule import warmup_cosine

_OPTIMIZERS = {
    "adamw": keras.optimizers.AdamW,
    "adam": keras.optimizers.Adam,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": lambda **options: keras.optimizers.SGD(momentum=0.9, nesterov=True, **options),
}


class Trainer:
    """The training step, the optimizers and the state of a network in training.

    Parameters
    ----------
    network : Trainable
    config : TrainingConfig
    class_counts : sequence of int
        Number of training images of each class.
    """

    def __init__(self, network: Trainable, config: TrainingConfig, class_counts: Sequence[int]) -> None:
        self.network = network
        self._config = config
        self._shares: list[float] = []
        self._optimizers: list[Any] = []
        self._variables: list[list[Any]] = []
        for share, variables in network.learning_rate_groups(config.layer_decay):
            decay = config.weight_decay if config.optimizer == "adamw" else config.weight_decay or None
            optimizer = _OPTIMIZERS[config.optimizer](learning_rate=config.learning_rate * share, weight_decay=decay)
            optimizer.exclude_from_weight_decay([v for v in variables if len(v.shape) < 2])
            optimizer.build(variables)
            self._shares.append(share)
            self._optimizers.append(optimizer)
            self._variables.append(variables)
        counts = np.asarray(class_counts, np.float64)
        balanced = counts.sum() / (len(counts) * np.maximum(counts, 1))
        weights = balanced if config.class_weight == "balanced" else np.ones(len(counts))
        self._class_weights = tf.constant(weights, tf.float32)
        self._n_classes = len(counts)
        self._compiled: dict[Any, Any] = {}

    def set_learning_rate(self, learning_rate: float) -> None:
        """Set the learning rate of the dense layers; each block uses a fixed fraction of this rate."""
        for share, optimizer in zip(self._shares, self._optimizers, strict=True):
            optimizer.learning_rate = learning_rate * share

    def step(self, inputs: NDArray[Any], y: NDArray[np.int64]) -> tuple[float, float]:
        """Execute one training step; return the mean loss and the accuracy of the batch.

        Parameters
        ----------
        inputs : ndarray
            Activations at the cut, shape (n, ...), float32; or pixels, shape (n, size, size, 3), uint8.
        y : ndarray of shape (n,), int64
        """
        loss, accuracy = self._function(self._step, inputs)(tf.constant(inputs), tf.constant(y, tf.int64))
        return float(loss), float(accuracy)

    def logits(self, feed: Feed) -> NDArray[np.float64]:
        """Return the logits of the images of a feed, in the order of the feed, shape (n, n_classes)."""
        parts = [self._function(self._infer, inputs)(tf.constant(inputs)).numpy() for inputs, _ in feed.epoch(0)]
        return np.concatenate(parts).astype(np.float64)

    def arrays(self) -> list[NDArray[Any]]:
        """Return the complete training state as arrays: weights, statistics, random states and optimizers."""
        return [np.asarray(variable) for variable in self._all_variables()]

    def set_arrays(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Restore the state that :meth:`arrays` returned."""
        for variable, array in zip(self._all_variables(), arrays, strict=True):
            variable.assign(array)

    def network_arrays(self) -> list[NDArray[Any]]:
        """Return the state of the network as arrays: weights, statistics and random states."""
        return [np.asarray(variable) for variable in self.network.variables]

    def set_network_arrays(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Restore the state that :meth:`network_arrays` returned."""
        for variable, array in zip(self.network.variables, arrays, strict=True):
            variable.assign(array)

    def _function(self, body: Any, inputs: NDArray[Any]) -> Any:
        """Return a function compiled for batches of any length; each function is compiled only once."""
        key = (body.__name__, inputs.dtype.name)
        if key not in self._compiled:
            signature = [tf.TensorSpec((None, *inputs.shape[1:]), inputs.dtype)]
            signature += [tf.TensorSpec((None,), tf.int64)] if body == self._step else []
            self._compiled[key] = tf.function(body, input_signature=signature)
        return self._compiled[key]

    def _all_variables(self) -> list[Any]:
        return [*self.network.variables, *(v for optimizer in self._optimizers for v in optimizer.variables)]

    def _step(self, inputs: Any, y: Any) -> tuple[Any, Any]:
        cut = self._at_cut(inputs)
        with tf.GradientTape() as tape:
            # By default, the blocks keep the statistics of batch normalisation: small data sets give poor estimates.
            maps = self.network.blocks(cut, training=self._config.batch_norm == "train")
            logits = self.network.top(maps, training=True)
            smooth = self._config.label_smoothing
            targets = tf.one_hot(y, self._n_classes) * (1 - smooth) + smooth / self._n_classes
            losses = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
            loss = tf.reduce_mean(losses * tf.gather(self._class_weights, y))
        flat = [variable for variables in self._variables for variable in variables]
        gradients = tape.gradient(loss, flat)
        start = 0
        for optimizer, variables in zip(self._optimizers, self._variables, strict=True):
            optimizer.apply(gradients[start : start + len(variables)], variables)
            start += len(variables)
        return loss, tf.reduce_mean(tf.cast(tf.argmax(logits, axis=1) == y, tf.float32))

    def _infer(self, inputs: Any) -> Any:
        return self.network.top(self.network.blocks(self._at_cut(inputs), training=False), training=False)

    def _at_cut(self, inputs: Any) -> Any:
        return self.network.frozen(inputs, training=False) if inputs.dtype == tf.uint8 else inputs


@dataclasses.dataclass
class _State:
    """The state of a training run after an epoch."""

    epochs: list[Epoch]
    best: int = 0
    factor: float = 1.0

    @property
    def since_best(self) -> int:
        return self.epochs[-1].number - self.best

    def add(self, epoch: Epoch, patience: int) -> bool:
        """Add an epoch; return whether it is the best so far."""
        is_best = epoch.val_loss < self.epochs[self.best].val_loss
        self.epochs.append(epoch)
        if is_best:
            self.best = epoch.number
        elif self.since_best % max(patience // 2, 1) == 0:
            self.factor /= 2
        return is_best

    def to_dict(self) -> dict[str, Any]:
        return {"epochs": [epoch.to_dict() for epoch in self.epochs], "best": self.best, "factor": self.factor}

    @classmethod
    def read(cls, values: dict[str, Any]) -> _State | None:
        """Return the state from the output of :meth:`to_dict`; None if the values are invalid."""
        try:
            state = cls(list(read_epochs(values["epochs"])), int(values["best"]), float(values["factor"]))
        except (KeyError, OverflowError, TypeError, ValueError):
            return None
        return state if 0 < state.factor <= 1 and 0 <= state.best < len(state.epochs) else None


def _epoch_text(epoch: Epoch, n_epochs: int) -> str:
    return (
        f"epoch {epoch.number} of {n_epochs}: loss {epoch.loss:.3f}, accuracy {epoch.accuracy:.3f}; validation loss "
        f"{epoch.val_loss:.3f}, accuracy {epoch.val_accuracy:.3f} ({epoch.seconds:.0f} s)"
    )


def run(
    trainer: Trainer, training: Feed, validation: Feed, config: TrainingConfig, folder: Path, runtime: Runtime
) -> History:
    """Train a network, or resume an earlier run that was stopped.

    Parameters
    ----------
    trainer : Trainer
        Trainer of the network, which has the weights of the best epoch after the call.
    training, validation : Feed
    config : TrainingConfig
    folder : path
        Existing folder of the run; its checkpoints allow a later call to resume.
    runtime : Runtime
        Runtime whose callbacks receive the progress in steps, and a notice for each epoch.

    Returns
    -------
    History

    Raises
    ------
    TrainingError
        If the loss is not finite.
    StoreError
        If the checkpoint with the best weights is damaged, or a file cannot be written.
    """
    last, best, done, log = (folder / name for name in ("last.npz", "best.npz", DONE, "log.csv"))
    finished = read_checkpoint(best, trainer.network_arrays()) if is_regular(done) else None
    known = None if finished is None else _history(finished[1])
    if finished is not None and known is not None:
        trainer.set_network_arrays(finished[0])
        if not is_regular(log):
            write_log(log, known.epochs)
        return known
    delete_networks(folder)  # networks of an earlier run whose weights are damaged
    state = _start_or_resume(trainer, validation, last, best, runtime)
    steps_each = math.ceil(len(training.y) / config.batch_size)
    with runtime.stage("training, step") as advance:
        while state.epochs[-1].number < config.epochs and state.since_best < config.patience:
            epoch = _pass(trainer, training, validation, config, state, steps_each, runtime, advance)
            if state.add(epoch, config.patience):
                write_checkpoint(best, trainer.network_arrays(), {})
            write_checkpoint(last, trainer.arrays(), state.to_dict())
            write_log(log, state.epochs)
            runtime.notice(_epoch_text(epoch, config.epochs))
    kept = read_checkpoint(best, trainer.network_arrays())
    if kept is None:
        raise StoreError(f"{best} is damaged; delete {folder} and run the same command again")
    trainer.set_network_arrays(kept[0])
    history = History(tuple(state.epochs), state.best)
    write_checkpoint(best, kept[0], {"history": history.to_dict()})
    write_cache_file(done, lambda path: path.touch())
    delete_file(last)
    return history


def _history(state: dict[str, Any]) -> History | None:
    """Return the history of a finished run from its state; None if the state is invalid."""
    try:
        history = History.from_dict(state["history"])
    except (KeyError, OverflowError, TypeError, ValueError):
        return None
    return history if 0 <= history.best < len(history.epochs) else None


def _start_or_resume(trainer: Trainer, validation: Feed, last: Path, best: Path, runtime: Runtime) -> _State:
    checkpoint = read_checkpoint(last, trainer.arrays())
    state = None if checkpoint is None else _State.read(checkpoint[1])
    if checkpoint is not None and state is not None:
        trainer.set_arrays(checkpoint[0])
        runtime.notice(f"resuming a stopped run after epoch {state.epochs[-1].number}")
        return state
    write_checkpoint(best, trainer.network_arrays(), {})
    with runtime.stage("validating before training"):
        return _State([_validated(trainer, validation, 0, 0.0, None, None, time.monotonic())])


def _pass(
    trainer: Trainer,
    training: Feed,
    validation: Feed,
    config: TrainingConfig,
    state: _State,
    steps_each: int,
    runtime: Runtime,
    advance: Callable[[int, int], None],
) -> Epoch:
    started = time.monotonic()
    number = state.epochs[-1].number + 1
    n_steps, first = steps_each * config.epochs, steps_each * (number - 1)
    sums, learning_rate = np.zeros(2), 0.0
    advance(first, n_steps)
    for i, (inputs, y) in enumerate(training.epoch(number)):
        learning_rate = config.learning_rate * state.factor * warmup_cosine(first + i, n_steps, config.warmup)
        trainer.set_learning_rate(learning_rate)
        sums += len(y) * np.array(trainer.step(inputs, y))
        if not np.isfinite(sums[0]):
            raise TrainingError(
                f"the loss is not finite in epoch {number}: a learning rate of {config.learning_rate:g} is too high; "
                "run finetune with a lower `learning_rate`"
            )
        if i + 1 < steps_each:  # the last step is reported after the validation
            advance(first + i + 1, n_steps)
    loss, accuracy = (sums / len(training.y)).tolist()
    with runtime.stage(f"validating epoch {number}"):
        epoch = _validated(trainer, validation, number, learning_rate, loss, accuracy, started)
    advance(first + steps_each, n_steps)
    return epoch


def _validated(
    trainer: Trainer,
    validation: Feed,
    number: int,
    learning_rate: float,
    loss: float | None,
    accuracy: float | None,
    started: float,
) -> Epoch:
    y, logits = validation.y, trainer.logits(validation)
    # The scale of the logits changes with each step and is calibrated after training. The loss uses the best scale.
    log_probabilities = log_softmax(logits / find_temperature(logits, y), axis=1)
    val_loss = -float(log_probabilities[np.arange(len(y)), y].mean())
    val_accuracy = float((logits.argmax(axis=1) == y).mean())
    return Epoch(number, learning_rate, loss, accuracy, val_loss, val_accuracy, time.monotonic() - started)
