"""Pictures inside addresses."""

from __future__ import annotations

import re
from typing import Final

from resilient_ai.messages import Image

_DATA_URL: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(?=(.))", re.IGNORECASE | re.DOTALL)


def image_of_url(url: str, detail: str | None = None) -> Image | None:
    """The picture at `url`, or in it; None if it is neither an http address nor base64."""
    found = _DATA_URL.match(url)
    if found is not None:
        return Image(data=url[found.end() :], media_type=found.group(1), detail=detail)
    if url[:8].lower().startswith(("http://", "https://")):
        return Image(url=url, detail=detail)
    return None


def url_of_image(image: Image) -> str | None:
    """The address of a picture, with its bytes inside if it has none; None for a picture that has neither."""
    if image.url is not None:
        return image.url
    if image.data is not None:
        return f"data:{image.media_type or 'image/png'};base64,{image.data}"
    return None
