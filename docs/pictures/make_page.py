"""Take screenshots of the web page: `python docs/pictures/make_page.py [NAME ...]`, by default all four.

Starts `numlstm serve` on an empty folder, trains on the tales for a minute, generates with a shipped model, and writes
`page-desktop.png`, `page-phone.png`, `page-dark.png` and `page-korean.png` beside this file. Needs Chromium, the extra
`test`, Pillow (a dependency of matplotlib), and for the Korean screenshot a font with Hangul.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

HERE = Path(__file__).resolve().parent
LIMIT = 150_000  # maximum bytes of a picture


def opened(browser: Browser, url: str, width: int, height: int, **more: Any) -> Page:
    """Open the web page in a window of the given size."""
    page = browser.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce", **more)
    page.goto(url)
    page.wait_for_selector("#model-0 option", state="attached")
    return page


def write(page: Page, prompt: str, seed: int, length: int) -> None:
    """Generate a text and wait until it is complete."""
    page.fill("#prompt", prompt)
    page.fill("#length", str(length))
    page.fill("#seed", str(seed))
    page.click("#go")
    page.wait_for_function("() => [...document.querySelectorAll('.written')].every(each => each.ariaBusy === 'false')")


def desktop(browser: Browser, url: str, job: str) -> Page:
    """Show texts at two temperatures side by side, coloured by surprise."""
    page = opened(browser, url, 1280, 880)
    page.select_option("#model-0", "shakespeare")
    page.check("#beside")
    page.check("#coloured")
    page.select_option("#model-1", "shakespeare")
    write(page, "ROMEO:\n", 5, 220)
    page.evaluate("scrollTo(0, 0)")
    page.locator(".sheet .written").first.locator("i").nth(60).hover()
    return page


def phone(browser: Browser, url: str, job: str) -> Page:
    """Show a training job on a phone."""
    page = opened(browser, f"{url}#job/{job}", 390, 920, device_scale_factor=2)
    page.wait_for_selector("#curve svg")
    page.wait_for_timeout(500)  # the page draws the events with a small delay
    page.evaluate("document.querySelector('#job-title').scrollIntoView()")
    return page


def dark(browser: Browser, url: str, job: str) -> Page:
    """Show a training job in dark mode."""
    page = opened(browser, f"{url}#job/{job}", 1280, 900, color_scheme="dark")
    page.wait_for_selector(".samples")
    page.wait_for_timeout(500)
    page.evaluate("scrollTo(0, 0)")
    return page


def korean(browser: Browser, url: str, job: str) -> Page:
    """Show the training form in Korean."""
    page = opened(browser, f"{url}#train", 1280, 900, locale="ko-KR")
    page.wait_for_selector("#option-seed")
    page.check("[name=source][value=corpus]")
    page.select_option("#corpus", "danpyeon")
    page.evaluate("scrollTo(0, 0)")
    return page


SHOTS: dict[str, Callable[[Browser, str, str], Page]] = {
    "page-desktop": desktop,
    "page-phone": phone,
    "page-dark": dark,
    "page-korean": korean,
}


def train(browser: Browser, url: str) -> str:
    """Start training on the tales, wait until the curve has some points, and return the job's id."""
    page = opened(browser, f"{url}#train", 1280, 900)
    page.check("[name=source][value=corpus]")
    page.select_option("#corpus", "tales")
    page.fill("#option-epochs", "12")
    page.click("#begin")
    page.wait_for_function("() => document.querySelectorAll('#curve circle.dot').length >= 8", timeout=600_000)
    job = re.search(r"#job/(.+)", page.url)
    assert job is not None
    page.close()
    return job[1]


def main() -> None:
    """Take the screenshots named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*SHOTS, []], metavar="NAME")
    parser.add_argument("--folder", type=Path, default=HERE)
    given = parser.parse_args()
    command = [sys.executable, "-m", "numlstm", "serve", "--port", "0", "--models"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen([*command, folder], stderr=subprocess.PIPE, text=True) as server,
        sync_playwright() as playwright,
    ):
        assert server.stderr is not None
        found = re.search(r"http://\S+", server.stderr.readline())
        assert found is not None, "the server did not start"
        path = shutil.which("chromium") or shutil.which("google-chrome")
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            job = train(browser, found[0] + "/")
            for name in given.names or SHOTS:
                page = SHOTS[name](browser, found[0] + "/", job)
                picture = given.folder / f"{name}.png"
                page.screenshot(path=picture)
                few = Image.open(picture).convert("RGB").quantize(256, dither=Image.Dither.NONE)
                few.save(picture, optimize=True)  # a third of the bytes, with no visible difference
                size = picture.stat().st_size
                print(f"{picture.name}: {size:,} bytes{' (too many)' if size > LIMIT else ''}")
                page.close()
        finally:
            browser.close()
            server.terminate()


if __name__ == "__main__":
    main()
