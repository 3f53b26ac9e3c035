"""Debian's Chromium, as the tests and the pictures of docs/ start it."""

import os
import shutil

from playwright.sync_api import Browser, Playwright


def launch(playwright: Playwright) -> Browser:
    path = shutil.which("chromium")
    assert path, "chromium is not on PATH; on Debian: apt-get install chromium"
    # Chromium's own sandbox does not work for root, who runs it in CI.
    return playwright.chromium.launch(
        executable_path=path, chromium_sandbox=os.geteuid() != 0, args=["--lang=en-US"]
    )
