"""Which pages there are."""

from importlib import import_module
from pkgutil import iter_modules

from music_dashboard import pages
from music_dashboard.page import Page


def all_pages() -> list[Page]:
    """Every page, in order: each module of `pages` defines one."""
    found = (import_module(f"{pages.__name__}.{module.name}") for module in iter_modules(pages.__path__))
    return sorted((module.PAGE for module in found), key=lambda page: page.order)
