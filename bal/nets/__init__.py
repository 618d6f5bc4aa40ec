"""Segmentation networks. The only folder that imports flax."""

from bal.nets.unet import UNet

NETS = {"unet": UNet}
