"""Tariff files: a folder of CSV price lists, compiled to one file that workers map into memory."""

from ocs.adapters.tariff_files.building import (
    BadTariffsError,
    TariffCheck,
    build,
    check_folder,
    load_folder,
    open_current,
)
from ocs.adapters.tariff_files.generation_file import GenerationFileError, open_generation
from ocs.adapters.tariff_files.header import BadLine
from ocs.adapters.tariff_files.reading import TariffBuild
from ocs.adapters.tariff_files.sections import Tariff

__all__ = [
    "BadLine",
    "BadTariffsError",
    "GenerationFileError",
    "Tariff",
    "TariffBuild",
    "TariffCheck",
    "build",
    "check_folder",
    "load_folder",
    "open_current",
    "open_generation",
]
