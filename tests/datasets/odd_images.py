"""Image files of all modes, with their expected pixels."""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageDraw

SIDE = 16
RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
GREY = RNG.permutation(SIDE * SIDE).reshape(SIDE, SIDE).astype(np.uint8)
ALPHA = RNG.permutation(SIDE * SIDE).reshape(SIDE, SIDE).astype(np.uint8)
WORDS = RNG.integers(0, 2**16, (SIDE, SIDE)).astype(np.uint16)
LONGS = RNG.integers(0, 2**32, (SIDE, SIDE)).astype(np.uint32)
FRAME = Image.new('RGB', (SIDE, SIDE), 'red')  # a later frame, never used
# by value of the EXIF tag: the transformation of the stored pixels
TURNS = {
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: x.swapaxes(0, 1)[:, ::-1],
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: x.swapaxes(0, 1)[::-1],
}


def triple(grey):
    return np.stack([grey] * 3, -1)


def over(colours, alpha, background=255):
    """Blend with a background: x a + b (1 - a), rounded, [H, W, 3]."""
    share = alpha[..., None] / 255
    return np.floor(colours * share + np.multiply(background, 1 - share) + 0.5)


def pillow(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(rows, bits, colour, transparent):
    """Write a PNG from packed rows of bytes."""

    def chunk(name, data):
        return (
            struct.pack('>I', len(data))
            + name
            + data
            + struct.pack('>I', zlib.crc32(name + data))
        )

    head = struct.pack('>IIBBBBB', SIDE, SIDE, bits, colour, 0, 0, 0)
    content = b''.join(b'\0' + row.tobytes() for row in rows)
    return (
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', head)
        + chunk(b'tRNS', struct.pack(f'>{len(transparent)}H', *transparent))
        + chunk(b'IDAT', zlib.compress(content))
        + chunk(b'IEND', b'')
    )


def tiff(content, bits, sample_format=1, photometric=1, order='<'):
    """Write an uncompressed TIFF with one grey channel."""
    tags = [
        (256, SIDE),
        (257, SIDE),
        (258, bits),
        (259, 1),
        (262, photometric),
        (273, 8 + 2 + 12 * 10 + 4),
        (277, 1),
        (278, SIDE),
        (279, len(content)),
        (339, sample_format),
    ]
    head = b'II*\0' if order == '<' else b'MM\0*'
    entries = b''.join(
        struct.pack(f'{order}HHII', tag, 4, 1, value) for tag, value in tags
    )
    return head + struct.pack(f'{order}IH', 8, len(tags)) + entries + bytes(4) + content


def nibbles(values):
    return (values[:, ::2] << 4 | values[:, 1::2]).astype(np.uint8)


def twelve_bits(values):
    """Pack two 12-bit numbers into three bytes."""
    first, second = values[:, ::2], values[:, 1::2]
    return (
        np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], -1)
        .astype(np.uint8)
        .tobytes()
    )


def smooth():
    """An image with small JPEG errors."""
    image = Image.new('RGB', (SIDE, SIDE), (200, 120, 40))
    ImageDraw.Draw(image).rectangle((0, 0, 7, 15), (40, 90, 220))
    return image


def exif(number):
    tag = Image.Exif()
    tag[274] = number
    return tag


