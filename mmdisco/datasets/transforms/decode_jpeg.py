import cv2
import numpy as np
from PIL import Image

FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
END = b'\xff\xd9'  # the marker that ends every JPEG file


def decode_jpeg(content: bytes, header: Image.Image, divisor: int = 1) -> np.ndarray:
    """Decode an upright colour JPEG file.

    OpenCV's decoder gives PIL's pixels in three quarters of the time, but
    fills what is missing of a truncated file with grey. So a file without its
    end is PIL's.

    Args:
        content (bytes): Of the file.
        header (Image.Image): The file, opened by PIL but not yet loaded.
        divisor (int): 1, 2, 4 or 8: which part of the size is enough.
            Defaults to 1.

    Returns:
        np.ndarray: RGB, uint8 [H / divisor, W / divisor, 3], rounded up.

    Raises:
        OSError: If the file is truncated or broken.
    """
    pixels = None
    if content.endswith(END):
        pixels = cv2.imdecode(
            np.frombuffer(content, np.uint8),
            FLAGS[divisor] | cv2.IMREAD_IGNORE_ORIENTATION,
        )
    if pixels is not None:
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, pixels)
    if divisor > 1:
        width, height = header.size
        header.draft(None, (width // divisor, height // divisor))
    return np.array(header)
