"""What a folder that holds a run already may be used for."""

from __future__ import annotations

from bal.annotation.annotators.base import AnswersLater
from bal.config import extensions
from bal.config.dump import differences
from bal.config.resolve import load
from bal.config.schema import Config
from bal.experiment.folder import RunFolder
from bal.types import BadInput


def check_stored(folder: RunFolder, config: Config, resume: bool, overwrite: bool) -> None:
    """Raises BadInput for a run that could not be resumed, or was another, or may hold what people have labelled."""
    if isinstance(config.annotator, AnswersLater):
        extensions.check_found("annotator", config.annotator)
    if not folder.holds_run():
        return
    stored = load(folder.config)
    if resume and (changed := differences(stored, config)):
        raise BadInput(f"{folder.path} was run with another configuration ({'; '.join(changed)}); choose another --out")
    if overwrite and (folder.asked() or isinstance(stored.annotator, AnswersLater)):
        raise BadInput(
            f"{folder.path} may hold answers of people, which --overwrite would delete: "
            "choose another --out, or delete the folder yourself"
        )