def lab_to_rgb(lab):
    """Convert 8-bit CIELAB (D50) to sRGB by the formulas, [H, W, 3]."""
    light, a, b = np.moveaxis(lab.astype(float), -1, 0)
    y = (light * 100 / 255 + 16) / 116
    f = np.stack([y + (a - 128) / 500, y, y - (b - 128) / 200], -1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    xyz *= [0.9642, 1, 0.8249]
    linear = (
        xyz
        @ np.linalg.inv(
            [  # sRGB's primaries for D50
                [0.4360747, 0.3850649, 0.1430804],
                [0.2225045, 0.7168786, 0.0606169],
                [0.0139322, 0.0971045, 0.7141733],
            ]
        ).T
    )
    return 255 * np.where(
        linear > 0.0031308, 1.055 * np.abs(linear) ** (1 / 2.4) - 0.055, 12.92 * linear
    )


def table():
    """Content, expected pixels and tolerance, by file name."""
    rows = {}

    def row(name, content, expected, most=0):
        rows[name] = content, np.asarray(expected, int), most

    grey, rgb = Image.fromarray(GREY), Image.fromarray(RGB)
    for kind in ('png', 'bmp', 'tga', 'ppm', 'tiff'):
        row(f'rgb.{kind}', pillow(rgb, kind), RGB)
    row('grey.png', pillow(grey, 'png'), triple(GREY))
    row(
        'one bit.png',
        pillow(Image.fromarray(GREY > 99), 'png'),
        triple(255 * (GREY > 99)),
    )
    row('palette.png', pillow(smooth().quantize(4), 'png'), np.asarray(smooth()))
    row('wavelets.jp2', pillow(rgb, 'jpeg2000', irreversible=False), RGB)
    for name, image, options in (
        ('photo.JPG', smooth(), {}),
        ('plain.jfif', smooth(), {}),
        ('steps.jpe', smooth(), dict(progressive=True)),
        ('print.jpg', smooth().convert('CMYK'), {}),
        ('grey.jpeg', smooth().convert('L'), {}),
    ):
        row(
            name,
            pillow(image, 'jpeg', quality=100, subsampling=0, **options),
            np.asarray(
                image.convert('L').convert('RGB') if 'grey' in name else smooth()
            ),
            4,
        )
    row(
        'av1.avif',
        pillow(smooth(), 'avif', quality=100, subsampling='4:4:4'),
        np.asarray(smooth()),
        4,
    )

    # more than 8 bits
    row('16 bits.png', pillow(Image.fromarray(WORDS), 'png'), triple(WORDS // 256))
    row(
        '16 bits of 8.png',
        pillow(Image.fromarray(GREY.astype(np.uint16) * 257), 'png'),
        triple(GREY),
    )
    row(
        '16 bits.pgm',
        b'P5 16 16 65535\n' + WORDS.astype('>u2').tobytes(),
        triple(WORDS // 256),
    )
    row(
        '16 bits.jp2',
        pillow(Image.fromarray(WORDS), 'jpeg2000', irreversible=False),
        triple(WORDS // 256),
    )
    for order, name in ('<', 'little'), ('>', 'big'):
        row(
            f'16 bits {name}.tif',
            tiff(WORDS.astype(f'{order}u2').tobytes(), 16, order=order),
            triple(WORDS // 256),
        )
    row(
        '16 bits white.tif',
        tiff(WORDS.tobytes(), 16, photometric=0),
        triple(255 - WORDS // 256),
    )
    row(
        '16 bits signed.tif',
        tiff((WORDS // 2).tobytes(), 16, 2),
        triple(WORDS // 2 // 128),
    )
    row('12 bits.tif', tiff(twelve_bits(WORDS // 16), 12), triple(WORDS // 256))
    row('32 bits.tif', tiff(LONGS.tobytes(), 32), triple(LONGS // 2**24))
    row(
        '32 bits signed.tif',
        tiff((LONGS // 2).tobytes(), 32, 2),
        triple(LONGS // 2**24),
    )
    row(
        'float.tif',
        pillow(Image.fromarray((GREY / 255).astype(np.float32)), 'tiff'),
        triple(GREY),
    )
    row(
        'float white.tif',
        tiff((GREY / 255).astype('<f4').tobytes(), 32, 3, photometric=0),
        triple(255 - GREY),
    )
    row('black.tif', tiff(bytes(2 * SIDE**2), 16), triple(0 * GREY))
    colours = WORDS[..., None].repeat(3, 2) ^ np.uint16([0, 0xFF, 0xFF00])
    row('48 bits.png', png(colours.astype('>u2'), 16, 2, (1, 2, 3)), colours // 256)

    # transparent
    clear = np.dstack([RGB, ALPHA])
    row('rgba.png', pillow(Image.fromarray(clear), 'png'), over(RGB, ALPHA))
    row(
        'rgba.webp',
        pillow(Image.fromarray(clear), 'webp', lossless=True, exact=True),
        over(RGB, ALPHA),
    )
    row(
        'la.png',
        pillow(Image.fromarray(np.dstack([GREY, ALPHA])), 'png'),
        over(triple(GREY), ALPHA),
    )
    row(
        'la.tif',
        pillow(Image.fromarray(np.dstack([GREY, ALPHA])), 'tiff'),
        over(triple(GREY), ALPHA),
    )
    palette = Image.fromarray(GREY, 'P')
    palette.putpalette(RGB[..., 0].repeat(3).tobytes())
    shown = triple(RGB[..., 0].reshape(-1)[GREY])
    row(
        'palette alpha.png',
        pillow(palette, 'png', transparency=bytes(ALPHA.reshape(-1))),
        over(shown, ALPHA.reshape(-1)[GREY]),
    )
    for kind in 'png', 'gif':
        row(
            f'palette one.{kind}',
            pillow(palette, kind, transparency=7),
            over(shown, 255 * (GREY != 7)),
        )
    row(
        'grey one.png',
        pillow(grey, 'png', transparency=9),
        over(triple(GREY), 255 * (GREY != 9)),
    )
    row(
        'rgb one.png',
        pillow(rgb, 'png', transparency=tuple(map(int, RGB[3, 5]))),
        over(RGB, 255 * (RGB != RGB[3, 5]).any(2)),
    )
    row(
        '16 bits one.png',
        pillow(Image.fromarray(WORDS), 'png', transparency=int(WORDS[3, 5])),
        over(triple(WORDS // 256), 255 * (WORDS != WORDS[3, 5])),
    )
    few = GREY // 16
    row(
        '4 bits one.png',
        png(nibbles(few), 4, 0, (3,)),
        over(triple(few * 17), 255 * (few != 3)),
    )
    top = colours[3, 5] // 256
    row(
        '48 bits one.png',
        png(colours.astype('>u2'), 16, 2, colours[3, 5]),
        over(colours // 256, 255 * (colours // 256 != top).any(2)),
    )

    # other colours
    inks = np.dstack([RGB, ALPHA])
    row(
        'cmyk.tif',
        pillow(Image.fromarray(inks, 'CMYK'), 'tiff'),
        (255 - inks[..., :3]) * (255.0 - ALPHA[..., None]) / 255,
        1,
    )
    lab = np.dstack([GREY // 2 + 90, RGB[..., :2] // 8 + 112])  # in gamut
    signed = lab ^ np.uint8([0, 128, 128])  # as in Pillow's arrays
    row('lab.tif', pillow(Image.fromarray(signed, 'LAB'), 'tiff'), lab_to_rgb(lab), 3)

    # several frames
    more = dict(save_all=True, append_images=[FRAME])
    row('moves.png', pillow(rgb, 'png', **more), RGB)
    row('moves.webp', pillow(rgb, 'webp', lossless=True, **more), RGB)
    row('moves.gif', pillow(grey, 'gif', **more), triple(GREY))
    row('pages.tif', pillow(rgb, 'tiff', **more), RGB)
    row(
        'phone.mpo',
        pillow(smooth(), 'mpo', quality=100, subsampling=0, **more),
        np.asarray(smooth()),
        4,
    )

    # rotated
    for number, turn in TURNS.items():
        for kind in ('png', 'tiff', 'webp') if number > 5 else ('png',):
            options = dict(lossless=True) if kind == 'webp' else {}
            row(
                f'turned {number}.{kind}',
                pillow(rgb, kind, exif=exif(number), **options),
                turn(RGB),
            )
        row(
            f'turned {number}.jpg',
            pillow(smooth(), 'jpeg', quality=100, subsampling=0, exif=exif(number)),
            turn(np.asarray(smooth())),
            4,
        )
    row(
        'turned 16 bits.tif',
        pillow(Image.fromarray(WORDS), 'tiff', exif=exif(6)),
        triple(TURNS[6](WORDS) // 256),
    )

    # a wrong extension
    row('a webp.jpg', pillow(rgb, 'webp', lossless=True), RGB)
    row('a png.jpg', pillow(Image.fromarray(clear), 'png'), over(RGB, ALPHA))
    return rows


def refused():
    """Content of files with values out of range, and the error."""
    floats = (GREY / 255).astype('<f4')
    nan = floats.copy()
    nan[0, 0] = np.nan
    return {
        'bytes as floats.tif': (
            tiff((floats * 255).tobytes(), 32, 3),
            'from 0 to 255, should be from 0 to 1',
        ),
        'below.tif': (
            tiff((floats - 1).tobytes(), 32, 3),
            'from -1 to 0, should be from 0 to 1',
        ),
        'hole.tif': (tiff(nan.tobytes(), 32, 3), 'not all of them are num'),
        'endless.tif': (
            tiff(np.where(floats, 1, np.inf).astype('<f4').tobytes(), 32, 3),
            'to inf, not al',
        ),
        'heights.tif': (
            tiff((WORDS // 2 - 9000).tobytes(), 16, 2),
            'should be from 0 to 32767',
        ),
        'camera.png': (
            pillow(Image.fromarray(WORDS // 16), 'png'),
            'where white is 65535: it would be black',
        ),
        'bytes as longs.tif': (
            tiff(GREY.astype('<u4').tobytes(), 32),
            'where white is 4294967295',
        ),
        'faint.tif': (
            tiff((floats / 99).tobytes(), 32, 3),
            'where white is 1: it would be black',
        ),
        'colour floats.tif': (
            tiff(floats.tobytes(), 32, 3, photometric=2),
            'annot identify image file',
        ),
    }
