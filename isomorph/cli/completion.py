"""`isomorph completion`: what a shell needs to complete the command's words, made from the options as they are."""

from __future__ import annotations

import argparse
from importlib import import_module

from isomorph.cli.main import COMMANDS, complain

SHELLS = ("bash", "zsh", "fish")
_EPILOG = """\
examples:
  source <(isomorph completion bash)                                     now, in this shell
  isomorph completion bash > ~/.local/share/bash-completion/completions/isomorph
  isomorph completion zsh > "${fpath[1]}/_isomorph"
  isomorph completion fish > ~/.config/fish/completions/isomorph.fish
"""


class Option:
    """An option, or a word of fixed choice."""

    __slots__ = ("choices", "help", "takes_value", "words")

    def __init__(self, words: tuple[str, ...], text: str, takes_value: bool, choices: tuple[str, ...] = ()) -> None:
        self.words = words
        self.help = text.partition(";")[0].replace("%%", "%")
        self.takes_value = takes_value
        self.choices = choices


def make_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="isomorph completion",
        description="Print what makes a shell complete the isomorph command.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS, help="for which shell")
    return parser


def options_of(command: str) -> list[Option]:
    """The options of a subcommand."""
    if command in ("run", "machine"):
        place = "isomorph.cli.run" if command == "run" else "isomorph.machines.options"
        options: dict[str, tuple[str, str, str]] = import_module(place).OPTIONS
        return [Option((name,), text, bool(value)) for name, (_, value, text) in options.items()]
    module = import_module("gen.__main__" if command == "gen" else f"isomorph.cli.{command}")
    parser: argparse.ArgumentParser = module.make_parser()
    found = []
    for action in parser._actions:
        choices = tuple(str(choice) for choice in action.choices or ())
        if action.option_strings or choices:
            words = tuple(action.option_strings) or choices
            takes_value = bool(action.option_strings) and action.nargs != 0
            found.append(Option(words, action.help or "", takes_value, choices if action.option_strings else ()))
    return found


def all_options() -> dict[str, list[Option]]:
    """Subcommand -> its options; one that cannot be imported here (a part not installed) has none."""
    found = {}
    for command in COMMANDS:
        try:
            found[command] = options_of(command)
        except ImportError:
            found[command] = []
    return found


def _quoted(text: str) -> str:
    """A word in single quotes, for all three shells."""
    return "'" + text.replace("\\", "").replace("'", "’") + "'"


def bash() -> str:
    """After `run PROGRAM` words are the program's: files, as by default."""
    lines = [
        "# bash completion of isomorph; made by `isomorph completion bash`",
        "_isomorph() {",
        "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}",
        "    COMPREPLY=()",
        '    if [ "$COMP_CWORD" -eq 1 ]; then',
        f'        mapfile -t COMPREPLY < <(compgen -W "{" ".join((*COMMANDS, "--help", "--version"))}" -- "$word")',
        "        return",
        "    fi",
        '    case "$command $before" in',
    ]
    words = []
    for command, options in all_options().items():
        for option in options:
            if option.takes_value:
                pattern = "|".join(f'"{command} {word}"' for word in option.words)
                if option.choices:
                    reply = f'mapfile -t COMPREPLY < <(compgen -W "{" ".join(option.choices)}" -- "$word")'
                else:
                    reply = 'mapfile -t COMPREPLY < <(compgen -f -- "$word")'
                lines.append(f"    {pattern}) {reply}; return ;;")
        words.append(f'    {command}) options="{" ".join(word for option in options for word in option.words)}" ;;')
    lines += [
        "    esac",
        "    local options=",
        '    case "$command" in',
        *words,
        "    esac",
        '    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word"; compgen -f -- "$word")',
        "}",
        "complete -o filenames -F _isomorph isomorph",
    ]
    return "\n".join(lines) + "\n"


def zsh() -> str:
    lines = ["#compdef isomorph", "# zsh completion of isomorph; made by `isomorph completion zsh`", "_isomorph() {"]
    lines += ["    local -a commands options", "    commands=("]
    lines += [f"        {_quoted(f'{name}:{text}')}" for name, text in COMMANDS.items()]
    lines += ["    )", "    if (( CURRENT == 2 )); then", "        _describe command commands", "        return"]
    lines.append("    fi")
    lines.append("    case $words[2] in")
    for command, options in all_options().items():
        lines.append(f"    {command}) options=(")
        for option in options:
            text = option.help.replace(":", " -").replace("[", "(").replace("]", ")")
            lines += [f"        {_quoted(f'{word}:{text}')}" for word in option.words]
        lines.append("    ) ;;")
    lines += ["    esac", "    _describe option options", "    _files", "}"]
    lines += ['if [ "$funcstack[1]" = _isomorph ]; then _isomorph "$@"; else compdef _isomorph isomorph; fi']
    return "\n".join(lines) + "\n"


def fish() -> str:
    lines = ["# fish completion of isomorph; made by `isomorph completion fish`"]
    for command, text in COMMANDS.items():
        lines.append(f"complete -c isomorph -n __fish_use_subcommand -f -a {command} -d {_quoted(text)}")
    for command, options in all_options().items():
        for option in options:
            parts = [f"complete -c isomorph -n '__fish_seen_subcommand_from {command}'"]
            for word in option.words:
                if word.startswith("--"):
                    parts.append(f"-l {word[2:]}")
                elif word.startswith("-"):
                    parts.append(f"-{'s' if len(word) == 2 else 'o'} {word[1:]}")
                else:
                    parts.append(f"-a {word}")
            if option.takes_value:
                parts.append(f"-x -a '{' '.join(option.choices)}'" if option.choices else "-r")
            lines.append(f"{' '.join(parts)} -d {_quoted(option.help)}")
    return "\n".join(lines) + "\n"


def main(words: list[str]) -> int:
    """Print it."""
    shell = make_parser().parse_args(words).shell
    if shell not in SHELLS:
        complain(f"there is no completion for {shell}")
        return 2
    print({"bash": bash, "zsh": zsh, "fish": fish}[shell](), end="")
    return 0
