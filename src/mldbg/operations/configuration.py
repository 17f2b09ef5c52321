"""How programs read their settings: loaders, dicts with attributes, Hydra, paths, and commands made from functions."""

from __future__ import annotations

from enum import Enum

from mldbg.operations.effect import Effect, NoEffect, Special, Wraps


class Language(Enum):
    """In what a file of settings is written."""

    JSON = "json"
    YAML = "yaml"
    TOML = "toml"

    @property
    def suffixes(self) -> tuple[str, ...]:
        return (".yaml", ".yml") if self is Language.YAML else (f".{self.value}",)


CONFIGURATION_FOLDERS: frozenset[str] = frozenset(
    {"conf", "config", "configs", "configuration", "cfg", "cfgs", "experiments", "hparams"}
)
"""Folders beside a program that hold its settings."""

OTHERS_SETTINGS: frozenset[str] = frozenset(
    [
        "package.json",
        "package-lock.json",
        "tsconfig.json",
        "pyproject.toml",
        "environment.yml",
        "environment.yaml",
        "mkdocs.yml",
        "docker-compose.yml",
        "docker-compose.yaml",
        "dvc.yaml",
        "codecov.yml",
        "action.yml",
    ]
)
"""Settings files of other tools."""

SUFFIXES: frozenset[str] = frozenset({"", ".json", ".yaml", ".yml", ".toml", ".py"})
"""Suffixes of the paths that are followed: files of settings, folders, and the program itself."""

SAME_FILE: frozenset[str] = frozenset(
    ["resolve", "absolute", "expanduser", "open", "read", "read_text", "read_bytes", "as_posix", "__enter__"]
)
"""Methods of a path or an open file that lead to the same file, or to what it holds."""

ATTRIBUTE_DICTS: frozenset[str] = frozenset(
    [
        "omegaconf.DictConfig",
        "easydict.EasyDict",
        "addict.Dict",
        "munch.Munch",
        "box.Box",
        "dotmap.DotMap",
        "attrdict.AttrDict",
        "ml_collections.ConfigDict",
        "yacs.config.CfgNode",
        "prodict.Prodict",
    ]
)
"""Classes of dicts whose entries are attributes, too."""

DICTS: frozenset[str] = frozenset({"builtins.dict", "collections.OrderedDict", "collections.UserDict"}) | ATTRIBUTE_DICTS
"""Base classes of a project's own dicts."""

HYDRA_MAIN = "hydra.main"
"""The decorator that hands a function its configuration."""

CLICK_OPTIONS: frozenset[str] = frozenset(
    ["click.option", "click.argument", "rich_click.option", "rich_click.argument", "asyncclick.option"]
)
"""Decorators that hand a function an option of its command."""

DECORATING: tuple[str, ...] = ("hydra", "click")
"""Packages of which decorators hand values to functions."""

ROWS: dict[str, Effect] = {
    "json.load": Special("read_json"),
    "json.loads": Special("read_json"),
    "commentjson.load": Special("read_json"),
    "yaml.load": Special("read_yaml"),
    "yaml.safe_load": Special("read_yaml"),
    "yaml.full_load": Special("read_yaml"),
    "yaml.unsafe_load": Special("read_yaml"),
    "oyaml.safe_load": Special("read_yaml"),
    "ruamel.yaml.safe_load": Special("read_yaml"),
    "ruamel.yaml.YAML.load": Special("read_yaml_with"),
    "tomllib.load": Special("read_toml"),
    "tomllib.loads": Special("read_toml"),
    "tomli.load": Special("read_toml"),
    "tomli.loads": Special("read_toml"),
    "toml.load": Special("read_toml"),
    "toml.loads": Special("read_toml"),
    "omegaconf.OmegaConf.load": Special("read_omegaconf"),
    "omegaconf.OmegaConf.create": Special("attribute_dict"),
    "omegaconf.OmegaConf.structured": Special("structured"),
    "omegaconf.OmegaConf.merge": Special("merged_settings"),
    "omegaconf.OmegaConf.unsafe_merge": Special("merged_settings"),
    "omegaconf.OmegaConf.from_cli": Special("no_settings"),
    "omegaconf.OmegaConf.update": Special("changed_settings"),
    "omegaconf.OmegaConf.to_container": Wraps(),
    "omegaconf.OmegaConf.to_object": Wraps(),
    "omegaconf.OmegaConf.resolve": NoEffect(),
    "omegaconf.OmegaConf.set_struct": NoEffect(),
    "omegaconf.OmegaConf.to_yaml": NoEffect(),
    "omegaconf.OmegaConf.save": NoEffect(),
    **dict.fromkeys(sorted(ATTRIBUTE_DICTS), Special("attribute_dict")),
    "munch.munchify": Special("attribute_dict"),
    "munch.Munch.fromDict": Special("attribute_dict"),
    "munch.DefaultMunch.fromDict": Special("attribute_dict"),
    "hydra.utils.instantiate": Special("instantiate"),
    "hydra.utils.call": Special("instantiate"),
    "hydra.utils.get_class": Special("imported_object"),
    "hydra.utils.get_method": Special("imported_object"),
    "hydra.utils.get_object": Special("imported_object"),
    "pydoc.locate": Special("imported_object"),
    "importlib.import_module": Special("imported_object"),
    "pathlib.Path": Special("path"),
    "pathlib.PosixPath": Special("path"),
    "pathlib.PurePath": Special("path"),
    "builtins.open": Special("path"),
    "io.open": Special("path"),
    "codecs.open": Special("path"),
    "os.fspath": Special("path"),
    "os.path.abspath": Special("path"),
    "os.path.realpath": Special("path"),
    "os.path.normpath": Special("path"),
    "os.path.expanduser": Special("path"),
    "hydra.utils.to_absolute_path": Special("path"),
    "os.path.join": Special("path"),
    "os.path.dirname": Special("folder"),
    "os.getcwd": Special("here"),
    "pathlib.Path.cwd": Special("here"),
    "hydra.utils.get_original_cwd": Special("here"),
    "os.path.exists": Special("exists"),
    "os.path.isfile": Special("exists"),
    "builtins.str": Special("text"),
    "os.getenv": Special("setting"),
    "os.environ.get": Special("setting"),
    "typer.Option": Wraps(0, "default"),
    "typer.Argument": Wraps(0, "default"),
    "fire.Fire": Special("run"),
    "typer.run": Special("run"),
    "tyro.cli": Special("run"),
    "jsonargparse.CLI": Special("run"),
    "jsonargparse.auto_cli": Special("run"),
    "simple_parsing.parse": Special("run"),
    "absl.app.run": Special("run"),
}
