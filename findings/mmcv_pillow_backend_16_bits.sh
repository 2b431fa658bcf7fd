#!/usr/bin/env bash
# mmcv (onedl-mmcv 2.3.6, Pillow 12.0.0): mmcv.imread, and therefore
# LoadImageFromFile, returns a white image for a 16-bit grey PNG with its backend
# 'pillow', but the correct image with its backend 'cv2'.
#
# The pillow backend calls convert('RGB'), where Pillow clips 16-bit values at 255
# instead of scaling them: every pixel that is not nearly black silently becomes
# white. The same backend composites an 8-bit grey PNG with transparency on the
# grey (124, 117, 104), and ignores the alpha of RGBA. A ramp of 64 levels, saved
# in 8 and in 16 bits, and one transparent white pixel:
#
#     8 bits   pillow 0..252 in 64 levels     cv2 0..252 in 64 levels
#     16 bits  pillow 0..255 in 2 levels      cv2 0..252 in 64 levels
#     LA       pillow [124 117 104]           cv2 [255 255 255]
#     RGBA     pillow [255 255 255]           cv2 [255 255 255]
#
# Exit code 0 if the output is as above, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
# without torch: not needed to read images
"$folder/venv/bin/pip" install --quiet --no-deps onedl-mmcv==2.3.6 \
    onedl-mmengine==0.10.12 pillow==12.0.0 opencv-python-headless==4.12.0.88
"$folder/venv/bin/pip" install --quiet numpy==2.2.6 addict packaging pyyaml \
    rich termcolor yapf
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import mmcv
import numpy as np
from PIL import Image

ramp = np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8)
Image.fromarray(ramp).save('8 bits.png')
Image.fromarray(ramp.astype(np.uint16) * 257).save('16 bits.png')
clear = np.array([[[255, 0]]], np.uint8)  # white, all of it transparent
Image.fromarray(clear).save('LA.png')
Image.fromarray(clear).convert('RGBA').save('RGBA.png')
found = {}
for name in ('8 bits', '16 bits', 'LA', 'RGBA'):
    for backend in ('pillow', 'cv2'):
        image = mmcv.imread(f'{name}.png', channel_order='rgb',
                            backend=backend)
        levels = len(np.unique(image))
        found[name, backend] = (
            f'{image.min()}..{image.max()} in {levels} levels'
            if 'bits' in name else str(image[0, 0]))
        print(f'{name:8} {backend:6} {found[name, backend]}')
picture = '0..252 in 64 levels'
same = found == {
    ('8 bits', 'pillow'): picture, ('8 bits', 'cv2'): picture,
    ('16 bits', 'pillow'): '0..255 in 2 levels', ('16 bits', 'cv2'): picture,
    ('LA', 'pillow'): '[124 117 104]', ('LA', 'cv2'): '[255 255 255]',
    ('RGBA', 'pillow'): '[255 255 255]', ('RGBA', 'cv2'): '[255 255 255]'}
print('as described' if same else 'changed')
raise SystemExit(not same)
PYTHON
