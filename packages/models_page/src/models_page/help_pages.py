"""README and docs of this very clone, as pages: Markdown, made into HTML here; HTML in it is text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from markdown_it.token import Token

    from models_page.templates import Templates

_FIRST = "README.md"
_LARGEST = 1 << 20
_PICTURES = (".png", ".svg")


def router(folder: Path | None, templates: Templates) -> APIRouter:
    """The routes of the help in ``folder``, README.md and ``docs/`` beside it; None: there is none."""
    pages = APIRouter()

    @pages.get("/help")
    def first(request: Request) -> RedirectResponse:
        return RedirectResponse(f"{request.scope['root_path']}/help/{_FIRST}", 303)

    @pages.get("/help/{path:path}", response_class=HTMLResponse)
    def page(request: Request, path: str) -> Response:
        file = _found(folder, path) if folder is not None else None
        if file is None:
            words = f"There is no {path[:200]} in the documentation of this clone. Begin at {_FIRST}."
            return templates.page(request, "unknown.html", 404, title="No such page", words=words)
        if file.suffix != ".md":
            return FileResponse(file)
        content, title = _html(file.read_text(errors="replace")[:_LARGEST], lambda link: _leads(folder, file, link))
        return templates.page(request, "help.html", content=content, title=title)

    return pages


def _found(folder: Path, path: str) -> Path | None:
    """The file at ``path`` that is a page or a picture below ``folder``; None: there is none."""
    try:
        file = (folder / path).resolve()
        is_page = file.suffix in {".md", *_PICTURES} and file.is_file() and not path.endswith("/")
        is_ours = is_page and file.is_relative_to(folder.resolve())
    except (OSError, ValueError):
        return None
    return file if is_ours else None


def _leads(folder: Path | None, file: Path, link: str) -> bool:
    """Whether ``link``, in ``file``, leads to something that there is here."""
    path = link.partition("#")[0]
    if not path or folder is None or urlsplit(link).scheme:
        return True
    try:
        return _found(folder, str((file.parent / unquote(path)).resolve().relative_to(folder.resolve()))) is not None
    except (OSError, ValueError):
        return False


def _html(text: str, leads: Callable[[str], bool]) -> tuple[Markup, str]:
    """``text`` as HTML, and its title; a link that leads nowhere here is its text alone."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    for name, rule in _RULES.items():
        markdown.add_render_rule(name, rule)
    tokens = markdown.parse(text)
    title = ""
    for at, token in enumerate(tokens):
        _without_style(token, tokens[at + 1 : at + 3])
        if token.type == "heading_open":
            words = tokens[at + 1].content
            title = title or words
            token.attrSet("id", _anchor(words))
        token.children = _with_links(token.children, leads) if token.children else token.children
    return Markup(markdown.renderer.render(tokens, markdown.options, {})), title  # noqa: S704  # HTML in it was escaped


def _without_style(token: Token, following: list[Token]) -> None:
    """The side on which a column stands is a class, as no page has a style of its own; an empty head is none."""
    if token.type not in {"th_open", "td_open"}:
        return
    style = str(token.attrs.pop("style", ""))
    if style.startswith("text-align:"):
        token.attrSet("class", style.removeprefix("text-align:"))
    if token.type == "th_open" and len(following) > 1 and not following[0].content:
        token.tag = following[1].tag = "td"


def _scrolling(label: str, tag: str) -> Callable[..., str]:
    """What may be wider than the window is reached by the keyboard."""
    return lambda *_: f'<div class="scroll" role="group" aria-label="{label}" tabindex="0"><{tag}>\n'


def _code(_: object, tokens: Sequence[Token], at: int, *__: object) -> str:
    return f'<pre tabindex="0"><code>{escape(tokens[at].content)}</code></pre>\n'


_RULES: dict[str, Callable[..., str]] = {
    "fence": _code,
    "code_block": _code,
    "table_open": _scrolling("Table", "table"),
    "table_close": lambda *_: "</table></div>\n",
}


def _anchor(words: str) -> str:
    """As GitHub names a heading."""
    return re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")


def _with_links(tokens: list[Token], leads: Callable[[str], bool]) -> list[Token]:
    """``tokens`` with the links that lead somewhere; one to elsewhere leaves the UI's frame."""
    kept: list[Token] = []
    is_dropped = False  # links hold no links
    for token in tokens:
        if token.type == "link_open":
            address = str(token.attrGet("href"))
            is_dropped = not leads(address)
            if urlsplit(address).scheme:
                token.attrSet("data-leave", "")
                token.attrSet("target", "_top")
        if not (is_dropped and token.type in {"link_open", "link_close"}):
            kept.append(token)
    return kept
