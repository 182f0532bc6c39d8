from __future__ import annotations

import survfuse.viewer


def test_the_package_says_what_it_is() -> None:
    assert "browser" in (survfuse.viewer.__doc__ or "")
