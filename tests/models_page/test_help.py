"""README and docs as pages: the ones of the clone, no other file, and no HTML but what Markdown makes."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest
from starlette.testclient import TestClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.models_page.conftest import Somebody

README = """# The *title*

[elsewhere](https://example.org/x), [page](docs/first.md#a-part), [part](#two-words)

## Two words!

| | b |
|---|--:|
| 1 | <b>2</b> |

```bash
just <up> && "go"
```

<script>window.hacked=1</script> <img src=x onerror=window.hacked=1>

[evil](javascript:window.hacked=1) ![picture](docs/p.png) ![far](https://example.org/p.png)
"""


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "help"
    (folder / "docs/decisions").mkdir(parents=True)
    (folder / "README.md").write_text(README)
    (folder / "docs/first.md").write_text("# First\n\n## A part\n\n[back](../README.md) [deep](decisions/0001.md)\n")
    (folder / "docs/decisions/0001.md").write_text("text without a heading\n")
    (folder / "docs/p.png").write_bytes(b"\x89PNG\r\n")
    (folder / "docs/secret.txt").write_text("SECRET")
    (tmp_path / "outside.md").write_text("SECRET")
    (folder / "docs/link.md").symlink_to(tmp_path / "outside.md")
    (folder / "docs/folder.md").mkdir()
    os.mkfifo(folder / "docs/fifo.md")
    (folder / ".env").write_text("SECRET")
    (folder / ".env.md").symlink_to(folder / ".env")
    return folder


@pytest.fixture
def client(tmp_path: Path, docs: Path, somebody: Somebody) -> Iterator[TestClient]:
    from models_page.app import create_app

    (tmp_path / "models").mkdir()
    app = create_app(tmp_path / "models", tmp_path / "shared", somebody, tmp_path, docs=docs)
    with TestClient(app, root_path="/bulkhead") as made:
        yield made


def test_it_begins_at_the_readme(client: TestClient) -> None:
    answer = client.get("/help", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/bulkhead/help/README.md")


def test_markdown_is_made_into_html_with_headings_that_can_be_linked(client: TestClient) -> None:
    text = client.get("/help/README.md").text
    assert '<h1 id="the-title">The <em>title</em></h1>' in text
    assert '<h2 id="two-words">Two words!</h2>' in text
    assert '<a href="#two-words">part</a>' in text
    (table,) = re.findall(
        r'<div class="scroll" role="group" aria-label="Table" tabindex="0"><table>.*?</table>', text, re.DOTALL
    )
    assert "".join(re.findall(r"<t[dh](?: [^>]*)?>", table)) == '<td><th class="right"><td><td class="right">'
    assert '<pre tabindex="0"><code>just &lt;up&gt; &amp;&amp; &#34;go&#34;\n</code></pre>' in text
    assert "style=" not in text
    assert text.count("<h1") == 1
    assert "<title>The title · Bulkhead</title>" in text or "<title>The *title* · Bulkhead</title>" in text


def test_html_in_a_page_is_text_and_a_script_is_no_address(client: TestClient) -> None:
    text = client.get("/help/README.md").text
    assert "<script>window" not in text
    assert "&lt;script&gt;window.hacked=1&lt;/script&gt;" in text
    assert "<img src=x" not in text
    assert "<b>2</b>" not in text
    assert 'href="javascript' not in text


def test_links_to_pages_stay_and_links_elsewhere_leave_the_frame(client: TestClient) -> None:
    text = client.get("/help/README.md").text
    links = dict(re.findall(r'<a href="([^"]+)"([^>]*)>', text[text.index("<article") :]))
    assert 'target="_top"' in links["https://example.org/x"]
    assert "data-leave" in links["https://example.org/x"]
    assert links["docs/first.md#a-part"] == ""
    for path in ("docs/first.md", "docs/p.png", "docs/decisions/0001.md"):
        assert client.get(f"/help/{path}").status_code == 200
    assert client.get("/help/docs/p.png").headers["content-type"] == "image/png"


NOT_SHOWN = [
    "docs/secret.txt", "docs/link.md", "docs/folder.md", "docs/fifo.md", "docs", "docs/", ".env", ".env.md", "none.md",
    "..%2foutside.md", "docs/..%2f..%2foutside.md", "%2e%2e/outside.md", "/outside.md", "%2fetc/passwd",
    "docs/first.md%00", "README.md/", "x" * 5000 + ".md", "%ff.md", "docs%5csecret.md",
]  # fmt: skip


def test_no_other_file_is_shown(client: TestClient) -> None:
    for path in NOT_SHOWN:
        answer = client.get(f"/help/{path}")
        assert answer.status_code == 404, path
        assert "SECRET" not in answer.text
        assert "<!doctype html>" in answer.text
        assert len(answer.text) < 10_000


def test_a_path_that_leads_out_and_back_shows_nothing_of_outside(client: TestClient) -> None:
    for path in ("docs/../README.md", "docs/../../help/README.md"):
        answer = client.get(f"/help/{path.replace('/', '%2f')}")
        assert answer.status_code == 404 or "Two words!" in answer.text


def test_without_the_documentation_there_is_a_page_that_says_so(tmp_path: Path, somebody: Somebody) -> None:
    from models_page.app import create_app

    (tmp_path / "models").mkdir()
    with TestClient(create_app(tmp_path / "models", tmp_path / "shared", somebody, tmp_path)) as client:
        answer = client.get("/help")
    assert answer.status_code == 404
    assert "There is no README.md" in answer.text


def test_every_page_of_this_clone_is_shown_with_its_pictures(
    tmp_path: Path, somebody: Somebody, pytestconfig: pytest.Config
) -> None:
    from models_page.app import create_app

    (tmp_path / "models").mkdir()
    app = create_app(tmp_path / "models", tmp_path / "shared", somebody, tmp_path, docs=pytestconfig.rootpath)
    pages = ["README.md", *(str(path.relative_to(pytestconfig.rootpath)) for path in docs_of(pytestconfig.rootpath))]
    with TestClient(app) as client:
        for page in pages:
            answer = client.get(f"/help/{page}")
            assert answer.status_code == 200, page
            assert answer.text.count("<h1") == 1, page
            for picture in re.findall(r'<img src="([^"]+)"', answer.text):
                assert client.get(urljoin(f"/help/{page}", picture)).headers["content-type"].startswith("image/"), page
            assert " style=" not in re.sub(r"<code>.*?</code>", "", answer.text, flags=re.DOTALL), page


def docs_of(root: Path) -> list[Path]:
    return sorted((root / "docs").rglob("*.md"))
