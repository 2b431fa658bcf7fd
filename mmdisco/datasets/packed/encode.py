"""Files of images as they are packed."""

import io
import os
from dataclasses import dataclass

from PIL import ExifTags, Image
from torch.utils.data import Dataset

from ..decode import WHITE, reason_of, to_rgb

END = b'\xff\xd9'  # the marker that ends every JPEG file
INTERPOLATION = Image.Resampling.BICUBIC


@dataclass
class Encoded:
    """An image as it is packed.

    Attributes:
        index (int): Index of the image.
        content (bytes): Content of the file.
        extension (str): Its ending, without the dot, lower case.
        fields (dict): Facts for the JSON file next to it.
        copied (bool): Whether the file is copied as it is.
        problem (str): Why the image can't be read; '' if it can.
    """

    index: int
    content: bytes = b''
    extension: str = 'jpg'
    fields: dict | None = None
    copied: bool = False
    problem: str = ''


class EncodedPhotos(Dataset):
    """Image files, re-encoded once or copied as they are.

    Images are converted by :func:`~mmdisco.datasets.decode.to_rgb`, so that
    orientation and transparency are applied. Images are never enlarged. An
    upright colour JPEG file that need not be resized is copied.

    Args:
        folder (str): Folder of the images.
        names (list[str]): Their paths below it.
        size (int, optional): Shorter side in pixels. Defaults to None: every
            file is copied as it is, without decoding.
        quality (int): Quality of JPEG, 1 to 100. Defaults to 90.
    """

    def __init__(
        self, folder: str, names: list[str], size: int | None, quality: int = 90
    ) -> None:
        self.folder = folder
        self.names = names
        self.size = size
        self.quality = quality

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Encoded:
        """Read and encode an image; an unreadable one has a ``problem``."""
        path = os.path.join(self.folder, self.names[index])
        try:
            with open(path, 'rb') as file:
                content = file.read()
            if self.size is None:
                extension = os.path.splitext(path)[1][1:].lower()
                return Encoded(index, content, extension, {}, copied=True)
            return self._encode(index, content, self.size)
        except Exception as error:  # decoders raise their own exceptions
            return Encoded(index, problem=reason_of(error, f"'{path}'"))

    def _encode(self, index: int, content: bytes, side: int) -> Encoded:
        with Image.open(io.BytesIO(content)) as image:
            pixels = to_rgb(image, WHITE)
            fields = dict(width=pixels.width, height=pixels.height)
            shorter = min(pixels.size)
            if shorter <= side and _is_plain(image, content):
                return Encoded(index, content, 'jpg', fields, copied=True)
        if shorter > side:
            width, height = (round(edge * side / shorter) for edge in pixels.size)
            pixels = pixels.resize((width, height), INTERPOLATION)
        file = io.BytesIO()
        pixels.save(file, 'JPEG', quality=self.quality)
        return Encoded(index, file.getvalue(), 'jpg', fields)


def _is_plain(image: Image.Image, content: bytes) -> bool:
    """Whether a file is a complete upright colour JPEG."""
    return (
        image.format == 'JPEG'
        and image.mode == 'RGB'
        and image.getexif().get(ExifTags.Base.Orientation, 1) == 1
        and content.endswith(END)
    )
