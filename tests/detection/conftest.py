"""Importing this package first lets mmdet find mmcv's ops, compiled or not."""

import mmdisco.detection  # noqa: F401
