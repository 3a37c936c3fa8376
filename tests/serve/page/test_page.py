"""The web page in a real browser on a real server: writing, models, the API key, languages and themes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serve.page.browser import Visit, browsing, flaws, serving

pytestmark = pytest.mark.slow

KEY = "a-key-for-tests"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing() as started:
        yield started


@pytest.fixture(scope="module")
def server(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("page") / "models") as url:
        yield url


@pytest.fixture(scope="module")
def locked(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("locked") / "models", "--api-key", KEY, "--no-train") as url:
        yield url


def write(page: Any, sheet: int = 0) -> str:
    """Press Write, wait for the end, and return the text including the prompt."""
    page.click("#go")
    return written(page, sheet)


def written(page: Any, sheet: int = 0) -> str:
    page.wait_for_function(
        "n => { const each = document.querySelectorAll('.sheet .written')[n];"
        " return each.ariaBusy !== 'true' && !each.classList.contains('empty') }",
        arg=sheet,
    )
    found: str = page.locator(".sheet .written").nth(sheet).inner_text()
    return found


def short(page: Any, prompt: str = "ROMEO:", seed: str = "42", length: int = 40) -> None:
    page.fill("#prompt", prompt)
    page.fill("#seed", seed)
    page.fill("#length", str(length))


def test_the_first_text_is_one_click_away(browser: Any, server: str) -> None:
    with Visit(browser, server) as page:
        page.goto(server)
        page.fill("#length", "30")
        assert page.input_value("#model-0") == "shakespeare"
        assert len(write(page)) >= 25  # trailing spaces are not visible


def test_a_seed_gives_the_same_text_again(browser: Any, server: str) -> None:
    with Visit(browser, server) as page:
        page.goto(server)
        short(page)
        first = write(page)
        assert first.startswith("ROMEO:")
        assert "seed 42" in page.inner_text(".sheet .caption")
        page.click("#again")
        page.wait_for_function("!document.querySelector('.sheet .caption').textContent.includes('seed 42')")
        other = written(page)
        assert other != first
        seed = re.search(r"seed (\d+)", page.inner_text(".sheet .caption"))
        assert seed is not None
        page.click(f"text=Keep seed {seed[1]}")
        assert page.input_value("#seed") == seed[1]
        assert write(page) == other
        page.fill("#seed", "forty")
        page.click("#go")
        assert "expected a whole number" in page.inner_text("#trouble")


def test_a_text_is_stopped_and_copied(browser: Any, server: str) -> None:
    with Visit(browser, server, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.goto(server)
        short(page, length=4000)
        page.click("#go")
        page.wait_for_function("() => document.querySelector('.sheet .written').textContent.length > 30")
        page.click("#halt")
        text = written(page)
        assert "Stopped after" in page.inner_text(".sheet .facts")
        assert len(text) < 4000
        page.click(".sheet >> text=Copy")
        page.wait_for_function("() => document.querySelector('#said').textContent === 'Copied.'")
        assert page.evaluate("navigator.clipboard.readText()").strip() == text.strip()


def test_surprise_is_told_by_colour_and_in_figures(browser: Any, server: str) -> None:
    with Visit(browser, server) as page:
        page.goto(server)
        short(page)
        plain = write(page)
        page.check("#coloured")  # the same seed writes the same text again
        page.wait_for_function("() => document.querySelectorAll('.sheet .written i').length === 40")
        assert written(page).replace("↵", "") == plain
        assert page.locator(".sheet .written i.s0").count() > 0
        assert page.locator(".sheet .written i:not(.s0)").count() > 0
        assert page.locator("#legend li").count() == 8
        page.locator(".sheet .written i").nth(3).hover()
        hovered = page.inner_text(".sheet .readout")
        assert re.search(r": (\d[\d.]* %|1 in [\d,]+), \d[\d.]* bits\. It also considered: ", hovered)
        page.focus(".sheet .written")
        page.keyboard.press("Home")
        first = page.inner_text(".sheet .readout")
        page.keyboard.press("ArrowRight")
        assert page.locator(".sheet .written i").nth(1).get_attribute("class").endswith(" at")
        page.keyboard.press("Home")
        assert page.inner_text(".sheet .readout") == first
        assert not flaws(page)


def test_it_works_below_the_path_of_a_proxy(browser: Any, server: str) -> None:
    visit = Visit(browser, server)
    with visit as page:
        page.route(f"{server}lstm/**", lambda route: route.continue_(url=route.request.url.replace("/lstm/", "/")))
        page.goto(server + "lstm/")
        short(page, length=10)
        assert write(page).startswith("ROMEO:")
        page.goto(server + "lstm/#models")
        assert page.evaluate("document.querySelector('[download]').href").startswith(server + "lstm/v1/")
    assert all(url.startswith(server + "lstm/") for url in visit.asked)


def test_two_side_by_side(browser: Any, server: str) -> None:
    with Visit(browser, server) as page:
        page.goto(server)
        short(page, prompt="the ")
        page.check("#beside")
        page.select_option("#model-1", "python")
        left, right = write(page), written(page, 1)
        assert left != right
        assert left.startswith("the")
        assert right.startswith("the")
        assert "shakespeare · temperature 0.6 · seed 42" in page.locator(".caption").nth(0).inner_text()
        assert "python · temperature 1 · seed 42" in page.locator(".caption").nth(1).inner_text()
        page.select_option("#model-1", "shakespeare")
        page.focus("#heat-1")
        for _ in range(8):
            page.keyboard.press("ArrowLeft")
        assert page.input_value("#heat-1") == "0.6"
        assert (write(page), written(page, 1)) == (left, left)
        assert not flaws(page)


def test_what_the_server_refuses_is_told_in_its_line(browser: Any, server: str) -> None:
    with Visit(browser, server, refused=(400,)) as page:
        page.goto(server)
        short(page, prompt="안녕")
        write(page)
        told = page.inner_text(".sheet .facts")
        assert told.startswith("the model does not know '")
        assert "tick" in told
        assert "drop_unknown" not in told
        page.click("#write summary")
        page.check("[name=drop_unknown]")
        write(page)
        assert "40 characters" in page.inner_text(".sheet .facts")
        page.fill("#draw-top_k", "1")
        first = write(page)
        page.fill("#seed", "43")
        assert write(page) == first
        page.fill("#draw-stop", first.strip()[4])
        assert len(write(page)) < 8
        page.fill("#draw-top_p", "many")
        write(page)
        assert "top_p is 'many'" in page.inner_text(".sheet .facts")


def test_models_are_taken_brought_and_deleted(browser: Any, server: str, tmp_path: Path) -> None:
    with Visit(browser, server, refused=(422,)) as page:
        page.goto(server + "#models")
        with page.expect_download() as taken:
            page.click("[aria-label='Download: python']")
        file = tmp_path / "a copy.npz"
        taken.value.save_as(file)
        page.set_input_files("#upload-file", file)
        page.wait_for_selector("h3:has-text('a-copy')")
        assert "96 characters" in page.inner_text("#model-list li:has-text('a-copy')")
        assert page.locator("[aria-label='Delete: python']").count() == 0

        file.write_bytes(file.read_bytes()[:1000])
        page.set_input_files("#upload-file", file)
        page.click("#ask-yes")  # a model of that name exists
        page.wait_for_selector("#trouble:visible")
        assert "cut short" in page.inner_text("#trouble")

        page.click("[aria-label='Delete: a-copy']")
        assert page.evaluate("document.activeElement.id") == "ask-no"
        assert not flaws(page)
        page.keyboard.press("Escape")
        page.wait_for_selector("#ask", state="hidden")
        assert page.evaluate("document.activeElement.ariaLabel") == "Delete: a-copy"
        assert page.locator("h3:has-text('a-copy')").count() == 1
        page.keyboard.press("Enter")
        page.click("#ask-yes")
        page.wait_for_selector("h3:has-text('a-copy')", state="detached")


def test_the_key_is_asked_for_and_kept(browser: Any, locked: str, tmp_path: Path) -> None:
    with Visit(browser, locked, refused=(401,)) as page:
        page.goto(locked)
        page.wait_for_selector("#key[open]")
        assert not flaws(page)
        page.fill("#key-value", "a wrong one")
        page.keyboard.press("Enter")
        page.wait_for_function("() => document.querySelector('#key-wrong').textContent.includes('wrong')")
        page.wait_for_selector("#key[open]")
        page.fill("#key-value", KEY)
        page.keyboard.press("Enter")
        page.wait_for_selector("#model-0 option", state="attached")
        short(page, length=10)
        assert write(page).startswith("ROMEO:")
        page.reload()
        page.wait_for_selector("#model-0 option", state="attached")
        assert not page.is_visible("#key")
        page.click("nav >> text=Models")
        with page.expect_download() as taken:
            page.click("[aria-label='Download: python']")
        taken.value.save_as(tmp_path / "taken.npz")
        assert (tmp_path / "taken.npz").stat().st_size > 1_000_000


def test_a_server_that_does_not_train_says_so(browser: Any, locked: str) -> None:
    with Visit(browser, locked) as page:
        page.add_init_script(f"sessionStorage.setItem('numlstm-key', {KEY!r})")
        page.goto(locked + "#train")
        page.wait_for_selector("#no-train:visible")
        assert not page.is_visible("#training")
        page.goto(locked + "#models")
        page.wait_for_selector("#model-list li")
        assert not page.is_visible("#upload")


def test_a_server_that_went_away_is_found_again(browser: Any, tmp_path: Path) -> None:
    with serving(tmp_path / "models") as url:
        visit = Visit(browser, url)
        page = visit.page
        page.goto(url)
        page.wait_for_selector("#model-0 option", state="attached")
    page.click("#go")
    page.wait_for_selector("#trouble:visible")
    assert "is not responding" in page.inner_text("#trouble")
    with serving(tmp_path / "models", port=int(url.rstrip("/").rsplit(":", 1)[1])):
        page.wait_for_selector("#trouble", state="hidden")
        page.fill("#length", "10")
        write(page)
    assert all("ERR_" in complaint for complaint in visit.complaints)  # the browser reports a missing server
    visit.context.close()


@pytest.mark.parametrize("view", ["write", "train", "models"])
@pytest.mark.parametrize(("locale", "scheme"), [("en-GB", "light"), ("ko-KR", "dark")])
def test_axe_finds_nothing_serious(browser: Any, server: str, view: str, locale: str, scheme: str) -> None:
    size = {"width": 360, "height": 740} if locale == "ko-KR" else {"width": 1280, "height": 800}
    with Visit(browser, server, locale=locale, color_scheme=scheme, viewport=size) as page:
        page.goto(f"{server}#{view}")
        page.wait_for_selector(f"#{view}:visible")
        page.wait_for_load_state("networkidle")
        for summary in page.locator("summary:visible").all():
            summary.click()
        assert not flaws(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_axe_would_find_something(browser: Any, server: str) -> None:
    with Visit(browser, server) as page:
        page.goto(server)
        page.evaluate("document.querySelector('label[for=prompt]').remove()")
        page.evaluate("document.querySelector('#prompt').removeAttribute('placeholder')")
        assert any("label" in flaw for flaw in flaws(page))


def test_language_and_looks_by_hand_are_kept(browser: Any, server: str) -> None:
    with Visit(browser, server, color_scheme="light") as page:
        page.goto(server)
        page.fill("#prompt", "what I typed")
        page.select_option("#language", "ko")
        assert page.locator("html").get_attribute("lang") == "ko"
        assert page.inner_text("#go") == "쓰기"
        assert page.input_value("#prompt") == "what I typed"
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.select_option("#theme", "dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
        page.reload()
        assert page.inner_text("#go") == "쓰기"
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
        assert "numlstm" in page.title()
    with Visit(browser, server, locale="ko-KR") as page:
        page.goto(server)
        assert page.inner_text("#go") == "쓰기"


def test_what_was_typed_is_there_after_a_reload(browser: Any, server: str) -> None:
    with Visit(browser, server) as page:
        page.goto(server)
        page.fill("#prompt", "what I typed")
        page.fill("#seed", "77")
        page.click("nav [data-view=train]")
        page.fill("#text", "a text of mine\n" * 200)
        page.reload()
        assert page.input_value("#text") == "a text of mine\n" * 200
        assert "3,000" in page.inner_text("#text-help")
        page.click("nav [data-view=write]")
        assert page.input_value("#prompt") == "what I typed"
        assert page.input_value("#seed") == "77"
        assert page.input_value("#length") == "400"


@pytest.mark.parametrize("address", ["#write/%", "#job/%E0%A4%A", "#toString", "#constructor/x"])
def test_an_address_that_nobody_has_made(browser: Any, server: str, address: str) -> None:
    with Visit(browser, server, refused=(404,)) as page:
        page.goto(server + address)
        page.wait_for_selector("body.ready")
        page.click("nav [data-view=models]")
        assert page.is_visible("#models")


def test_the_keyboard_alone_writes(browser: Any, server: str) -> None:
    with Visit(browser, server) as page:
        page.goto(server)
        page.wait_for_selector("#model-0 option", state="attached")
        seen = []
        for _ in range(16):
            page.keyboard.press("Tab")
            seen.append(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", seen[-1]
            if seen[-1] == "prompt":
                page.keyboard.type("JULIET:")
            if seen[-1] == "go":
                break
        wanted = [
            "skip",
            "numlstm",
            "Write",
            "Train",
            "Models",
            "language",
            "theme",
            "model-0",
            "heat-0",
            "prompt",
            "go",
        ]
        assert seen == wanted
        page.keyboard.press("Enter")
        page.wait_for_function("() => document.querySelector('.sheet .written').textContent.length > 20")
        assert page.inner_text(".sheet .written").startswith("JULIET:")


def test_a_model_that_is_named_in_the_address_is_the_one_that_writes(browser: Any, server: str) -> None:
    with Visit(browser, server) as page:
        page.goto(server + "#write/python")  # not the default model
        page.wait_for_selector("#model-0 option", state="attached")
        assert page.input_value("#model-0") == "python"
        page.goto(server + "#write/of-yesterday")
        page.wait_for_selector("#trouble:visible")
        assert "no model of-yesterday" in page.inner_text("#trouble")


def test_a_file_dropped_anywhere_does_not_take_the_place_of_the_page(browser: Any, server: str) -> None:
    with Visit(browser, server) as page:
        page.goto(server)
        page.wait_for_selector("#model-0 option", state="attached")
        for kind in ("dragover", "drop"):
            prevented = """kind => { const dataTransfer = new DataTransfer();
                dataTransfer.items.add(new File(['a'], 'a'));
                return !document.querySelector('header').dispatchEvent(
                    new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer })) }"""
            assert page.evaluate(prevented, kind)


def test_a_length_of_nothing_is_not_the_usual_one(browser: Any, server: str) -> None:
    with Visit(browser, server) as page:
        page.goto(server)
        short(page, length=0)
        assert write(page) == "ROMEO:"
