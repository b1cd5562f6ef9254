"""Check of a run's loggers before it begins."""

import tempfile
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from twosome.errors import UserError, folded
from twosome.plain import walk
from twosome.runs.trust import values_of_files


def check_loggers(config: DictConfig) -> None:
    """Raise UserError if an entry of ``logger`` does not configure a Lightning logger.

    Values from the files of conf/logger are not tried, since importing Lightning takes seconds. TensorBoard's writer is opened in
    a temporary folder, since its logger passes options to it unchecked.
    """
    known = values_of_files("logger")
    for name, options in ((str(name), config[name]) for name in config):
        content: Any = OmegaConf.to_container(options, resolve=True) if OmegaConf.is_dict(options) else options
        if isinstance(content, dict) and all(value in known.get((name, *keys), ()) for keys, value in walk(content)):
            continue
        _try(name, options)


def _try(name: str, options: DictConfig) -> None:
    from pytorch_lightning.loggers import Logger, TensorBoardLogger

    with tempfile.TemporaryDirectory(prefix="twosome-") as scratch:
        try:
            logger = instantiate(options, save_dir=scratch)
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.close()
        except Exception as error:  # loggers raise errors of many classes
            cause = error.__cause__ or error
            raise UserError(f"logger.{name}: {folded(cause)}; expected a logger of Lightning's with its options") from error
    if not isinstance(logger, Logger):
        raise UserError(f"logger.{name}._target_={options.get('_target_')}: expected a logger of Lightning's")
