"""`isomorph docs`: the pages are whole, all links lead somewhere, and they work in a browser."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gen.guests import guests
from gen.pages.diagram import FIELD_KINDS
from gen.pages.highlight import KINDS
from gen.pages.rendering import render_page
from gen.pages.site import page_of
from isomorph.cli.docs import main as docs
from isomorph.cli.explain import main as explain
from tests.conftest import ROOT
from tests.site.browser import Browser, browser
from tests.site.test_pieces import PASS
from tests.tools import require_build

VOID = {"meta", "link", "input", "br", "rect"}


class Reader(HTMLParser):
    """Ids, links and words of a page, and whether what is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: Counter[str] = Counter()
        self.links: list[str] = []
        self.outside: list[str] = []
        self.classes: set[str] = set()
        self.described = 0
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not [tag for tag in self._open if tag not in {"p", "li"}], self._open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        if "id" in values:
            self.ids[values["id"]] += 1
        self.classes |= set(values.get("class", "").split())
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if "src" in values or (tag == "link" and not values.get("href", "").startswith("data:")):
            self.outside.append(str(values))
        self.described += tag == "desc"
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    assert docs(["-o", str(folder)]) == 0
    return folder


def test_a_page_for_each_instruction_set_and_an_index(site: Path) -> None:
    found = {path.name for path in site.iterdir()}
    assert found == {"index.html", *(f"{path.stem}.html" for path in guests(ROOT / "specs"))}
    index = Reader((site / "index.html").read_text())
    assert set(index.links) >= {f"{path.stem}.html" for path in guests(ROOT / "specs")}


@pytest.mark.parametrize("path", [*guests(ROOT / "specs"), *PASS], ids=lambda path: path.stem)
def test_links_lead_somewhere_and_nothing_is_outside(path: Path) -> None:
    page = page_of(path, (path.parent, ROOT / "specs"))
    reader = Reader(page.html)
    assert [ident for ident, count in reader.ids.items() if count > 1] == []
    assert [link for link in reader.links if link.removeprefix("#") not in reader.ids] == []
    assert reader.outside == []
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org)", page.html)
    assert reader.described == page.instructions == sum(ident.count("insn-") for ident in reader.ids if is_entry(ident))


def is_entry(ident: str) -> bool:
    return ident.startswith("insn-") and not ident.endswith(("-t", "-d"))


def test_every_kind_has_a_colour() -> None:
    style = render_page("style.css.j2")
    for kind in FIELD_KINDS:
        assert f".{kind}" in style
    assert [kind for kind in KINDS if f".isomorph .{kind}" not in style] == []


def test_text_of_a_spec_is_no_markup(tmp_path: Path) -> None:
    spec = tmp_path / "odd.isa"
    spec.write_text(
        "# <b>Odd</b> & <script>alert(1)</script>\n"
        "isa odd\n"
        "pc     PC : bits(32)\n"
        'regs   X[4] : bits(32)  names "r0-3"\n'
        "memory M : bits(32)  endian little\n"
        "decode A : 8 little\n"
        "field  a, b : X\n"
        "exception Illegal = 1\n"
        'insn less "0001 a b" "cmp<&> {a},{b}" : X[a] = if X[a] <u X[b] then 1 else 0\n'
    )
    page = page_of(spec)
    assert "<script>alert" not in page.html
    assert "<b>Odd" not in page.html
    assert "cmp&lt;&amp;&gt;" in page.html


def test_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.isa"
    broken.write_text("isa broken\npc PC : bits(\n")
    assert docs([str(broken), "-o", str(tmp_path)]) == 1
    assert f"{broken}:2:" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert docs(["riscv64", "-o", str(tmp_path / "file")]) == 1
    assert "file" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="there is no spec 'pdp11'"):
        docs(["pdp11", "-o", str(tmp_path)])


# ---------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def page(chromium: Browser, site: Path) -> Iterator[Browser]:
    chromium.size(1280, 900)
    chromium.open((site / "riscv64.html").as_uri())
    chromium.problems.clear()
    chromium.requests.clear()
    yield chromium
    assert chromium.problems == []
    assert [url for url in chromium.requests if not url.startswith(("file:", "data:", "about:"))] == []


def shown(page: Browser, ident: str) -> bool:
    """Whether the top of an element is in the window."""
    return bool(
        page.evaluate(
            f"(r => r.height > 0 && r.top >= 0 && r.top < innerHeight)"
            f"(document.getElementById('{ident}').getBoundingClientRect())"
        )
    )


