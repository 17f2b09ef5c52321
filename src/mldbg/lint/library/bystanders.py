"""Code of which only names are known, and which leaves gradients alone: schedulers, meters, loggers, averaged weights."""

from __future__ import annotations

import re


def _words_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SCHEDULERS = _words_of("lr sched scheds schedule schedules scheduler schedulers warmup")
_AVERAGES = _words_of("ema emas swa averager average averages averaged polyak shadow")
_COPIES = _AVERAGES | _words_of("soft hard target targets")
"""What a function says that moves the weights of one network into another one."""

_OBSERVERS = _words_of(
    """
    log logs logger loggers logging writer writers tracker meter meters metric metrics loss losses acc accs accuracy
    bar pbar progress tqdm timer clock eta prof profiler stats statistics history monitor recorder stopper stopping stop
    wandb mlflow board tensorboard summary visualizer visualiser vis viz plotter console display counter confusion confmat
    evaluator scaler env envs environment simulator game buffer memory replay sampler
    """
)
"""What looks on, or holds something else than parameters. It is what the last word of a name says: not in `env_model`."""

_PARTS = _words_of("train val valid test eval epoch batch iter global")
"""Words behind which stands what a name says: `losses_train`."""

_HOLDERS = _words_of(
    """
    model models net nets network networks module policy actor critic agent agents learner trainer engine encoder decoder
    generator discriminator student backbone self params parameters g d
    """
)
"""What may be a model or hold one."""

_TRAINERS = _HOLDERS | _words_of(
    """
    algo algorithm opt optim optimizer optimizers optimiser optimisers updater solver runner system player cls super task
    method strategy plugin accelerator fabric booster gan vae teacher ppo dqn sac ddpg td3 a2c brain worker wrapper
    """
)
"""What may hold a model and its optimizer, and train it in a method."""

_REPORTS = _words_of(
    """
    log print plot save write show report display record visualize visualise draw dump store export track summarize summarise
    is should get next load sample fetch iter val valid validation test eval evaluate predict
    """
)
"""What a function begins with that writes something down, fetches data or evaluates: `get_train_batch`, `val_step`."""

_SETS = _words_of("lr rate warmup schedule decay clip unscale")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def may_be_model(name: str) -> bool:
    """Whether a variable of this name may hold a model, or something that has one."""
    return not _HOLDERS.isdisjoint(_words(name))


def only_sets_or_reports(name: str) -> bool:
    """Whether a function says that it sets the learning rate, clips, or writes something down, whatever it is given."""
    words = _words(name)
    return bool(words) and "and" not in words and (words[0] in _REPORTS or not _SETS.isdisjoint(words))


def leaves_gradients_alone(receiver: str, method: str, *, gets_model: bool) -> bool:
    """Whether a method (or a function: no receiver) whose name speaks of steps or updates does not mean those of an optimizer.

    Args:
        receiver: the last name in what the method is called on.
        method: its name.
        gets_model: something that is a model, or may hold one, is among its arguments.
    """
    whose, does = _words(receiver), _words(method)
    if only_sets_or_reports(method) or not _COPIES.isdisjoint(does):
        return True
    if not whose:
        return False
    if not (_SCHEDULERS | _AVERAGES).isdisjoint(whose):
        return does[:1] in (["step"], ["update"]) and "and" not in does
    said = [word for word in whose if word not in _PARTS and not word.isdigit()]
    if said and said[-1] in _OBSERVERS:
        return True
    return method == "update" and not gets_model and _TRAINERS.isdisjoint(whose)


def snake(name: str) -> str:
    """The words of a name, in small letters: `ScheduledOptim` -> scheduled_optim."""
    return _CAMEL.sub("_", name).lower()


def _words(name: str) -> list[str]:
    return [word for word in snake(name).split("_") if word]
