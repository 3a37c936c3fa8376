"""The web page in a real browser on a real server: training, from a pasted text to a model that generates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serve.page.browser import Visit, browsing, flaws, serving

pytestmark = pytest.mark.slow

TEXT = "Marta rowed to the mill. Peg saw the tide come in. The clock on the tower was late again.\n" * 40
LONG = 2000  # epochs of a few milliseconds each: too many to finish during a test


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing() as started:
        yield started


@pytest.fixture(scope="module")
def server(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("training") / "models") as url:
        yield url


def begin(page: Any, name: str, epochs: int, text: str = TEXT, **rest: str) -> None:
    """Start training a small network on a pasted text."""
    page.fill("#text", text)
    page.fill("#name", name)
    page.wait_for_selector("#option-layers")
    page.click("#rest > summary")
    options = {"layers": "8", "epochs": str(epochs), "batch_size": "4", "seq_len": "32", **rest}
    for option, value in options.items():
        page.fill(f"#option-{option}", value)
    page.click("#begin")
    page.wait_for_selector("#job:visible")


def state(page: Any, wanted: str) -> None:
    page.wait_for_function("text => document.querySelector('#job-state').textContent.startsWith(text)", arg=wanted)


def points(page: Any) -> int:
    """Return the number of points in the plot of the training loss."""
    return int(page.locator("#curve path.training").get_attribute("data-points") or 0)


def figure(page: Any, name: str) -> str:
    found: str = page.inner_text(f"#job-figures div:has(dt:text-is('{name}')) dd")
    return found


def delete(page: Any, name: str) -> None:
    """Delete a job and its model."""
    page.click("#job-delete")
    page.wait_for_selector("#ask[open]")
    assert name in page.inner_text("#ask-title")
    page.check("#ask-check")
    page.click("#ask-yes")
    page.wait_for_selector("#train:visible")


def test_a_pasted_text_is_trained_on_to_the_end_and_written_with(browser: Any, server: str) -> None:
    with Visit(browser, server) as page:
        page.goto(server)
        page.click("nav >> text=Train")
        page.fill("#text", TEXT)
        assert "3,600 characters" in page.inner_text("#text-help")
        begin(page, "marta", 8, sample_every="4")
        state(page, "Running")
        page.wait_for_selector("#curve path.training")
        before = points(page)
        page.wait_for_function("n => document.querySelector('#curve path.training').dataset.points > n", arg=before)
        state(page, "Done")
        assert figure(page, "Epoch") == "8 / 8"
        assert float(figure(page, "Validation loss")) < 3
        assert page.locator("#curve circle.dot").count() == 8
        assert page.locator(".samples figure").count() == 4
        assert "Temperature 0.25" in page.inner_text(".samples")
        page.select_option("#sample-step", index=1)
        assert page.locator("#sample-step option:checked").inner_text() == "epoch 4"

        page.focus("#curve input")
        page.keyboard.press("Home")
        told = page.get_attribute("#curve input", "aria-valuetext")
        assert re.match(r"Step \d+, epoch 1: training 3\.\d{3}", told)
        page.hover("#curve .plot", position={"x": 400, "y": 100})
        assert re.match(r"Step \d+, epoch [345]: ", page.inner_text("#curve output"))
        page.click("#curve summary")
        assert page.locator("#curve tbody tr").count() == 8
        assert not flaws(page)

        page.click("#job-write")
        page.wait_for_selector("#write:visible")
        assert page.input_value("#model-0") == "marta"
        page.fill("#length", "20")
        page.click("#go")
        page.wait_for_function("() => document.querySelector('.sheet .facts').textContent.startsWith('20 characters')")

        page.goto(server + "#models")
        page.click("[aria-label='Continue training: marta']")
        state(page, "Done")
        page.fill("#job-epochs", "10")
        page.click("#job-resume")
        page.wait_for_function("() => document.querySelectorAll('#curve circle.dot').length === 10")
        state(page, "Done")
        delete(page, "marta")
        page.wait_for_selector("#no-jobs:visible")
        page.click("nav >> text=Models")
        assert "marta" not in page.inner_text("#model-list")


def test_a_training_is_found_again_after_a_reload_and_stopped_and_continued(browser: Any, server: str) -> None:
    with Visit(browser, server) as page:
        page.goto(server + "#train")
        begin(page, "tower", LONG, sample_every="1000")
        page.wait_for_function("() => document.querySelectorAll('#curve circle.dot').length > 3")
        first = page.inner_text("#curve output")
        page.reload()
        page.wait_for_function("() => document.querySelectorAll('#curve circle.dot').length > 4")
        assert page.inner_text("#job-title") == "tower"
        assert page.inner_text("#curve output") != first
        assert "left" in page.inner_text("#job-state")
        page.click("#curve summary")
        assert page.locator("#curve tbody tr td").first.inner_text() == "1"  # the curve starts at epoch 1
        page.click("nav >> text=Write")
        page.wait_for_selector("#running:visible")
        page.click("#running")
        page.click("#job-stop")
        state(page, "Stopped")
        page.reload()
        state(page, "Stopped")
        step = figure(page, "Step")
        page.click("#job-resume")
        state(page, "Running")
        page.wait_for_function(
            "step => parseInt(document.querySelector('#job-figures dd').textContent.replaceAll(',', '')) > step",
            arg=int(step.split()[0].replace(",", "")),
        )
        delete(page, "tower")
        page.wait_for_selector("#jobs li", state="detached")


def test_jobs_wait_and_a_failure_tells_its_line(browser: Any, server: str) -> None:
    with Visit(browser, server) as page:
        page.goto(server + "#train")
        begin(page, "first", LONG, sample_every="1000")
        page.click("nav >> text=Train")
        begin(page, "second", 2, text="x")
        state(page, "Waiting")
        page.click("nav >> text=Train")
        page.wait_for_selector("#jobs li.running")
        assert page.locator("#jobs li.waiting").count() == 1
        page.click("[aria-label='Delete the job first']")
        page.check("#ask-check")
        page.click("#ask-yes")
        page.wait_for_selector("#jobs li.failed .bad")
        assert page.inner_text("#jobs li.failed .bad")
        page.click("[aria-label='Delete the job second']")
        page.click("#ask-yes")
        page.wait_for_selector("#no-jobs:visible")


def test_what_is_wrong_is_told_at_the_field(browser: Any, server: str) -> None:
    with Visit(browser, server, refused=(400,)) as page:
        page.goto(server + "#train")
        page.click("#begin")
        assert "There is no text yet" in page.inner_text("#trouble")
        page.fill("#text", TEXT)
        page.fill("#option-epochs", "many")
        page.click("#begin")
        page.wait_for_function("() => document.querySelector('#trouble-text').textContent.includes('many')")
        assert "epochs" in page.inner_text("#trouble")
        page.fill("#option-epochs", "2")
        page.fill("#name", "../out")
        page.click("#begin")
        page.wait_for_function("() => document.querySelector('#trouble-text').textContent.includes('../out')")
        assert page.evaluate("document.activeElement.id") == "name"


def test_a_file_is_sent_as_a_text_of_its_own_and_deleted(browser: Any, server: str, tmp_path: Path) -> None:
    (tmp_path / "바다 이야기.txt").write_text(TEXT, "utf-8")
    with Visit(browser, server, locale="ko-KR") as page:
        page.goto(server + "#train")
        dropped = "() => { const data = new DataTransfer(); data.items.add(new File(['a'], 'a.txt')); return data }"
        page.dispatch_event("#drop", "drop", {"dataTransfer": page.evaluate_handle(dropped)})
        assert page.inner_text("#picked") == "a.txt · 1바이트"
        page.click("#unpick")
        assert page.is_visible("#text")
        page.set_input_files("#file", tmp_path / "바다 이야기.txt")
        assert "3.6 kB" in page.inner_text("#picked")
        assert page.input_value("#name") == "바다-이야기"
        page.fill("#option-layers", "8")
        page.fill("#option-epochs", "1")
        page.click("#begin")
        state(page, "끝남")
        assert page.inner_text("#job-text") == "배우는 글: 바다-이야기"
        delete(page, "바다-이야기")
        page.check("[name=source][value=corpus]")
        page.select_option("#corpus", "바다-이야기")
        page.click("#forget")
        page.click("#ask-yes")
        page.wait_for_selector("#corpus option[value='바다-이야기']", state="detached")


def test_the_keyboard_alone_trains(browser: Any, server: str) -> None:
    with Visit(browser, server) as page:
        page.goto(server)
        page.wait_for_selector("#model-0 option", state="attached")
        page.focus("nav a[data-view=train]")
        page.keyboard.press("Enter")
        page.wait_for_selector("#option-layers")
        assert page.evaluate("document.activeElement.tagName") == "H1"
        typed = {"text": TEXT[:600], "option-layers": "4", "option-epochs": "1"}
        for _ in range(40):
            page.keyboard.press("Tab")
            at = page.evaluate("document.activeElement.id")
            if at in typed:
                page.keyboard.insert_text(typed.pop(at))
            if at == "begin":
                break
        assert not typed
        page.keyboard.press("Enter")
        page.wait_for_selector("#job:visible")
        assert page.evaluate("document.activeElement.id") == "job-title"
        state(page, "Done")
        delete(page, "mine")


def test_a_model_in_the_making_is_the_one_that_writes(browser: Any, server: str) -> None:
    with Visit(browser, server) as page:
        page.goto(server + "#write")
        page.wait_for_selector("#model-0 option", state="attached")
        page.goto(server + "#train")
        begin(page, "making", LONG, sample_every="1000", save_every="5steps")
        job = page.evaluate("location.hash")
        page.wait_for_function(
            "async () => (await (await fetch('v1/models')).json()).data.some(model => model.id === 'making')"
        )
        page.click("#job-write")
        page.wait_for_selector("#model-0 option[value=making]", state="attached")
        assert page.input_value("#model-0") == "making"
        page.reload()
        page.wait_for_selector("#model-0 option", state="attached")
        assert page.input_value("#model-0") == "making"
        page.goto(server + job)
        delete(page, "making")


def test_a_file_is_sent_once_and_one_that_is_gone_is_told(browser: Any, server: str, tmp_path: Path) -> None:
    file = tmp_path / "once.txt"
    file.write_text(TEXT, "utf-8")
    with Visit(browser, server, refused=(400,)) as page:
        page.goto(server + "#train")
        page.wait_for_selector("#option-epochs")
        page.set_input_files("#file", file)
        for wrong in ("many", "few"):
            page.fill("#option-epochs", wrong)
            page.click("#begin")
            page.wait_for_function(
                "text => document.querySelector('#trouble-text').textContent.includes(text)", arg=wrong
            )
        assert page.locator("#corpus option[value^=once]").count() == 1
        file.unlink()
        page.click("#begin")
        page.wait_for_function("() => document.querySelector('#trouble-text').textContent.includes('cannot be read')")
        page.click("text=Remove file")
        page.check("[name=source][value=corpus]")
        page.select_option("#corpus", "once")
        page.click("#forget")
        page.click("#ask-yes")
        page.wait_for_selector("#corpus option[value=once]", state="detached")