def hits(page: Browser) -> list[str]:
    found: list[str] = page.evaluate("[...document.querySelectorAll('#hits b')].map(n => n.textContent)")
    return found


def test_search_by_name(page: Browser) -> None:
    page.press("/")
    page.until("document.activeElement.id === 'q'")
    page.type("sltiu")
    page.until("!document.getElementById('hits').hidden")
    assert hits(page)[0] == "sltiu"
    page.press("Enter")
    page.until("location.hash === '#insn-sltiu'")
    page.until("document.getElementById('hits').hidden")
    assert shown(page, "insn-sltiu")


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("0x00c58533", "add"),
        ("952e", "c.add"),
        ("mv", "mv rd,rs1"),
        ("fcsr", "fcsr"),
        ("StoreFault", "StoreFault"),
        ("a7", "a7"),
        ("FADD.S", "fadd.s"),
    ],
)
def test_search_finds(page: Browser, text: str, first: str) -> None:
    page.press("/")
    page.type(text)
    page.until("!document.getElementById('hits').hidden")
    assert hits(page)[0] == first


def test_search_with_keys_and_nothing_found(page: Browser) -> None:
    page.press("/")
    page.type("amo")
    page.until("document.querySelectorAll('#hits b').length > 3")
    second = hits(page)[1]
    page.press("ArrowDown")
    page.press("Enter")
    page.until("location.hash.startsWith('#insn-amo')")
    assert page.evaluate("document.querySelector(location.hash + ' h3 a').textContent") == second
    page.press("/")
    page.type("<img src=x>")
    page.until("document.querySelector('#hits .none') !== null")
    page.press("Escape")
    page.until("document.getElementById('hits').hidden")


def test_follow_a_link_to_a_function_and_to_an_instruction(page: Browser) -> None:
    page.click("#insn-slt .src a.function, #insn-beq .src a.function")
    page.until("location.hash.startsWith('#fn-')")
    assert shown(page, page.evaluate("location.hash.slice(1)"))
    page.click("#side a[href='#insn-addi']")
    page.until("location.hash === '#insn-addi'")
    assert shown(page, "insn-addi")
    page.until("document.querySelector('#side [aria-current]')?.textContent === 'addi'")


def test_a_full_square_of_the_map_opens(page: Browser) -> None:
    page.click(".map a[href^='#sq-']")
    page.until("document.querySelector(location.hash).open")


def test_dark_and_light(page: Browser) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(colour) == "rgb(255, 255, 255)"
    page.click("#theme")
    page.until(f"{colour} !== 'rgb(255, 255, 255)'")
    page.click("#theme")
    page.until(f"{colour} === 'rgb(255, 255, 255)'")
    page.evaluate("(() => { localStorage.clear(); delete document.documentElement.dataset.theme })()")
    page.size(1280, 900, dark=True)
    page.until(f"{colour} !== 'rgb(255, 255, 255)'")


@pytest.mark.parametrize("width", [400, 1280])
def test_no_page_is_wider_than_its_window(chromium: Browser, site: Path, tmp_path: Path, width: int) -> None:
    require_build("riscv64")
    chromium.problems.clear()
    explained = tmp_path / "explained.html"
    assert explain(["riscv64", "fadd.s fa0,fa1,fa2; beq a0,a1,.-4", "--html", str(explained)]) == 0
    for path in [*sorted(site.iterdir()), explained]:
        chromium.size(width, 800)
        chromium.open(path.as_uri())
        # What is not in the window is laid out only when asked for.
        chromium.evaluate("document.querySelectorAll('section').forEach(n => n.style.contentVisibility = 'visible')")
        chromium.evaluate("document.querySelectorAll('details').forEach(n => n.open = true)")
        assert chromium.evaluate("document.documentElement.scrollWidth") <= width, path
    assert chromium.problems == []


def test_the_menu_of_a_phone(chromium: Browser, site: Path) -> None:
    chromium.size(400, 800)
    chromium.open((site / "riscv64.html").as_uri())
    assert chromium.evaluate("getComputedStyle(document.getElementById('side')).display") == "none"
    chromium.click("#menu")
    chromium.until("getComputedStyle(document.getElementById('side')).display === 'block'")
    chromium.click("#side a[href='#map']")
    chromium.until("getComputedStyle(document.getElementById('side')).display === 'none'")
    chromium.until("location.hash === '#map'")
