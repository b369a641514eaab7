"""`word,name=value,…` of a command line, where a name may be there several times and a comma is written twice."""

from __future__ import annotations

from runtime.hw.device import DeviceError

__all__ = ["Words", "switch"]


class Words:
    """The values of one option.  Who reads one takes it out; `done` complains of what nobody wanted."""

    def __init__(self, option: str, text: str, first: str) -> None:
        self.what = f"{option} {text}"
        self._pairs: list[tuple[str, str]] = []
        for number, word in enumerate(text.replace(",,", "\0").split(",")):
            name, equals, value = word.replace("\0", ",").partition("=")
            if not name:
                raise DeviceError(f"{self.what}: an empty word between commas")
            if number == 0 and not equals:
                name, value = first, name
            elif not equals:
                value = "on"
            self._pairs.append((name, value))

    def take(self, name: str, default: str = "") -> str:
        """The value, the last one if there are several."""
        found = self.take_all(name)
        return found[-1] if found else default

    def take_all(self, name: str) -> list[str]:
        """All of a name."""
        found = [value for key, value in self._pairs if key == name]
        self._pairs = [pair for pair in self._pairs if pair[0] != name]
        return found

    def take_switch(self, name: str, default: bool = False) -> bool:
        """on or off."""
        value = self.take(name, "on" if default else "off")
        if (found := switch(value)) is None:
            raise DeviceError(f"{self.what}: {name}={value}: it is on or off")
        return found

    def take_number(self, name: str, default: int) -> int:
        """A number."""
        value = self.take(name, str(default))
        try:
            return int(value, 0)
        except ValueError:
            raise DeviceError(f"{self.what}: {name}={value}: not a number") from None

    def done(self, *known: str) -> None:
        """Nothing may be left; `known` is what could have been said."""
        for name, _ in self._pairs:
            raise DeviceError(f"{self.what}: there is no option {name}; there are {', '.join(known)}")


def switch(value: str) -> bool | None:
    """on or off in any of its spellings."""
    return {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}.get(value)
