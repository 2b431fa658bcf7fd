# A network of timm for a detector, up to its last map; channels is what
# mmdisco.models.TimmMaps(NAME).channels says.
student = dict(
    backbone=dict(type='TimmMaps', name='mobilenetv4_conv_small'),
    channels=[32, 64, 96, 960],
    unused=[])
